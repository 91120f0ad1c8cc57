//! A log that counts what an aggregator reads and commits on it, and tells it to stop when it has caught up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tillrace_core::aggregate::{AggregateError, AggregateMetrics, AggregateSettings, run};
use tillrace_core::topics::Topics;
use tillrace_log::health::Health;
use tillrace_log::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Polled, Position,
    Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer, Weaknesses,
    WritableLog,
};

use crate::cpu::cpu_s;

/// What passed through.
#[derive(Debug, Default)]
pub struct Seen {
    /// Records read.
    pub events: AtomicU64,
    /// Rows committed.
    pub rows: AtomicU64,
    /// Transactions.
    pub commits: AtomicU64,
    /// Rows of the largest transaction.
    pub most_rows: AtomicU64,
    /// Bytes of keys and values of the largest transaction.
    pub most_bytes: AtomicU64,
    /// Longest time of a transaction, milliseconds.
    pub longest_ms: AtomicU64,
    /// When a third of the records was read, and when the last of them were committed.
    pub marks: [OnceLock<Mark>; 2],
    /// Records there were at first.
    total: u64,
    caught_up: AtomicBool,
    /// Ends that the partitions had at first and that are not committed yet.
    open: Mutex<BTreeMap<Partition, Offset>>,
}

/// How far an aggregator is.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Records read.
    pub events: u64,
    /// Processor time of this process, s.
    pub cpu_s: f64,
}

impl Seen {
    fn committed(&self, rows: usize, bytes: usize, took: Duration, positions: &[Position]) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.most_rows.fetch_max(rows as u64, Ordering::Relaxed);
        self.most_bytes.fetch_max(bytes as u64, Ordering::Relaxed);
        self.longest_ms.fetch_max(took_ms, Ordering::Relaxed);
        let mut open = self.open.lock();
        for Position { partition, committed } in positions {
            if open.get(partition).is_some_and(|&end| committed.offset >= end) {
                open.remove(partition);
            }
        }
        if open.is_empty() {
            self.mark(1);
        }
        self.caught_up.store(open.is_empty(), Ordering::Relaxed);
    }

    fn read(&self, records: usize) {
        let before = self.events.fetch_add(records as u64, Ordering::Relaxed);
        if (before + records as u64) * 3 >= self.total {
            self.mark(0);
        }
    }

    /// Notes how far things are at a moment, when it comes for the first time.
    fn mark(&self, moment: usize) {
        if let (None, Ok(cpu_s)) = (self.marks[moment].get(), cpu_s(std::process::id())) {
            let events = self.events.load(Ordering::Relaxed);
            self.marks[moment].get_or_init(|| Mark { events, cpu_s });
        }
    }
}

/// Runs the aggregator until it has committed everything that stands in `pos.events` now. Rows of the topic `without`
/// are made and then dropped.
///
/// # Errors
/// As [`run`], and when the log cannot tell its ends.
pub fn drain(
    inner: Arc<dyn Log>,
    topics: &Topics,
    settings: &AggregateSettings,
    without: Option<Topic>,
) -> Result<Arc<Seen>, AggregateError> {
    let (mut open, mut total) = (BTreeMap::new(), 0);
    for partition in 0..inner.partitions() {
        let end = inner.bounds(&topics.events, partition)?.stable_end;
        let committed = inner.committed(&topics.group("aggregate"), &topics.events, partition)?;
        let from = committed.map_or(0, |committed| committed.offset);
        if from < end {
            total += end - from;
            open.insert(partition, end);
        }
    }
    let caught_up = AtomicBool::new(open.is_empty());
    let seen = Arc::new(Seen { caught_up, total, open: Mutex::new(open), ..Seen::default() });
    let log = Arc::new(Watched { inner, seen: Arc::clone(&seen), without });
    let metrics = AggregateMetrics::register(&mut prometheus_client::registry::Registry::default());
    run(log, topics, settings, &seen.caught_up, &metrics, &Health::default())?;
    Ok(seen)
}

struct Watched {
    inner: Arc<dyn Log>,
    seen: Arc<Seen>,
    without: Option<Topic>,
}

struct WatchedConsumer {
    inner: Box<dyn TransactionalConsumer>,
    seen: Arc<Seen>,
    without: Option<Topic>,
}

impl TransactionalConsumer for WatchedConsumer {
    fn commit_transaction(
        &mut self,
        mut rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError> {
        if let Some(without) = &self.without {
            rows.retain(|row| row.topic != *without);
        }
        let length =
            |row: &ProducerRecord| row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len);
        let (count, bytes) = (rows.len(), rows.iter().map(length).sum());
        let began = Instant::now();
        self.inner.commit_transaction(rows, positions)?;
        self.seen.committed(count, bytes, began.elapsed(), positions);
        Ok(())
    }
}

impl Consumer for WatchedConsumer {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        let polled = self.inner.poll(max_records, wait)?;
        if let Polled::Records(entries) = &polled {
            self.seen.read(entries.len());
        }
        Ok(polled)
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        self.inner.committed(partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.inner.start(partition, offset)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        self.inner.commit(positions)
    }
}

impl LogView for Watched {
    fn identity(&self) -> Result<String, LogError> {
        self.inner.identity()
    }

    fn partitions(&self) -> Partition {
        self.inner.partitions()
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.inner.bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.inner.reader(topic, partition, from)
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.inner.committed(group, topic, partition)
    }
}

impl WritableLog for Watched {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        self.inner.producer()
    }
}

impl Log for Watched {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        self.inner.ensure_topics(topics)
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        self.inner.consumer(group, topic)
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        let inner = self.inner.transactional_consumer(group, topic)?;
        let (seen, without) = (Arc::clone(&self.seen), self.without.clone());
        Ok(Box::new(WatchedConsumer { inner, seen, without }))
    }
}
