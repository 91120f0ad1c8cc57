//! The restore of a partition: from its assignment to its state in memory.
//!
//! In this order, because each step bounds the next: the group's committed offset; the end of the
//! state partition, open transactions included; a wait until everything below that end is decided;
//! the state, read committed. The last owner's open transaction is thus either read whole or known to
//! be aborted. Checkpoint and committed offset must then agree: they were written together. Nothing
//! here blocks for long: [`Restore::step`] is called between polls, so that the member stays in its
//! group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tillrace_log::{LogView, Offset, TransactionalConsumer};

use super::AggregateError;
use super::partition::{Checkpoint, Partition};
use super::settings::FoldRules;
use super::state::{self, StateRecords};
use crate::topics::Topics;

const READ_RECORDS: usize = 1_000;
const READ_WAIT: Duration = Duration::from_secs(10);

/// What a restore needs besides the partition.
#[derive(Clone, Copy)]
pub(super) struct RestoreContext<'a> {
    pub(super) log: &'a dyn LogView,
    pub(super) topics: &'a Topics,
    pub(super) rules: FoldRules,
    pub(super) restore_wait: Duration,
    pub(super) adopt_checkpoints: bool,
}

/// The restore of one partition.
#[derive(Debug)]
pub(super) struct Restore {
    number: tillrace_log::Partition,
    since: Instant,
    target: Option<RestoreTarget>,
}

#[derive(Debug, Clone, Copy)]
struct RestoreTarget {
    committed: Option<Offset>,
    end: Offset,
}

/// The outcome of a restore.
#[derive(Debug)]
pub(super) enum RestoreOutcome {
    /// The state of the last owner.
    Restored(Box<Partition>),
    /// Never consumed before, or adopted: its first checkpoint is still to be committed.
    New(Box<Partition>),
}

impl Restore {
    pub(super) fn new(number: tillrace_log::Partition, now: Instant) -> Self {
        Self { number, since: now, target: None }
    }

    /// Advances as far as possible without waiting; `None` while transactions are still open.
    ///
    /// # Errors
    /// When the log fails, when state and group disagree, when the wait was too long.
    pub(super) fn step(
        &mut self,
        context: RestoreContext<'_>,
        consumer: &mut dyn TransactionalConsumer,
        now: Instant,
    ) -> Result<Option<RestoreOutcome>, AggregateError> {
        let partition = self.number;
        let RestoreContext { log, topics, .. } = context;
        let target = if let Some(target) = self.target {
            target
        } else {
            let committed = consumer.committed(partition)?.map(|committed| committed.offset);
            let end = log.bounds(&topics.state, partition)?.end;
            *self.target.insert(RestoreTarget { committed, end })
        };
        if log.bounds(&topics.state, partition)?.stable_end < target.end {
            let waited = now.saturating_duration_since(self.since);
            if waited > context.restore_wait {
                return Err(AggregateError::StillOpen { partition, waited });
            }
            return Ok(None);
        }
        let records = read(context, partition, target.end)?;
        let restored = state::load(partition, &records, context.rules)
            .map_err(|cause| AggregateError::State { partition, cause })?;
        self.agree(context, restored, target.committed).map(Some)
    }

    fn agree(
        &self,
        context: RestoreContext<'_>,
        restored: Option<Partition>,
        committed: Option<Offset>,
    ) -> Result<RestoreOutcome, AggregateError> {
        let partition = self.number;
        let Some(restored) = restored else {
            return match committed {
                Some(committed) => Err(AggregateError::LostState { partition, committed }),
                None => Ok(RestoreOutcome::New(Box::new(new_partition(context, partition)?))),
            };
        };
        let Checkpoint { next_offset: checkpoint, partitions: found, .. } = restored.checkpoint;
        let expected = context.log.partitions();
        if found != expected {
            return Err(AggregateError::Partitions { partition, found, expected });
        }
        match committed {
            Some(committed) if committed == checkpoint => {
                Ok(RestoreOutcome::Restored(Box::new(restored)))
            }
            Some(committed) => Err(AggregateError::Mismatch { partition, checkpoint, committed }),
            None if context.adopt_checkpoints => Ok(RestoreOutcome::New(Box::new(restored))),
            None => Err(AggregateError::LostOffset { partition, checkpoint }),
        }
    }
}

impl std::fmt::Debug for RestoreContext<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RestoreContext").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Makes a partition that nobody consumed: it begins with its journal, as a generation of its own.
fn new_partition(
    context: RestoreContext<'_>,
    number: tillrace_log::Partition,
) -> Result<Partition, AggregateError> {
    let start = context.log.bounds(&context.topics.events, number)?.start;
    let checkpoint = Checkpoint {
        version: state::VERSION,
        generation: uuid::Uuid::new_v4().to_string(),
        flush: 0,
        next_offset: start,
        partitions: context.log.partitions(),
        clock_ms: 0,
        window_seconds: context.rules.window_seconds,
        totals: super::VerdictTotals::default(),
        silent_days_until_ms: None,
    };
    Ok(Partition::new(number, checkpoint, context.rules))
}

/// Reads the latest record of each key below `end`.
fn read(
    context: RestoreContext<'_>,
    number: tillrace_log::Partition,
    end: Offset,
) -> Result<StateRecords, AggregateError> {
    let topic = &context.topics.state;
    let start = context.log.bounds(topic, number)?.start;
    let mut records = StateRecords::new();
    let mut reader = context.log.reader(topic, number, start)?;
    while reader.position() < end {
        let before = reader.position();
        let entries = reader.read(READ_RECORDS, READ_WAIT)?;
        if entries.is_empty() && reader.position() == before {
            return Err(tillrace_log::LogError::TimedOut { action: "read the state" }.into());
        }
        for entry in entries.into_iter().filter(|entry| entry.offset < end) {
            match entry.value {
                // Copied, so that a small record does not hold a large frame in memory.
                Some(value) => records.insert(entry.key, Bytes::copy_from_slice(&value)),
                None => records.remove(&entry.key),
            };
        }
    }
    Ok(records)
}
