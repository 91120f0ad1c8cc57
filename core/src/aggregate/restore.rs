//! Taking a partition over: from the assignment to its state in memory.
//!
//! In this order, because each step bounds the next: the group's committed offset; the end of the
//! state partition, open transactions included; a wait until everything below that end is decided;
//! the state, read committed. The last owner's open transaction is so either seen whole or known to
//! be aborted. Checkpoint and committed offset must then agree: they were written together. Nothing
//! here blocks for long: [`Takeover::step`] is called between polls, so that the member stays in its
//! group.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::AggregateError;
use super::partition::{Checkpoint, Partition};
use super::settings::Rules;
use super::state::{self, Records};
use crate::log::{self, LogView, Offset, TransactionalConsumer};
use crate::topics::Topics;

const READ_RECORDS: usize = 1_000;
const READ_WAIT: Duration = Duration::from_secs(10);

/// What a takeover needs from around.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) log: &'a dyn LogView,
    pub(super) topics: &'a Topics,
    pub(super) rules: Rules,
    pub(super) restore_wait: Duration,
    pub(super) adopt_checkpoints: bool,
}

/// A partition on its way into memory.
#[derive(Debug)]
pub(super) struct Takeover {
    number: log::Partition,
    since: Instant,
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    committed: Option<Offset>,
    end: Offset,
}

/// How a takeover ended.
#[derive(Debug)]
pub(super) enum Taken {
    /// As the last owner left it.
    Restored(Box<Partition>),
    /// Never consumed before, or adopted: its first checkpoint is still to be committed.
    Fresh(Box<Partition>),
}

impl Takeover {
    pub(super) fn new(number: log::Partition, now: Instant) -> Self {
        Self { number, since: now, seen: None }
    }

    /// Goes as far as it can without waiting; `None` while transactions are still open.
    ///
    /// # Errors
    /// When the log fails, when state and group disagree, when the wait was too long.
    pub(super) fn step(
        &mut self,
        ground: Ground<'_>,
        consumer: &mut dyn TransactionalConsumer,
        now: Instant,
    ) -> Result<Option<Taken>, AggregateError> {
        let partition = self.number;
        let Ground { log, topics, .. } = ground;
        let seen = if let Some(seen) = self.seen {
            seen
        } else {
            let committed = consumer.committed(partition)?.map(|committed| committed.offset);
            let end = log.bounds(&topics.state, partition)?.end;
            *self.seen.insert(Seen { committed, end })
        };
        if log.bounds(&topics.state, partition)?.stable_end < seen.end {
            let waited = now.saturating_duration_since(self.since);
            if waited > ground.restore_wait {
                return Err(AggregateError::StillOpen { partition, waited });
            }
            return Ok(None);
        }
        let records = read(ground, partition, seen.end)?;
        let restored = state::load(partition, &records, ground.rules)
            .map_err(|cause| AggregateError::State { partition, cause })?;
        self.agree(ground, restored, seen.committed).map(Some)
    }

    fn agree(
        &self,
        ground: Ground<'_>,
        restored: Option<Partition>,
        committed: Option<Offset>,
    ) -> Result<Taken, AggregateError> {
        let partition = self.number;
        let Some(restored) = restored else {
            return match committed {
                Some(committed) => Err(AggregateError::LostState { partition, committed }),
                None => Ok(Taken::Fresh(Box::new(fresh(ground, partition)?))),
            };
        };
        let Checkpoint { next_offset: checkpoint, partitions: found, .. } = restored.checkpoint;
        let expected = ground.log.partitions();
        if found != expected {
            return Err(AggregateError::Partitions { partition, found, expected });
        }
        match committed {
            Some(committed) if committed == checkpoint => Ok(Taken::Restored(Box::new(restored))),
            Some(committed) => Err(AggregateError::Mismatch { partition, checkpoint, committed }),
            None if ground.adopt_checkpoints => Ok(Taken::Fresh(Box::new(restored))),
            None => Err(AggregateError::LostOffset { partition, checkpoint }),
        }
    }
}

impl std::fmt::Debug for Ground<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ground").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// A partition that nobody consumed: it begins where its journal does, as a generation of its own.
fn fresh(ground: Ground<'_>, number: log::Partition) -> Result<Partition, AggregateError> {
    let start = ground.log.bounds(&ground.topics.events, number)?.start;
    let checkpoint = Checkpoint {
        version: state::VERSION,
        generation: uuid::Uuid::new_v4().to_string(),
        flush: 0,
        next_offset: start,
        partitions: ground.log.partitions(),
        clock_ms: 0,
        window_seconds: ground.rules.window_seconds,
        totals: super::Totals::default(),
    };
    Ok(Partition::new(number, checkpoint, ground.rules))
}

/// Reads the latest record of each key below `end`.
fn read(
    ground: Ground<'_>,
    number: log::Partition,
    end: Offset,
) -> Result<Records, AggregateError> {
    let topic = &ground.topics.state;
    let start = ground.log.bounds(topic, number)?.start;
    let mut records = Records::new();
    let mut reader = ground.log.reader(topic, number, start)?;
    while reader.position() < end {
        let before = reader.position();
        let entries = reader.read(READ_RECORDS, READ_WAIT)?;
        if entries.is_empty() && reader.position() == before {
            return Err(log::LogError::TimedOut { action: "read the state back" }.into());
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
