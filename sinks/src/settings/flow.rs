//! How records flow to one backend: batches, pace, retries, and what may be in hand.

use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_log::setting::{DurationText, Inspection, SizeText};
use tillrace_log::{Offset, Partition};

/// Longest duration that a setting may have: what lies beyond is a slip, and must not overflow a clock.
pub(crate) const LONGEST_SETTING: Duration = Duration::from_hours(24);
/// No batch setting may ask for more records than this.
const MOST_BATCH_RECORDS: usize = 1_000_000;

/// How records flow to one backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flow {
    /// Bounds of one call, or of one file; the connector's own where absent.
    pub batch: Option<Batch>,
    /// Calls under way at once.
    pub concurrency: usize,
    /// Pace of calls; as fast as the backend answers where absent.
    pub rate: Option<Rate>,
    /// Waits between attempts, and their number.
    pub retry: Retry,
    /// How long a key may be stuck, while others pass, before what it has in hand is put into
    /// the dead letters; 10 minutes where absent. Files have no keys and take no such setting.
    #[serde(with = "humantime_serde::option")]
    #[schemars(with = "Option<DurationText>")]
    pub park_after: Option<Duration>,
    /// When to leave the backend alone.
    pub breaker: BreakerSettings,
    /// What may be read and not yet settled.
    pub in_hand: InHand,
    /// Records that go to the dead letters untried: the way past one that halts its partition.
    pub set_aside: Vec<RecordPlace>,
    /// How often offsets are committed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub commit_every: Duration,
    /// How long a stop waits for what is in hand.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub drain_within: Duration,
}

/// Bounds of one call, or of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Most records.
    pub max_records: usize,
    /// Bytes of records past which no further one is added.
    #[schemars(with = "SizeText")]
    pub max_bytes: ByteSize,
    /// How long the first record waits for company.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub linger: Duration,
}

/// Pace of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second, in the long run.
    pub calls_per_second: u32,
    /// Calls that may go at once after a rest.
    pub burst_calls: u32,
}

/// Waits between attempts, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Wait after the first failure; it doubles with each further one, with jitter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub initial: Duration,
    /// Longest wait.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub longest: Duration,
    /// Failures of one record, while the backend serves others, before it goes to the dead
    /// letters; 12 where absent. Files have no keys and take no such setting.
    pub attempts: Option<u32>,
}

/// When to leave a backend alone.
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

/// What may be read and not yet settled, over all partitions of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InHand {
    /// Most records.
    pub max_records: usize,
    /// Most bytes of records.
    #[schemars(with = "SizeText")]
    pub max_bytes: ByteSize,
}

/// The place of a record on the topic that a sink reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    /// Partition.
    pub partition: Partition,
    /// Offset in the partition.
    pub offset: Offset,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            batch: None,
            concurrency: 8,
            rate: None,
            retry: Retry::default(),
            park_after: None,
            breaker: BreakerSettings::default(),
            in_hand: InHand::default(),
            set_aside: Vec::new(),
            commit_every: Duration::from_millis(500),
            drain_within: Duration::from_secs(20),
        }
    }
}

impl Default for Retry {
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

impl Default for InHand {
    fn default() -> Self {
        Self { max_records: 100_000, max_bytes: ByteSize::mib(128) }
    }
}

impl Retry {
    const DEFAULT_ATTEMPTS: u32 = 12;

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(Self::DEFAULT_ATTEMPTS)
    }
}

impl Flow {
    const DEFAULT_PARK_AFTER: Duration = Duration::from_mins(10);

    pub(crate) fn park_after(&self) -> Duration {
        self.park_after.unwrap_or(Self::DEFAULT_PARK_AFTER)
    }
}

impl Flow {
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
            let Retry { initial, longest, attempts } = self.retry;
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
        found.within("in_hand", |found| {
            found.range("max_records", self.in_hand.max_records, 1..);
            found.range("max_bytes", self.in_hand.max_bytes, byte..);
        });
        found.range("commit_every", self.commit_every, moment..=LONGEST_SETTING);
        found.range("drain_within", self.drain_within, ..=LONGEST_SETTING);
    }

    /// Files have no keys, and a file is tried until it stands.
    pub(super) fn inspect_for_files(&self, found: &mut Inspection) {
        let remedy = "remove it";
        found.require(
            self.park_after.is_none(),
            "park_after",
            "parks keys; files have none",
            remedy,
        );
        found.within("retry", |found| {
            let fault = "cannot hold for a file, which is tried until it stands";
            found.require(self.retry.attempts.is_none(), "attempts", fault, remedy);
        });
    }
}
