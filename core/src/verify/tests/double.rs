//! A log in memory whose records tests take out, double and alter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use tillrace_log::{
    Bounds, Committed, ConsumerRecord, LogError, LogView, Offset, Partition, Reader, Topic,
};

/// Distance between offsets: room for a doubled record, as Kafka's commit markers leave gaps.
pub(super) const STRIDE: Offset = 2;

/// A log of which every record can be edited.
#[derive(Clone)]
pub(super) struct EditableLog {
    partitions: Partition,
    pub(super) topics: BTreeMap<(Topic, Partition), Vec<ConsumerRecord>>,
    pub(super) ends: BTreeMap<(Topic, Partition), Offset>,
    pub(super) starts: BTreeMap<(Topic, Partition), Offset>,
    pub(super) groups: BTreeMap<(String, Topic, Partition), Offset>,
}

impl EditableLog {
    pub(super) fn new(partitions: Partition) -> Self {
        Self {
            partitions,
            topics: BTreeMap::new(),
            ends: BTreeMap::new(),
            starts: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Appends a record and returns its offset.
    pub(super) fn append(
        &mut self,
        topic: &Topic,
        partition: Partition,
        key: &str,
        value: &str,
    ) -> Offset {
        let offset = self.end(topic, partition);
        let entry = ConsumerRecord {
            topic: topic.clone(),
            partition,
            offset,
            appended_ms: i64::try_from(offset).unwrap() * 1_000,
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        };
        self.topics.entry((topic.clone(), partition)).or_default().push(entry);
        self.ends.insert((topic.clone(), partition), offset + STRIDE);
        offset
    }

    pub(super) fn end(&self, topic: &Topic, partition: Partition) -> Offset {
        self.ends.get(&(topic.clone(), partition)).copied().unwrap_or(0)
    }

    pub(super) fn entries(&self, topic: &Topic, partition: Partition) -> &[ConsumerRecord] {
        self.topics.get(&(topic.clone(), partition)).map_or(&[], Vec::as_slice)
    }

    /// Deletes everything below an offset, as retention does.
    pub(super) fn forget_below(&mut self, topic: &Topic, partition: Partition, start: Offset) {
        let place = (topic.clone(), partition);
        if let Some(entries) = self.topics.get_mut(&place) {
            entries.retain(|entry| entry.offset >= start);
        }
        self.starts.insert(place, start);
    }
}

impl LogView for EditableLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("memory".to_owned())
    }

    fn partitions(&self) -> Partition {
        self.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        let start = self.starts.get(&(topic.clone(), partition)).copied().unwrap_or(0);
        let end = self.end(topic, partition).max(start);
        Ok(Bounds { start, stable_end: end, end })
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let bounds = self.bounds(topic, partition)?;
        assert!((bounds.start..=bounds.end).contains(&from), "{topic}/{partition}@{from}");
        let entries = self.entries(topic, partition);
        let entries = entries.iter().filter(|entry| entry.offset >= from).cloned().collect();
        Ok(Box::new(MemoryReader { entries, read: 0, position: from, end: bounds.end }))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        let place = (group.to_owned(), topic.clone(), partition);
        let offset = self.groups.get(&place).copied();
        Ok(offset.map(|offset| Committed { offset, metadata: String::new() }))
    }
}

struct MemoryReader {
    entries: Vec<ConsumerRecord>,
    read: usize,
    position: Offset,
    end: Offset,
}

impl Reader for MemoryReader {
    fn read(
        &mut self,
        max_records: usize,
        _wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        // Small batches, so that scans cross their borders.
        let until = self.entries.len().min(self.read + max_records.min(3));
        let batch = self.entries[self.read..until].to_vec();
        self.read = until;
        self.position = self.entries.get(until).map_or(self.end, |next| next.offset);
        Ok(batch)
    }

    fn position(&self) -> Offset {
        self.position
    }
}

/// A log that grows at the moment its aggregator is asked where it is: the newest that a recount
/// may know of is what stood before.
pub(super) struct GrowingLog {
    pub(super) before: EditableLog,
    pub(super) after: EditableLog,
    pub(super) grown: Arc<AtomicBool>,
}

impl GrowingLog {
    fn now(&self) -> &EditableLog {
        if self.grown.load(Ordering::Relaxed) { &self.after } else { &self.before }
    }
}

impl LogView for GrowingLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("growing".to_owned())
    }

    fn partitions(&self) -> Partition {
        self.before.partitions()
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.now().bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(GrowingReader {
            before: self.before.reader(topic, partition, from)?,
            after: self.after.reader(topic, partition, from)?,
            grown: Arc::clone(&self.grown),
        }))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        let committed = self.before.committed(group, topic, partition);
        self.grown.store(true, Ordering::Relaxed);
        committed
    }
}

struct GrowingReader {
    before: Box<dyn Reader>,
    after: Box<dyn Reader>,
    grown: Arc<AtomicBool>,
}

impl Reader for GrowingReader {
    fn read(
        &mut self,
        max_records: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        if !self.grown.load(Ordering::Relaxed) {
            return self.before.read(max_records, wait);
        }
        let from = self.before.position();
        let batch = self.after.read(max_records, wait)?;
        Ok(batch.into_iter().filter(|entry| entry.offset >= from).collect())
    }

    fn position(&self) -> Offset {
        self.before.position().max(self.after.position())
    }
}
