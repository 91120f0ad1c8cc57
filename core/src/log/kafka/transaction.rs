//! A member of a group whose outputs and places are committed together.
//!
//! One transactional producer a consumer. A flush is: begin, all rows, wait for their
//! acknowledgements, the group's places, commit. It is fenced twice. The group's metadata, taken
//! when the partitions were assigned, goes with the places: a coordinator that has moved on
//! refuses them, and the transaction is aborted. And a transaction whose owner was silent for
//! `transaction_timeout` is aborted by the brokers, which shut its producer out for good.
//!
//! A commit whose outcome stays unknown is asked for again until it is settled, and ends this
//! consumer if it cannot be; nothing ever goes on from a guess.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::client::{
    MAX_MESSAGE_BYTES, create, native_partition, report_error, report_line, transacting,
    transactional_id,
};
use super::fault::{KafkaFault, failure, failure_on, shared};
use super::member::Member;
use super::view::View;
use crate::log::{
    Committed, Consumer, LogError, Offset, Partition, Polled, Position, Row, Topic,
    TransactionalConsumer,
};

const ACTION: &str = "commit a transaction";
/// How long one step waits before it is asked for again.
const STEP: Duration = Duration::from_secs(5);
/// The same for an abort, which waits for reports on rows that nobody serves meanwhile.
const ABORT_STEP: Duration = Duration::from_millis(50);
/// How long a full queue is served before the next try.
const SERVE: Duration = Duration::from_millis(5);

/// A member of a group with a transactional producer.
pub(super) struct TransactionalMember {
    view: Arc<View>,
    pub(super) member: Member,
    producer: BaseProducer<Deliveries>,
    /// An aborted transaction that the brokers have not confirmed yet.
    aborting: bool,
    /// Why this consumer can do no more transactions.
    ended: Option<LogError>,
}

impl TransactionalMember {
    pub(super) fn join(view: &Arc<View>, group: &str, topic: &Topic) -> Result<Self, LogError> {
        let settings = &view.settings;
        let config = transacting(settings, &transactional_id(settings, group, topic));
        let producer: BaseProducer<Deliveries> = create(&config, Deliveries::default())?;
        // Waits for what an earlier run under this id left open.
        let wait = settings.transaction_timeout + settings.request_timeout;
        producer
            .init_transactions(wait)
            .map_err(|error| failure("begin with transactions", error))?;
        let member = Member::join(view, group, topic)?;
        Ok(Self { view: Arc::clone(view), member, producer, aborting: false, ended: None })
    }

    /// Runs one transaction up to its commit; an error leaves it to be aborted.
    fn fill(&self, rows: &[Row], places: &TopicPartitionList) -> Result<(), Stopped> {
        let until = Instant::now() + self.view.settings.transaction_timeout;
        self.producer.context().first.lock().take();
        self.producer.begin_transaction().map_err(Stopped::by)?;
        for row in rows {
            self.hand_over(row, until)?;
        }
        self.await_rows(until)?;
        if places.count() == 0 {
            return Ok(());
        }
        let Some(generation) = self.member.generation() else {
            return Err(Stopped::Abort(Arc::new(KafkaFault::AssignmentLost)));
        };
        loop {
            match self.producer.send_offsets_to_transaction(places, generation, STEP) {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && Instant::now() < until => {}
                Err(error) => return Err(Stopped::by(error)),
            }
        }
    }

    fn hand_over(&self, row: &Row, until: Instant) -> Result<(), Stopped> {
        let mut record = BaseRecord {
            topic: row.topic.as_str(),
            partition: Some(native_partition(row.partition)),
            payload: row.value.as_deref(),
            key: Some(&*row.key),
            timestamp: None,
            headers: None,
            delivery_opaque: (),
        };
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if is_full(&error) && Instant::now() < until => {
                    record = back;
                    self.producer.poll(SERVE);
                }
                // An earlier row failed and took the transaction with it.
                Err((error, _)) if is_state(&error) => {
                    self.producer.poll(Duration::ZERO);
                    let first = self.producer.context().first.lock().take();
                    return Err(first.unwrap_or_else(|| Stopped::Abort(shared(error))));
                }
                Err((error, _)) => {
                    let bytes = row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len);
                    return Err(undelivered(&row.topic, bytes, error));
                }
            }
        }
    }

    fn await_rows(&self, until: Instant) -> Result<(), Stopped> {
        let wait = until.saturating_duration_since(Instant::now());
        let flushed = self.producer.flush(wait);
        match self.producer.context().first.lock().take() {
            Some(stopped) => Err(stopped),
            None => flushed.map_err(Stopped::by),
        }
    }

    /// Commits what was filled in. Only an outcome that is known comes back as one.
    fn settle(&self) -> Result<(), Stopped> {
        let settings = &self.view.settings;
        let until = Instant::now() + settings.transaction_timeout + settings.request_timeout;
        loop {
            match self.producer.commit_transaction(STEP) {
                Ok(()) => return Ok(()),
                Err(error) if is_retriable(&error) && Instant::now() < until => {
                    tracing::warn!(%error, "ask again for a transaction's outcome");
                }
                Err(error) if is_retriable(&error) => {
                    return Err(Stopped::End(KafkaFault::OutcomeUnknown.refusing(ACTION)));
                }
                Err(error) => return Err(Stopped::by(error)),
            }
        }
    }

    /// Aborts. What was not confirmed in time is asked for again before the next transaction;
    /// without a commit the brokers can only ever abort it.
    fn abort(&mut self) -> Result<(), LogError> {
        let until = Instant::now() + self.view.settings.request_timeout;
        self.aborting = true;
        loop {
            match self.producer.abort_transaction(ABORT_STEP) {
                Ok(()) => {
                    self.aborting = false;
                    return Ok(());
                }
                Err(error) if is_retriable(&error) && Instant::now() < until => {
                    self.producer.poll(SERVE);
                }
                Err(error) if is_retriable(&error) => {
                    tracing::warn!(%error, "an aborted transaction is not confirmed yet");
                    return Ok(());
                }
                Err(error) => {
                    let fenced = LogError::Fenced { cause: shared(error) };
                    self.ended = Some(fenced.clone());
                    return Err(fenced);
                }
            }
        }
    }

    fn stop(&mut self, stopped: Stopped) -> LogError {
        match stopped {
            Stopped::Abort(cause) => match self.abort() {
                Ok(()) => LogError::Aborted { cause },
                Err(error) => error,
            },
            Stopped::Refuse(error) => match self.abort() {
                Ok(()) => error,
                Err(error) => error,
            },
            Stopped::End(error) => {
                self.ended = Some(error.clone());
                error
            }
        }
    }
}

impl Consumer for TransactionalMember {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        // Between transactions the producer has only log lines to hand out.
        self.producer.poll(Duration::ZERO);
        self.member.poll(max_records, wait)
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        self.member.committed(partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.member.start(partition, offset)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        self.member.commit(positions)
    }
}

impl TransactionalConsumer for TransactionalMember {
    fn commit_with(&mut self, rows: Vec<Row>, positions: &[Position]) -> Result<(), LogError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let places = self.member.places(positions)?;
        if rows.is_empty() && positions.is_empty() {
            return Ok(());
        }
        if self.aborting {
            self.abort()?;
            if self.aborting {
                return Err(LogError::Aborted { cause: Arc::new(KafkaFault::AbortPending) });
            }
        }
        let filled = self.fill(&rows, &places);
        drop(rows);
        filled.and_then(|()| self.settle()).map_err(|stopped| self.stop(stopped))
    }
}

/// Why a transaction did not commit.
enum Stopped {
    /// It is aborted; after restoring, another may do better.
    Abort(Arc<dyn std::error::Error + Send + Sync>),
    /// It is aborted, and the same again would fail the same.
    Refuse(LogError),
    /// This consumer is done with transactions.
    End(LogError),
}

impl Stopped {
    fn by(error: KafkaError) -> Self {
        let fatal = matches!(&error, KafkaError::Transaction(inner) if inner.is_fatal());
        if fatal || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            return Self::End(LogError::Fenced { cause: shared(error) });
        }
        if matches!(&error, KafkaError::Transaction(inner) if inner.txn_requires_abort()) {
            return Self::Abort(shared(error));
        }
        match failure(ACTION, error.clone()) {
            fenced @ LogError::Fenced { .. } => Self::End(fenced),
            passing if passing.is_retryable() => Self::Abort(shared(error)),
            refused => Self::Refuse(refused),
        }
    }
}

fn undelivered(topic: &Topic, bytes: usize, error: KafkaError) -> Stopped {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::MessageBatchTooLarge,
        ) => Stopped::Refuse(LogError::TooLarge { bytes, limit: MAX_MESSAGE_BYTES }),
        _ => match failure_on(topic, ACTION, error.clone()) {
            unknown @ LogError::UnknownTopic { .. } => Stopped::Refuse(unknown),
            _ => Stopped::by(error),
        },
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(inner) => inner.is_retriable(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

fn is_state(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::State)
}

/// Keeps the first row that failed.
#[derive(Default)]
struct Deliveries {
    first: Mutex<Option<Stopped>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        report_line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let bytes = message.payload_len() + message.key_len();
            let mut first = self.first.lock();
            first.get_or_insert_with(|| {
                undelivered(&Topic::new(message.topic()), bytes, error.clone())
            });
        }
    }
}
