//! Records: copied out of librdkafka's memory into entries of ours.

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Message};

use crate::{ConsumerRecord, Offset, Partition, Topic};

/// Bytes taken from the allocator at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A record in librdkafka's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct BorrowedRecord<'a> {
    pub(super) offset: Offset,
    /// Milliseconds since the Unix epoch, −1 where the record has none.
    pub(super) timestamp_ms: i64,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> From<&'a BorrowedMessage<'_>> for BorrowedRecord<'a> {
    fn from(message: &'a BorrowedMessage<'_>) -> Self {
        Self {
            offset: offset_of(message.offset()),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().unwrap_or_default(),
            value: message.payload(),
        }
    }
}

/// An offset of librdkafka's, which never delivers a negative one.
pub(super) fn offset_of(native: i64) -> Offset {
    Offset::try_from(native).unwrap_or_default()
}

/// Copies records out of librdkafka's memory, many of them into one allocation.
///
/// An entry keeps its chunk alive: who keeps few entries for long copies them.
#[derive(Debug)]
pub(super) struct RecordCopier {
    topic: Topic,
    partition: Partition,
    chunk: BytesMut,
    /// The last key: records of one store come in runs.
    key: Bytes,
}

impl RecordCopier {
    pub(super) fn new(topic: &Topic, partition: Partition) -> Self {
        Self { topic: topic.clone(), partition, chunk: BytesMut::new(), key: Bytes::new() }
    }

    /// Copies one record of this copier's partition.
    pub(super) fn copy(&mut self, record: BorrowedRecord<'_>) -> ConsumerRecord {
        let BorrowedRecord { offset, timestamp_ms, key, value } = record;
        let need = key.len() + value.map_or(0, <[u8]>::len);
        if self.chunk.capacity() < need {
            self.chunk.reserve(need.max(CHUNK_BYTES));
        }
        if self.key != key {
            self.key = self.keep(key);
        }
        ConsumerRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            offset,
            appended_ms: timestamp_ms.max(0),
            key: self.key.clone(),
            value: value.map(|value| self.keep(value)),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}
