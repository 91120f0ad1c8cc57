//! Flow of records to one backend: batches, rate limit, retries, circuit breaker, and records in flight.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_log::setting::{DurationText, Inspection, SizeText};
use tillrace_log::{Offset, Partition};

use crate::start::Start;

/// Longest duration that a setting may have. A longer one is a mistake, and might overflow a clock.
pub(crate) const LONGEST_SETTING: Duration = Duration::from_hours(24);
/// No batch setting may ask for more records than this.
const MOST_BATCH_RECORDS: usize = 1_000_000;

/// Batches, limits and retries of one sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowSettings {
    /// Where the sink begins if it has never committed: `earliest`, `now`, or an instant (RFC 3339).
    pub start: Start,
    /// Limits of one call, or of one file; the connector's own where absent.
    pub batch: Option<BatchSettings>,
    /// Calls under way at once.
    pub concurrency: usize,
    /// Rate limit of calls; as fast as the backend answers where absent.
    pub rate: Option<CallRateSettings>,
    /// Waits between attempts, and their number.
    pub retry: RetrySettings,
    /// How long a key may fail, while others pass, before its records in flight are put into the
    /// dead letters; 10 minutes where absent. Files have no keys and no such setting.
    #[serde(with = "humantime_serde::option")]
    #[schemars(with = "Option<DurationText>")]
    pub park_after: Option<Duration>,
    /// Circuit breaker of calls.
    pub breaker: BreakerSettings,
    /// Limits of records read and not yet settled.
    pub in_flight: InFlightSettings,
    /// Records that go to the dead letters untried, such as one that halts its partition.
    pub set_aside: Vec<RecordPosition>,
    /// How often offsets are committed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub commit_every: Duration,
    /// How long a stop waits for the records in flight.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub drain_within: Duration,
}

/// Limits of one call, or of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSettings {
    /// Most records.
    pub max_records: usize,
    /// Bytes of records past which no further one is added.
    #[schemars(with = "SizeText")]
    pub max_bytes: ByteSize,
    /// How long the first record waits for more.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub linger: Duration,
}

/// Rate limit of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallRateSettings {
    /// Calls a second, in the long run.
    pub calls_per_second: u32,
    /// Calls that may start at once after a pause.
    pub burst_calls: u32,
}

/// Waits between attempts, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySettings {
    /// Wait after the first failure; it doubles with each further one, with jitter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub initial: Duration,
    /// Longest wait.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub longest: Duration,
    /// Failures of one record, while the backend serves others, before it goes to the dead
    /// letters; 12 where absent. Files have no keys and no such setting.
    pub attempts: Option<u32>,
}

/// Circuit breaker of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Failed calls in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call probes.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub open_for: Duration,
}

/// Limits of records read and not yet settled, over all partitions of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InFlightSettings {
    /// Most records.
    pub max_records: usize,
    /// Most bytes of records.
    #[schemars(with = "SizeText")]
    pub max_bytes: ByteSize,
}

/// Position of a record on the topic that a sink reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RecordPosition {
    /// Partition.
    pub partition: Partition,
    /// Offset in the partition.
    pub offset: Offset,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            start: Start::default(),
            batch: None,
            concurrency: 8,
            rate: None,
            retry: RetrySettings::default(),
            park_after: None,
            breaker: BreakerSettings::default(),
            in_flight: InFlightSettings::default(),
            set_aside: Vec::new(),
            commit_every: Duration::from_millis(500),
            drain_within: Duration::from_secs(20),
        }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            attempts: None,
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 8, open_for: Duration::from_secs(10) }
    }
}

impl Default for InFlightSettings {
    fn default() -> Self {
        Self { max_records: 100_000, max_bytes: ByteSize::mib(128) }
    }
}

impl RetrySettings {
    const DEFAULT_ATTEMPTS: u32 = 12;

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(Self::DEFAULT_ATTEMPTS)
    }
}

impl FlowSettings {
    const DEFAULT_PARK_AFTER: Duration = Duration::from_mins(10);

    pub(crate) fn park_after(&self) -> Duration {
        self.park_after.unwrap_or(Self::DEFAULT_PARK_AFTER)
    }
}

impl FlowSettings {
    pub(super) fn inspect(&self, found: &mut Inspection) {
        let (moment, byte) = (Duration::from_millis(1), ByteSize::b(1));
        found.within("batch", |found| {
            let records = self.batch.map(|batch| batch.max_records);
            found.range_of("max_records", records, 1..=MOST_BATCH_RECORDS);
            found.range_of("max_bytes", self.batch.map(|batch| batch.max_bytes), byte..);
            found.range_of("linger", self.batch.map(|batch| batch.linger), ..=LONGEST_SETTING);
        });
        found.range("concurrency", self.concurrency, 1..);
        found.within("rate", |found| {
            let rate = self.rate;
            found.range_of("calls_per_second", rate.map(|rate| rate.calls_per_second), 1..);
            found.range_of("burst_calls", rate.map(|rate| rate.burst_calls), 1..);
        });
        found.within("retry", |found| {
            let RetrySettings { initial, longest, attempts } = self.retry;
            found.range("initial", initial, moment..=LONGEST_SETTING);
            found.range("longest", longest, moment..=LONGEST_SETTING);
            let remedy = "set it at most to `longest`";
            found.require(initial <= longest, "initial", "is above `longest`", remedy);
            found.range_of("attempts", attempts, 1..);
        });
        found.range_of("park_after", self.park_after, moment..=LONGEST_SETTING);
        found.within("breaker", |found| {
            found.range("failures", self.breaker.failures, 1..);
            found.range("open_for", self.breaker.open_for, ..=LONGEST_SETTING);
        });
        found.within("in_flight", |found| {
            found.range("max_records", self.in_flight.max_records, 1..);
            found.range("max_bytes", self.in_flight.max_bytes, byte..);
        });
        found.range("commit_every", self.commit_every, moment..=LONGEST_SETTING);
        found.range("drain_within", self.drain_within, ..=LONGEST_SETTING);
    }

    /// Reports settings that files cannot have: they have no keys, and a file is retried until it is published.
    pub(super) fn inspect_for_files(&self, found: &mut Inspection) {
        let remedy = "remove it";
        found.require(
            self.park_after.is_none(),
            "park_after",
            "parks keys; files have none",
            remedy,
        );
        found.within("retry", |found| {
            let fault = "cannot hold for a file, which is retried until it is published";
            found.require(self.retry.attempts.is_none(), "attempts", fault, remedy);
        });
    }
}
