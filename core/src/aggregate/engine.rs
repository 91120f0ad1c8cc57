//! The member of the group at work: polls, folds, flushes, takes partitions over and gives them up.
//!
//! One thread, one transaction at a time, over all partitions held. A partition is in memory only
//! while it is this member's and everything folded into it is either committed or still to be
//! committed; after an abort, or when it is taken away, it is dropped and read back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::AggregateError;
use super::archive::Archive;
use super::conditions::Conditions;
use super::fold::{Desk, Workbench};
use super::metrics::AggregateMetrics;
use super::outputs::Weight;
use super::paper::Paper;
use super::partition::Partition;
use super::restore::{Ground, Taken, Takeover};
use super::settings::AggregateSettings;
use super::state;
use super::verdict::Totals;
use crate::decode::Decoder;
use crate::health::Health;
use crate::log::{
    self, Committed, Entry, Log, LogError, Offset, Polled, Position, Row, TransactionalConsumer,
};
use crate::record_size::RECORD_LIMIT_BYTES;
use crate::topics::Topics;

/// Records asked for at once.
const POLL_RECORDS: usize = 1_000;
/// Longest wait in a poll, so that a stop is heard of.
const POLL_WAIT: Duration = Duration::from_millis(100);
const TAKEOVER_WAIT: Duration = Duration::from_millis(20);
/// Aborts in a row after which the member gives up.
const MOST_ABORTS: u32 = 20;
/// The part of a flush that sweeps may fill, as a divisor.
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
    paper: Paper,
    held: BTreeMap<log::Partition, Held>,
    last_flush: Instant,
    aborts: u32,
    /// Records of the last flush: the next one will have about as many.
    rows: usize,
    /// Bytes of a record past which the log would refuse the whole flush.
    pub(super) record_limit: usize,
}

/// How far a partition of this member has come.
enum Held {
    Coming(Takeover),
    Here {
        partition: Box<Partition>,
        flushed: Totals,
    },
    /// It stands still, which is told as a condition, until it comes back to this member or another.
    Stopped,
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
            paper: Paper::default(),
            held: BTreeMap::new(),
            last_flush: now,
            aborts: 0,
            rows: 0,
            record_limit: RECORD_LIMIT_BYTES,
        })
    }

    /// Waits for the next thing that happens and deals with it; flushes when that is due.
    ///
    /// # Errors
    /// Whatever means that this member must stop.
    pub(super) fn step(&mut self, now: Instant) -> Result<(), AggregateError> {
        self.take_over(now)?;
        let due_in =
            (self.last_flush + self.settings.flush_interval).saturating_duration_since(now);
        let coming = self.held.values().any(|held| matches!(held, Held::Coming(_)));
        let wait = if coming { TAKEOVER_WAIT } else { POLL_WAIT.min(due_in) };
        match self.consumer.poll(POLL_RECORDS, wait)? {
            Polled::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                let coming = |number| (number, Held::Coming(Takeover::new(number, now)));
                self.held.extend(partitions.into_iter().map(coming));
            }
            Polled::Revoked(partitions) => {
                tracing::info!(?partitions, "partitions revoked");
                for partition in partitions {
                    self.held.remove(&partition);
                    self.metrics.gone(partition);
                    self.conditions.gone(partition);
                }
            }
            Polled::Records(entries) => self.fold(&entries, now)?,
            Polled::Idle => {}
        }
        if now.saturating_duration_since(self.last_flush) >= self.settings.flush_interval {
            self.flush(now)?;
            self.look_at_lag();
            self.conditions.grow_old(now);
        }
        Ok(())
    }

    /// Commits what was folded so far.
    ///
    /// # Errors
    /// When the log fails otherwise than by an abort, or keeps aborting.
    pub(super) fn flush(&mut self, now: Instant) -> Result<(), AggregateError> {
        self.last_flush = now;
        let began = Instant::now();
        let mut rows = Vec::with_capacity(self.rows);
        let mut positions = Vec::new();
        for (&number, held) in &mut self.held {
            if let Held::Here { partition, .. } = held
                && partition.is_dirty()
            {
                let before = rows.len();
                partition.write(self.topics, &mut self.paper, &mut rows);
                let too_long = |row: &&Row| bytes_of(row) > self.record_limit;
                if let Some(row) = rows[before..].iter().find(too_long) {
                    self.conditions.unwritable(number, row);
                    self.metrics.stopped(number, true);
                    rows.truncate(before);
                    *held = Held::Stopped;
                    continue;
                }
                positions.push(position(number, partition.checkpoint.next_offset));
            }
        }
        if !positions.is_empty() {
            self.rows = rows.len();
            match self.consumer.commit_with(rows, &positions) {
                Ok(()) => self.committed(&positions, began, now),
                Err(LogError::Aborted { cause }) => {
                    self.aborted(&positions, now, &LogError::Aborted { cause })?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Tells whether everything polled so far is committed and nothing is on its way.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.held.values().all(|held| match held {
            Held::Here { partition, .. } => !partition.is_dirty(),
            Held::Stopped => true,
            Held::Coming(_) => false,
        })
    }

    /// Where a partition is read on, if it is here.
    #[cfg(test)]
    pub(super) fn next_offset(&self, partition: log::Partition) -> Option<Offset> {
        match self.held.get(&partition)? {
            Held::Here { partition, .. } => Some(partition.checkpoint.next_offset),
            Held::Coming(_) | Held::Stopped => None,
        }
    }

    fn take_over(&mut self, now: Instant) -> Result<(), AggregateError> {
        let ground = Ground {
            log: self.log,
            topics: self.topics,
            rules: self.settings.rules(),
            restore_wait: self.settings.restore_wait,
            adopt_checkpoints: self.settings.adopt_checkpoints,
        };
        let mut fresh = Vec::new();
        for held in self.held.values_mut() {
            let Held::Coming(takeover) = held else { continue };
            match takeover.step(ground, &mut *self.consumer, now) {
                Ok(None) => {}
                Ok(Some(Taken::Fresh(partition))) => fresh.push(partition),
                Ok(Some(Taken::Restored(partition))) => {
                    self.conditions.gone(partition.number);
                    *held = begin(&mut *self.consumer, partition, self.metrics)?;
                }
                // The others have nothing to do with it.
                Err(error) => match error.stopped_partition() {
                    Some(partition) => {
                        self.conditions.stopped(partition, &error);
                        self.metrics.stopped(partition, true);
                        *held = Held::Stopped;
                    }
                    None => return Err(error),
                },
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let (mut rows, mut positions) = (Vec::new(), Vec::new());
        for partition in &fresh {
            rows.push(first_row(partition, self.topics, &mut self.paper));
            positions.push(position(partition.number, partition.checkpoint.next_offset));
        }
        match self.consumer.commit_with(rows, &positions) {
            Ok(()) => {
                for partition in fresh {
                    let number = partition.number;
                    self.conditions.gone(number);
                    let here = begin(&mut *self.consumer, partition, self.metrics)?;
                    self.held.insert(number, here);
                }
                Ok(())
            }
            Err(LogError::Aborted { cause }) => {
                self.aborted(&positions, now, &LogError::Aborted { cause })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn fold(&mut self, entries: &[Entry], now: Instant) -> Result<(), AggregateError> {
        let mut weight = self.weight();
        for entry in entries {
            // A partition on its way, after an abort for one, will be read from its place again.
            let Some(Held::Here { partition, .. }) = self.held.get_mut(&entry.partition) else {
                continue;
            };
            let archive = Archive { log: self.log, topics: self.topics };
            let desk = Desk { topics: self.topics, paper: &mut self.paper };
            let mut bench = Workbench { decoder: &mut self.decoder, archive, desk };
            let before = partition.outputs.weight;
            let noticed = partition.fold(entry, &mut bench)?;
            self.metrics.noticed(noticed.jumps, noticed.resets);
            weight.records += partition.outputs.weight.records - before.records;
            weight.bytes += partition.outputs.weight.bytes - before.bytes;
            let full = partition.outputs.windows.is_full();
            if full || self.is_due(weight) {
                self.flush(now)?;
                weight = self.weight();
            }
        }
        Ok(())
    }

    fn is_due(&self, weight: Weight) -> bool {
        weight.records >= self.settings.flush_records || weight.bytes >= self.settings.flush_bytes()
    }

    fn weight(&self) -> Weight {
        let mut sum = Weight::default();
        for held in self.held.values() {
            if let Held::Here { partition, .. } = held {
                sum.records += partition.outputs.weight.records;
                sum.bytes += partition.outputs.weight.bytes;
            }
        }
        sum
    }

    fn committed(&mut self, positions: &[Position], began: Instant, now: Instant) {
        self.aborts = 0;
        self.metrics.flushed(self.rows, began.elapsed());
        // Sweeps of all partitions together fill a small part of the next flush.
        let bytes = self.settings.flush_bytes() / SWEEP_SHARE / self.held.len().max(1);
        let room = Weight { records: self.settings.flush_records, bytes };
        for position in positions {
            if let Some(Held::Here { partition, flushed }) = self.held.get_mut(&position.partition)
            {
                if let Some(last) = &partition.outputs.unreadable {
                    let records = partition.checkpoint.totals.unreadable - flushed.unreadable;
                    self.conditions.unreadable(position.partition, records, last, now);
                }
                partition.written(self.topics, &mut self.paper, room);
                self.metrics.committed(flushed, &partition.checkpoint.totals);
                *flushed = partition.checkpoint.totals;
            }
        }
    }

    /// Nothing of the transaction stands: what it came from is dropped and read back.
    fn aborted(
        &mut self,
        positions: &[Position],
        now: Instant,
        error: &LogError,
    ) -> Result<(), AggregateError> {
        self.aborts += 1;
        self.metrics.aborted();
        tracing::warn!(%error, partitions = positions.len(), "flush aborted, restoring");
        for position in positions {
            let number = position.partition;
            self.held.insert(number, Held::Coming(Takeover::new(number, now)));
        }
        if self.aborts >= MOST_ABORTS {
            return Err(AggregateError::KeepsAborting { times: self.aborts, cause: error.clone() });
        }
        Ok(())
    }

    /// Sets the gauges. A failure here says nothing about the data.
    fn look_at_lag(&self) {
        let now_ms = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis());
        for (&number, held) in &self.held {
            let Held::Here { partition, .. } = held else { continue };
            let Ok(bounds) = self.log.bounds(&self.topics.events, number) else { continue };
            let checkpoint = &partition.checkpoint;
            let records = bounds.stable_end.saturating_sub(checkpoint.next_offset);
            let clock_ms = u128::from(checkpoint.clock_ms.unsigned_abs());
            let age_ms =
                if records > 0 && clock_ms > 0 { now_ms.saturating_sub(clock_ms) } else { 0 };
            let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(u64::MAX));
            self.metrics.lagging(number, records, age);
        }
    }
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<_> = self.held.keys().collect();
        formatter.debug_struct("Engine").field("held", &held).finish_non_exhaustive()
    }
}

fn begin(
    consumer: &mut dyn TransactionalConsumer,
    partition: Box<Partition>,
    metrics: &AggregateMetrics,
) -> Result<Held, AggregateError> {
    consumer.start(partition.number, partition.checkpoint.next_offset)?;
    metrics.stopped(partition.number, false);
    let flushed = partition.checkpoint.totals;
    tracing::info!(
        partition = partition.number,
        next_offset = partition.checkpoint.next_offset,
        flush = partition.checkpoint.flush,
        stores = partition.stores.len(),
        "partition taken over"
    );
    Ok(Held::Here { partition, flushed })
}

/// Key and value of a row.
fn bytes_of(row: &Row) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, Bytes::len)
}

fn first_row(partition: &Partition, topics: &Topics, paper: &mut Paper) -> Row {
    let key = state::checkpoint_key(partition.checkpoint.flush);
    partition.row(&topics.state, key, Some(paper.json(&partition.checkpoint)))
}

fn position(partition: log::Partition, offset: Offset) -> Position {
    Position { partition, committed: Committed { offset, metadata: String::new() } }
}
