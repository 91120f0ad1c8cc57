//! Records as librdkafka lends them become entries of ours.

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Message};

use crate::log::{Entry, Offset, Partition, Topic};

/// Bytes taken from the allocator at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Copies records out of librdkafka's memory, many of them into one allocation.
///
/// An entry keeps its chunk alive: who keeps few entries for long copies them.
#[derive(Debug)]
pub(super) struct Copier {
    topic: Topic,
    partition: Partition,
    chunk: BytesMut,
}

impl Copier {
    pub(super) fn new(topic: &Topic, partition: Partition) -> Self {
        Self { topic: topic.clone(), partition, chunk: BytesMut::new() }
    }

    /// Copies one record of this copier's partition.
    pub(super) fn copy(&mut self, message: &BorrowedMessage<'_>) -> Entry {
        let key = message.key().unwrap_or_default();
        let payload = message.payload();
        let need = key.len() + payload.map_or(0, <[u8]>::len);
        if self.chunk.capacity() < need {
            self.chunk.reserve(need.max(CHUNK_BYTES));
        }
        Entry {
            topic: self.topic.clone(),
            partition: self.partition,
            // librdkafka never delivers a negative one.
            offset: Offset::try_from(message.offset()).unwrap_or_default(),
            appended_ms: message.timestamp().to_millis().unwrap_or_default(),
            key: self.keep(key),
            value: payload.map(|payload| self.keep(payload)),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}
