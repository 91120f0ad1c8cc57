//! The engine of a member of the group: polls, folds, flushes, restores partitions and gives them up.
//!
//! One thread, one transaction at a time, over all partitions of the member. A partition is in memory only while it is this
//! member's and everything folded into it is either committed or still to be committed. After an abort, or when the partition
//! is revoked, the engine drops it; its next owner restores it from the log.

mod idle;
mod partition_state;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tillrace_log::explain::code_of;
use tillrace_log::health::Health;
use tillrace_log::{
    Committed, ConsumerRecord, Log, LogError, Offset, Polled, Position, ProducerRecord,
    RECORD_LIMIT_BYTES, TransactionalConsumer,
};

use self::partition_state::PartitionState;
use super::AggregateError;
use super::arena::RecordArena;
use super::conditions::Conditions;
use super::flush_buffer::FlushSize;
use super::fold::{FoldContext, FoldStop, OutputContext};
use super::metrics::AggregateMetrics;
use super::partition::Partition;
use super::quarantine::QuarantineLookup;
use super::restore::{Restore, RestoreContext, RestoreOutcome};
use super::settings::AggregateSettings;
use super::state;
use super::ticks::TickSchedule;
use crate::decode::Decoder;
use crate::topics::Topics;

/// Most records of a poll.
const POLL_RECORDS: usize = 1_000;
/// Longest wait in a poll, so that a stop is noticed.
const POLL_WAIT: Duration = Duration::from_millis(100);
const RESTORE_POLL_WAIT: Duration = Duration::from_millis(20);
/// Aborts in a row after which the member stops.
const MAX_ABORTS: u32 = 20;
/// Divisor of a flush's size: what sweeps may fill of it.
const SWEEP_SHARE: usize = 8;

/// A member of the aggregator's group.
pub(super) struct Engine<'a> {
    log: &'a dyn Log,
    topics: &'a Topics,
    settings: &'a AggregateSettings,
    metrics: &'a AggregateMetrics,
    conditions: Conditions,
    consumer: Box<dyn TransactionalConsumer>,
    decoder: Decoder,
    arena: RecordArena,
    partitions: BTreeMap<tillrace_log::Partition, PartitionState>,
    last_upkeep: Instant,
    /// The wall clock, milliseconds since the Unix epoch; it decides when a tick is written, and no more.
    pub(super) wall_ms: fn() -> i64,
    aborts: u32,
    /// Records of the last flush, because the next one will have about as many.
    rows: usize,
    /// Largest record that the log accepts; it rejects a whole flush with a larger one.
    pub(super) record_limit: usize,
}

impl<'a> Engine<'a> {
    /// Joins the group.
    ///
    /// # Errors
    /// When the log can not be reached.
    pub(super) fn join(
        log: &'a dyn Log,
        topics: &'a Topics,
        settings: &'a AggregateSettings,
        metrics: &'a AggregateMetrics,
        health: &Health,
        now: Instant,
    ) -> Result<Self, AggregateError> {
        settings.validate()?;
        let consumer = log.transactional_consumer(&topics.group("aggregate"), &topics.events)?;
        Ok(Self {
            log,
            topics,
            settings,
            metrics,
            conditions: Conditions::new(health, topics),
            consumer,
            decoder: Decoder::new(),
            arena: RecordArena::default(),
            partitions: BTreeMap::new(),
            last_upkeep: now,
            wall_ms: idle::wall_ms,
            aborts: 0,
            rows: 0,
            record_limit: RECORD_LIMIT_BYTES,
        })
    }

    /// Handles the next event of the group or the journal, and flushes when that is due.
    ///
    /// # Errors
    /// Every failure for which this member must stop.
    pub(super) fn step(&mut self, now: Instant) -> Result<(), AggregateError> {
        self.restore_partitions(now)?;
        let due_in =
            (self.last_upkeep + self.settings.flush_interval).saturating_duration_since(now);
        let is_restoring =
            self.partitions.values().any(|state| matches!(state, PartitionState::Restoring(_)));
        let wait = if is_restoring { RESTORE_POLL_WAIT } else { POLL_WAIT.min(due_in) };
        match self.consumer.poll(POLL_RECORDS, wait)? {
            Polled::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                let restoring =
                    |number| (number, PartitionState::Restoring(Restore::new(number, now)));
                self.partitions.extend(partitions.into_iter().map(restoring));
            }
            Polled::Revoked(partitions) => {
                tracing::info!(?partitions, "partitions revoked");
                for partition in partitions {
                    self.partitions.remove(&partition);
                    self.metrics.gone(partition);
                    self.conditions.gone(partition);
                }
            }
            Polled::Records(entries) => self.fold(&entries, now)?,
            Polled::Idle => {}
        }
        // By a timer of its own: under load flushes come by size, and gauges and ticks must come all the same.
        if now.saturating_duration_since(self.last_upkeep) >= self.settings.flush_interval {
            self.last_upkeep = now;
            self.tick_quiet_partitions(now);
            self.flush(now)?;
            self.update_lag_gauges();
            self.conditions.expire(now);
        }
        Ok(())
    }

    /// Commits what was folded so far.
    ///
    /// # Errors
    /// When the log fails otherwise than by an abort, or keeps aborting.
    pub(super) fn flush(&mut self, now: Instant) -> Result<(), AggregateError> {
        self.go_on_sweeping();
        let began = Instant::now();
        let mut rows = Vec::with_capacity(self.rows);
        let mut positions = Vec::new();
        for (&number, state) in &mut self.partitions {
            if let PartitionState::Active { partition, .. } = state
                && partition.is_dirty()
            {
                let before = rows.len();
                partition.write(self.topics, &mut self.arena, &mut rows);
                let too_long = |row: &&ProducerRecord| bytes_of(row) > self.record_limit;
                if let Some(row) = rows[before..].iter().find(too_long) {
                    self.conditions.unwritable(number, row);
                    self.metrics.stopped(number, true);
                    rows.truncate(before);
                    *state = PartitionState::Stopped;
                    continue;
                }
                positions.push(position(number, partition.checkpoint.next_offset));
            }
        }
        if !positions.is_empty() {
            self.rows = rows.len();
            match self.consumer.commit_transaction(rows, &positions) {
                Ok(()) => self.committed(&positions, began, now),
                Err(LogError::Aborted { cause }) => {
                    self.aborted(&positions, now, &LogError::Aborted { cause })?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Tells whether everything polled so far is committed and no restore is running.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.partitions.values().all(|state| match state {
            PartitionState::Active { partition, .. } => {
                !partition.is_dirty() && !partition.is_sweeping()
            }
            PartitionState::Stopped => true,
            PartitionState::Restoring(_) => false,
        })
    }

    /// The next offset of a partition, if it is active.
    #[cfg(test)]
    pub(super) fn next_offset(&self, partition: tillrace_log::Partition) -> Option<Offset> {
        match self.partitions.get(&partition)? {
            PartitionState::Active { partition, .. } => Some(partition.checkpoint.next_offset),
            PartitionState::Restoring(_) | PartitionState::Stopped => None,
        }
    }

    fn restore_partitions(&mut self, now: Instant) -> Result<(), AggregateError> {
        let context = RestoreContext {
            log: self.log,
            topics: self.topics,
            rules: self.settings.rules(),
            restore_wait: self.settings.restore_wait,
            adopt_checkpoints: self.settings.adopt_checkpoints,
        };
        let mut new_partitions = Vec::new();
        for state in self.partitions.values_mut() {
            let PartitionState::Restoring(restore) = state else { continue };
            match restore.step(context, &mut *self.consumer, now) {
                Ok(None) => {}
                Ok(Some(RestoreOutcome::New(partition))) => new_partitions.push(partition),
                Ok(Some(RestoreOutcome::Restored(partition))) => {
                    self.conditions.gone(partition.number);
                    *state = PartitionState::activate(
                        &mut *self.consumer,
                        partition,
                        self.metrics,
                        TickSchedule::heard(now, self.settings.tick_interval),
                    )?;
                }
                // The other partitions go on.
                Err(error) => match error.stopped_partition() {
                    Some(partition) => {
                        self.conditions.stopped(partition, &error);
                        self.metrics.stopped(partition, true);
                        *state = PartitionState::Stopped;
                    }
                    None => return Err(error),
                },
            }
        }
        if new_partitions.is_empty() {
            return Ok(());
        }
        let (mut rows, mut positions) = (Vec::new(), Vec::new());
        for partition in &new_partitions {
            rows.push(first_row(partition, self.topics, &mut self.arena));
            positions.push(position(partition.number, partition.checkpoint.next_offset));
        }
        match self.consumer.commit_transaction(rows, &positions) {
            Ok(()) => {
                for partition in new_partitions {
                    let number = partition.number;
                    self.conditions.gone(number);
                    let active = PartitionState::activate(
                        &mut *self.consumer,
                        partition,
                        self.metrics,
                        TickSchedule::heard(now, self.settings.tick_interval),
                    )?;
                    self.partitions.insert(number, active);
                }
                Ok(())
            }
            Err(LogError::Aborted { cause }) => {
                self.aborted(&positions, now, &LogError::Aborted { cause })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn fold(&mut self, entries: &[ConsumerRecord], now: Instant) -> Result<(), AggregateError> {
        let mut size = self.buffered_size();
        let heard = TickSchedule::heard(now, self.settings.tick_interval);
        for entry in entries {
            if self.sweep_before(entry.partition, now)? {
                size = self.buffered_size();
            }
            // A partition that is being restored, as after an abort, reads these records again later.
            let Some(PartitionState::Active { partition, ticks, .. }) =
                self.partitions.get_mut(&entry.partition)
            else {
                continue;
            };
            *ticks = heard;
            let quarantine = QuarantineLookup { log: self.log, topics: self.topics };
            let output = OutputContext { topics: self.topics, arena: &mut self.arena };
            let mut fold_context = FoldContext { decoder: &mut self.decoder, quarantine, output };
            let before = partition.buffer.size;
            let anomalies = match partition.fold(entry, &mut fold_context) {
                Ok(anomalies) => anomalies,
                Err(FoldStop::Log(error)) => return Err(error.into()),
                Err(FoldStop::NewerType(name)) => {
                    self.wait_for_upgrade(entry, &name, now)?;
                    size = self.buffered_size();
                    continue;
                }
            };
            self.metrics.anomalies(anomalies.jumps, anomalies.resets);
            size.records += partition.buffer.size.records - before.records;
            size.bytes += partition.buffer.size.bytes - before.bytes;
            let full = partition.buffer.windows.is_full();
            if full || self.is_due(size) {
                self.flush(now)?;
                size = self.buffered_size();
            }
        }
        Ok(())
    }

    /// Commits what comes before a record of a later version, and stops its partition there.
    fn wait_for_upgrade(
        &mut self,
        entry: &ConsumerRecord,
        name: &str,
        now: Instant,
    ) -> Result<(), AggregateError> {
        self.flush(now)?;
        // After an abort the partition is restored, and meets the record again.
        if let Some(state @ PartitionState::Active { .. }) =
            self.partitions.get_mut(&entry.partition)
        {
            *state = PartitionState::Stopped;
            self.conditions.newer_type(entry.partition, entry.offset, name);
            self.metrics.stopped(entry.partition, true);
        }
        Ok(())
    }

    fn is_due(&self, size: FlushSize) -> bool {
        size.records >= self.settings.flush_records || size.bytes >= self.settings.flush_bytes()
    }

    fn buffered_size(&self) -> FlushSize {
        let mut sum = FlushSize::default();
        for state in self.partitions.values() {
            if let PartitionState::Active { partition, .. } = state {
                sum.records += partition.buffer.size.records;
                sum.bytes += partition.buffer.size.bytes;
            }
        }
        sum
    }

    fn committed(&mut self, positions: &[Position], began: Instant, now: Instant) {
        self.aborts = 0;
        self.metrics.flushed(self.rows, began.elapsed());
        let limit = self.sweep_limit();
        for position in positions {
            if let Some(PartitionState::Active { partition, flushed, .. }) =
                self.partitions.get_mut(&position.partition)
            {
                if let Some(last) = &partition.buffer.unreadable {
                    let records = partition.checkpoint.totals.unreadable - flushed.unreadable;
                    self.conditions.unreadable(position.partition, records, last, now);
                }
                partition.written(self.topics, &mut self.arena, limit);
                self.metrics.committed(flushed, &partition.checkpoint.totals);
                *flushed = partition.checkpoint.totals;
            }
        }
    }

    /// Drops the partitions of an aborted transaction and restores them.
    fn aborted(
        &mut self,
        positions: &[Position],
        now: Instant,
        error: &LogError,
    ) -> Result<(), AggregateError> {
        self.aborts += 1;
        self.metrics.aborted();
        let (code, partitions) = (code_of(error), positions.len());
        tracing::warn!(code, %error, partitions, "flush aborted, restoring");
        for position in positions {
            let number = position.partition;
            self.partitions.insert(number, PartitionState::Restoring(Restore::new(number, now)));
        }
        if self.aborts >= MAX_ABORTS {
            return Err(AggregateError::KeepsAborting { times: self.aborts, cause: error.clone() });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let partitions: Vec<_> = self.partitions.keys().collect();
        formatter.debug_struct("Engine").field("partitions", &partitions).finish_non_exhaustive()
    }
}

/// Bytes of a row's key and value.
fn bytes_of(row: &ProducerRecord) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, Bytes::len)
}

fn first_row(partition: &Partition, topics: &Topics, arena: &mut RecordArena) -> ProducerRecord {
    let key = state::checkpoint_key(partition.checkpoint.flush);
    partition.row(&topics.state, key, Some(arena.json(&partition.checkpoint)))
}

fn position(partition: tillrace_log::Partition, offset: Offset) -> Position {
    Position { partition, committed: Committed { offset, metadata: String::new() } }
}
