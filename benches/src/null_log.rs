//! A log that offers records once and takes every commit at no cost: what remains is the aggregator.
//!
//! One partition, one member, nothing kept. It counts the rows it was given.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tillrace_core::aggregate::{AggregateError, AggregateMetrics, AggregateSettings, run};
use tillrace_core::topics::Topics;
use tillrace_log::health::Health;
use tillrace_log::{
    Bounds, Committed, Consumer, ConsumerRecord, Log, LogError, LogView, Offset, Partition, Polled,
    Position, Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer,
    Weaknesses, WritableLog,
};

/// What is offered: each item is one poll.
pub type Feed = Box<dyn Iterator<Item = Vec<ConsumerRecord>> + Send>;

/// What was given to the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Rows of all topics.
    pub rows: u64,
    /// Commits that carried them, the first position included.
    pub commits: u64,
}

/// Runs the aggregator over a feed, to its end.
///
/// # Errors
/// As [`run`].
pub fn drain(
    feed: Feed,
    topics: &Topics,
    settings: &AggregateSettings,
) -> Result<Written, AggregateError> {
    let shared = Arc::new(Shared::default());
    let log = NullLog { feed: Mutex::new(Some(feed)), shared: Arc::clone(&shared) };
    let metrics = AggregateMetrics::register(&mut prometheus_client::registry::Registry::default());
    run(Arc::new(log), topics, settings, &shared.stop, &metrics, &Health::default())?;
    Ok(Written {
        rows: shared.rows.load(Ordering::Relaxed),
        commits: shared.commits.load(Ordering::Relaxed),
    })
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    rows: AtomicU64,
    commits: AtomicU64,
}

struct NullLog {
    feed: Mutex<Option<Feed>>,
    shared: Arc<Shared>,
}

struct NullConsumer {
    feed: Feed,
    shared: Arc<Shared>,
    assigned: bool,
    started: bool,
}

struct NullReader;

impl LogView for NullLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("null".to_owned())
    }

    fn partitions(&self) -> Partition {
        1
    }

    fn bounds(&self, _topic: &Topic, _partition: Partition) -> Result<Bounds, LogError> {
        Ok(Bounds { start: 0, stable_end: 0, end: 0 })
    }

    fn reader(
        &self,
        _topic: &Topic,
        _partition: Partition,
        _from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(NullReader))
    }

    fn committed(
        &self,
        _group: &str,
        _topic: &Topic,
        _partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        Ok(None)
    }
}

impl Reader for NullReader {
    fn read(
        &mut self,
        _max_records: usize,
        _wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        Ok(Vec::new())
    }

    fn position(&self) -> Offset {
        0
    }
}

impl WritableLog for NullLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Err(LogError::TimedOut { action: "make a producer that no bench needs" })
    }
}

impl Log for NullLog {
    fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        Ok(Weaknesses::default())
    }

    fn consumer(&self, _group: &str, _topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Err(LogError::TimedOut { action: "make a consumer that no bench needs" })
    }

    fn transactional_consumer(
        &self,
        _group: &str,
        _topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        let feed = self.feed.lock().take();
        let feed = feed.ok_or(LogError::TimedOut { action: "join a second time" })?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(NullConsumer { feed, shared, assigned: false, started: false }))
    }
}

impl Consumer for NullConsumer {
    fn poll(&mut self, _max_records: usize, _wait: Duration) -> Result<Polled, LogError> {
        if !self.assigned {
            self.assigned = true;
            return Ok(Polled::Assigned(vec![0]));
        }
        if !self.started {
            return Ok(Polled::Idle);
        }
        if let Some(entries) = self.feed.next() {
            return Ok(Polled::Records(entries));
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        Ok(Polled::Idle)
    }

    fn committed(&mut self, _partition: Partition) -> Result<Option<Committed>, LogError> {
        Ok(None)
    }

    fn start(&mut self, _partition: Partition, _offset: Offset) -> Result<(), LogError> {
        self.started = true;
        Ok(())
    }

    fn commit(&mut self, _positions: &[Position]) -> Result<(), LogError> {
        Ok(())
    }
}

impl TransactionalConsumer for NullConsumer {
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        _positions: &[Position],
    ) -> Result<(), LogError> {
        self.shared.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        black_box(rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Fleet;

    #[test]
    fn a_fleets_events_are_all_firsts_and_every_line_of_a_new_key_is_a_delta() {
        let topics = Topics::new("");
        let fleet =
            Fleet { stores: 2, terminals: 3, skus: 1_000_000, lines: 4, events_per_minute: 10 };
        let entries: Vec<_> = (0..60).map(|number| fleet.entry(&topics, number)).collect();
        let polls: Vec<_> = entries.chunks(7).map(<[ConsumerRecord]>::to_vec).collect();
        let settings = AggregateSettings::default();
        let written = drain(Box::new(polls.into_iter()), &topics, &settings).unwrap();
        // The first position; then events, deltas, a day and its state for each store, a terminal
        // with its state, a block of hashes and the state of a drawer for each terminal, and the checkpoint.
        assert_eq!(written.rows, 1 + 60 + 60 * 4 + 2 * 2 + 6 * 4 + 1);
        assert_eq!(written.commits, 2);
    }
}
