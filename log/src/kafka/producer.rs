//! The producer: rows in, one outcome each, from a thread of its own.
//!
//! Idempotent and acks=all: an acknowledged row is on the in-sync replicas, once, in order. A row
//! that failed after librdkafka's own retries may still be in the log, when it was the
//! acknowledgement that was lost; whoever sends it again makes a duplicate, which the ledger
//! behind the journal counts once. So no outcome is ever taken back.
//!
//! The bound is our own count of rows and bytes, taken for all rows of a call before anything is
//! handed to librdkafka, whose queue is twice as long and therefore never full. Rows stay in memory
//! until the last of their call is answered, and use up the budget as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::Span;

use super::batch_producer::{BatchProducer, BatchReport, InFlightBatches};
use super::client::{Shared, producing};
use super::error::{KafkaFault, failure_on};
use super::lines;
use super::queue_budget::{QueueBudget, size_of};
use crate::explain::code_of;
use crate::{Full, LogError, OnDurable, Producer, ProducerRecord, RECORD_LIMIT_BYTES};

const ACTION: &str = "write to the log";
/// Longest that a stopping thread takes to notice, and an answer made outside it to be given.
const POLL: Duration = Duration::from_millis(50);

/// Writes rows outside any transaction.
pub(super) struct KafkaProducer {
    settings: Shared,
    budget: Arc<QueueBudget>,
    in_flight: Arc<InFlightBatches>,
    /// Replaced when librdkafka declares it dead.
    current: RwLock<ProducerThread>,
}

impl KafkaProducer {
    pub(super) fn open(settings: Shared) -> Result<Self, LogError> {
        let bytes = usize::try_from(settings.queue_bytes.as_u64()).unwrap_or(usize::MAX);
        let budget = Arc::new(QueueBudget::new(settings.queue_rows, bytes));
        let in_flight = Arc::<InFlightBatches>::default();
        let current = RwLock::new(ProducerThread::open(&settings, &in_flight)?);
        Ok(Self { settings, budget, in_flight, current })
    }

    /// Replaces a dead librdkafka producer. What it still held fails, as retryable, when the old
    /// one is dropped.
    fn revive(&self) {
        if !self.current.read().batch_producer.is_dead() {
            return;
        }
        let mut current = self.current.write();
        if current.batch_producer.is_dead() {
            match ProducerThread::open(&self.settings, &self.in_flight) {
                Ok(fresh) => {
                    let dead = std::mem::replace(&mut *current, fresh);
                    drop(current);
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
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        self.revive();
        let (count, bytes) = (rows.len(), rows.iter().map(size_of).sum());
        if let Err(refused) = self.budget.fits_ever(count, bytes) {
            self.in_flight.call_back_later(Box::new(move |_| done(vec![Err(refused); count])));
            return Ok(());
        }
        if !self.budget.reserve(count, bytes) {
            return Err(Full { rows, done });
        }
        let budget = Arc::clone(&self.budget);
        let answer = move |reported: BatchReport| {
            let outcomes = reported.outcomes(undelivered);
            drop(reported);
            budget.release(count, bytes);
            done(outcomes);
        };
        self.current.read().batch_producer.send(rows, Box::new(answer));
        Ok(())
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        let answered = self.in_flight.wait_until_answered(Instant::now() + wait);
        answered.then_some(()).ok_or(LogError::TimedOut { action: "flush the producer" })
    }
}

fn undelivered(row: &ProducerRecord, code: RDKafkaErrorCode) -> LogError {
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
struct ProducerThread {
    batch_producer: Arc<BatchProducer>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProducerThread {
    fn open(settings: &Shared, in_flight: &Arc<InFlightBatches>) -> Result<Self, LogError> {
        let batch_producer = Arc::new(BatchProducer::open(&producing(settings), in_flight)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (Arc::clone(&batch_producer), Arc::clone(&stop));
        let span = Span::current();
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || {
                let _entered = span.enter();
                while !stopped.load(Ordering::Relaxed) {
                    served.serve(POLL);
                }
            })
            .map_err(|error| LogError::Unavailable {
                action: "start the producer's thread",
                cause: Arc::new(error),
            })?;
        Ok(Self { batch_producer, stop, thread: Some(thread) })
    }
}

impl Drop for ProducerThread {
    /// Stops the thread. The last reference to the batch producer then purges librdkafka's queue, and
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
