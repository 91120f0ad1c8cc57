//! A sequential reader of one partition, outside any group.
//!
//! Commit markers and aborted records at a partition's end bring no record that would move the
//! position past them. librdkafka says where the end was when it met one, as the broker it asked
//! knew it: a replica may know less than another has said before. So the position moves to that
//! offset and never to an end learned elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{create, native_offset, native_partition, reading};
use super::diagnostics::Diagnostics;
use super::error::{failure_on, passes};
use super::metadata::ClusterMetadata;
use super::queue::{FetchEvent, FetchQueue, MAX_WAKE_WAIT, wake_on_event};
use super::record::RecordCopier;
use crate::{ConsumerRecord, LogError, Offset, Partition, Reader, Topic};

const ACTION: &str = "read a partition";

/// Reads one partition in order.
pub(super) struct KafkaReader {
    cluster: Arc<ClusterMetadata>,
    // Before the consumer: a queue must not outlive it.
    queue: FetchQueue,
    consumer: Arc<BaseConsumer<Diagnostics>>,
    wakeups: Receiver<()>,
    topic: Topic,
    partition: Partition,
    copier: RecordCopier,
    position: Offset,
    /// What fetching met behind the records taken, until it is dealt with: librdkafka says it once.
    failed: Option<KafkaError>,
}

impl KafkaReader {
    pub(super) fn open(
        cluster: &Arc<ClusterMetadata>,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, LogError> {
        cluster.bounds_around(topic, partition, from)?;
        let mut consumer: BaseConsumer<Diagnostics> =
            create(&reading(&cluster.settings), Diagnostics::default())?;
        let (waker, wakeups) = bounded(1);
        consumer.set_nonempty_callback(wake_on_event(&waker));
        let consumer = Arc::new(consumer);
        let Some(queue) = FetchQueue::split(&consumer, topic, partition, &waker) else {
            return Err(LogError::UnknownTopic { topic: topic.clone() });
        };
        let reader = Self {
            cluster: Arc::clone(cluster),
            queue,
            consumer,
            wakeups,
            topic: topic.clone(),
            partition,
            copier: RecordCopier::new(topic, partition),
            position: from,
            failed: None,
        };
        reader.fetch()?;
        Ok(reader)
    }

    /// Has librdkafka fetch from the position on.
    fn fetch(&self) -> Result<(), LogError> {
        let failed = |error| failure_on(&self.topic, ACTION, error);
        let mut list = TopicPartitionList::with_capacity(1);
        let (topic, partition) = (self.topic.as_str(), native_partition(self.partition));
        let position = native_offset(self.position);
        list.add_partition_offset(topic, partition, position).map_err(failed)?;
        self.consumer.assign(&list).map_err(failed)
    }

    /// Takes records until there are enough or none, or fetching has failed.
    fn take(&mut self, max_records: usize) -> Vec<ConsumerRecord> {
        let mut entries = Vec::new();
        while self.failed.is_none() && entries.len() < max_records {
            let batch = self.queue.take(max_records - entries.len());
            if batch.is_empty() {
                break;
            }
            for event in batch.iter() {
                match event {
                    FetchEvent::Record(record) if record.offset >= self.position => {
                        self.position = record.offset + 1;
                        entries.push(self.copier.copy(record));
                    }
                    FetchEvent::Record(_before) => {}
                    FetchEvent::End(end) => self.position = self.position.max(end),
                    // librdkafka goes on by itself.
                    FetchEvent::Failure(error) if passes(&error) => {}
                    FetchEvent::Failure(error) => self.failed = Some(error),
                }
            }
        }
        entries
    }

    /// Deals with what fetching met.
    fn handle_error(&mut self) -> Result<(), LogError> {
        let Some(error) = self.failed.take() else { return Ok(()) };
        let code = error.rdkafka_error_code();
        if !matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ) {
            return Err(self.cluster.failure_on(&self.topic, ACTION, error));
        }
        // librdkafka fetches no more until it is told to.
        let within = self.cluster.bounds_around(&self.topic, self.partition, self.position);
        let again = within.and_then(|_| self.fetch());
        if again.is_err() {
            self.failed = Some(error);
        }
        again
    }

    /// Serves the client, and hears what concerns all of it.
    fn serve(&self) -> Result<(), LogError> {
        let Some(Err(error)) = self.consumer.poll(Duration::ZERO) else { return Ok(()) };
        let down = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if !down && passes(&error) {
            return Ok(());
        }
        Err(self.cluster.failure_on(&self.topic, ACTION, error))
    }
}

impl Reader for KafkaReader {
    fn read(
        &mut self,
        max_records: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let until = Instant::now() + wait;
        loop {
            let before = self.position;
            let entries = self.take(max_records);
            // What was taken is delivered; an error's turn is the next read.
            if self.position > before || max_records == 0 {
                return Ok(entries);
            }
            self.handle_error()?;
            self.serve()?;
            let left = until.saturating_duration_since(Instant::now());
            match self.wakeups.recv_timeout(left.min(MAX_WAKE_WAIT)) {
                Err(RecvTimeoutError::Timeout) if left <= MAX_WAKE_WAIT => return Ok(entries),
                _ => {}
            }
        }
    }

    fn position(&self) -> Offset {
        self.position
    }
}
