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
use super::entry::Copier;
use super::fault::{failure_on, passes};
use super::queue::{BELL, Queue, Said, ringing};
use super::view::View;
use crate::{Entry, LogError, Offset, Partition, Reader, Topic};

const ACTION: &str = "read a partition";

/// Reads one partition in order.
pub(super) struct KafkaReader {
    view: Arc<View>,
    // Before the consumer: a queue must not outlive it.
    queue: Queue,
    consumer: Arc<BaseConsumer<Diagnostics>>,
    rung: Receiver<()>,
    topic: Topic,
    partition: Partition,
    copier: Copier,
    position: Offset,
    /// What fetching met behind the records taken, until it is dealt with: librdkafka says it once.
    failed: Option<KafkaError>,
}

impl KafkaReader {
    pub(super) fn open(
        view: &Arc<View>,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, LogError> {
        view.bounds_around(topic, partition, from)?;
        let mut consumer: BaseConsumer<Diagnostics> =
            create(&reading(&view.settings), Diagnostics::default())?;
        let (bell, rung) = bounded(1);
        consumer.set_nonempty_callback(ringing(&bell));
        let consumer = Arc::new(consumer);
        let Some(queue) = Queue::split(&consumer, topic, partition, &bell) else {
            return Err(LogError::UnknownTopic { topic: topic.clone() });
        };
        let reader = Self {
            view: Arc::clone(view),
            queue,
            consumer,
            rung,
            topic: topic.clone(),
            partition,
            copier: Copier::new(topic, partition),
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
    fn take(&mut self, max_records: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        while self.failed.is_none() && entries.len() < max_records {
            let batch = self.queue.take(max_records - entries.len());
            if batch.is_empty() {
                break;
            }
            for said in batch.iter() {
                match said {
                    Said::Record(lent) if lent.offset >= self.position => {
                        self.position = lent.offset + 1;
                        entries.push(self.copier.copy(lent));
                    }
                    Said::Record(_before) => {}
                    Said::End(end) => self.position = self.position.max(end),
                    // librdkafka goes on by itself.
                    Said::Failure(error) if passes(&error) => {}
                    Said::Failure(error) => self.failed = Some(error),
                }
            }
        }
        entries
    }

    /// Deals with what fetching met.
    fn judge(&mut self) -> Result<(), LogError> {
        let Some(error) = self.failed.take() else { return Ok(()) };
        let code = error.rdkafka_error_code();
        if !matches!(
            code,
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
        ) {
            return Err(self.view.failure_on(&self.topic, ACTION, error));
        }
        // librdkafka fetches no more until it is told to.
        let within = self.view.bounds_around(&self.topic, self.partition, self.position);
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
        Err(self.view.failure_on(&self.topic, ACTION, error))
    }
}

impl Reader for KafkaReader {
    fn read(&mut self, max_records: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let until = Instant::now() + wait;
        loop {
            let before = self.position;
            let entries = self.take(max_records);
            // What was taken is delivered; an error's turn is the next read.
            if self.position > before || max_records == 0 {
                return Ok(entries);
            }
            self.judge()?;
            self.serve()?;
            let left = until.saturating_duration_since(Instant::now());
            match self.rung.recv_timeout(left.min(BELL)) {
                Err(RecvTimeoutError::Timeout) if left <= BELL => return Ok(entries),
                _ => {}
            }
        }
    }

    fn position(&self) -> Offset {
        self.position
    }
}
