//! The records of one partition, taken from librdkafka many at a time.
//!
//! rdkafka takes one message a call, which reads the clock twice, takes two locks and makes two
//! objects; `rd_kafka_consume_batch_queue` does that once for all. What the calls below rest on:
//!
//! - A queue is a counted reference into the consumer, which it keeps, and is given up before it.
//! - librdkafka calls the waker from a thread of its own, and never after
//!   `rd_kafka_queue_cb_event_enable` has taken it back under the queue's lock.
//! - A message is ours from the call that brought it until we destroy it, and its key and value
//!   stand still so long: a [`Batch`] lends them out and destroys each once.
#![expect(
    unsafe_code,
    reason = "rdkafka polls one message at a time and hides where an end was; see ADR 32"
)]

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::Sender;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::native_partition;
use super::record::{BorrowedRecord, offset_of};
use crate::{Offset, Partition, Topic};

/// Most messages of one call.
const BATCH: usize = 128;

/// Longest wait for a wake-up: not all of librdkafka's own events cause one.
pub(super) const MAX_WAKE_WAIT: Duration = Duration::from_millis(100);

/// Returns a callback that wakes the reading thread.
pub(super) fn wake_on_event(waker: &Sender<()>) -> impl Fn() + Send + Sync + 'static {
    let waker = waker.clone();
    move || {
        // A full channel has a wake-up waiting already.
        if waker.try_send(()).is_err() {}
    }
}

/// The queue of one partition.
pub(super) struct FetchQueue {
    native: NonNull<native::rd_kafka_queue_t>,
    // Boxed, as librdkafka has its address.
    waker: Box<Sender<()>>,
    // Behind what refers to it.
    _consumer: Arc<dyn Send + Sync>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for FetchQueue {}

impl FetchQueue {
    /// Takes a partition's messages out of the consumer's common queue; the waker is called when there are some.
    /// `None` where librdkafka does not know the partition.
    pub(super) fn split<C: ConsumerContext + 'static>(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &Topic,
        partition: Partition,
        waker: &Sender<()>,
    ) -> Option<Self> {
        let name = CString::new(topic.as_str()).ok()?;
        // SAFETY: the client lives as long as `consumer`; the name is copied.
        let queue = NonNull::new(unsafe {
            native::rd_kafka_queue_get_partition(
                consumer.client().native_ptr(),
                name.as_ptr(),
                native_partition(partition),
            )
        })?;
        let consumer = Arc::clone(consumer);
        let queue = Self { native: queue, waker: Box::new(waker.clone()), _consumer: consumer };
        // SAFETY: the queue is there until it is dropped, and so is the boxed waker.
        unsafe {
            native::rd_kafka_queue_forward(queue.native.as_ptr(), ptr::null_mut());
            let waker = ptr::from_ref::<Sender<()>>(&queue.waker);
            native::rd_kafka_queue_cb_event_enable(
                queue.native.as_ptr(),
                Some(wake),
                waker.cast_mut().cast(),
            );
        }
        Some(queue)
    }

    /// Takes what is there, up to `most` messages or as many as one call brings.
    pub(super) fn take(&mut self, most: usize) -> Batch {
        let mut batch = Batch { messages: [ptr::null_mut(); BATCH], count: 0 };
        let most = most.min(BATCH);
        // SAFETY: there is room for `most` pointers; the call does not wait.
        let count = unsafe {
            native::rd_kafka_consume_batch_queue(
                self.native.as_ptr(),
                0,
                batch.messages.as_mut_ptr(),
                most,
            )
        };
        // It counts no further than it was told, and says −1 where it brings nothing.
        batch.count = usize::try_from(count).unwrap_or(0).min(most);
        batch
    }
}

impl Drop for FetchQueue {
    fn drop(&mut self) {
        // SAFETY: the last use of the queue; from here on nobody calls the waker.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.native.as_ptr(), None, ptr::null_mut());
            native::rd_kafka_queue_destroy(self.native.as_ptr());
        }
    }
}

unsafe extern "C" fn wake(_client: *mut native::rd_kafka_t, waker: *mut c_void) {
    // SAFETY: the waker of a queue that is not dropped; see `FetchQueue::split`.
    let waker = unsafe { &*waker.cast::<Sender<()>>().cast_const() };
    // A full channel has a wake-up waiting already.
    if waker.try_send(()).is_err() {}
}

/// What a fetch brought: a record, the end of the partition, or a failure.
pub(super) enum FetchEvent<'a> {
    Record(BorrowedRecord<'a>),
    /// All that is committed below this offset has come, as far as the broker asked knows.
    End(Offset),
    Failure(KafkaError),
}

/// Messages of one call.
pub(super) struct Batch {
    messages: [*mut native::rd_kafka_message_t; BATCH],
    count: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Lends out the messages in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = FetchEvent<'_>> {
        // SAFETY: librdkafka filled in so many, and they are ours until the batch is dropped.
        self.messages[..self.count].iter().map(|&message| unsafe { read(message) })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for &message in &self.messages[..self.count] {
            // SAFETY: ours, destroyed once, and nothing is lent out any more.
            unsafe { native::rd_kafka_message_destroy(message) };
        }
    }
}

/// # Safety
/// The message must live as long as what is lent out of it.
unsafe fn read<'a>(message: *const native::rd_kafka_message_t) -> FetchEvent<'a> {
    // SAFETY: the caller's.
    let fields = unsafe { &*message };
    match fields.err.into() {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::PartitionEOF => return FetchEvent::End(offset_of(fields.offset)),
        error => return FetchEvent::Failure(KafkaError::MessageConsumption(error)),
    }
    // SAFETY: librdkafka says where key and value stand, and null where there is none.
    let part = |from: *mut c_void, bytes| unsafe {
        (!from.is_null()).then(|| slice::from_raw_parts(from.cast::<u8>().cast_const(), bytes))
    };
    let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    FetchEvent::Record(BorrowedRecord {
        offset: offset_of(fields.offset),
        // SAFETY: as for the fields.
        timestamp_ms: unsafe { native::rd_kafka_message_timestamp(message, &raw mut kind) },
        key: part(fields.key, fields.key_len).unwrap_or_default(),
        value: part(fields.payload, fields.len),
    })
}
