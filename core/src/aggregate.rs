//! The aggregator: gives each record of the journal its verdict and writes what follows from it.
//!
//! Stands between `pos.events` and everything that sinks and data teams read. A record is judged
//! against the ledger of its terminal (`ledger`, `numbers`, `hashes`, or `ids` where it has no
//! number); a first goes to `pos.transactions`, into deltas (`windows`) and into its store-day
//! (`days`). Outputs, state and offsets are committed in one transaction a flush (`flush`,
//! `engine`); a new owner reads the state back (`restore`) and nothing else. What is held is a
//! function of the log alone: clocks are append times, settings of tenants come in the envelope.
//!
//! Deliberately absent: replay, undo, a look at the wall clock (except for the interval of flushes
//! and for gauges), locks, a second thread, and any write outside a transaction.

mod archive;
mod day_records;
mod days;
mod deltas;
mod engine;
#[cfg(test)]
mod fixture;
mod flush;
mod fold;
mod hashes;
mod ids;
mod index;
mod json_text;
mod ledger;
#[cfg(test)]
mod memory_log;
mod metrics;
mod numbers;
mod outputs;
mod paper;
mod partition;
mod records;
mod refusal;
mod release;
mod restore;
mod settings;
mod state;
mod store;
mod terminals;
mod verdict;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::log::{Log, LogError, Offset, Partition};
use crate::topics::Topics;

pub use fold::Unreadable;
pub use metrics::AggregateMetrics;
pub use settings::{AggregateSettingError, AggregateSettings};
pub use state::StateError;
pub use verdict::Totals;

/// Aggregates until `stop` is set, then flushes and returns. Blocks its thread.
///
/// The topics must exist. Several processes share the work as members of one group. A record that
/// can not be understood stops its partition, which is logged and shown by a gauge; the others go on.
///
/// # Errors
/// Settings that can not be, disagreement of state and group, and every failure of the log but an
/// aborted transaction. Where [`AggregateError::is_retryable`], calling again may help.
#[expect(clippy::needless_pass_by_value, reason = "the thread that runs this owns its share")]
pub fn run(
    log: Arc<dyn Log>,
    topics: &Topics,
    settings: &AggregateSettings,
    stop: &AtomicBool,
    metrics: &AggregateMetrics,
) -> Result<(), AggregateError> {
    let mut engine = engine::Engine::join(&*log, topics, settings, metrics, Instant::now())?;
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
    /// A setting can not be.
    #[error(transparent)]
    Setting(#[from] AggregateSettingError),
    /// State and group were written together and do not agree.
    #[error(
        "partition {partition}: the checkpoint stands at {checkpoint}, the group at {committed}; \
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
        "partition {partition}: the group has no offset, the checkpoint stands at {checkpoint}; \
         restore the offset from the checkpoint by command"
    )]
    LostOffset {
        /// The partition.
        partition: Partition,
        /// Next offset of the latest checkpoint.
        checkpoint: Offset,
    },
    /// The state topic lost its checkpoints.
    #[error("partition {partition}: the group stands at {committed}, but there is no state")]
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
        /// How long it was waited for.
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
    /// Tells whether running again may succeed without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Log(error) => error.is_retryable(),
            Self::StillOpen { .. } | Self::KeepsAborting { .. } => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
