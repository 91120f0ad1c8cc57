//! The records of one partition, taken from librdkafka many at a time.
//!
//! rdkafka takes one message a call, which reads the clock twice, takes two locks and makes two
//! objects; `rd_kafka_consume_batch_queue` does that once for all. What the calls below rest on:
//!
//! - A queue is a counted reference into the consumer, which it keeps, and is given up before it.
//! - librdkafka calls the bell from a thread of its own, and never after
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
use super::entry::{Lent, offset_of};
use crate::{Offset, Partition, Topic};

/// Most messages of one call.
const BATCH: usize = 128;

/// Longest wait for the bell: librdkafka's own events do not all ring it.
pub(super) const BELL: Duration = Duration::from_millis(100);

/// Makes what rings a bell.
pub(super) fn ringing(bell: &Sender<()>) -> impl Fn() + Send + Sync + 'static {
    let bell = bell.clone();
    move || {
        // A full channel is a bell that rings already.
        if bell.try_send(()).is_err() {}
    }
}

/// The queue of one partition.
pub(super) struct Queue {
    native: NonNull<native::rd_kafka_queue_t>,
    // Boxed, as librdkafka has its address.
    bell: Box<Sender<()>>,
    // Behind what refers to it.
    _consumer: Arc<dyn Send + Sync>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// Takes a partition's messages out of the consumer's common queue; the bell rings when there are some.
    /// `None` where librdkafka does not know the partition.
    pub(super) fn split<C: ConsumerContext + 'static>(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &Topic,
        partition: Partition,
        bell: &Sender<()>,
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
        let queue = Self { native: queue, bell: Box::new(bell.clone()), _consumer: consumer };
        // SAFETY: the queue is there until it is dropped, and so is the boxed bell.
        unsafe {
            native::rd_kafka_queue_forward(queue.native.as_ptr(), ptr::null_mut());
            let bell = ptr::from_ref::<Sender<()>>(&queue.bell);
            native::rd_kafka_queue_cb_event_enable(
                queue.native.as_ptr(),
                Some(ring),
                bell.cast_mut().cast(),
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

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the last use of the queue; from here on nobody calls the bell.
        unsafe {
            native::rd_kafka_queue_cb_event_enable(self.native.as_ptr(), None, ptr::null_mut());
            native::rd_kafka_queue_destroy(self.native.as_ptr());
        }
    }
}

unsafe extern "C" fn ring(_client: *mut native::rd_kafka_t, bell: *mut c_void) {
    // SAFETY: the bell of a queue that is not dropped; see `Queue::split`.
    let bell = unsafe { &*bell.cast::<Sender<()>>().cast_const() };
    // A full channel is a bell that rings already.
    if bell.try_send(()).is_err() {}
}

/// What a message says.
pub(super) enum Said<'a> {
    Record(Lent<'a>),
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
    pub(super) fn iter(&self) -> impl Iterator<Item = Said<'_>> {
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
unsafe fn read<'a>(message: *const native::rd_kafka_message_t) -> Said<'a> {
    // SAFETY: the caller's.
    let fields = unsafe { &*message };
    match fields.err.into() {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::PartitionEOF => return Said::End(offset_of(fields.offset)),
        error => return Said::Failure(KafkaError::MessageConsumption(error)),
    }
    // SAFETY: librdkafka says where key and value stand, and null where there is none.
    let part = |from: *mut c_void, bytes| unsafe {
        (!from.is_null()).then(|| slice::from_raw_parts(from.cast::<u8>().cast_const(), bytes))
    };
    let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    Said::Record(Lent {
        offset: offset_of(fields.offset),
        // SAFETY: as for the fields.
        timestamp_ms: unsafe { native::rd_kafka_message_timestamp(message, &raw mut kind) },
        key: part(fields.key, fields.key_len).unwrap_or_default(),
        value: part(fields.payload, fields.len),
    })
}
