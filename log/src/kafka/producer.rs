//! The producer: rows in, one outcome each, from a thread of its own.
//!
//! Idempotent and acks=all: an acknowledged row is on the in-sync replicas, once, in order. A row
//! that failed after librdkafka's own retries may still be in the log, when it was the
//! acknowledgement that was lost; whoever sends it again makes a duplicate, which the ledger
//! behind the journal counts once. So no outcome is ever taken back.
//!
//! The bound is our own count of rows and bytes, taken for all rows of a call before anything is
//! handed to librdkafka, whose queue is twice as long and therefore never full. Rows stay in memory
//! until the last of their call is answered, and so does the room they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{Shared, producing};
use super::courier::{Courier, Holds, Reported};
use super::fault::{KafkaFault, failure_on};
use super::lines;
use super::room::{Room, size_of};
use crate::explain::code_of;
use crate::{Full, LogError, OnDurable, Producer, RECORD_LIMIT_BYTES, Row};

const ACTION: &str = "write to the log";
/// Longest that a stopping thread takes to notice, and an answer made outside it to be given.
const POLL: Duration = Duration::from_millis(50);

/// Writes rows outside any transaction.
pub(super) struct KafkaProducer {
    settings: Shared,
    room: Arc<Room>,
    holds: Arc<Holds>,
    /// Replaced when librdkafka declares it dead.
    line: RwLock<Line>,
}

impl KafkaProducer {
    pub(super) fn open(settings: Shared) -> Result<Self, LogError> {
        let bytes = usize::try_from(settings.queue_bytes.as_u64()).unwrap_or(usize::MAX);
        let room = Arc::new(Room::new(settings.queue_rows, bytes));
        let holds = Arc::<Holds>::default();
        let line = RwLock::new(Line::open(&settings, &holds)?);
        Ok(Self { settings, room, holds, line })
    }

    /// Replaces a dead librdkafka producer. What it still held fails, as retryable, when the old
    /// one is dropped.
    fn revive(&self) {
        if !self.line.read().courier.is_dead() {
            return;
        }
        let mut line = self.line.write();
        if line.courier.is_dead() {
            match Line::open(&self.settings, &self.holds) {
                Ok(fresh) => {
                    let dead = std::mem::replace(&mut *line, fresh);
                    drop(line);
                    drop(dead);
                }
                Err(error) => {
                    tracing::error!(code = code_of(&error), %error, "replace a Kafka producer");
                }
            }
        }
    }
}

impl Producer for KafkaProducer {
    fn send(&self, rows: Vec<Row>, done: OnDurable) -> Result<(), Full> {
        self.revive();
        let (count, bytes) = (rows.len(), rows.iter().map(size_of).sum());
        if let Err(refused) = self.room.fits_ever(count, bytes) {
            self.holds.answer_later(Box::new(move |_| done(vec![Err(refused); count])));
            return Ok(());
        }
        if !self.room.reserve(count, bytes) {
            return Err(Full { rows, done });
        }
        let room = Arc::clone(&self.room);
        let answer = move |reported: Reported| {
            let outcomes = reported.outcomes(undelivered);
            drop(reported);
            room.release(count, bytes);
            done(outcomes);
        };
        self.line.read().courier.send(rows, Box::new(answer));
        Ok(())
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        let answered = self.holds.await_answers(Instant::now() + wait);
        answered.then_some(()).ok_or(LogError::TimedOut { action: "flush the producer" })
    }
}

fn undelivered(row: &Row, code: RDKafkaErrorCode) -> LogError {
    let error = KafkaError::MessageProduction(code);
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::MessageBatchTooLarge => {
            LogError::TooLarge { bytes: size_of(row), limit: RECORD_LIMIT_BYTES }
        }
        // The producer is replaced before the next row. It has no name that another could take.
        RDKafkaErrorCode::Fatal
        | RDKafkaErrorCode::Fenced
        | RDKafkaErrorCode::InvalidProducerEpoch
        | RDKafkaErrorCode::ProducerFenced => KafkaFault::from(error).passing(ACTION),
        _ => failure_on(&row.topic, ACTION, error),
    }
}

/// A librdkafka producer and the thread that serves it.
struct Line {
    courier: Arc<Courier>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    fn open(settings: &Shared, holds: &Arc<Holds>) -> Result<Self, LogError> {
        let courier = Arc::new(Courier::open(&producing(settings), holds)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (Arc::clone(&courier), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    served.serve(POLL);
                }
            })
            .map_err(|error| LogError::Unavailable {
                action: "start the producer's thread",
                cause: Arc::new(error),
            })?;
        Ok(Self { courier, stop, thread: Some(thread) })
    }
}

impl Drop for Line {
    /// Stops the thread. The last reference to the courier then purges librdkafka's queue, and
    /// every row that it still holds is answered.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        // A callback may be what drops this; the thread then ends by itself.
        let other = thread.filter(|thread| thread.thread().id() != std::thread::current().id());
        if other.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(code = lines::THREAD_PANICKED.code, "the producer's thread panicked");
        }
    }
}
