//! The conformance suite: what the roles rest on, asked of every log alike.
//!
//! Each [`Scenario`] gets a [`Stage`] with topics and groups of its own, so scenarios may run at
//! once and again on a log that others use. They assume nothing that only one of the logs gives:
//! offsets may have gaps, whatever takes time is waited for by its condition, and a member that
//! left may take a while to be replaced.
//!
//! Compiled only for tests, under the feature `testing`. A scenario panics when it fails.
#![expect(clippy::panic, reason = "a scenario fails by panicking")]
#![expect(clippy::expect_used, reason = "the message says what the log owed")]

mod groups;
mod reading;
mod transactions;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::bounded;
use uuid::Uuid;

use super::{
    Cleanup, Consumer, ConsumerRecord, Full, Log, LogError, LogView, Offset, Partition, Polled,
    Producer, ProducerRecord, Topic, TopicSpec,
};

/// Partitions of a stage's topics.
pub const PARTITIONS: Partition = 2;
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A kind of log under test.
pub trait Subject: Sync {
    /// Opens the log of this name with so many partitions. The same name opened again, after
    /// everything of the first was dropped, is the same log.
    ///
    /// # Errors
    /// As the log itself has them.
    fn open(&self, name: &str, partitions: Partition) -> Result<Arc<dyn Log>, LogError>;
}

/// One thing that a log must do.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it must do, as a name.
    pub name: &'static str,
    /// Shows it, or panics.
    pub run: fn(&Stage<'_>),
}

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    [writing::SCENARIOS, reading::SCENARIOS, groups::SCENARIOS, transactions::SCENARIOS].concat()
}

/// Runs one scenario on a stage of its own, and on a thread of its name, so that a panic tells it.
///
/// # Panics
/// When the log does not do what the scenario asks.
pub fn run(subject: &dyn Subject, scenario: &Scenario) {
    let id = format!("{}-{}", scenario.name.replace('_', "-"), &Uuid::new_v4().to_string()[..8]);
    let stage = Stage { subject, id };
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name(scenario.name.to_owned());
        let running = named.spawn_scoped(scope, || (scenario.run)(&stage));
        let ended = running.expect("a thread starts").join();
        assert!(ended.is_ok(), "{} does not hold", scenario.name);
    });
}

/// A log for one scenario, with names that no other scenario uses.
pub struct Stage<'a> {
    subject: &'a dyn Subject,
    id: String,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stage").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Stage<'_> {
    /// Opens the stage's log with its topics: `in` and `out` forget by time, `keyed` by key.
    fn open(&self) -> Arc<dyn Log> {
        let log = self.subject.open(&self.id, PARTITIONS).expect("the log opens");
        let kept = Cleanup::Delete { retention_ms: 86_400_000 };
        let cleanups = [("in", kept), ("out", kept), ("keyed", Cleanup::Compact)];
        let specs = cleanups.map(|(name, cleanup)| TopicSpec { topic: self.topic(name), cleanup });
        log.ensure_topics(&specs).expect("topics can be made, and be there already");
        log
    }

    fn topic(&self, name: &str) -> Topic {
        Topic::new(&format!("{}.{name}", self.id))
    }

    fn group(&self) -> String {
        format!("{}.group", self.id)
    }

    fn row(&self, name: &str, partition: Partition, key: &str, value: &str) -> ProducerRecord {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        let key = Bytes::copy_from_slice(key.as_bytes());
        ProducerRecord { topic: self.topic(name), partition, key, value }
    }

    /// Rows with values from `0` on, all in one partition.
    fn numbered(&self, name: &str, partition: Partition, count: u64) -> Vec<ProducerRecord> {
        (0..count).map(|number| self.row(name, partition, "k", &number.to_string())).collect()
    }
}

/// Sends rows, trying again while the queue is full, and waits for the outcomes.
fn send(log: &dyn Log, rows: Vec<ProducerRecord>) -> Vec<Result<Offset, LogError>> {
    let producer = log.producer().expect("a producer opens");
    let count = rows.len();
    let (told, heard) = bounded(1);
    hand_over(&*producer, rows, Box::new(move |outcomes| told.send(outcomes).unwrap_or_default()));
    let outcomes = heard.recv_timeout(PATIENCE).expect("outcomes come");
    assert_eq!(outcomes.len(), count, "one outcome a row");
    outcomes
}

/// Sends rows that the log must take; returns their offsets.
fn send_all(log: &dyn Log, rows: Vec<ProducerRecord>) -> Vec<Offset> {
    let outcomes = send(log, rows);
    outcomes.into_iter().map(|outcome| outcome.expect("the row is taken")).collect()
}

fn hand_over(producer: &dyn Producer, mut rows: Vec<ProducerRecord>, mut done: super::OnDurable) {
    let until = Instant::now() + PATIENCE;
    while let Err(full) = producer.send(rows, done) {
        assert!(Instant::now() < until, "the queue stays full");
        Full { rows, done } = full;
        producer.flush(PATIENCE).expect("what was handed over is answered");
    }
}

/// The stable end of a partition once everything written to it is decided. A transaction that
/// just ended is: but its marker may take a moment to reach the partition.
fn decided_end(view: &dyn LogView, topic: &Topic, partition: Partition) -> Offset {
    let until = Instant::now() + PATIENCE;
    let written = view.bounds(topic, partition).expect("bounds are known").end;
    loop {
        let bounds = view.bounds(topic, partition).expect("bounds are known");
        if bounds.stable_end >= written {
            return bounds.stable_end;
        }
        assert!(Instant::now() < until, "{written} stays undecided, stable are {bounds:?}");
        std::thread::yield_now();
    }
}

/// Reads a partition from an offset to the stable end.
fn read_from(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    from: Offset,
) -> Vec<ConsumerRecord> {
    let end = decided_end(view, topic, partition);
    let mut reader = view.reader(topic, partition, from).expect("a reader opens");
    let until = Instant::now() + PATIENCE;
    let mut entries = Vec::new();
    while reader.position() < end {
        assert!(Instant::now() < until, "the reader does not reach the stable end {end}");
        entries.extend(reader.read(7, Duration::from_millis(200)).expect("reading works"));
    }
    entries
}

fn read_all(view: &dyn LogView, topic: &Topic, partition: Partition) -> Vec<ConsumerRecord> {
    let start = view.bounds(topic, partition).expect("bounds are known").start;
    read_from(view, topic, partition, start)
}

fn text(entry: &ConsumerRecord) -> &str {
    std::str::from_utf8(entry.value.as_deref().expect("not a tombstone")).expect("text")
}

fn texts(entries: &[ConsumerRecord]) -> Vec<&str> {
    entries.iter().map(text).collect()
}

fn numbers(count: u64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Polls until all partitions are assigned; no record may come before they are started.
fn assigned<C: Consumer + ?Sized>(consumer: &mut C) {
    let until = Instant::now() + PATIENCE;
    let mut mine = std::collections::BTreeSet::new();
    while mine.len() < PARTITIONS as usize {
        assert!(Instant::now() < until, "partitions are not assigned");
        match consumer.poll(0, Duration::from_millis(200)).expect("polling works") {
            Polled::Assigned(partitions) => mine.extend(partitions),
            Polled::Revoked(partitions) => mine.retain(|one| !partitions.contains(one)),
            Polled::Records(records) => panic!("{} records before any start", records.len()),
            Polled::Idle => {}
        }
    }
}

/// Starts every partition where the group is, or at `first`.
fn start_all<C: Consumer + ?Sized>(consumer: &mut C, first: Offset) {
    assigned(consumer);
    for partition in 0..PARTITIONS {
        let committed = consumer.committed(partition).expect("the group's place is known");
        let offset = committed.map_or(first, |committed| committed.offset);
        consumer.start(partition, offset).expect("the partition starts");
    }
}

/// Polls until records come.
fn next_records<C: Consumer + ?Sized>(consumer: &mut C, max_records: usize) -> Vec<ConsumerRecord> {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "no records come");
        match consumer.poll(max_records, Duration::from_millis(200)).expect("polling works") {
            Polled::Records(records) => return records,
            Polled::Idle => {}
            other => panic!("the only member keeps its partitions, but got {other:?}"),
        }
    }
}
