//! What Kafka says when something fails, and what that means to a role.

use std::error::Error;
use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::log::{LogError, Partition, Topic};

/// Why the Kafka log refuses; the cause inside a [`LogError`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaFault {
    /// A setting cannot be.
    #[error("setting {key} is wrong: {remedy}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A property that promises rest on was given.
    #[error("property {key} is set by Tillrace and cannot be overridden; remove it")]
    Reserved {
        /// The property.
        key: String,
    },
    /// librdkafka refuses a property. Its value is not shown: it may be a password.
    #[error("property {key} is refused: {reason}")]
    Property {
        /// The property.
        key: String,
        /// What librdkafka said.
        reason: String,
    },
    /// Kafka answered with an error.
    #[error(transparent)]
    Answer(KafkaError),
    /// Kafka refused to do something to a topic.
    #[error("topic {topic}: {code}")]
    Topic {
        /// The topic.
        topic: Topic,
        /// What Kafka said.
        code: RDKafkaErrorCode,
    },
    /// Partitions are assigned by polling.
    #[error("partition {partition} is not assigned to this member")]
    NotAssigned {
        /// The number asked for.
        partition: Partition,
    },
    /// The group took the partitions away; the next poll says which.
    #[error("the group took this member's partitions away; poll to learn which")]
    AssignmentLost,
    /// Offset metadata is limited by the brokers.
    #[error("offset metadata of {bytes} bytes exceeds {limit}")]
    Metadata {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A batch has more rows than the whole queue.
    #[error("{rows} rows at once exceed queue_rows of {limit}")]
    BatchTooLong {
        /// Rows offered.
        rows: usize,
        /// The limit.
        limit: usize,
    },
    /// The producer was dropped before the row was acknowledged.
    #[error("the producer is closing")]
    Closing,
    /// The brokers have not confirmed yet that the last transaction is aborted.
    #[error("the transaction before is still being aborted")]
    AbortPending,
    /// A transaction may have been committed or not.
    #[error("a transaction's outcome stayed unknown; restart and restore from the log")]
    OutcomeUnknown,
}

impl From<KafkaError> for KafkaFault {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, key, _) => Self::Property { key, reason },
            error => Self::Answer(error),
        }
    }
}

impl KafkaFault {
    /// Wraps it as the log's final refusal.
    pub(super) fn refusing(self, action: &'static str) -> LogError {
        LogError::Refused { action, cause: Arc::new(self) }
    }

    /// Wraps it as something that may pass.
    pub(super) fn passing(self, action: &'static str) -> LogError {
        LogError::Unavailable { action, cause: Arc::new(self) }
    }
}

/// What an error code calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Time ran out.
    TimedOut,
    /// It may pass.
    Passing,
    /// Another instance has taken this one's place.
    Fenced,
    /// There is no such topic, or not such a partition of it.
    UnknownTopic,
    /// Bytes are damaged.
    Damaged,
    /// Settings, rights or versions are wrong.
    Final,
}

fn meaning(code: RDKafkaErrorCode) -> Meaning {
    use RDKafkaErrorCode as Code;
    match code {
        Code::OperationTimedOut | Code::MessageTimedOut | Code::RequestTimedOut => {
            Meaning::TimedOut
        }
        Code::AllBrokersDown
        | Code::AssignmentLost
        | Code::BrokerDestroy
        | Code::BrokerNotAvailable
        | Code::BrokerTransportFailure
        | Code::ConcurrentTransactions
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::DestroyBroker
        | Code::FencedLeaderEpoch
        | Code::IllegalGeneration
        | Code::KafkaStorageError
        | Code::LeaderNotAvailable
        | Code::ListenerNotFound
        | Code::NetworkException
        | Code::NotController
        | Code::NotCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::NotLeaderForPartition
        | Code::OffsetNotAvailable
        | Code::OutOfOrderSequenceNumber
        | Code::PurgeInflight
        | Code::PurgeQueue
        | Code::QueueFull
        | Code::RebalanceInProgress
        | Code::ReplicaNotAvailable
        | Code::Resolve
        | Code::TimedOutQueue
        | Code::UnknownLeaderEpoch
        | Code::UnknownMemberId
        | Code::UnknownProducerId
        | Code::UnstableOffsetCommit
        | Code::WaitingForCoordinator
        | Code::PreviousInProgress => Meaning::Passing,
        Code::Fenced
        | Code::FencedInstanceId
        | Code::InvalidProducerEpoch
        | Code::ProducerFenced => Meaning::Fenced,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            Meaning::UnknownTopic
        }
        Code::BadMessage | Code::InvalidMessage => Meaning::Damaged,
        _ => Meaning::Final,
    }
}

/// Says what a failure means to a role, where no topic is concerned.
pub(super) fn failure(action: &'static str, error: KafkaError) -> LogError {
    match error.rdkafka_error_code().map_or(Meaning::Final, meaning) {
        Meaning::TimedOut => LogError::TimedOut { action },
        Meaning::Passing => KafkaFault::from(error).passing(action),
        Meaning::Fenced => LogError::Fenced { cause: shared(error) },
        Meaning::UnknownTopic | Meaning::Damaged | Meaning::Final => {
            KafkaFault::from(error).refusing(action)
        }
    }
}

/// Says what a failure on a topic means to a role.
pub(super) fn failure_on(topic: &Topic, action: &'static str, error: KafkaError) -> LogError {
    match error.rdkafka_error_code().map(meaning) {
        Some(Meaning::UnknownTopic) => LogError::UnknownTopic { topic: topic.clone() },
        Some(Meaning::Damaged) => LogError::Damaged {
            place: topic.to_string(),
            detail: "the checksum of a record batch does not hold",
        },
        _ => failure(action, error),
    }
}

/// Tells whether librdkafka deals with an error by itself, by asking again.
pub(super) fn passes(error: &KafkaError) -> bool {
    let passing = |code| matches!(meaning(code), Meaning::Passing | Meaning::TimedOut);
    error.rdkafka_error_code().is_some_and(passing)
}

/// Keeps an error as the cause of another.
pub(super) fn shared(error: KafkaError) -> Arc<dyn Error + Send + Sync> {
    Arc::new(KafkaFault::from(error))
}
