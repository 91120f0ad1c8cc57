//! Errors of Kafka, and what each means to a role.

use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::explain;
use crate::explain::{Explained as _, Explanation};
use crate::setting::SettingErrors;
use crate::{LogCause, LogError, Partition, Topic};

/// Why the Kafka log refuses; the cause inside a [`LogError`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaFault {
    /// Settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// librdkafka refuses a property. Its value is not shown: it may be a password.
    #[error("property {key} is refused: {reason}")]
    Property {
        /// The property.
        key: String,
        /// What librdkafka said.
        reason: String,
    },
    /// The brokers do not take this process's credentials.
    #[error("the brokers refuse the login: {reason}")]
    Login {
        /// What they said.
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
    #[error(
        "a transaction's outcome stayed unknown; the log knows it, so the role restores from there"
    )]
    OutcomeUnknown,
    /// The brokers waited for a transaction as long as they were told, aborted it, and take nothing more from its producer.
    #[error(
        "the brokers heard nothing for transaction_timeout, aborted the transaction and shut its \
         producer out; no other process is at work"
    )]
    ShutOut,
    /// librdkafka can do nothing more with a client.
    #[error("the Kafka client has ended: {cause}")]
    Ended {
        /// Why.
        cause: KafkaError,
    },
}

explain!(KafkaFault {
    Settings: "kafka_settings",
        "Values below `log.kafka` cannot be used, or a librdkafka property that promises rest on was given. Nothing was started.",
        "Set each key that the text names as it says; `tillrace check` names its line.";
    Property: "kafka_property",
        "librdkafka does not know a property, or refuses its value, which is not shown as it may be a password.",
        "Correct it in `log.kafka.properties`; librdkafka's CONFIGURATION.md lists all.";
    Login: "kafka_login",
        "The brokers do not take the credentials of this process. It is not tried again, as some brokers lock an account then.",
        "Correct `sasl.mechanism`, `sasl.username` and `sasl.password` below `log.kafka.properties`, or the user on the brokers.";
    Answer: "kafka_answer",
        "Kafka answered with an error; the text is Kafka's. Whether it may pass is in the words before: unavailable or refused.",
        "Unavailable: look at the brokers. Refused: a right or a version is missing; the text says which action it was.";
    Topic: "kafka_topic",
        "Kafka refused to make a topic.",
        "See the text: fewer brokers than `log.kafka.replication`, no right to create, or a policy of the cluster. An \
         administrator can make the topics beforehand; docs/ARCHITECTURE.md lists them, start-up compares their settings.";
    NotAssigned: "kafka_not_assigned",
        "A partition went to another member while this one was at work on it. The role starts again from the log.",
        "Nothing. If it repeats, report it with the lines before.";
    AssignmentLost: "kafka_assignment_lost",
        "The group gave this member's partitions away, as when it was silent for longer than `session_timeout`.",
        "Nothing, if it is rare. If it repeats, the process lacks CPU or its network is bad: look there, then raise \
         `log.kafka.session_timeout`.";
    Metadata: "kafka_offset_metadata",
        "What is kept beside a group's offset is longer than brokers take (offset.metadata.max.bytes).",
        "Leave offset.metadata.max.bytes of the brokers at 4,096 or more; if it is, report a defect.";
    BatchTooLong: "kafka_batch_too_long",
        "More rows were written at once than `log.kafka.queue_rows`.",
        "Raise `log.kafka.queue_rows` to its default of 20,000.";
    Closing: "kafka_closing",
        "The process ended before Kafka acknowledged a row; its sender was told to come back.",
        "Nothing.";
    AbortPending: "kafka_abort_pending",
        "Brokers have not confirmed yet that the last flush is aborted; the next one waits for that.",
        "Nothing, if it passes. If not, look at the brokers, above all at __transaction_state.";
    OutcomeUnknown: "kafka_outcome_unknown",
        "Brokers did not say whether a flush was committed. The aggregator starts again and reads from the log what is so.",
        "Nothing, if it is rare. If it repeats, look at the brokers, above all at __transaction_state.";
    ShutOut: "kafka_shut_out",
        "The connection to the brokers was gone for longer than `log.kafka.transaction_timeout`, so that they aborted the flush. \
         The aggregator starts again from the log; nothing is lost or counted twice.",
        "Look at the network between this process and the brokers, one broker may be enough.";
    Ended: "kafka_client_ended",
        "The Kafka client in this process can do nothing more and is replaced.",
        "Nothing, if it is rare. If it repeats, look at the brokers' log at this time.";
});

impl LogCause for KafkaFault {
    fn explained(&self) -> Option<&'static Explanation> {
        Some(self.explanation())
    }
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

    /// Wraps it as the end of a client.
    pub(super) fn ending(self) -> LogError {
        LogError::ClientEnded { cause: Arc::new(self) }
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
    /// The brokers take nothing more from this client: another has its place, or it was silent for too long.
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

/// The code of an error. rdkafka tells none of an administrative question's.
fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// Says what a failure means to a role, where no topic is concerned.
pub(super) fn failure(action: &'static str, error: KafkaError) -> LogError {
    match code_of(&error).map_or(Meaning::Final, meaning) {
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
    match code_of(&error).map(meaning) {
        Some(Meaning::UnknownTopic) => LogError::UnknownTopic { topic: topic.clone() },
        Some(Meaning::Damaged) => LogError::Damaged {
            place: topic.to_string(),
            detail: "the checksum of a record batch does not hold",
        },
        _ => failure(action, error),
    }
}

/// Says what the end of a client means to its role: `code` is why it ended. Only a client whose name another process can
/// have, and that was not silent for too long, is fenced; any other is made anew.
pub(super) fn ended(
    action: &'static str,
    code: RDKafkaErrorCode,
    error: KafkaError,
    may_have_rival: bool,
) -> LogError {
    match meaning(code) {
        Meaning::Fenced if may_have_rival => LogError::Fenced { cause: shared(error) },
        // What Kafka says of it speaks of a newer instance, which there is not.
        Meaning::Fenced => KafkaFault::ShutOut.ending(),
        Meaning::Final if !says_nothing(code) => KafkaFault::from(error).refusing(action),
        _ => KafkaFault::Ended { cause: error }.ending(),
    }
}

/// Codes of a client that has ended, but not of why.
pub(super) fn says_nothing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Fatal
            | Code::Fail
            | Code::Inconsistent
            | Code::InvalidTransactionalState
            | Code::State
            | Code::Unknown
    )
}

/// Tells whether librdkafka deals with an error by itself, by asking again.
pub(super) fn passes(error: &KafkaError) -> bool {
    let passing = |code| matches!(meaning(code), Meaning::Passing | Meaning::TimedOut);
    code_of(error).is_some_and(passing)
}

/// Tells whether an answer about something that was just made may be another soon: not every broker knows it at once.
pub(super) fn may_pass(code: RDKafkaErrorCode) -> bool {
    matches!(meaning(code), Meaning::Passing | Meaning::TimedOut | Meaning::UnknownTopic)
}

/// Tells whether a broker says that it does not know a topic.
pub(super) fn is_unknown_topic(code: RDKafkaErrorCode) -> bool {
    matches!(meaning(code), Meaning::UnknownTopic)
}

/// Keeps an error as the cause of another.
pub(super) fn shared(error: KafkaError) -> Arc<dyn LogCause> {
    Arc::new(KafkaFault::from(error))
}
