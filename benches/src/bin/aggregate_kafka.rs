//! What the aggregator costs on a real Kafka: drains `pos.events` to its present end, then says so.
//!
//!     aggregate_kafka BROKERS NAMESPACE PARTITIONS [--without-transactions]
//!
//! Prints one line of JSON: `events` read, `outputs` handed to the log, `cpu_s` of this process (all
//! threads, user and system), `wall_s`. Without `pos.transactions` those rows are dropped before they
//! are sent, so that the windows stand alone, as they do in an engine that has no ledger; making them
//! is then still part of the cost. The aggregator itself has no such setting. The namespace's group
//! must not have consumed anything before, or only the rest is measured.

#![expect(clippy::print_stdout, reason = "the measurement is what it is for")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use tillrace_core::aggregate::{AggregateMetrics, AggregateSettings, run};
use tillrace_core::log::kafka::{Durability, KafkaLog, KafkaSettings};
use tillrace_core::log::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Polled, Position,
    Producer, Reader, Row, Topic, TopicSpec, TransactionalConsumer,
};
use tillrace_core::topics::Topics;

/// Clock ticks a second in `/proc/self/stat`, fixed on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (brokers, namespace, partitions, drops) = match arguments.as_slice() {
        [brokers, namespace, partitions] => (brokers, namespace, partitions, false),
        [brokers, namespace, partitions, flag] if flag == "--without-transactions" => {
            (brokers, namespace, partitions, true)
        }
        _ => bail!("usage: aggregate_kafka BROKERS NAMESPACE PARTITIONS [--without-transactions]"),
    };
    let partitions = partitions.parse().context("read the number of partitions")?;
    let topics = Topics::new(namespace);
    let kafka = KafkaLog::connect(KafkaSettings {
        durability: Durability::Development,
        ..KafkaSettings::new(brokers, partitions)
    })?;
    let mut open = BTreeMap::new();
    for partition in 0..partitions {
        let end = kafka.bounds(&topics.events, partition)?.stable_end;
        let committed = kafka.committed(&topics.group("aggregate"), &topics.events, partition)?;
        if committed.is_none_or(|committed| committed.offset < end) {
            open.insert(partition, end);
        }
    }
    let counts = Arc::new(Counts {
        stop: AtomicBool::new(open.is_empty()),
        open: Mutex::new(open),
        events: AtomicU64::new(0),
        outputs: AtomicU64::new(0),
        dropped: drops.then(|| topics.transactions.clone()),
    });
    let log = Arc::new(Counted { inner: kafka, counts: Arc::clone(&counts) });
    let metrics = AggregateMetrics::register(&mut prometheus_client::registry::Registry::default());
    let (began, cpu_before) = (Instant::now(), cpu_s()?);
    run(log, &topics, &AggregateSettings::default(), &counts.stop, &metrics)?;
    let measured = serde_json::json!({
        "events": counts.events.load(Ordering::Relaxed),
        "outputs": counts.outputs.load(Ordering::Relaxed),
        "cpu_s": cpu_s()? - cpu_before,
        "wall_s": began.elapsed().as_secs_f64(),
    });
    println!("{measured}");
    Ok(())
}

/// CPU time of the process so far, seconds.
fn cpu_s() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("read this process's times")?;
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th after.
    let (_, after) = text.rsplit_once(") ").context("cut the name off")?;
    let times: Vec<f64> =
        after.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(times.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// What passes through, and when all of it has.
struct Counts {
    stop: AtomicBool,
    /// Partitions that are not yet consumed up to the end they had at first.
    open: Mutex<BTreeMap<Partition, Offset>>,
    events: AtomicU64,
    outputs: AtomicU64,
    /// Rows of this topic go no further.
    dropped: Option<Topic>,
}

impl Counts {
    fn committed(&self, positions: &[Position]) {
        let mut open = self.open.lock();
        for position in positions {
            if open.get(&position.partition).is_some_and(|&end| position.committed.offset >= end) {
                open.remove(&position.partition);
            }
        }
        if open.is_empty() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// A log that counts.
struct Counted {
    inner: Arc<KafkaLog>,
    counts: Arc<Counts>,
}

struct CountedConsumer {
    inner: Box<dyn TransactionalConsumer>,
    counts: Arc<Counts>,
}

impl LogView for Counted {
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

impl Log for Counted {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Vec<String>, LogError> {
        self.inner.ensure_topics(topics)
    }

    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        self.inner.producer()
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
        Ok(Box::new(CountedConsumer { inner, counts: Arc::clone(&self.counts) }))
    }
}

impl Consumer for CountedConsumer {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        let polled = self.inner.poll(max_records, wait)?;
        if let Polled::Records(entries) = &polled {
            self.counts.events.fetch_add(entries.len() as u64, Ordering::Relaxed);
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

impl TransactionalConsumer for CountedConsumer {
    fn commit_with(&mut self, mut rows: Vec<Row>, positions: &[Position]) -> Result<(), LogError> {
        if let Some(dropped) = &self.counts.dropped {
            rows.retain(|row| row.topic != *dropped);
        }
        let count = rows.len() as u64;
        self.inner.commit_with(rows, positions)?;
        self.counts.outputs.fetch_add(count, Ordering::Relaxed);
        self.counts.committed(positions);
        Ok(())
    }
}
