//! The transactional consumer: a member of a group whose outputs and offsets are committed together.
//!
//! One transactional producer a consumer. A flush is: begin, all rows, wait for their
//! acknowledgements, the group's offsets, commit. It is fenced twice. The group's metadata, taken
//! when the partitions were assigned, goes with the offsets: a coordinator that has moved on
//! refuses them, and the transaction is aborted. And a transaction whose owner was silent for
//! `transaction_timeout` is aborted by the brokers, which shut its producer out for good. The brokers answer that
//! producer as they answer one whose transactional id another process took; [`KafkaTransactionalConsumer::end_of`] tells the
//! two apart.
//!
//! A commit whose outcome stays unknown is asked for again until it is settled, and ends this
//! consumer if it cannot be; nothing ever goes on from a guess.

mod row_failures;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _};

use self::row_failures::{FailedRow, RowFailures};
use super::batch_producer::{BatchProducer, BatchReport, ProducerCallbacks};
use super::client::{TRANSACTION_BYTES, TRANSACTION_ROWS, transacting, transactional_id};
use super::consumer::KafkaConsumer;
use super::error::{KafkaFault, ended, failure, is_unknown_topic, says_nothing, shared};
use super::lines;
use super::metadata::ClusterMetadata;
use super::queue_budget::{QueueBudget, size_of};
use crate::explain::code_of;
use crate::{
    Committed, Consumer, LogCause, LogError, Offset, Partition, Polled, Position, ProducerRecord,
    RECORD_LIMIT_BYTES, Topic, TransactionalConsumer,
};

const ACTION: &str = "commit a transaction";
/// How long one step waits before it is asked for again.
const STEP: Duration = Duration::from_secs(5);
/// The same for an abort, which waits for reports on rows that nobody serves meanwhile.
const ABORT_STEP: Duration = Duration::from_millis(50);
/// How long reports are waited for before the next try.
const SERVE: Duration = Duration::from_millis(5);
/// Rows handed over in one go, unless they are large.
const ROWS_AT_ONCE: usize = 4_096;
/// Bytes of rows after which no more are handed over in the same go.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A consumer with a transactional producer.
pub(super) struct KafkaTransactionalConsumer {
    cluster: Arc<ClusterMetadata>,
    pub(super) consumer: KafkaConsumer,
    batch_producer: BatchProducer,
    budget: Arc<QueueBudget>,
    /// An aborted transaction that the brokers have not confirmed yet.
    aborting: bool,
    /// When the latest transaction began.
    began: Cell<Instant>,
    /// Why this consumer can do no more transactions.
    ended: Option<LogError>,
}

impl KafkaTransactionalConsumer {
    pub(super) fn join(
        cluster: &Arc<ClusterMetadata>,
        group: &str,
        topic: &Topic,
    ) -> Result<Self, LogError> {
        let settings = &cluster.settings;
        let config = transacting(settings, &transactional_id(settings, group, topic));
        let batch_producer = BatchProducer::open(&config, &Arc::default())?;
        // Waits for what an earlier run under this id left open.
        let wait = settings.transaction_timeout + settings.request_timeout;
        batch_producer
            .producer()
            .init_transactions(wait)
            .map_err(|error| init_failure(error, settings.instance.is_some()))?;
        let consumer = KafkaConsumer::join(cluster, group, topic)?;
        let budget = Arc::new(QueueBudget::new(TRANSACTION_ROWS, TRANSACTION_BYTES));
        let (began, cluster) = (Cell::new(Instant::now()), Arc::clone(cluster));
        Ok(Self { cluster, consumer, batch_producer, budget, aborting: false, began, ended: None })
    }

    fn producer(&self) -> &BaseProducer<ProducerCallbacks> {
        self.batch_producer.producer()
    }

    /// Runs one transaction up to its commit; an error leaves it to be aborted.
    fn fill(
        &self,
        rows: Vec<ProducerRecord>,
        offsets: &TopicPartitionList,
    ) -> Result<(), TransactionStop> {
        let until = Instant::now() + self.cluster.settings.transaction_timeout;
        self.began.set(Instant::now());
        self.producer().begin_transaction().map_err(|error| self.classify(error))?;
        let failures = Arc::<RowFailures>::default();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            self.hand_over(next_chunk(&mut rows), &failures, until)?;
        }
        self.await_rows(&failures, until)?;
        if offsets.count() == 0 {
            return Ok(());
        }
        let Some(generation) = self.consumer.generation() else {
            return Err(TransactionStop::Abort(Arc::new(KafkaFault::AssignmentLost)));
        };
        loop {
            match self.producer().send_offsets_to_transaction(offsets, generation, STEP) {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && Instant::now() < until => {}
                Err(error) => return Err(self.classify(error)),
            }
        }
    }

    fn hand_over(
        &self,
        rows: Vec<ProducerRecord>,
        failures: &Arc<RowFailures>,
        until: Instant,
    ) -> Result<(), TransactionStop> {
        let (count, bytes) = (rows.len(), rows.iter().map(size_of).sum());
        self.budget.fits_ever(count, bytes).map_err(TransactionStop::Refuse)?;
        while !self.budget.reserve(count, bytes) {
            if Instant::now() >= until {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                return Err(self.classify(full));
            }
            self.batch_producer.serve(SERVE);
        }
        let (budget, noted) = (Arc::clone(&self.budget), Arc::clone(failures));
        let note = move |reported: BatchReport| {
            noted.note(&reported);
            budget.release(count, bytes);
        };
        self.batch_producer.send(rows, Box::new(note));
        failures.take().map_or(Ok(()), |failed| Err(self.undelivered(&failed)))
    }

    fn await_rows(&self, failures: &RowFailures, until: Instant) -> Result<(), TransactionStop> {
        let flushed = loop {
            // Serves nothing itself when it may not wait.
            match self.producer().flush(Duration::ZERO) {
                Err(error) if is_retriable(&error) && Instant::now() < until => {
                    self.batch_producer
                        .serve(STEP.min(until.saturating_duration_since(Instant::now())));
                }
                flushed => break flushed,
            }
        };
        self.batch_producer.serve(Duration::ZERO);
        match failures.take() {
            Some(failed) => Err(self.undelivered(&failed)),
            None => flushed.map_err(|error| self.classify(error)),
        }
    }

    /// Commits what was filled in. Only an outcome that is known comes back as one.
    fn settle(&self) -> Result<(), TransactionStop> {
        let settings = &self.cluster.settings;
        let until = Instant::now() + settings.transaction_timeout + settings.request_timeout;
        let mut tries = 0;
        loop {
            match self.producer().commit_transaction(STEP) {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && Instant::now() < until => {
                    tries += 1;
                    if tries == 1 {
                        let code = lines::OUTCOME_ASKED.code;
                        tracing::warn!(code, %error, "ask again for a transaction's outcome");
                    }
                }
                Err(error) if is_retriable(&error) => {
                    return Err(TransactionStop::End(KafkaFault::OutcomeUnknown.ending()));
                }
                Err(error) => return Err(self.classify(error)),
            }
        }
    }

    /// Aborts. What was not confirmed in time is asked for again before the next transaction;
    /// without a commit the brokers can only ever abort it.
    fn abort(&mut self) -> Result<(), LogError> {
        let until = Instant::now() + self.cluster.settings.request_timeout;
        self.aborting = true;
        loop {
            match self.producer().abort_transaction(ABORT_STEP) {
                Ok(()) => {
                    self.aborting = false;
                    return Ok(());
                }
                Err(error) if is_retriable(&error) && Instant::now() < until => {
                    self.batch_producer.serve(SERVE);
                }
                Err(error) if is_retriable(&error) => {
                    let code = code_of(&KafkaFault::AbortPending);
                    tracing::warn!(code, %error, "an aborted transaction is not confirmed yet");
                    return Ok(());
                }
                Err(error) => {
                    let ended = self.end_of(error);
                    self.ended = Some(ended.clone());
                    return Err(ended);
                }
            }
        }
    }

    /// Decides what an error of a step means for the transaction.
    fn classify(&self, error: KafkaError) -> TransactionStop {
        let fatal = matches!(&error, KafkaError::Transaction(inner) if inner.is_fatal());
        if fatal || self.batch_producer.is_dead() {
            return TransactionStop::End(self.end_of(error));
        }
        if matches!(&error, KafkaError::Transaction(inner) if inner.txn_requires_abort()) {
            return TransactionStop::Abort(shared(error));
        }
        match failure(ACTION, error.clone()) {
            LogError::Fenced { .. } => TransactionStop::End(self.end_of(error)),
            passing if passing.is_retryable() => TransactionStop::Abort(shared(error)),
            refused => TransactionStop::Refuse(refused),
        }
    }

    fn undelivered(&self, failed: &FailedRow) -> TransactionStop {
        let error = KafkaError::MessageProduction(failed.code);
        match failed.code {
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::MessageBatchTooLarge => {
                TransactionStop::Refuse(LogError::TooLarge {
                    bytes: failed.bytes,
                    limit: RECORD_LIMIT_BYTES,
                })
            }
            // A row before it failed and took the transaction with it.
            RDKafkaErrorCode::State => TransactionStop::Abort(shared(error)),
            _ if is_unknown_topic(failed.code) => {
                match self.cluster.failure_on(&failed.topic, ACTION, error.clone()) {
                    missing @ LogError::UnknownTopic { .. } => TransactionStop::Refuse(missing),
                    _ => TransactionStop::Abort(shared(error)),
                }
            }
            _ => self.classify(error),
        }
    }

    /// Says why this producer has ended.
    ///
    /// Without `instance` its transactional id is a random one, so that only the brokers can have raised its epoch. With
    /// it another process may have, but a transaction that stood open for the whole `transaction_timeout` was aborted by
    /// the brokers in any case.
    fn end_of(&self, error: KafkaError) -> LogError {
        let settings = &self.cluster.settings;
        let in_time = self.began.get().elapsed() < settings.transaction_timeout;
        let fatal = self.producer().client().fatal_error().map(|(code, _reason)| code);
        let code = fatal.or(error.rdkafka_error_code()).unwrap_or(RDKafkaErrorCode::Unknown);
        if says_nothing(code)
            && let Some(topic) = self.missing_topic()
        {
            tracing::warn!(code = lines::CLIENT.code, %error, %topic, "a producer ended");
            return LogError::UnknownTopic { topic };
        }
        ended(ACTION, code, error, settings.instance.is_some() && in_time)
    }

    /// A topic of this producer's that is not there: the brokers call a transaction on a deleted one invalid, and say no more.
    fn missing_topic(&self) -> Option<Topic> {
        self.batch_producer
            .topics()
            .into_iter()
            .find(|topic| matches!(self.cluster.layout(topic), Ok(None)))
    }

    fn stop(&mut self, stopped: TransactionStop) -> LogError {
        match stopped {
            TransactionStop::Abort(cause) => match self.abort() {
                Ok(()) => LogError::Aborted { cause },
                Err(error) => error,
            },
            TransactionStop::Refuse(error) => match self.abort() {
                Ok(()) => error,
                Err(error) => error,
            },
            TransactionStop::End(error) => {
                self.ended = Some(error.clone());
                error
            }
        }
    }
}

impl Consumer for KafkaTransactionalConsumer {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        // Between transactions the producer has only log lines to hand out.
        self.batch_producer.serve(Duration::ZERO);
        self.consumer.poll(max_records, wait)
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        self.consumer.committed(partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.consumer.start(partition, offset)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        self.consumer.commit(positions)
    }
}

impl TransactionalConsumer for KafkaTransactionalConsumer {
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let offsets = self.consumer.offset_list(positions)?;
        if rows.is_empty() && positions.is_empty() {
            return Ok(());
        }
        if self.aborting {
            self.abort()?;
            if self.aborting {
                return Err(LogError::Aborted { cause: Arc::new(KafkaFault::AbortPending) });
            }
        }
        let filled = self.fill(rows, &offsets);
        filled.and_then(|()| self.settle()).map_err(|stopped| self.stop(stopped))
    }
}

/// Why a transaction did not commit.
enum TransactionStop {
    /// It is aborted; after restoring, another may do better.
    Abort(Arc<dyn LogCause>),
    /// It is aborted, and the same again would fail the same.
    Refuse(LogError),
    /// This consumer is done with transactions.
    End(LogError),
}

/// As many rows as are handed over in one go; one at least.
fn next_chunk(rows: &mut impl Iterator<Item = ProducerRecord>) -> Vec<ProducerRecord> {
    let mut some = Vec::new();
    let mut bytes = 0;
    for row in rows.by_ref() {
        bytes += size_of(&row);
        some.push(row);
        if some.len() == ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            break;
        }
    }
    some
}

/// Says why a producer could not begin with transactions.
fn init_failure(error: KafkaError, has_kept_name: bool) -> LogError {
    const ACTION: &str = "begin with transactions";
    match failure(ACTION, error.clone()) {
        LogError::Fenced { .. } => {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            ended(ACTION, code, error, has_kept_name)
        }
        failure => failure,
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(inner) => inner.is_retriable(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}
