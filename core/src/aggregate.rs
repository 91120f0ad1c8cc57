//! The aggregator: gives each record of the journal its verdict and writes what follows from it.
//!
//! It reads `pos.events` and writes everything that sinks and data teams read. It decides on a record
//! by the ledger of its terminal (`ledger`, `sequence_set`, `hashes`, or `ids` where it has no
//! number); a first goes to `pos.transactions`, into deltas (`windows`) and into its store-day
//! (`days`), which says what is lacking by the store's register (`registers`, `completeness`). Outputs, state and offsets are committed in one transaction a flush (`flush`,
//! `sweep`, `engine`); a new owner reads the state back (`restore`) and nothing else. The state is a function
//! of the log alone: clocks are append times, settings of tenants come in the envelope.
//!
//! Deliberately absent: replay, undo, the wall clock (except for the interval of flushes
//! and for gauges), locks, a second thread, and any write outside a transaction.

mod arena;
mod completeness;
mod completeness_totals;
mod conditions;
mod day_currencies;
mod day_records;
mod days;
mod deltas;
mod dismissal;
mod drawers;
mod engine;
mod fiscal;
#[cfg(test)]
mod fixture;
mod flush;
mod flush_buffer;
mod fold;
mod hashes;
mod ids;
mod json_text;
mod ledger;
mod metrics;
mod parked_events;
mod parking;
mod partition;
mod quarantine;
mod readmission;
mod records;
mod registers;
mod rejection_marker;
mod release;
mod released_offsets;
mod restore;
mod sequence_set;
mod settings;
mod silent_days;
mod slot_index;
mod state;
mod store;
mod store_registers;
mod sweep;
mod terminal_days;
mod terminals;
mod ticks;
mod unreadable;
mod verdict;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tillrace_log::explain;
use tillrace_log::health::Health;
use tillrace_log::setting::SettingErrors;
use tillrace_log::{Log, LogError, Offset, Partition};

use crate::topics::Topics;

pub use conditions::{PARTITION_STOPPED, RECORD_NEEDS_UPGRADE, RECORDS_UNREADABLE};
pub use metrics::AggregateMetrics;
pub use settings::AggregateSettings;
pub use state::StateError;
pub use unreadable::UnreadableReason;
pub use verdict::VerdictTotals;

/// Aggregates until `stop` is set, then flushes and returns. Blocks its thread.
///
/// The topics must exist. Several processes share the work as members of one group. A record that can not be read is
/// quarantined; a partition whose state can not be read stops, and the others go on: `health` reports both.
///
/// # Errors
/// Invalid settings, another number of partitions than the state has, and every failure of the log other than an aborted
/// transaction. Calling again may help if [`AggregateError::is_retryable`].
#[expect(clippy::needless_pass_by_value, reason = "the thread that runs this owns its reference")]
pub fn run(
    log: Arc<dyn Log>,
    topics: &Topics,
    settings: &AggregateSettings,
    stop: &AtomicBool,
    metrics: &AggregateMetrics,
    health: &Health,
) -> Result<(), AggregateError> {
    let now = Instant::now();
    let mut engine = engine::Engine::join(&*log, topics, settings, metrics, health, now)?;
    while !stop.load(Ordering::Relaxed) {
        engine.step(Instant::now())?;
    }
    engine.flush(Instant::now())
}

/// Why the aggregator stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AggregateError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Settings can not be used.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// State and group were written together and do not agree.
    #[error(
        "partition {partition}: the checkpoint is at {checkpoint}, the group at {committed}; \
         one of them was changed from outside"
    )]
    Mismatch {
        /// The partition.
        partition: Partition,
        /// Next offset of the latest checkpoint.
        checkpoint: Offset,
        /// Next offset of the group.
        committed: Offset,
    },
    /// The group lost its offset.
    #[error(
        "partition {partition}: the group has no offset, the checkpoint is at {checkpoint}; \
         restore the offset from the checkpoint by command"
    )]
    LostOffset {
        /// The partition.
        partition: Partition,
        /// Next offset of the latest checkpoint.
        checkpoint: Offset,
    },
    /// The state topic lost its checkpoints.
    #[error("partition {partition}: the group is at {committed}, but there is no state")]
    LostState {
        /// The partition.
        partition: Partition,
        /// Next offset of the group.
        committed: Offset,
    },
    /// The topics had another number of partitions when the state was written.
    #[error(
        "partition {partition}: the state was written with {found} partitions a topic, \
         now there are {expected}"
    )]
    Partitions {
        /// The partition.
        partition: Partition,
        /// Partitions then.
        found: Partition,
        /// Partitions now.
        expected: Partition,
    },
    /// A state record can not be read.
    #[error("partition {partition}: {cause}")]
    State {
        /// The partition.
        partition: Partition,
        /// Which, and what is wrong.
        #[source]
        cause: StateError,
    },
    /// Another member's transaction stayed open.
    #[error("partition {partition}: a transaction on its state is still open after {waited:?}")]
    StillOpen {
        /// The partition.
        partition: Partition,
        /// How long the restore waited for it.
        waited: Duration,
    },
    /// One transaction after the other was aborted.
    #[error("{times} transactions in a row were aborted: {cause}")]
    KeepsAborting {
        /// How many.
        times: u32,
        /// What the last one said.
        #[source]
        cause: LogError,
    },
}

impl AggregateError {
    /// Returns the partition that has to stop, if the others can go on.
    fn stopped_partition(&self) -> Option<Partition> {
        match self {
            Self::Mismatch { partition, .. }
            | Self::LostOffset { partition, .. }
            | Self::LostState { partition, .. }
            | Self::State { partition, .. } => Some(*partition),
            _ => None,
        }
    }

    /// Tells whether running again may succeed without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Log(error) => error.is_retryable(),
            Self::StillOpen { .. } | Self::KeepsAborting { .. } => true,
            _ => false,
        }
    }
}

explain!(AggregateError {
    => Log;
    Settings: "aggregate_settings",
        "A value below `aggregate` cannot be used. Nothing was started.",
        "Set the key that the text names as it says.";
    Mismatch: "checkpoint_mismatch",
        "A partition's checkpoint in state.v1 and the group's offset are written in one transaction, and disagree: one of them \
         was changed from outside. Going on would count records twice or not at all, so the partition is stopped.",
        "If someone reset offsets, put the group `aggregate` (behind the namespace) back to the checkpoint's offset, which the \
         text names: kafka-consumer-groups --reset-offsets --to-offset. If state.v1 was restored from a backup, restore all \
         topics and groups from the same one. Then start the process again.";
    LostOffset: "group_offset_lost",
        "Kafka forgot the aggregator's group offset (offsets.retention.minutes, or a deleted group); the checkpoint has it still.",
        "Start the aggregator once with `tillrace aggregate --adopt-checkpoints`, which writes the offsets of all partitions \
         from the checkpoints. Then raise offsets.retention.minutes of the brokers as start-up says.";
    LostState: "state_lost",
        "The group has an offset, but state.v1 has no checkpoint for the partition: the topic was deleted or emptied. Ledgers and \
         hashes that tell duplicates are gone.",
        "Restore state.v1 from a backup that is as old as the group's offsets. Without one, keep the topics for the books and \
         begin anew under another `namespace`.";
    Partitions: "partition_count_of_state",
        "The state was written with another number of partitions; under the new number stores would change owners, and ledgers \
         would not follow.",
        "Set `log.partitions` back to the number in the text. See “A topic with too many partitions” in deploy/kafka/README.md.";
    State: "state_unreadable",
        "A record of state.v1 cannot be read: it is damaged, or another version of Tillrace wrote it. Formats may change before 1.0.",
        "If the text says newer: upgrade the aggregators, to the newest version that was ever used here. If it says older: go on \
         with the version that wrote it, or begin anew under another `namespace`. Else keep the topic and report the text.";
    StillOpen: "transaction_open",
        "The last owner's transaction is still undecided, and nobody may go on before it is. The aggregator tries again.",
        "Nothing: brokers abort it after `log.kafka.transaction_timeout`. If it stays, abort it by kafka-transactions.";
    KeepsAborting: "transactions_keep_aborting",
        "One flush after the other was aborted; the aggregator starts again from the log. Nothing is lost, nothing moves.",
        "Look at the brokers and at rebalances: roles that come and go, or a session_timeout that is too short.";
});

#[cfg(test)]
mod tests;
