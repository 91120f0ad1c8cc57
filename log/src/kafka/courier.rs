//! Rows to librdkafka and its reports back, many at a time.
//!
//! Per row, rdkafka's `send` copies the value, looks the topic up, and boxes what it calls back
//! with; per report it makes a message of it. A courier groups the rows of a call by topic and
//! partition, hands each group over in one call without copying, and settles reports by the
//! hundred. What it deliberately does not do: bound what is on its way (its callers have a room of
//! their own), or start a thread (they serve it).

mod hold;
mod native;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};

use self::hold::OnReported;
pub(super) use self::hold::{Holds, Reported};
pub(super) use self::native::Reports;
use self::native::{Client, Handle, Queue};
use super::client::create;
use crate::{LogError, Row, Topic};

/// Events served in one go.
const EVENTS_SERVED: usize = 64;

/// One librdkafka producer.
pub(super) struct Courier {
    topics: RwLock<HashMap<Topic, Arc<Handle>>>,
    queue: Queue,
}

impl Courier {
    pub(super) fn open(config: &ClientConfig, holds: &Arc<Holds>) -> Result<Self, LogError> {
        let client = Client::open(Arc::clone(holds), |reports| create(config, reports))?;
        Ok(Self { topics: RwLock::default(), queue: Queue::open(client) })
    }

    /// The producer, for all but sending.
    pub(super) fn producer(&self) -> &BaseProducer<Reports> {
        &self.queue.client().producer
    }

    /// Tells whether librdkafka has given this producer up: it then fails every row at once.
    pub(super) fn is_dead(&self) -> bool {
        self.producer().client().fatal_error().is_some()
    }

    /// Hands rows over; `done` hears of them when the last is reported on, from whoever serves.
    pub(super) fn send(&self, rows: Vec<Row>, done: OnReported) {
        let mut names: Vec<Topic> = Vec::new();
        let mut topics = Vec::new();
        let mut topic_of = Vec::with_capacity(rows.len());
        let mut last = 0;
        for row in &rows {
            if names.get(last).is_none_or(|name| *name != row.topic) {
                last = names.iter().position(|name| *name == row.topic).unwrap_or(names.len());
            }
            if last == names.len() {
                names.push(row.topic.clone());
                topics.push(self.topic(&row.topic));
            }
            topic_of.push(u32::try_from(last).unwrap_or(u32::MAX));
        }
        self.queue.client().dispatch(rows, &topic_of, &topics, done);
    }

    /// Waits for reports and news of librdkafka, and deals with what is there.
    pub(super) fn serve(&self, wait: Duration) {
        let mut wait = wait;
        for _ in 0..EVENTS_SERVED {
            if !self.queue.serve(wait) {
                break;
            }
            wait = Duration::ZERO;
        }
        self.queue.client().holds().give_ready();
    }

    /// Topics that rows were sent to.
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.topics.read().keys().cloned().collect()
    }

    fn topic(&self, topic: &Topic) -> Result<Arc<Handle>, RDKafkaErrorCode> {
        if let Some(handle) = self.topics.read().get(topic) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(Handle::open(self.queue.client(), topic)?);
        Ok(Arc::clone(self.topics.write().entry(topic.clone()).or_insert(handle)))
    }
}
