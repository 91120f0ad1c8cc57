//! The consumer: a member of a consumer group.
//!
//! Eager rebalances with the `range` assignor: co-partitioned topics stay aligned, and a member
//! has given up everything before anyone gets anything. Assigned partitions are paused until they
//! are started at an offset; librdkafka is never let to choose one
//! (`auto.offset.reset=error`).
//!
//! Each partition has a queue of its own, so that assignments and revocations are heard while
//! records wait, and an error says which partition it is about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{create, joining, native_offset, native_partition};
use super::error::{KafkaFault, ended, failure, failure_on, passes};
use super::lines;
use super::metadata::{ClusterMetadata, stable_offset};
use super::queue::{FetchEvent, FetchQueue, MAX_WAKE_WAIT, wake_on_event};
use super::rebalance::{Rebalance, RebalanceContext};
use super::record::RecordCopier;
use crate::{
    Committed, Consumer, ConsumerRecord, LogError, Offset, Partition, Polled, Position, Topic,
};

const ACTION: &str = "consume a topic";
/// Longest metadata of an offset (`offset.metadata.max.bytes` of the brokers).
const METADATA_BYTES: usize = 4_096;
/// Bytes of records that one poll brings at most, and one record more.
const POLL_BYTES: usize = 16 << 20;
/// Events of the group served at a time.
const EVENTS_SERVED: usize = 4;

/// An assigned partition.
struct AssignedPartition {
    queue: FetchQueue,
    copier: RecordCopier,
    /// Next offset to deliver; `None` until it is started.
    next: Option<Offset>,
    /// What fetching met behind the records taken, until it is dealt with: librdkafka says it once.
    failed: Option<KafkaError>,
}

/// A consumer of one topic, as a member of a group.
pub(super) struct KafkaConsumer {
    cluster: Arc<ClusterMetadata>,
    topic: Topic,
    // Before the consumer: a queue must not outlive it.
    assigned: BTreeMap<Partition, AssignedPartition>,
    /// Partition whose turn it is to be read first.
    turn: Partition,
    metadata: Option<ConsumerGroupMetadata>,
    consumer: Arc<BaseConsumer<RebalanceContext>>,
    wakeups: Receiver<()>,
    waker: Sender<()>,
}

impl KafkaConsumer {
    pub(super) fn join(
        cluster: &Arc<ClusterMetadata>,
        group: &str,
        topic: &Topic,
    ) -> Result<Self, LogError> {
        cluster.know(topic)?;
        let mut consumer: BaseConsumer<RebalanceContext> =
            create(&joining(&cluster.settings, group, topic), RebalanceContext::default())?;
        let (waker, wakeups) = bounded(1);
        consumer.set_nonempty_callback(wake_on_event(&waker));
        let member = Self {
            cluster: Arc::clone(cluster),
            topic: topic.clone(),
            assigned: BTreeMap::new(),
            turn: 0,
            metadata: None,
            consumer: Arc::new(consumer),
            wakeups,
            waker,
        };
        member.subscribe()?;
        Ok(member)
    }

    /// Joins the group; a member of it leaves first.
    fn subscribe(&self) -> Result<(), LogError> {
        let subscribed = self.consumer.subscribe(&[self.topic.as_str()]);
        subscribed.map_err(|error| failure_on(&self.topic, "join a consumer group", error))
    }

    /// Metadata of the generation whose partitions this member has, unless the group has taken
    /// them away already.
    pub(super) fn generation(&self) -> Option<&ConsumerGroupMetadata> {
        if self.consumer.assignment_lost() { None } else { self.metadata.as_ref() }
    }

    /// Lets a test act as a member of another generation.
    #[cfg(test)]
    pub(super) fn replace_generation(
        &mut self,
        metadata: Option<ConsumerGroupMetadata>,
    ) -> Option<ConsumerGroupMetadata> {
        std::mem::replace(&mut self.metadata, metadata)
    }

    /// Lets a test see which partitions this member has.
    #[cfg(test)]
    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.assigned.keys().copied().collect()
    }

    /// Converts positions to librdkafka's list of offsets.
    pub(super) fn offset_list(
        &self,
        positions: &[Position],
    ) -> Result<TopicPartitionList, LogError> {
        const ACTION: &str = "commit offsets";
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { partition, committed } in positions {
            if !self.assigned.contains_key(partition) {
                return Err(KafkaFault::NotAssigned { partition: *partition }.refusing(ACTION));
            }
            let (bytes, limit) = (committed.metadata.len(), METADATA_BYTES);
            if bytes > limit {
                return Err(KafkaFault::Metadata { bytes, limit }.refusing(ACTION));
            }
            let mut element = list.add_partition(self.topic.as_str(), native_partition(*partition));
            element
                .set_offset(native_offset(committed.offset))
                .map_err(|error| failure(ACTION, error))?;
            if bytes > 0 {
                element.set_metadata(&committed.metadata);
            }
        }
        Ok(list)
    }

    /// Serves the group and brings the next rebalance, if there is one.
    fn next_rebalance(&mut self) -> Result<Option<Polled>, LogError> {
        for _ in 0..EVENTS_SERVED {
            let polled = self.consumer.poll(Duration::ZERO).map(|polled| polled.map(drop));
            let next = self.consumer.context().next();
            match next {
                Some(Rebalance::Assigned(partitions, metadata)) => {
                    self.metadata = metadata;
                    for partition in &partitions {
                        self.open_partition(*partition)?;
                    }
                    if !partitions.is_empty() {
                        return Ok(Some(Polled::Assigned(partitions)));
                    }
                }
                Some(Rebalance::Revoked(partitions)) => {
                    self.metadata = None;
                    self.assigned.clear();
                    if !partitions.is_empty() {
                        return Ok(Some(Polled::Revoked(partitions)));
                    }
                }
                None => {}
            }
            // Records here are from before a partition got a queue of its own: not started yet.
            if let Some(Err(error)) = polled {
                self.handle_error(None, error)?;
            }
        }
        Ok(None)
    }

    fn open_partition(&mut self, partition: Partition) -> Result<(), LogError> {
        let queue = FetchQueue::split(&self.consumer, &self.topic, partition, &self.waker);
        let Some(queue) = queue else {
            return Err(LogError::UnknownTopic { topic: self.topic.clone() });
        };
        let copier = RecordCopier::new(&self.topic, partition);
        self.assigned
            .insert(partition, AssignedPartition { queue, copier, next: None, failed: None });
        Ok(())
    }

    /// Takes what is there, beginning with the partition whose turn it is.
    fn take(&mut self, max_records: usize) -> Result<Vec<ConsumerRecord>, LogError> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let order: Vec<Partition> = self
            .assigned
            .range(self.turn..)
            .chain(self.assigned.range(..self.turn))
            .map(|(p, _)| *p)
            .collect();
        for partition in order {
            let Some(assigned) = self.assigned.get_mut(&partition) else { continue };
            let before = entries.len();
            assigned.take(max_records, &mut entries, &mut bytes);
            let failed = assigned.failed.clone();
            if entries.len() > before {
                self.turn = partition + 1;
            }
            if let Some(error) = failed {
                if !entries.is_empty() {
                    // What was taken is delivered; the error's turn is the next poll.
                    self.turn = partition;
                    break;
                }
                self.handle_error(Some(partition), error)?;
                if let Some(assigned) = self.assigned.get_mut(&partition) {
                    assigned.failed = None;
                }
            }
            if entries.len() >= max_records || bytes >= POLL_BYTES {
                break;
            }
        }
        Ok(entries)
    }

    /// Decides whether an error ends this member. Most pass: librdkafka goes on by itself.
    fn handle_error(
        &self,
        partition: Option<Partition>,
        error: KafkaError,
    ) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                partition.map_or(Ok(()), |partition| self.restart(partition))
            }
            // The group takes the partitions away, and the next poll says so.
            Some(RDKafkaErrorCode::PollExceeded) => Ok(()),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => Err(self.end_of(error)),
            _ if passes(&error) => Ok(()),
            _ => Err(failure_on(&self.topic, ACTION, error)),
        }
    }

    /// Says why this member's client has ended; what it says itself is only that it has.
    fn end_of(&self, error: KafkaError) -> LogError {
        let fatal = self.consumer.client().fatal_error().map(|(code, _reason)| code);
        let code = fatal.or(error.rdkafka_error_code()).unwrap_or(RDKafkaErrorCode::Unknown);
        ended(ACTION, code, error, self.cluster.settings.instance.is_some())
    }

    /// Deals with a partition that librdkafka fetches no more: a position that the log does not
    /// hold is an error with the range. Any other was out of range only for a moment, as while
    /// leaders change; librdkafka seeks nothing that it has stopped, so the member joins anew and
    /// gets its partitions again.
    fn restart(&self, partition: Partition) -> Result<(), LogError> {
        let Some(next) = self.assigned.get(&partition).and_then(|assigned| assigned.next) else {
            return Ok(());
        };
        self.cluster.bounds_around(&self.topic, partition, next)?;
        let code = lines::FETCHING_STOPPED.code;
        tracing::warn!(code, topic = %self.topic, partition, offset = next, "fetching stopped");
        self.subscribe()
    }

    /// Moves librdkafka's fetcher. An assignment takes effect a moment after it was answered.
    fn seek(&self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        const PAUSE: Duration = Duration::from_millis(10);
        const ACTION: &str = "start a partition";
        let wait = self.cluster.settings.request_timeout;
        let until = Instant::now() + wait;
        loop {
            let mut list = TopicPartitionList::with_capacity(1);
            let (topic, number) = (self.topic.as_str(), native_partition(partition));
            let sought = list
                .add_partition_offset(topic, number, native_offset(offset))
                .and_then(|()| self.consumer.seek_partitions(list, wait))
                .and_then(|list| {
                    list.find_partition(topic, number).map_or(Ok(()), |one| one.error())
                });
            match sought {
                Ok(()) => return Ok(()),
                Err(_) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(error) => return Err(failure_on(&self.topic, ACTION, error)),
            }
        }
    }
}

impl AssignedPartition {
    /// Takes records until there are enough or none, or fetching has failed.
    fn take(&mut self, max: usize, entries: &mut Vec<ConsumerRecord>, bytes: &mut usize) {
        let Some(mut next) = self.next else { return };
        while self.failed.is_none() && entries.len() < max && *bytes < POLL_BYTES {
            let batch = self.queue.take(max - entries.len());
            if batch.is_empty() {
                break;
            }
            for event in batch.iter() {
                match event {
                    FetchEvent::Record(record) if record.offset >= next => {
                        let entry = self.copier.copy(record);
                        next = entry.offset + 1;
                        *bytes +=
                            entry.key.len() + entry.value.as_ref().map_or(0, bytes::Bytes::len);
                        entries.push(entry);
                    }
                    FetchEvent::Record(_) | FetchEvent::End(_) => {}
                    // librdkafka goes on by itself.
                    FetchEvent::Failure(error) if passes(&error) => {}
                    FetchEvent::Failure(error) => self.failed = Some(error),
                }
            }
        }
        self.next = Some(next);
    }
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        let until = Instant::now() + wait;
        loop {
            if let Some(rebalance) = self.next_rebalance()? {
                return Ok(rebalance);
            }
            if max_records > 0 {
                let entries = self.take(max_records)?;
                if !entries.is_empty() {
                    return Ok(Polled::Records(entries));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.wakeups.recv_timeout(left.min(MAX_WAKE_WAIT)) {
                Err(RecvTimeoutError::Timeout) if left <= MAX_WAKE_WAIT => return Ok(Polled::Idle),
                _ => {}
            }
        }
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        stable_offset(&*self.consumer, &self.cluster.settings, &self.topic, partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.cluster.bounds_around(&self.topic, partition, offset)?;
        let Some(assigned) = self.assigned.get_mut(&partition) else {
            return Err(KafkaFault::NotAssigned { partition }.refusing("start a partition"));
        };
        assigned.next = None;
        self.seek(partition, offset)?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(self.topic.as_str(), native_partition(partition));
        self.consumer.resume(&list).map_err(|error| failure(ACTION, error))?;
        if let Some(assigned) = self.assigned.get_mut(&partition) {
            (assigned.next, assigned.failed) = (Some(offset), None);
        }
        Ok(())
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        let list = self.offset_list(positions)?;
        if self.consumer.assignment_lost() {
            return Err(KafkaFault::AssignmentLost.passing("commit offsets"));
        }
        if positions.is_empty() {
            return Ok(());
        }
        let committed = self.consumer.commit(&list, CommitMode::Sync);
        committed.map_err(|error| failure_on(&self.topic, "commit offsets", error))
    }
}
