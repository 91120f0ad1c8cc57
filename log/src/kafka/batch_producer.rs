//! Sends rows to librdkafka in batches, and takes its delivery reports by the hundred.
//!
//! Per row, rdkafka's `send` copies the value, looks the topic up, and boxes what it calls back
//! with; per report it makes a message of it. A batch producer groups the rows of a call by topic and
//! partition, hands each group over in one call without copying, and settles reports by the
//! hundred. It deliberately does not bound what is in flight (its callers have a [`QueueBudget`]), or
//! start a thread (they serve it).
//!
//! [`QueueBudget`]: super::queue_budget::QueueBudget

mod ffi;
mod in_flight;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};

pub(super) use self::ffi::ProducerCallbacks;
use self::ffi::{Client, EventQueue, TopicHandle};
use self::in_flight::OnBatchReport;
pub(super) use self::in_flight::{BatchReport, InFlightBatches};
use super::client::create;
use crate::{LogError, ProducerRecord, Topic};

/// Events served in one go.
const EVENTS_SERVED: usize = 64;

/// One librdkafka producer, sent to in batches.
pub(super) struct BatchProducer {
    topics: RwLock<HashMap<Topic, Arc<TopicHandle>>>,
    queue: EventQueue,
}

impl BatchProducer {
    pub(super) fn open(
        config: &ClientConfig,
        in_flight: &Arc<InFlightBatches>,
    ) -> Result<Self, LogError> {
        let client = Client::open(Arc::clone(in_flight), |reports| create(config, reports))?;
        Ok(Self { topics: RwLock::default(), queue: EventQueue::open(client) })
    }

    /// The producer, for all but sending.
    pub(super) fn producer(&self) -> &BaseProducer<ProducerCallbacks> {
        &self.queue.client().producer
    }

    /// Tells whether librdkafka has given this producer up: it then fails every row at once.
    pub(super) fn is_dead(&self) -> bool {
        self.producer().client().fatal_error().is_some()
    }

    /// Hands rows over. The thread that serves calls `done` after the report on the last of them.
    pub(super) fn send(&self, rows: Vec<ProducerRecord>, done: OnBatchReport) {
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
        self.queue.client().in_flight().complete_ready();
    }

    /// Topics that rows were sent to.
    pub(super) fn topics(&self) -> Vec<Topic> {
        self.topics.read().keys().cloned().collect()
    }

    fn topic(&self, topic: &Topic) -> Result<Arc<TopicHandle>, RDKafkaErrorCode> {
        if let Some(handle) = self.topics.read().get(topic) {
            return Ok(Arc::clone(handle));
        }
        let handle = Arc::new(TopicHandle::open(self.queue.client(), topic)?);
        Ok(Arc::clone(self.topics.write().entry(topic.clone()).or_insert(handle)))
    }
}
