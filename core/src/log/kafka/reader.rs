//! A sequential reader of one partition, outside any group.
//!
//! librdkafka says that a partition was read to its end, but rdkafka does not say where that end
//! was, and commit markers and aborted records before it move no position. So the reader learns
//! the stable end *before* it starts to fetch: an end reported after that is not below it. When
//! more was committed since, it asks again and starts fetching anew from where it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{Diagnostics, create, native_offset, native_partition, reading};
use super::entry::Copier;
use super::fault::{failure_on, passes};
use super::view::View;
use crate::log::{Entry, LogError, Offset, Partition, Reader, Topic};

const ACTION: &str = "read a partition";

/// Reads one partition in order.
pub(super) struct KafkaReader {
    view: Arc<View>,
    consumer: BaseConsumer<Diagnostics>,
    topic: Topic,
    partition: Partition,
    copier: Copier,
    position: Offset,
    /// Stable end known before the current fetch began.
    known_end: Offset,
    /// The current fetch has reported its end.
    at_end: bool,
}

impl KafkaReader {
    pub(super) fn open(
        view: &Arc<View>,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, LogError> {
        let bounds = view.bounds_around(topic, partition, from)?;
        let reader = Self {
            view: Arc::clone(view),
            consumer: create(&reading(&view.settings), Diagnostics)?,
            topic: topic.clone(),
            partition,
            copier: Copier::new(topic, partition),
            position: from,
            known_end: bounds.stable_end,
            at_end: false,
        };
        reader.fetch_from(from)?;
        Ok(reader)
    }

    fn fetch_from(&self, offset: Offset) -> Result<(), LogError> {
        let failed = |error| failure_on(&self.topic, ACTION, error);
        let mut list = TopicPartitionList::with_capacity(1);
        let (topic, partition) = (self.topic.as_str(), native_partition(self.partition));
        list.add_partition_offset(topic, partition, native_offset(offset)).map_err(failed)?;
        self.consumer.assign(&list).map_err(failed)
    }

    /// Fetches anew when more was committed since the end was reported.
    fn look_again(&mut self) -> Result<(), LogError> {
        let bounds = self.view.bounds(&self.topic, self.partition)?;
        if bounds.stable_end > self.position {
            self.known_end = bounds.stable_end;
            self.at_end = false;
            self.fetch_from(self.position)?;
        }
        Ok(())
    }

    /// Takes note of the reported end; tells whether that moved the position.
    fn reach_end(&mut self) -> bool {
        self.at_end = true;
        let moved = self.known_end > self.position;
        self.position = self.position.max(self.known_end);
        moved
    }

    fn judge(&self, error: KafkaError) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                let bounds = self.view.bounds(&self.topic, self.partition)?;
                Err(LogError::OutOfRange {
                    topic: self.topic.clone(),
                    partition: self.partition,
                    offset: self.position,
                    start: bounds.start,
                    end: bounds.stable_end,
                })
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => Err(failure_on(&self.topic, ACTION, error)),
            _ if passes(&error) => Ok(()),
            _ => Err(failure_on(&self.topic, ACTION, error)),
        }
    }
}

/// What one poll brought.
enum Step {
    Record(Entry),
    End,
    Failure(KafkaError),
    Nothing,
}

impl Reader for KafkaReader {
    fn read(&mut self, max_records: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let until = Instant::now() + wait;
        if self.at_end {
            self.look_again()?;
        }
        let mut entries = Vec::new();
        while entries.len() < max_records {
            let left = until.saturating_duration_since(Instant::now());
            let patience = if entries.is_empty() { left } else { Duration::ZERO };
            let step = match self.consumer.poll(patience) {
                Some(Ok(message)) => Step::Record(self.copier.copy((&message).into())),
                Some(Err(KafkaError::PartitionEOF(_))) => Step::End,
                Some(Err(error)) => Step::Failure(error),
                None => Step::Nothing,
            };
            match step {
                Step::Record(entry) => {
                    self.position = entry.offset + 1;
                    entries.push(entry);
                }
                Step::End if self.reach_end() || !entries.is_empty() => break,
                Step::Failure(error) => self.judge(error)?,
                Step::Nothing if Instant::now() >= until || !entries.is_empty() => break,
                Step::End | Step::Nothing => {}
            }
        }
        Ok(entries)
    }

    fn position(&self) -> Offset {
        self.position
    }
}
