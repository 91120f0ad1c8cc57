//! What a member does with a partition of its own.

use tillrace_log::TransactionalConsumer;

use super::super::AggregateError;
use super::super::metrics::AggregateMetrics;
use super::super::partition::Partition;
use super::super::restore::Restore;
use super::super::ticks::TickSchedule;
use super::super::verdict::VerdictTotals;

/// The state of a partition of this member.
pub(super) enum PartitionState {
    Restoring(Restore),
    Active {
        partition: Box<Partition>,
        flushed: VerdictTotals,
        ticks: TickSchedule,
    },
    /// Reported as a condition, until the partition is assigned anew.
    Stopped,
}

impl PartitionState {
    /// Begins to consume a partition that is in memory.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn activate(
        consumer: &mut dyn TransactionalConsumer,
        partition: Box<Partition>,
        metrics: &AggregateMetrics,
        ticks: TickSchedule,
    ) -> Result<Self, AggregateError> {
        consumer.start(partition.number, partition.checkpoint.next_offset)?;
        metrics.stopped(partition.number, false);
        let flushed = partition.checkpoint.totals;
        tracing::info!(
            partition = partition.number,
            next_offset = partition.checkpoint.next_offset,
            flush = partition.checkpoint.flush,
            stores = partition.stores.len(),
            "partition restored"
        );
        Ok(Self::Active { partition, flushed, ticks })
    }
}
