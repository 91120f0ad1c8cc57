//! What can go wrong with a log, and what an operator does about it.

use std::sync::Arc;

use super::{Offset, Partition, Topic};
use crate::explain;
use crate::explain::Explanation;

/// What an implementation of the log said of a failure.
pub trait LogCause: std::error::Error + Send + Sync {
    /// Returns what is known of it, if that tells more than the [`LogError`] around it.
    fn explained(&self) -> Option<&'static Explanation> {
        None
    }
}

impl LogCause for std::io::Error {}

#[cfg(feature = "local")]
impl dyn LogCause {
    /// Returns the cause as `E`, if it is one.
    pub(crate) fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        (self as &(dyn std::error::Error + 'static)).downcast_ref()
    }
}

/// What can go wrong with a log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached or did not answer in time; trying again may help.
    #[error("log unavailable while trying to {action}: {cause}")]
    Unavailable {
        /// Verb and object.
        action: &'static str,
        /// What the log said.
        cause: Arc<dyn LogCause>,
    },
    /// A wait ended before the work did.
    #[error("timed out while waiting to {action}")]
    TimedOut {
        /// Verb and object.
        action: &'static str,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// Its name.
        topic: Topic,
    },
    /// A topic has another number of partitions than this process was told.
    #[error("topic {topic} has {found} partitions, configured are {expected}")]
    PartitionCount {
        /// Its name.
        topic: Topic,
        /// Partitions it has.
        found: Partition,
        /// Partitions configured.
        expected: Partition,
    },
    /// An offset is no longer, or not yet, in the log.
    #[error("{topic}/{partition}: offset {offset} is outside {start}..={end}")]
    OutOfRange {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// Offset asked for.
        offset: Offset,
        /// Lowest kept.
        start: Offset,
        /// Stable end.
        end: Offset,
    },
    /// A record, a frame or a transaction is larger than the log takes.
    #[error("{bytes} bytes exceed the log's limit of {limit}")]
    TooLarge {
        /// Bytes offered.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The transaction was aborted; nothing of it is visible.
    #[error("transaction aborted: {cause}")]
    Aborted {
        /// Why.
        cause: Arc<dyn LogCause>,
    },
    /// Another process runs under the same name and has taken this one's place.
    #[error("fenced: another process runs under the same `log.kafka.instance`: {cause}")]
    Fenced {
        /// What the log said.
        cause: Arc<dyn LogCause>,
    },
    /// This producer or consumer can do no more; a new one may.
    #[error("{cause}")]
    ClientEnded {
        /// Why.
        cause: Arc<dyn LogCause>,
    },
    /// Stored bytes are damaged.
    #[error("log damaged at {place}: {detail}")]
    Damaged {
        /// File and byte position.
        place: String,
        /// What is wrong there.
        detail: &'static str,
    },
    /// The log refused for good: its settings or this process's are wrong.
    #[error("log refused to {action}: {cause}")]
    Refused {
        /// Verb and object.
        action: &'static str,
        /// What the log said.
        cause: Arc<dyn LogCause>,
    },
}

impl LogError {
    /// Tells whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Aborted { .. })
    }

    /// Tells whether a role that this error ended may work again when it starts anew: after a while, or after an operator
    /// did something outside this process, as granting a right. What is wrong in the log itself, or with the settings of
    /// this process, stays so.
    pub fn is_restartable(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::Aborted { .. }
            | Self::Fenced { .. }
            | Self::ClientEnded { .. }
            | Self::UnknownTopic { .. }
            | Self::Refused { .. } => true,
            Self::PartitionCount { .. }
            | Self::OutOfRange { .. }
            | Self::TooLarge { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// Tells whether what failed may succeed later without anyone changing this process's settings or rights: what a start
    /// waits for. A topic that is missing may be in the making, by another process.
    pub fn may_pass(&self) -> bool {
        self.is_restartable() && !matches!(self, Self::Refused { .. })
    }

    /// A cause that tells more than its wrapping.
    fn told_by_cause(&self) -> Option<&'static Explanation> {
        let (Self::Unavailable { cause, .. }
        | Self::Refused { cause, .. }
        | Self::ClientEnded { cause }) = self
        else {
            return None;
        };
        cause.explained()
    }
}

explain!(LogError via told_by_cause {
    Unavailable: "log_unavailable",
        "The log could not be reached, or could not do it now. Nothing that was acknowledged is lost; what waits is tried again.",
        "Look at the brokers, or the disk of a local log, and at the network between. The process goes on by itself.";
    TimedOut: "log_timed_out",
        "The log did not answer in time. What was under way may have happened or not; it is asked again, and counted once.",
        "Look at the brokers, or the disk of a local log, and at the network between. The process goes on by itself.";
    UnknownTopic: "topic_missing",
        "A topic that Tillrace made is not there, or a broker does not know it yet. If it was deleted, its records are gone, \
         and what other topics say about them stays.",
        "Topics end in their version, as pos.events.v1; kafka-topics --list names those of Kafka. Was it never made, start any role: it \
         makes what is missing. Was it deleted, restore it \
         from a backup with its offsets, or begin anew under another `namespace`; the journal pos.events.v1 must never be deleted.";
    PartitionCount: "partition_count",
        "A topic has another number of partitions than `log.partitions`. A store's place follows from this number, so it is fixed \
         when the topics are made. Nothing was made or changed.",
        "Set `log.partitions` to the number that the topics have. If someone added partitions to topics in use, see \
         “A topic with too many partitions” in deploy/kafka/README.md.";
    OutOfRange: "position_lost",
        "Records between a group's position and the start of its topic are no longer in the log: retention or an operator \
         removed them before they were processed. The role stops rather than skip them; the range is in the text.",
        "Find out from the range what is missing, and restore it or account for it. Then move the group on, as in \
         “A position below the start” in deploy/kafka/README.md, and start the role again.";
    TooLarge: "record_too_large",
        "A record, a frame or a transaction is larger than the log takes. Nothing of it was written.",
        "On a local log raise `log.local.frame_bytes`; on Kafka this is a defect of Tillrace: report it with the text.";
    Aborted: "transaction_aborted",
        "A flush of the aggregator was aborted; nothing of it is visible. It is restored from the log and done again.",
        "Nothing, if it is rare. If it repeats, look at the brokers and at rebalances: roles that come and go.";
    Fenced: "fenced",
        "Another process runs under the same `log.kafka.instance` and took this one's place; nothing is counted twice.",
        "Give each process an `instance` of its own, or none. The fenced role starts again by itself after a while.";
    ClientEnded: "log_client_ended",
        "A connection to the log can do nothing more, and the part that used it starts again with a new one.",
        "Nothing, if it is rare. If it repeats, look at the brokers and at the network between.";
    Damaged: "log_damaged",
        "Stored bytes do not have the checksum they were written with: a disk, a controller or a hand changed them.",
        "Keep the files. On Kafka let the damaged replica be built anew from the others; on a local log restore the folder \
         from a backup. `tillrace verify` then says what holds.";
    Refused: "log_refused",
        "The log refused, and would refuse again: a right is missing, or a setting is wrong. The text has the reason.",
        "Correct what the text names. Rights that Tillrace needs on Kafka: its topics, groups and transactional ids, all of \
         which begin with the namespace, and the group tillrace.reader.";
});
