//! What the engine does for partitions besides folding: sweeps, ticks, gauges.

use std::time::{Duration, Instant, SystemTime};

use super::super::AggregateError;
use super::super::flush_buffer::FlushSize;
use super::partition_state::PartitionState;
use super::{Engine, SWEEP_SHARE};

impl Engine<'_> {
    /// Sweeps a partition before its next record is folded, where that would be too late; returns whether it did.
    pub(super) fn sweep_before(
        &mut self,
        partition: tillrace_log::Partition,
        now: Instant,
    ) -> Result<bool, AggregateError> {
        let mut has_swept = false;
        while let Some(PartitionState::Active { partition: active, .. }) =
            self.partitions.get(&partition)
            && (active.is_long_unswept() || has_swept && active.is_sweeping())
        {
            self.flush(now)?;
            has_swept = true;
        }
        Ok(has_swept)
    }

    /// Goes on with the sweeps of partitions that have nothing to flush.
    pub(super) fn go_on_sweeping(&mut self) {
        let limit = self.sweep_limit();
        for state in self.partitions.values_mut() {
            if let PartitionState::Active { partition, .. } = state
                && partition.is_sweeping()
                && !partition.is_dirty()
            {
                partition.sweep(self.topics, &mut self.arena, limit);
            }
        }
    }

    /// Writes a tick, for the next flush, to each partition that needs one.
    pub(super) fn tick_quiet_partitions(&mut self, now: Instant) {
        let (wall_ms, interval) = ((self.wall_ms)(), self.settings.tick_interval);
        for state in self.partitions.values_mut() {
            if let PartitionState::Active { partition, ticks, .. } = state
                && !partition.is_dirty()
            {
                ticks.tick(partition, (now, wall_ms), interval, self.topics, &mut self.arena);
            }
        }
    }

    /// What sweeps may write at once: those of all partitions together fill a small part of the next flush.
    pub(super) fn sweep_limit(&self) -> FlushSize {
        let bytes = self.settings.flush_bytes() / SWEEP_SHARE / self.partitions.len().max(1);
        FlushSize { records: self.settings.flush_records, bytes }
    }

    /// Sets the gauges. Skips partitions whose bounds the log does not give: the data are not at risk.
    pub(in crate::aggregate) fn update_lag_gauges(&self) {
        let now_ms = u128::from((self.wall_ms)().unsigned_abs());
        for (&number, state) in &self.partitions {
            let PartitionState::Active { partition, .. } = state else { continue };
            self.metrics.lacking(number, partition.completeness);
            let Ok(bounds) = self.log.bounds(&self.topics.events, number) else { continue };
            let checkpoint = &partition.checkpoint;
            let records = bounds.stable_end.saturating_sub(checkpoint.next_offset);
            // The commit marker of a tick.
            let is_marker = records == 1 && partition.ends_with_tick;
            let records = if is_marker { 0 } else { records };
            let clock_ms = u128::from(checkpoint.clock_ms.unsigned_abs());
            let age_ms =
                if records > 0 && clock_ms > 0 { now_ms.saturating_sub(clock_ms) } else { 0 };
            let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(u64::MAX));
            self.metrics.lagging(number, records, age);
        }
    }
}

/// Reads the wall clock.
pub(super) fn wall_ms() -> i64 {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
