//! The reader: every partition of every topic into the store, without a consumer group.
//!
//! One thread reads and writes. A position stands in the database only, committed with the rows that came of the records below it,
//! so that a death at any moment loses nothing and counts nothing twice. Memory is bounded by one batch. A partition whose
//! start is above its position has lost records to the retention: a hole is recorded with the rows that follow. On a compacted
//! topic a higher start lacks nothing, as the latest record of each key is above it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Bounds, LogError, LogView, Offset, Partition, Reader};

use crate::change::{Batch, ReadTo};
use crate::fold::{Fold, ReadTopic};
use crate::metrics::BooksMetrics;
use crate::store::{Store, StoreError};

/// Records that are asked for at once.
const READ_RECORDS: usize = 500;
/// How long nothing may come of records that are there.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// Longest wait for records that are there.
const READ_WAIT: Duration = Duration::from_millis(100);
/// Records of a partition before the next one has its turn.
const TURN_RECORDS: u64 = 10_000;
/// Rows after which a batch is committed. Those of one record may come on top of it.
const BATCH_ROWS: usize = 20_000;
/// Readers that are kept open between passes.
const OPEN_READERS: usize = 64;
/// Records that are still read when the process ends.
const LAST_RECORDS: u64 = 10_000;
/// How long to wait when there was nothing to read.
const IDLE: Duration = Duration::from_millis(500);
const COMPONENT: &str = "books";

/// Records were gone before the data store read them.
pub const DATA_STORE_HOLE: Explanation = Explanation {
    code: "data_store_hole",
    meaning: "The log had forgotten records by its retention before the data store read them. Sums over their time are too low; the \
              table holes says which offsets are lacking. The reader goes on with what is there.",
    remedy: "Let the data store run all the time, and keep the log for longer than it may stand still (log.retention_days). What is gone can \
             be taken from a backup of the data store only.",
};

/// Records that this version of the data store does not read.
pub const DATA_STORE_UNREADABLE: Explanation = Explanation {
    code: "data_store_unreadable",
    meaning: "Records of a topic are not of its schema, so they gave no rows. The table unreadable names each and why. The reader goes on.",
    remedy: "Where a newer Tillrace wrote them, update this one and run `tillrace books rebuild`. Otherwise find out who else writes to the \
             topic.",
};

/// The reader of one data store.
pub struct BooksReader<'a> {
    log: &'a dyn LogView,
    topics: Vec<ReadTopic>,
    store: Box<dyn Store>,
    metrics: BooksMetrics,
    health: Health,
    fold: Fold,
    positions: HashMap<(&'static str, Partition), Offset>,
    readers: HashMap<(&'static str, Partition), Box<dyn Reader>>,
    batch: Batch,
    records_in_batch: u64,
    newest_read_ms: i64,
}

impl std::fmt::Debug for BooksReader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BooksReader").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl<'a> BooksReader<'a> {
    /// Takes up a store where it was.
    ///
    /// # Errors
    /// When the store is of another log, or cannot be asked.
    pub fn resume(
        log: &'a dyn LogView,
        namespace: &str,
        topics: Vec<ReadTopic>,
        mut store: Box<dyn Store>,
        metrics: BooksMetrics,
        health: Health,
    ) -> Result<Self, StoreError> {
        store.claim(&log.identity()?, namespace)?;
        let known = store.positions()?;
        let mut positions = HashMap::new();
        for ReadTopic { topic, .. } in &topics {
            let of_topic = known.iter().filter(|place| place.topic == topic.as_str());
            positions.extend(
                of_topic.map(|place| ((topic.as_str(), place.partition), place.next_offset)),
            );
        }
        Ok(Self {
            log,
            topics,
            store,
            metrics,
            health,
            fold: Fold::default(),
            positions,
            readers: HashMap::new(),
            batch: Batch::default(),
            records_in_batch: 0,
            newest_read_ms: 0,
        })
    }

    /// Reads until told to stop; what was read by then is committed.
    ///
    /// # Errors
    /// When log or store fail; a new reader goes on where the store is.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<(), StoreError> {
        while !stop.load(Ordering::Acquire) {
            if self.pass(stop)? == 0 && !stop.load(Ordering::Acquire) {
                std::thread::sleep(IDLE);
            }
        }
        // The other roles ended first: what they wrote last is read too, unless the store is far behind anyway.
        if self.metrics.lag_records.get() <= LAST_RECORDS { self.catch_up() } else { Ok(()) }
    }

    /// Reads everything that is committed on the log now.
    ///
    /// # Errors
    /// When log or store fail.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        let never = AtomicBool::new(false);
        let mut newest = Instant::now();
        loop {
            let is_empty = self.pass(&never)? == 0;
            if is_empty && self.metrics.lag_records.get() == 0 {
                return Ok(());
            }
            // A pass without a record is no end: what was asked of Kafka may be under way.
            if is_empty && newest.elapsed() > LONGEST_SILENCE {
                return Err(LogError::TimedOut { action: "read what is on the log" }.into());
            }
            if !is_empty {
                newest = Instant::now();
            }
        }
    }

    /// Looks at every partition once. Returns how many records came.
    fn pass(&mut self, stop: &AtomicBool) -> Result<u64, StoreError> {
        let (mut read, mut lag) = (0, 0);
        for topic in self.topics.clone() {
            for partition in 0..self.log.partitions() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let (records, left) = self.read_partition(&topic, partition)?;
                read += records;
                lag += left;
            }
        }
        self.commit()?;
        self.metrics.lag_records.set(lag);
        self.metrics.lag_seconds.set(if lag == 0 { 0.0 } else { self.newest_age_seconds() });
        Ok(read)
    }

    /// Reads some of a partition. Returns how many records came, and how many offsets are left.
    fn read_partition(
        &mut self,
        topic: &ReadTopic,
        partition: Partition,
    ) -> Result<(u64, u64), StoreError> {
        let place = (topic.topic.as_str(), partition);
        let bounds = match self.log.bounds(&topic.topic, partition) {
            Ok(bounds) => bounds,
            // A sink that was never started has no dead letters.
            Err(LogError::UnknownTopic { .. }) => return Ok((0, 0)),
            Err(error) => return Err(error.into()),
        };
        let from = self.place_of(topic, partition, bounds)?;
        if from >= bounds.stable_end {
            return Ok((0, 0));
        }
        let mut reader = match self.readers.remove(&place) {
            Some(reader) if reader.position() == from => reader,
            _ => self.log.reader(&topic.topic, partition, from)?,
        };
        let mut count = 0;
        while reader.position() < bounds.stable_end {
            let records = reader.read(READ_RECORDS, READ_WAIT)?;
            let is_empty = records.is_empty();
            for record in &records {
                count += 1;
                self.records_in_batch += 1;
                self.newest_read_ms = record.appended_ms;
                if !self.fold.add(topic, record, &mut self.batch) {
                    self.note_unreadable(record.topic.as_str(), partition);
                }
                if self.batch.changes.len() >= BATCH_ROWS {
                    self.note_position(topic, partition, record.offset + 1);
                    self.commit()?;
                }
            }
            self.positions.insert(place, reader.position());
            self.note_position(topic, partition, reader.position());
            // Other partitions have their turn.
            if is_empty || count >= TURN_RECORDS {
                break;
            }
        }
        let left = bounds.stable_end.saturating_sub(reader.position());
        if self.readers.len() < OPEN_READERS {
            self.readers.insert(place, reader);
        }
        Ok((count, left))
    }

    /// Returns where to read on, and records a hole where the log begins behind it.
    fn place_of(
        &mut self,
        topic: &ReadTopic,
        partition: Partition,
        bounds: Bounds,
    ) -> Result<Offset, StoreError> {
        let name = topic.topic.as_str();
        let position = self.positions.get(&(name, partition)).copied().unwrap_or(0);
        if position > bounds.end {
            let (topic, end) = (name.to_owned(), bounds.end);
            return Err(StoreError::LogBehind { topic, partition, end, position });
        }
        if position >= bounds.start {
            return Ok(position);
        }
        if !topic.is_compacted() {
            self.note_hole(name, partition, position, bounds.start);
        }
        self.positions.insert((name, partition), bounds.start);
        self.note_position(topic, partition, bounds.start);
        Ok(bounds.start)
    }

    fn note_hole(&mut self, topic: &str, partition: Partition, first: Offset, past: Offset) {
        self.batch.replace(
            "holes",
            &["topic", "partition", "first_offset", "past_offset"],
            [topic.into(), partition.into(), first.into(), past.into()],
        );
        self.metrics.hole_records.inc_by(past - first);
        let cause =
            format!("offsets {first} to {past} of partition {partition} of {topic} were gone");
        tracing::error!(code = DATA_STORE_HOLE.code, topic, partition, first, past, "a hole");
        self.raise(&DATA_STORE_HOLE, topic, cause);
    }

    fn note_unreadable(&mut self, topic: &str, partition: Partition) {
        self.metrics.unreadable.inc();
        let cause = format!("a record of partition {partition} of {topic} is not of its schema");
        self.raise(&DATA_STORE_UNREADABLE, topic, cause);
    }

    fn raise(&self, explanation: &Explanation, topic: &str, cause: String) {
        self.health.raise(Condition {
            component: COMPONENT.to_owned(),
            code: explanation.code,
            subject: topic.to_owned(),
            impact: Impact::Degraded,
            cause,
            remedy: explanation.remedy_and_page(),
        });
    }

    fn note_position(&mut self, topic: &ReadTopic, partition: Partition, next_offset: Offset) {
        let topic = topic.topic.as_str();
        let known = self
            .batch
            .positions
            .iter_mut()
            .find(|place| place.partition == partition && place.topic == topic);
        match known {
            Some(place) => place.next_offset = next_offset,
            None => {
                self.batch.positions.push(ReadTo {
                    topic: topic.to_owned(),
                    partition,
                    next_offset,
                });
            }
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.batch.positions.is_empty() {
            return Ok(());
        }
        self.store.apply(&self.batch)?;
        self.metrics.commits.inc();
        self.metrics.records.inc_by(self.records_in_batch);
        self.metrics.rows.inc_by(u64::try_from(self.batch.changes.len()).unwrap_or(u64::MAX));
        self.records_in_batch = 0;
        self.batch.changes.clear();
        self.batch.positions.clear();
        Ok(())
    }

    fn newest_age_seconds(&self) -> f64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = Duration::from_millis(u64::try_from(self.newest_read_ms).unwrap_or_default());
        now.saturating_sub(read).as_secs_f64()
    }
}

/// Refuses a rebuild that would lack what the log has forgotten.
///
/// # Errors
/// [`StoreError::Incomplete`] for the first such partition; when the log cannot be asked.
pub fn require_whole(log: &dyn LogView, topics: &[ReadTopic]) -> Result<(), StoreError> {
    for topic in topics.iter().filter(|topic| !topic.is_compacted()) {
        for partition in 0..log.partitions() {
            match log.bounds(&topic.topic, partition) {
                Ok(Bounds { start: 0, .. }) | Err(LogError::UnknownTopic { .. }) => {}
                Ok(Bounds { start, .. }) => {
                    let topic = topic.topic.to_string();
                    return Err(StoreError::Incomplete { topic, partition, start });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// What a role needs to read with, again after each failure.
#[derive(Clone)]
pub struct ReaderPlan {
    /// The log.
    pub log: Arc<dyn LogView>,
    /// Namespace of its topics.
    pub namespace: String,
    /// What is read.
    pub topics: Vec<ReadTopic>,
    /// The SQLite file.
    pub path: std::path::PathBuf,
    /// Where it is told.
    pub metrics: BooksMetrics,
    /// What stands still, and holes.
    pub health: Health,
}

impl std::fmt::Debug for ReaderPlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ReaderPlan").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ReaderPlan {
    /// Opens the store and reads until told to stop.
    ///
    /// # Errors
    /// When the store cannot be opened; when log or store fail.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), StoreError> {
        self.open()?.run(stop)
    }

    /// Opens the store for one run.
    ///
    /// # Errors
    /// As [`crate::sqlite::SqliteStore::open`] and [`BooksReader::resume`].
    pub fn open(&self) -> Result<BooksReader<'_>, StoreError> {
        let store = crate::sqlite::SqliteStore::open(&self.path)?;
        BooksReader::resume(
            self.log.as_ref(),
            &self.namespace,
            self.topics.clone(),
            Box::new(store),
            self.metrics.clone(),
            self.health.clone(),
        )
    }
}
