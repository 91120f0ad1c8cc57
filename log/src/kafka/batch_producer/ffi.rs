//! The calls into librdkafka's C interface that rdkafka has no safe way for: the only unsafe code
//! of this log.
//!
//! `rd_kafka_produce_batch` is told neither to copy nor to free the value of a row, so it must stay
//! where it is until librdkafka is done with it, which it says by a delivery report. That holds:
//!
//! - From before its address is given away until librdkafka has refused or reported it, a row is
//!   awaited in a batch of `in_flight`, which frees nothing that is awaited. The bytes of a [`Bytes`] stay
//!   in place however it is moved, and nothing writes to them.
//! - librdkafka gives back the id of a row, which is looked up and never followed.
//! - A [`TopicHandle`] and an [`EventQueue`] keep the [`Client`] that they belong to, and no event outlives the
//!   call that took it. What a client has not reported fails, and is freed, only after librdkafka's
//!   own end, when none of its threads is left.
//!
//! [`Bytes`]: bytes::Bytes
#![expect(unsafe_code, reason = "rdkafka copies each row and boxes each report; see ADR 31")]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as native;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaRespErr;

use super::in_flight::{DeliveryOutcome, InFlightBatches, OnBatchReport, row_id};
use crate::kafka::diagnostics::{ClientLines, report_error, report_line};
use crate::{ProducerRecord, Topic};

/// Reports settled under one lock.
const CHUNK: usize = 256;

/// A row as librdkafka takes it, still without an id.
fn message(row: &ProducerRecord) -> native::rd_kafka_message_t {
    let (payload, len) = match &row.value {
        Some(value) => (value.as_ptr().cast_mut().cast(), value.len()),
        None => (ptr::null_mut(), 0),
    };
    native::rd_kafka_message_t {
        err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: 0,
        payload,
        len,
        key: row.key.as_ptr().cast_mut().cast::<c_void>(),
        key_len: row.key.len(),
        offset: 0,
        _private: ptr::null_mut(),
    }
}

/// A librdkafka producer whose reports settle batches in flight.
pub(in crate::kafka) struct Client {
    // In this order: no thread of librdkafka is left when the guard gives up what it has not reported.
    pub(in crate::kafka) producer: BaseProducer<ProducerCallbacks>,
    number: u64,
    guard: AbandonGuard,
}

impl Client {
    /// Makes a client of what `create` makes of its context.
    pub(super) fn open<E>(
        in_flight: Arc<InFlightBatches>,
        create: impl FnOnce(ProducerCallbacks) -> Result<BaseProducer<ProducerCallbacks>, E>,
    ) -> Result<Arc<Self>, E> {
        let number = in_flight.register_client();
        let producer = create(ProducerCallbacks {
            in_flight: Arc::clone(&in_flight),
            lines: ClientLines::default(),
        })?;
        Ok(Arc::new(Self { producer, number, guard: AbandonGuard { in_flight, client: number } }))
    }

    /// Hands rows over by partition, in their order. `topic_of` says for each row which of
    /// `topics` it goes to; a topic that librdkafka refused is an error, and so is one not told.
    pub(super) fn dispatch(
        &self,
        rows: Vec<ProducerRecord>,
        topic_of: &[u32],
        topics: &[Result<Arc<TopicHandle>, RDKafkaErrorCode>],
        done: OnBatchReport,
    ) {
        let route = |row: usize, to: &ProducerRecord| {
            let topic = topic_of.get(row).copied().unwrap_or(u32::MAX);
            ((u64::from(topic) << 32) | u64::from(to.partition), row)
        };
        let mut routed: Vec<_> = rows.iter().enumerate().map(|(row, to)| route(row, to)).collect();
        routed.sort_unstable();
        // The bytes stay where they are while `rows` moves into the batch.
        let mut messages: Vec<_> =
            routed.iter().filter_map(|(_, row)| rows.get(*row)).map(message).collect();
        let Some(number) = self.in_flight().add(self.number, rows, done) else { return };
        let mut refused = Vec::new();
        let mut left = messages.as_mut_slice();
        for run in routed.chunk_by(|one, next| one.0 == next.0) {
            let (sent, others) = std::mem::take(&mut left).split_at_mut(run.len());
            left = others;
            for (message, (_, row)) in sent.iter_mut().zip(run) {
                message._private = ptr::without_provenance_mut(row_id(number, *row));
            }
            let partition = i32::try_from(run[0].0 & u64::from(u32::MAX)).unwrap_or(i32::MAX);
            let topic = usize::try_from(run[0].0 >> 32).ok().and_then(|topic| topics.get(topic));
            let code = match topic {
                Some(Ok(topic)) => {
                    topic.produce(partition, sent, &mut refused);
                    continue;
                }
                Some(Err(code)) => *code,
                None => RDKafkaErrorCode::UnknownTopic,
            };
            refused.extend(sent.iter().map(|message| (message._private.addr(), Err(code))));
        }
        let in_flight = self.in_flight();
        in_flight.complete_later(in_flight.settle(refused.into_iter()));
    }

    pub(in crate::kafka) fn in_flight(&self) -> &InFlightBatches {
        &self.guard.in_flight
    }

    fn ptr(&self) -> *mut native::rd_kafka_t {
        self.producer.client().native_ptr()
    }
}

/// Fails, at the end of a client, the rows that it has not reported on.
struct AbandonGuard {
    in_flight: Arc<InFlightBatches>,
    client: u64,
}

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        self.in_flight.abandon(self.client);
    }
}

/// The callbacks of rdkafka. It takes reports itself only while it flushes, as it does when it is dropped.
pub(in crate::kafka) struct ProducerCallbacks {
    in_flight: Arc<InFlightBatches>,
    lines: ClientLines,
}

impl ClientContext for ProducerCallbacks {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.lines.line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.lines.error(&error, reason);
    }
}

impl ProducerContext for ProducerCallbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, row: usize) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        self.in_flight.complete(self.in_flight.settle(std::iter::once((row, outcome))));
    }
}

/// A topic as a client knows it.
pub(super) struct TopicHandle {
    native: NonNull<native::rd_kafka_topic_t>,
    _client: Arc<Client>,
}

// SAFETY: librdkafka's topic objects may be used from any thread (rdkafka.h, “thread-safe”).
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    pub(super) fn open(client: &Arc<Client>, topic: &Topic) -> Result<Self, RDKafkaErrorCode> {
        let Ok(name) = CString::new(topic.as_str()) else {
            return Err(RDKafkaErrorCode::InvalidTopic);
        };
        // SAFETY: the client lives, the name ends with NUL and is copied, and without a
        // configuration the topic takes the client's default one.
        let native =
            unsafe { native::rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        match NonNull::new(native) {
            Some(native) => Ok(Self { native, _client: Arc::clone(client) }),
            // SAFETY: reads the error of this thread's last call.
            None => Err(unsafe { native::rd_kafka_last_error() }.into()),
        }
    }

    /// Hands over messages that [`Client::dispatch`] has made; tells which were not taken.
    fn produce(
        &self,
        partition: i32,
        messages: &mut [native::rd_kafka_message_t],
        refused: &mut Vec<(usize, DeliveryOutcome)>,
    ) {
        let count = c_int::try_from(messages.len()).unwrap_or(0);
        // SAFETY: the topic lives and so does its client; `messages` has `count` elements, which
        // are copied. Keys are copied too. Values are neither copied nor freed, and lie in a batch
        // until each is refused below or reported on; librdkafka only reads them.
        let taken = unsafe {
            native::rd_kafka_produce_batch(
                self.native.as_ptr(),
                partition,
                0,
                messages.as_mut_ptr(),
                count,
            )
        };
        if taken != count {
            // SAFETY: the messages are ours.
            let told = messages.iter().map(|message| unsafe { reported(message) });
            refused.extend(told.filter(|(_, outcome)| outcome.is_err()));
        }
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new`, given back once, before its client ends.
        unsafe { native::rd_kafka_topic_destroy(self.native.as_ptr()) }
    }
}

/// A client's queue of reports and news.
pub(super) struct EventQueue {
    native: *mut native::rd_kafka_queue_t,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used from any thread (rdkafka.h, “thread-safe”).
unsafe impl Send for EventQueue {}
// SAFETY: as above.
unsafe impl Sync for EventQueue {}

impl EventQueue {
    pub(super) fn open(client: Arc<Client>) -> Self {
        // SAFETY: the client lives.
        let native = unsafe { native::rd_kafka_queue_get_main(client.ptr()) };
        Self { native, client }
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Waits for an event and deals with it; tells whether there was one.
    pub(super) fn serve(&self, wait: Duration) -> bool {
        let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue lives, and so does its client.
        let event = unsafe { native::rd_kafka_queue_poll(self.native, wait_ms) };
        let Some(event) = NonNull::new(event).map(Event) else { return false };
        // SAFETY: the event lives.
        match unsafe { native::rd_kafka_event_type(event.0.as_ptr()) } {
            native::RD_KAFKA_EVENT_DR => event.settle(self.client.in_flight()),
            native::RD_KAFKA_EVENT_LOG => event.pass_line_on(),
            native::RD_KAFKA_EVENT_ERROR => event.pass_error_on(),
            _ => {}
        }
        true
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_get_main`, given back once, before its client ends.
        unsafe { native::rd_kafka_queue_destroy(self.native) }
    }
}

/// An event of a queue that lives; it does not leave [`EventQueue::serve`].
struct Event(NonNull<native::rd_kafka_event_t>);

impl Event {
    fn settle(&self, in_flight: &InFlightBatches) {
        let mut messages = [ptr::null(); CHUNK];
        loop {
            // SAFETY: the event lives and the array has room for so many.
            let count = unsafe {
                native::rd_kafka_event_message_array(self.0.as_ptr(), messages.as_mut_ptr(), CHUNK)
            };
            if count == 0 {
                return;
            }
            let outcome = |message: &*const native::rd_kafka_message_t| {
                // SAFETY: librdkafka has filled in `count` messages, which live as long as the event.
                unsafe { reported(*message) }
            };
            in_flight.complete(in_flight.settle(messages.iter().take(count).map(outcome)));
        }
    }

    fn pass_line_on(&self) {
        let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the event lives, and the variables are written before this returns.
        let failed = unsafe {
            native::rd_kafka_event_log(
                self.0.as_ptr(),
                &raw mut facility,
                &raw mut line,
                &raw mut level,
            )
        };
        if failed == 0 {
            // SAFETY: both are strings of the event, which lives.
            let (facility, line) = unsafe { (text(facility), text(line)) };
            report_line(level_of(level), facility.trim(), line.trim());
        }
    }

    fn pass_error_on(&self) {
        // SAFETY: the event lives.
        let code = unsafe { native::rd_kafka_event_error(self.0.as_ptr()) };
        // SAFETY: the string is the event's, which lives.
        let reason = unsafe { text(native::rd_kafka_event_error_string(self.0.as_ptr())) };
        report_error(&KafkaError::Global(code.into()), reason.trim());
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: given by `rd_kafka_queue_poll`, given back once.
        unsafe { native::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// The id of a row, and its outcome. A broker may send a code that the bindings do not
/// know, so it is read as the number it is.
///
/// # Safety
/// The message lives.
unsafe fn reported(message: *const native::rd_kafka_message_t) -> (usize, DeliveryOutcome) {
    // SAFETY: the message lives; its code has the size of an `i32`.
    let (code, row, offset) = unsafe {
        ((&raw const (*message).err).cast::<i32>().read(), (*message)._private, (*message).offset)
    };
    let outcome = match RDKafkaRespErr::try_from(code) {
        Ok(RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR) => Ok(offset),
        Ok(code) => Err(code.into()),
        Err(_) => Err(RDKafkaErrorCode::Unknown),
    };
    (row.addr(), outcome)
}

/// # Safety
/// `text` is null or ends with NUL, and lives for `'a`.
unsafe fn text<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

fn level_of(level: c_int) -> RDKafkaLogLevel {
    match level {
        0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}
