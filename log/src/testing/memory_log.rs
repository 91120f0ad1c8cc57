//! A log in memory for fault injection: a test double with no more than the tests need.
//!
//! It is deterministic. A test says how the next commits end, who owns which partition, and which
//! transaction is still open. Like Kafka, it leaves a gap in the offsets after every transaction.

mod member;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use self::member::MemoryConsumer;
use crate::{
    Bounds, Committed, Consumer, ConsumerRecord, Full, Log, LogError, LogView, Offset, OnDurable,
    Partition, Position, Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer,
    Weaknesses, WritableLog,
};

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// As it should.
    Committed,
    /// Nothing of it is visible, and the member goes on.
    Aborted,
    /// Nothing of it is visible, and the member hears only that it failed.
    LostBefore,
    /// All of it is visible, and the member hears only that it failed.
    LostAfter,
}

#[derive(Debug, Default, Clone)]
struct PartitionRecords {
    entries: Vec<ConsumerRecord>,
    next: Offset,
    start: Offset,
    /// Where a transaction of somebody else is still open.
    open_from: Option<Offset>,
}

#[derive(Debug, Default)]
struct Shared {
    partitions: HashMap<(Topic, Partition), PartitionRecords>,
    committed: BTreeMap<Partition, Offset>,
    owners: BTreeMap<Partition, usize>,
    news: HashMap<usize, VecDeque<GroupChange>>,
    members: usize,
    endings: VecDeque<CommitOutcome>,
    clock_ms: i64,
    commits: usize,
    commit_rows: Vec<usize>,
    largest_row: usize,
}

#[derive(Debug)]
enum GroupChange {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

/// The log.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Mutex<Shared>>,
    partitions: Partition,
}

impl MemoryLog {
    /// Makes an empty log with so many partitions in every topic.
    pub fn new(partitions: Partition) -> Self {
        Self { shared: Arc::default(), partitions }
    }

    /// Appends a record outside any transaction; `None` is a tombstone.
    pub fn append(
        &self,
        topic: &Topic,
        partition: Partition,
        key: &str,
        value: impl Into<Option<Vec<u8>>>,
        appended_ms: i64,
    ) -> Offset {
        let mut shared = self.shared.lock();
        shared.clock_ms = appended_ms;
        let row = ProducerRecord {
            topic: topic.clone(),
            partition,
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.into().map(Bytes::from),
        };
        shared.append(row)
    }

    /// Sets the append time of what members write next.
    pub fn set_clock(&self, at_ms: i64) {
        self.shared.lock().clock_ms = at_ms;
    }

    /// Bytes of the largest record that any member wrote.
    pub fn largest_row(&self) -> usize {
        self.shared.lock().largest_row
    }

    /// Says how the next commits end; those after them succeed.
    pub fn endings(&self, endings: impl IntoIterator<Item = CommitOutcome>) {
        self.shared.lock().endings.extend(endings);
    }

    /// Moves partitions to a member, numbered from 0 in the order of joining.
    pub fn assign(&self, partitions: &[Partition], member: usize) {
        let mut shared = self.shared.lock();
        let mut lost: BTreeMap<usize, Vec<Partition>> = BTreeMap::new();
        for &partition in partitions {
            if let Some(owner) = shared.owners.insert(partition, member) {
                lost.entry(owner).or_default().push(partition);
            }
        }
        for (owner, partitions) in lost {
            shared.news.entry(owner).or_default().push_back(GroupChange::Revoked(partitions));
        }
        let news = GroupChange::Assigned(partitions.to_vec());
        shared.news.entry(member).or_default().push_back(news);
    }

    /// Leaves a transaction open at the end of a partition.
    pub fn open_transaction(&self, topic: &Topic, partition: Partition) {
        let mut shared = self.shared.lock();
        let records = shared.partitions.entry((topic.clone(), partition)).or_default();
        records.open_from = Some(records.next);
        records.next += 3;
    }

    /// Aborts the open transaction: its offsets become a gap.
    pub fn close_transaction(&self, topic: &Topic, partition: Partition) {
        let mut shared = self.shared.lock();
        shared.partitions.entry((topic.clone(), partition)).or_default().open_from = None;
    }

    /// Deletes what stands before an offset.
    pub fn delete_before(&self, topic: &Topic, partition: Partition, offset: Offset) {
        let mut shared = self.shared.lock();
        let records = shared.partitions.entry((topic.clone(), partition)).or_default();
        records.start = offset;
        records.entries.retain(|entry| entry.offset >= offset);
    }

    /// Compacts the records of a partition before an offset: of each key the latest stays, unless it is a tombstone.
    pub fn compact(&self, topic: &Topic, partition: Partition, before: Offset) {
        let mut shared = self.shared.lock();
        let records = shared.partitions.entry((topic.clone(), partition)).or_default();
        let old = records.entries.iter().filter(|entry| entry.offset < before);
        let latest: HashMap<Bytes, Offset> =
            old.map(|entry| (entry.key.clone(), entry.offset)).collect();
        records.entries.retain(|entry| {
            let is_latest = latest.get(&entry.key) == Some(&entry.offset);
            entry.offset >= before || (is_latest && entry.value.is_some())
        });
    }

    /// Makes the group forget, or believe, something.
    pub fn set_committed(&self, partition: Partition, offset: Option<Offset>) {
        let mut shared = self.shared.lock();
        match offset {
            Some(offset) => shared.committed.insert(partition, offset),
            None => shared.committed.remove(&partition),
        };
    }

    /// Returns what the group committed last in a partition.
    pub fn group_offset(&self, partition: Partition) -> Option<Offset> {
        self.shared.lock().committed.get(&partition).copied()
    }

    /// Lets all commits to come succeed.
    pub fn clear_endings(&self) {
        self.shared.lock().endings.clear();
    }

    /// A log of its own that begins as a copy of this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        let shared = self.shared.lock();
        let fork = Shared {
            partitions: shared.partitions.clone(),
            committed: shared.committed.clone(),
            ..Shared::default()
        };
        Self { shared: Arc::new(Mutex::new(fork)), partitions: self.partitions }
    }

    /// Records of the largest commit.
    pub fn largest_commit(&self) -> usize {
        self.commit_rows().into_iter().max().unwrap_or_default()
    }

    /// Records of each commit.
    pub fn commit_rows(&self) -> Vec<usize> {
        self.shared.lock().commit_rows.clone()
    }

    /// Number of members that ever joined.
    pub fn members(&self) -> usize {
        self.shared.lock().members
    }

    /// Number of commits that became visible.
    pub fn commits(&self) -> usize {
        self.shared.lock().commits
    }

    /// All committed records of a topic, partition by partition.
    pub fn entries(&self, topic: &Topic) -> Vec<ConsumerRecord> {
        let shared = self.shared.lock();
        (0..self.partitions)
            .filter_map(|partition| shared.partitions.get(&(topic.clone(), partition)))
            .flat_map(|records| records.entries.clone())
            .collect()
    }

    fn bounds_of(&self, topic: &Topic, partition: Partition) -> Bounds {
        let shared = self.shared.lock();
        shared.partitions.get(&(topic.clone(), partition)).map_or(
            Bounds { start: 0, stable_end: 0, end: 0 },
            |records| Bounds {
                start: records.start,
                stable_end: records.open_from.unwrap_or(records.next),
                end: records.next,
            },
        )
    }
}

impl Shared {
    fn append(&mut self, row: ProducerRecord) -> Offset {
        let appended_ms = self.clock_ms;
        let records = self.partitions.entry((row.topic.clone(), row.partition)).or_default();
        let offset = records.next;
        records.next += 1;
        let ProducerRecord { topic, partition, key, value } = row;
        records.entries.push(ConsumerRecord { topic, partition, offset, appended_ms, key, value });
        offset
    }

    fn commit(&mut self, rows: Vec<ProducerRecord>, positions: &[Position]) {
        self.commit_rows.push(rows.len());
        let touched: BTreeSet<_> =
            rows.iter().map(|row| (row.topic.clone(), row.partition)).collect();
        for row in rows {
            self.append(row);
        }
        for partition in touched {
            self.partitions.entry(partition).or_default().next += 1;
        }
        for position in positions {
            self.committed.insert(position.partition, position.committed.offset);
        }
        self.commits += 1;
    }
}

impl LogView for MemoryLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("memory".to_owned())
    }

    fn partitions(&self) -> Partition {
        self.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        Ok(self.bounds_of(topic, partition))
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let Bounds { start, stable_end, .. } = self.bounds_of(topic, partition);
        let topic = topic.clone();
        if !(start..=stable_end).contains(&from) {
            return Err(LogError::OutOfRange {
                topic,
                partition,
                offset: from,
                start,
                end: stable_end,
            });
        }
        Ok(Box::new(MemoryReader { log: self.clone(), topic, partition, position: from }))
    }

    fn committed(
        &self,
        _group: &str,
        _topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        let committed = |offset| Committed { offset, metadata: String::new() };
        Ok(self.group_offset(partition).map(committed))
    }
}

struct MemoryReader {
    log: MemoryLog,
    topic: Topic,
    partition: Partition,
    position: Offset,
}

impl Reader for MemoryReader {
    fn read(
        &mut self,
        max_records: usize,
        _wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let end = self.log.bounds_of(&self.topic, self.partition).stable_end;
        let shared = self.log.shared.lock();
        let Some(records) = shared.partitions.get(&(self.topic.clone(), self.partition)) else {
            return Ok(Vec::new());
        };
        let from = records.entries.partition_point(|entry| entry.offset < self.position);
        let to = records.entries.partition_point(|entry| entry.offset < end);
        let found: Vec<ConsumerRecord> =
            records.entries[from..to.max(from)].iter().take(max_records).cloned().collect();
        let whole = from + found.len() >= to;
        self.position = match found.last() {
            Some(last) if !whole => last.offset + 1,
            _ => self.position.max(end),
        };
        Ok(found)
    }

    fn position(&self) -> Offset {
        self.position
    }
}

impl WritableLog for MemoryLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(MemoryProducer { log: self.clone() }))
    }
}

/// Appends rows at once.
struct MemoryProducer {
    log: MemoryLog,
}

impl Producer for MemoryProducer {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        let mut shared = self.log.shared.lock();
        let offsets = rows.into_iter().map(|row| Ok(shared.append(row))).collect();
        drop(shared);
        done(offsets);
        Ok(())
    }

    fn flush(&self, _wait: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

impl Log for MemoryLog {
    fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        Ok(Weaknesses::default())
    }

    fn consumer(&self, _group: &str, _topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Err(LogError::TimedOut { action: "make a plain consumer: the double has none" })
    }

    fn transactional_consumer(
        &self,
        _group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        let mut shared = self.shared.lock();
        let member = shared.members;
        shared.members += 1;
        Ok(Box::new(MemoryConsumer {
            log: self.clone(),
            topic: topic.clone(),
            member,
            readers: BTreeMap::new(),
        }))
    }
}
