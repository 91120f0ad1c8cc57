//! The producer: rows in, one outcome each, from a thread of its own.
//!
//! Idempotent and acks=all: an acknowledged row is on the in-sync replicas, once, in order. A row
//! that failed after librdkafka's own retries may still be in the log, when it was the
//! acknowledgement that was lost; whoever sends it again makes a duplicate, which the ledger
//! behind the journal counts once. So no outcome is ever taken back.
//!
//! The bound is our own count of rows and bytes, taken for a whole batch before anything is
//! handed to librdkafka, whose queue is twice as long and therefore never full.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::batch::{Answer, Batch, Room};
use super::client::{
    MAX_MESSAGE_BYTES, Shared, create, native_partition, producing, report_error, report_line,
};
use super::fault::{KafkaFault, failure_on};
use crate::log::{Full, LogError, Offset, OnDurable, Producer, Row, Topic};

const ACTION: &str = "write to the log";
/// Longest that a stopping thread takes to notice, and an answer made outside it to be given.
const POLL: Duration = Duration::from_millis(50);

/// Writes rows outside any transaction.
pub(super) struct KafkaProducer {
    settings: Shared,
    desk: Arc<Desk>,
    /// Replaced when librdkafka declares it dead.
    line: RwLock<Line>,
}

impl KafkaProducer {
    pub(super) fn open(settings: Shared) -> Result<Self, LogError> {
        let bytes = usize::try_from(settings.queue_bytes.as_u64()).unwrap_or(usize::MAX);
        let desk = Arc::new(Desk::new(Room::new(settings.queue_rows, bytes)));
        let line = RwLock::new(Line::open(&settings, &desk)?);
        Ok(Self { settings, desk, line })
    }

    /// Replaces a dead librdkafka producer. What it still held fails, as retryable, when the old
    /// one is dropped.
    fn revive(&self) {
        if !self.line.read().is_dead() {
            return;
        }
        let mut line = self.line.write();
        if line.is_dead() {
            match Line::open(&self.settings, &self.desk) {
                Ok(fresh) => {
                    let dead = std::mem::replace(&mut *line, fresh);
                    drop(line);
                    drop(dead);
                }
                Err(error) => tracing::error!(%error, "replace a Kafka producer"),
            }
        }
    }
}

impl Producer for KafkaProducer {
    fn send(&self, rows: Vec<Row>, done: OnDurable) -> Result<(), Full> {
        self.revive();
        let bytes = rows.iter().map(size_of).sum();
        if let Err(refused) = self.desk.room.fits_ever(rows.len(), bytes) {
            let batch = self.desk.register(rows.len(), done);
            for row in 0..rows.len() {
                self.desk.settle_later(&batch, row, Err(refused.clone()));
            }
            return Ok(());
        }
        if !self.desk.room.reserve(rows.len(), bytes) {
            return Err(Full { rows, done });
        }
        let batch = self.desk.register(rows.len(), done);
        self.desk.answer_if_empty(&batch);
        let line = self.line.read();
        for (index, row) in rows.iter().enumerate() {
            line.send(Ticket { batch: Arc::clone(&batch), index, bytes: size_of(row) }, row);
        }
        Ok(())
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        self.desk.await_answers(Instant::now() + wait)
    }
}

fn size_of(row: &Row) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len)
}

/// Where answers are gathered: what outlives a librdkafka producer.
struct Desk {
    room: Room,
    unanswered: Mutex<Unanswered>,
    answered: Condvar,
    /// Answers made on a caller's thread, to be given on the line's.
    waiting: Mutex<Vec<(Arc<Batch>, Answer)>>,
}

#[derive(Default)]
struct Unanswered {
    next: u64,
    numbers: BTreeSet<u64>,
}

impl Desk {
    fn new(room: Room) -> Self {
        let (unanswered, waiting) = (Mutex::default(), Mutex::default());
        Self { room, unanswered, answered: Condvar::new(), waiting }
    }

    fn register(&self, rows: usize, done: OnDurable) -> Arc<Batch> {
        let mut unanswered = self.unanswered.lock();
        let number = unanswered.next;
        unanswered.next += 1;
        unanswered.numbers.insert(number);
        drop(unanswered);
        Arc::new(Batch::new(number, rows, done))
    }

    /// Settles a row on the line's own thread.
    fn settle(&self, batch: &Batch, row: usize, outcome: Result<Offset, LogError>) {
        if let Some(answer) = batch.settle(row, outcome) {
            self.give(batch, answer);
        }
    }

    /// Settles a row on a caller's thread; the answer is given on the line's.
    fn settle_later(&self, batch: &Arc<Batch>, row: usize, outcome: Result<Offset, LogError>) {
        if let Some(answer) = batch.settle(row, outcome) {
            self.waiting.lock().push((Arc::clone(batch), answer));
        }
    }

    fn answer_if_empty(&self, batch: &Arc<Batch>) {
        if let Some(answer) = batch.answer_if_empty() {
            self.waiting.lock().push((Arc::clone(batch), answer));
        }
    }

    fn give_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for (batch, answer) in waiting {
            self.give(&batch, answer);
        }
    }

    fn give(&self, batch: &Batch, answer: Answer) {
        answer.give();
        self.unanswered.lock().numbers.remove(&batch.number);
        self.answered.notify_all();
    }

    /// Waits for every batch registered before.
    fn await_answers(&self, until: Instant) -> Result<(), LogError> {
        let mut unanswered = self.unanswered.lock();
        let before = unanswered.next;
        while unanswered.numbers.first().is_some_and(|oldest| *oldest < before) {
            if self.answered.wait_until(&mut unanswered, until).timed_out() {
                return Err(LogError::TimedOut { action: "flush the producer" });
            }
        }
        Ok(())
    }
}

/// A row on its way: whose it is and what room it holds.
struct Ticket {
    batch: Arc<Batch>,
    index: usize,
    bytes: usize,
}

/// What librdkafka calls when it knows the fate of a row.
struct Reports {
    desk: Arc<Desk>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        report_line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report_error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = outcome_of(result);
        self.desk.room.release(1, ticket.bytes);
        self.desk.settle(&ticket.batch, ticket.index, outcome);
    }
}

fn outcome_of(result: &DeliveryResult<'_>) -> Result<Offset, LogError> {
    match result {
        Ok(message) => Ok(Offset::try_from(message.offset()).unwrap_or_default()),
        Err((error, message)) => {
            let bytes = message.payload_len() + message.key_len();
            Err(undelivered(&Topic::new(message.topic()), bytes, error.clone()))
        }
    }
}

fn undelivered(topic: &Topic, bytes: usize, error: KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::MessageBatchTooLarge,
        ) => LogError::TooLarge { bytes, limit: MAX_MESSAGE_BYTES },
        // The producer is replaced before the next row.
        Some(RDKafkaErrorCode::Fatal) => KafkaFault::from(error).passing(ACTION),
        _ => failure_on(topic, ACTION, error),
    }
}

/// A librdkafka producer and the thread that serves it.
struct Line {
    producer: Arc<BaseProducer<Reports>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    fn open(settings: &Shared, desk: &Arc<Desk>) -> Result<Self, LogError> {
        let reports = Reports { desk: Arc::clone(desk) };
        let producer: BaseProducer<Reports> = create(&producing(settings), reports)?;
        let (producer, stop) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let (served, stopped) = (Arc::clone(&producer), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    served.poll(POLL);
                    served.context().desk.give_waiting();
                }
            })
            .map_err(|error| LogError::Unavailable {
                action: "start the producer's thread",
                cause: Arc::new(error),
            })?;
        Ok(Self { producer, stop, thread: Some(thread) })
    }

    /// Tells whether librdkafka has given this producer up: it then fails every row at once.
    fn is_dead(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    fn send(&self, ticket: Ticket, row: &Row) {
        let record = BaseRecord {
            topic: row.topic.as_str(),
            partition: Some(native_partition(row.partition)),
            payload: row.value.as_deref(),
            key: Some(&*row.key),
            timestamp: None,
            headers: None,
            delivery_opaque: Box::new(ticket),
        };
        if let Err((error, record)) = self.producer.send(record) {
            let reports = self.producer.context();
            let ticket = record.delivery_opaque;
            let outcome = Err(undelivered(&row.topic, ticket.bytes, error));
            reports.desk.room.release(1, ticket.bytes);
            reports.desk.settle_later(&ticket.batch, ticket.index, outcome);
        }
    }
}

impl Drop for Line {
    /// Stops the thread. The last reference to librdkafka's producer then purges it, which reports
    /// on every row that it still holds.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        // A callback may be what drops this; the thread then ends by itself.
        let other = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        if other.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the producer's thread panicked");
        }
        self.producer.context().desk.give_waiting();
    }
}
