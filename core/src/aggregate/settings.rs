//! The settings of the aggregator, and their defaults.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::{DurationText, Inspection, SettingErrors, SizeText};
use tillrace_log::{FrameLimits, RECORD_LIMIT_BYTES};

use crate::record_size::LEAST_FRAME_BYTES;

const DAY: Duration = Duration::from_hours(24);
const LONGEST_HORIZON: Duration = Duration::from_hours(35 * 24);

/// Time by which a terminal's clock may be ahead of the append.
pub(super) const AHEAD_MS: i64 = 2 * 86_400_000;

/// Bounds of a flush, horizons, and caps on what one store may have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AggregateSettings {
    /// Longest time between two flushes while there is something to write.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub flush_interval: Duration,
    /// Output records at which a flush is due.
    pub flush_records: usize,
    /// Bytes of output at which a flush is due; on the local log at most half of `log.local.frame_bytes`.
    #[schemars(with = "SizeText")]
    pub flush_bytes: ByteSize,
    /// Length of the windows of inventory deltas, whole seconds.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub window: Duration,
    /// How long contents can be told apart after a number was first seen, by append time.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub conflict_horizon: Duration,
    /// Oldest event without a sequence number that is still accepted by its id.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub event_id_horizon: Duration,
    /// Terminals, counted with their epochs, that one store may have.
    pub terminals_per_store: usize,
    /// Event ids without a sequence number that one store may have within the horizon.
    pub event_ids_per_store: usize,
    /// Unsettled parked events that one store may have; past that they are quarantined.
    pub parked_per_store: usize,
    /// Age of a partition's newest record at which the aggregator writes a tick to it, so that silent stores are seen and days end.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub tick_interval: Duration,
    /// How long a new owner waits for open transactions of the last one to end.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub restore_wait: Duration,
    /// How long a stop waits for the last flush. One that hangs is left behind: the process ends with an error, nothing is lost, and
    /// whoever is next folds anew what was not committed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub drain_within: Duration,
    /// Take a lost group offset from the checkpoint. For one run, by an operator's command.
    #[serde(skip)]
    pub adopt_checkpoints: bool,
}

impl Default for AggregateSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(5),
            flush_records: 50_000,
            flush_bytes: ByteSize::mib(32),
            window: Duration::from_mins(1),
            conflict_horizon: Duration::from_hours(3 * 24),
            event_id_horizon: Duration::from_hours(3 * 24),
            terminals_per_store: 20_000,
            event_ids_per_store: 200_000,
            parked_per_store: 100_000,
            tick_interval: Duration::from_hours(1),
            restore_wait: Duration::from_mins(2),
            drain_within: Duration::from_secs(10),
            adopt_checkpoints: false,
        }
    }
}

impl AggregateSettings {
    /// Checks each value and that they fit each other.
    ///
    /// # Errors
    /// Names every key that is wrong, and the remedy.
    pub fn validate(&self) -> Result<(), SettingErrors> {
        Inspection::of("aggregate", |found| self.inspect(found))
    }

    /// Notes invalid values.
    pub fn inspect(&self, found: &mut Inspection) {
        let (moment, minute) = (Duration::from_millis(1), Duration::from_mins(1));
        found.range("flush_interval", self.flush_interval, moment..=minute);
        found.range("flush_records", self.flush_records, 1..);
        // The largest event must fit.
        found.range("flush_bytes", self.flush_bytes, ByteSize::mib(1)..);
        found.range("window", self.window, Duration::from_secs(1)..=DAY);
        found.require(
            self.window.subsec_nanos() == 0
                && DAY.as_secs().is_multiple_of(self.window.as_secs().max(1)),
            "window",
            "does not divide a day",
            "set it to whole seconds that divide a day, such as 1m or 5m",
        );
        found.range("conflict_horizon", self.conflict_horizon, minute..=LONGEST_HORIZON);
        found.range("event_id_horizon", self.event_id_horizon, minute..=LONGEST_HORIZON);
        found.range("terminals_per_store", self.terminals_per_store, 1..);
        found.range("event_ids_per_store", self.event_ids_per_store, 1..);
        found.range("parked_per_store", self.parked_per_store, 1..);
        found.range("tick_interval", self.tick_interval, Duration::from_secs(1)..=DAY);
        // A dead owner's transaction times out after 15 seconds.
        found.range("restore_wait", self.restore_wait, Duration::from_secs(20)..);
        found.range("drain_within", self.drain_within, moment..=DAY);
    }

    /// Notes a log of frames whose records or frames are too small for what the aggregator may have to write at once.
    pub fn inspect_frames(limits: FrameLimits, found: &mut Inspection) {
        found.require(
            limits.record_bytes.as_u64() >= RECORD_LIMIT_BYTES as u64,
            "record_bytes",
            "does not fit the largest record of the aggregator",
            "set it at least to 1MiB",
        );
        found.require(
            limits.frame_bytes.as_u64() >= LEAST_FRAME_BYTES as u64,
            "frame_bytes",
            "does not fit a flush of the aggregator twice",
            "set it at least to 16MiB",
        );
    }

    /// Lowers `flush_bytes` to half of the largest frame that the log takes.
    ///
    /// # Errors
    /// When its records or frames are too small for what the aggregator may have to write at once.
    pub fn within(mut self, limits: FrameLimits) -> Result<Self, SettingErrors> {
        Inspection::of("log.local", |found| Self::inspect_frames(limits, found))?;
        self.flush_bytes = self.flush_bytes.min(ByteSize::b(limits.frame_bytes.as_u64() / 2));
        Ok(self)
    }

    /// The settings that folding needs.
    pub(super) fn rules(&self) -> FoldRules {
        FoldRules {
            window_seconds: u32::try_from(self.window.as_secs()).unwrap_or(u32::MAX),
            conflict_horizon_ms: millis(self.conflict_horizon),
            event_id_horizon_ms: millis(self.event_id_horizon),
            terminals_per_store: self.terminals_per_store,
            event_ids_per_store: self.event_ids_per_store,
            parked_per_store: self.parked_per_store,
        }
    }

    pub(super) fn flush_bytes(&self) -> usize {
        usize::try_from(self.flush_bytes.as_u64()).unwrap_or(usize::MAX)
    }
}

/// The settings that verdicts and deltas depend on, in the units of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoldRules {
    pub(super) window_seconds: u32,
    pub(super) conflict_horizon_ms: i64,
    pub(super) event_id_horizon_ms: i64,
    pub(super) terminals_per_store: usize,
    pub(super) event_ids_per_store: usize,
    pub(super) parked_per_store: usize,
}

impl FoldRules {
    /// How long an event id is kept: its horizon, and as far as a terminal's clock may be ahead.
    pub(super) fn event_ids_kept_ms(&self) -> i64 {
        self.event_id_horizon_ms.saturating_add(AHEAD_MS)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut AggregateSettings)) -> String {
        let mut settings = AggregateSettings::default();
        change(&mut settings);
        let errors = settings.validate().unwrap_err();
        errors.all()[0].path.strip_prefix("aggregate.").unwrap().to_owned()
    }

    #[test]
    fn the_defaults_hold_and_what_cannot_be_is_named() {
        assert_eq!(AggregateSettings::default().validate(), Ok(()));
        assert_eq!(wrong(|s| s.flush_interval = Duration::ZERO), "flush_interval");
        assert_eq!(wrong(|s| s.flush_records = 0), "flush_records");
        assert_eq!(wrong(|s| s.flush_bytes = ByteSize::kib(1)), "flush_bytes");
        assert_eq!(wrong(|s| s.window = Duration::from_secs(7)), "window");
        assert_eq!(wrong(|s| s.window = Duration::from_millis(1_500)), "window");
        assert_eq!(wrong(|s| s.conflict_horizon = Duration::ZERO), "conflict_horizon");
        assert_eq!(wrong(|s| s.event_id_horizon = Duration::MAX), "event_id_horizon");
        assert_eq!(wrong(|s| s.terminals_per_store = 0), "terminals_per_store");
        assert_eq!(wrong(|s| s.event_ids_per_store = 0), "event_ids_per_store");
        assert_eq!(wrong(|s| s.parked_per_store = 0), "parked_per_store");
        assert_eq!(wrong(|s| s.tick_interval = Duration::ZERO), "tick_interval");
        assert_eq!(wrong(|s| s.restore_wait = Duration::from_secs(1)), "restore_wait");
    }

    #[test]
    fn a_flush_fits_half_a_frame() {
        let within = |frame, record| {
            let (frame_bytes, record_bytes) = (ByteSize::mib(frame), ByteSize::kib(record));
            AggregateSettings::default().within(FrameLimits { frame_bytes, record_bytes })
        };
        assert_eq!(within(32, 1_024).unwrap().flush_bytes(), 16 << 20);
        assert_eq!(within(16, 1_024).unwrap().flush_bytes(), 8 << 20);
        let paths = |frame, record| {
            let errors = within(frame, record).unwrap_err();
            errors.all().iter().map(|error| error.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(paths(15, 1_024), ["log.local.frame_bytes"]);
        assert_eq!(paths(32, 1_023), ["log.local.record_bytes"]);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<AggregateSettings>(r#"{"flush_recrods": 1}"#).is_err());
        let settings: AggregateSettings =
            serde_json::from_str(r#"{"window": "5m", "flush_bytes": "8 MiB"}"#).unwrap();
        assert_eq!((settings.window.as_secs(), settings.flush_bytes()), (300, 8 << 20));
    }
}
