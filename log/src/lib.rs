//! The log: the only truth, behind one small seam.
//!
//! Two implementations stand behind the traits of this module, held to the same conformance suite: [`kafka`], for
//! production, and [`local`], a segmented commit log of our own that needs nothing installed. Each is a cargo feature; the
//! seam by itself needs no C code. The roles know only these traits.
//!
//! The log is the lowest crate, so what it needs to be set and to tell its operator is here too, and the crates above use the
//! same: [`setting`], [`health`] and [`mod@explain`].
//!
//! Every topic has the same number of partitions. A record is named by topic, partition and
//! offset; offsets rise but need not be contiguous (Kafka's commit markers leave gaps).

mod chunks;
mod error;
mod publish;

#[cfg(feature = "local")]
pub mod local;

#[cfg(feature = "kafka")]
pub mod kafka;

#[cfg(feature = "testing")]
pub mod conformance;

#[cfg(feature = "testing")]
pub mod testing;

pub mod explain;

pub mod health;

pub mod setting;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use parking_lot::Mutex;

pub use self::chunks::chunks;
pub use self::error::{LogCause, LogError};
pub use self::publish::publish;

/// A partition number, from 0.
pub type Partition = u32;
/// A record's place in its partition, from 0.
pub type Offset = u64;

/// Bytes of key and value that every log takes: `max.message.bytes` of the topics on Kafka, the least `record_bytes` of a
/// local log on which the aggregator runs.
pub const RECORD_LIMIT_BYTES: usize = 1 << 20;

/// What a log of frames takes at most, such as a local log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Largest record, key and value together.
    pub record_bytes: ByteSize,
    /// Largest frame, and so the largest transaction.
    pub frame_bytes: ByteSize,
}

/// A record on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Topic name, namespace included.
    pub topic: Topic,
    /// Partition to write to; the caller computes it.
    pub partition: Partition,
    /// Record key.
    pub key: Bytes,
    /// Record value; `None` is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
}

/// A record read back from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Topic name, namespace included.
    pub topic: Topic,
    /// Partition it stands in.
    pub partition: Partition,
    /// Its place in the partition.
    pub offset: Offset,
    /// When the log appended it, milliseconds since the Unix epoch.
    pub appended_ms: i64,
    /// Record key.
    pub key: Bytes,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// A topic name. Each is kept once and for good, so that a clone, of which every row has one, counts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(&'static str);

static TOPIC_NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl Topic {
    /// Makes a topic name.
    pub fn new(name: &str) -> Self {
        let mut names = TOPIC_NAMES.lock();
        let known = names.get(name).copied();
        Self(known.unwrap_or_else(|| {
            let name = Box::leak(name.into());
            names.insert(name);
            name
        }))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// What a reader may see of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Lowest offset still kept.
    pub start: Offset,
    /// End of what is committed: the next offset a `read_committed` reader could see.
    pub stable_end: Offset,
    /// End of everything written, open transactions included.
    pub end: Offset,
}

/// A consumer group's place in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Next offset to consume.
    pub offset: Offset,
    /// Text stored with it, at most 4,096 bytes.
    pub metadata: String,
}

/// The place of one partition in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Partition of the consumed topic.
    pub partition: Partition,
    /// Next offset to consume, and its metadata.
    pub committed: Committed,
}

/// How a topic forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Records older than this many milliseconds may go.
    Delete {
        /// Milliseconds a record is kept at least.
        retention_ms: u64,
    },
    /// The latest record of each key stays.
    Compact,
}

/// A topic as the roles need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Topic name, namespace included.
    pub topic: Topic,
    /// How it forgets.
    pub cleanup: Cleanup,
}

/// What a comparison of topics with what the promises need has found, a sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weaknesses {
    /// What is weaker than promised.
    pub found: Vec<String>,
    /// What could not be found out, because a part of the log did not answer; it may answer later.
    pub unknown: Vec<String>,
}

/// Reading, without belonging to a group. Everything read is committed.
pub trait LogView: Send + Sync {
    /// Returns what tells this log from every other, and stays: `local/<uuid>` or `kafka/<cluster id>`.
    ///
    /// # Errors
    /// When the log cannot be asked.
    fn identity(&self) -> Result<String, LogError>;

    /// Number of partitions of every topic.
    fn partitions(&self) -> Partition;

    /// Returns what can be read of a partition.
    ///
    /// # Errors
    /// When the log cannot be asked, or the topic does not exist.
    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError>;

    /// Opens a reader at an offset, which may be the end.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] when `from` is below the start or above the end.
    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError>;

    /// Returns a group's committed place on a topic's partition, `None` if it never committed.
    ///
    /// # Errors
    /// When the log cannot be asked.
    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError>;
}

/// A sequential reader of one partition.
pub trait Reader: Send {
    /// Reads up to `max_records` committed records, waiting at most `wait` for the first.
    ///
    /// An empty answer means that there was nothing to read; [`Reader::position`] then tells
    /// whether the stable end was reached.
    ///
    /// # Errors
    /// When the log fails, or the position fell below the start of the partition.
    fn read(&mut self, max_records: usize, wait: Duration)
    -> Result<Vec<ConsumerRecord>, LogError>;

    /// Next offset this reader will look at; it moves past gaps that hold no record, so that it
    /// reaches `stable_end` when everything committed was read.
    fn position(&self) -> Offset;
}

/// Reading and writing, without belonging to a group: what an operator's command needs.
pub trait WritableLog: LogView {
    /// Opens a producer whose acknowledgement means durable.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn producer(&self) -> Result<Box<dyn Producer>, LogError>;
}

/// The whole log: reading, writing, groups.
pub trait Log: WritableLog {
    /// Creates the topics that do not exist and compares the settings of those that do.
    ///
    /// # Errors
    /// When a topic cannot be made or described, or has another number of partitions.
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError>;

    /// Compares the settings again, and makes nothing.
    ///
    /// # Errors
    /// When a topic cannot be described, or has another number of partitions.
    fn compare_topics(&self, _topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        Ok(Weaknesses::default())
    }

    /// Returns why this log can do nothing more until it is opened anew, `None` while it works.
    fn failure(&self) -> Option<LogError> {
        None
    }

    /// Asks which partitions of a topic would take no row now, without writing any.
    ///
    /// # Errors
    /// When the log cannot be asked, or takes nothing at all.
    fn unwritable(&self, _topic: &Topic) -> Result<Vec<Partition>, LogError> {
        self.failure().map_or(Ok(Vec::new()), Err)
    }

    /// Joins a group on one topic, for at-least-once consumption with explicit commits.
    ///
    /// # Errors
    /// When the log cannot be reached.
    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError>;

    /// Joins a group on one topic with outputs and offsets committed together.
    ///
    /// # Errors
    /// When the log cannot be reached or transactions are refused.
    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError>;
}

/// Called once with one outcome a row, in the order of the rows: from a thread of the log's own, or from
/// [`Producer::send`] itself when the log has stopped for good, or is another process's.
pub type OnDurable = Box<dyn FnOnce(Vec<Result<Offset, LogError>>) + Send>;

/// Writes rows outside any transaction.
pub trait Producer: Send + Sync {
    /// Hands rows over; `done` hears of each when it is durable or has finally failed.
    ///
    /// # Errors
    /// [`Full`] gives everything back when the bounded queue has no room; nothing was taken.
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full>;

    /// Waits until everything handed over before has been answered.
    ///
    /// # Errors
    /// [`LogError::TimedOut`] when that takes longer than `wait`.
    fn flush(&self, wait: Duration) -> Result<(), LogError>;
}

/// The producer's queue had no room: rows and callback come back untouched.
pub struct Full {
    /// The rows that were offered.
    pub rows: Vec<ProducerRecord>,
    /// The callback that was offered, not called.
    pub done: OnDurable,
}

impl fmt::Debug for Full {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Full").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// What a poll of a consumer brought.
#[derive(Debug)]
pub enum Polled {
    /// Partitions were added. Nothing of them is delivered until [`Consumer::start`].
    Assigned(Vec<Partition>),
    /// Partitions are gone: forget what was read of them and not committed.
    Revoked(Vec<Partition>),
    /// Records, in offset order within each partition.
    Records(Vec<ConsumerRecord>),
    /// Nothing came within the wait.
    Idle,
}

/// A member of a consumer group on one topic. It reads committed records only.
pub trait Consumer: Send {
    /// Waits up to `wait` for the next thing that happens. `Assigned` and `Revoked` come before
    /// any record that depends on them. Must be called often enough to stay in the group; with
    /// `max_records` 0 it brings assignments and revocations only, and leaves records for later.
    ///
    /// # Errors
    /// When the log fails, or a position has fallen below the start of its partition.
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError>;

    /// Returns the group's committed place, `None` if it never committed.
    ///
    /// # Errors
    /// When the log cannot be asked within its time limit.
    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError>;

    /// Starts, or starts again, delivery of an assigned partition at an offset.
    ///
    /// # Errors
    /// When the partition is not assigned or the offset is out of range.
    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError>;

    /// Commits places of this group, synchronously.
    ///
    /// # Errors
    /// When this member no longer owns a partition, or the log fails.
    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError>;
}

/// A consumer whose outputs and places are committed together or not at all.
pub trait TransactionalConsumer: Consumer {
    /// Writes all rows and the group's places in one transaction and waits for its outcome.
    ///
    /// Readers see the rows once the stable end of their partition has reached the end that
    /// [`LogView::bounds`] tells after this call; on Kafka that may take a moment.
    ///
    /// Fenced by the assignment under which the records were polled. A rebalance is reported by
    /// a later `poll`, never from inside this call.
    ///
    /// # Errors
    /// [`LogError::Aborted`]: nothing of it is visible, now or later; restore the partitions and
    /// go on. [`LogError::Fenced`] and everything else: stop this consumer.
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError>;
}
