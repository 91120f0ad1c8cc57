//! Settings of the delivery role: which sinks there are, and how gently each is treated.
//!
//! What only one connector needs stands with that connector; defaults stand here or there, once.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;
use tillrace_core::log::{Offset, Partition};

use crate::connector::Ordering;
use crate::crm::PointsSettings;
use crate::erp::ErpSettings;
use crate::filter::Filter;
use crate::parquet::ParquetSettings;
use crate::record::Source;
use crate::secret::{Secret, SecretError};

const LONGEST_NAME: usize = 40;
/// Longest duration that a setting may have: what lies beyond is a slip, and must not overflow a clock.
pub(crate) const LONGEST_SETTING: Duration = Duration::from_hours(24);
/// No batch setting may ask for more records than this.
const MOST_BATCH_RECORDS: usize = 1_000_000;

/// One sink: what it is called, where it delivers, what it leaves out, how it flows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    /// Names its consumer group, its dead-letter topic, its audit records and its metrics.
    pub name: String,
    /// The connector and where it delivers to.
    pub to: Target,
    /// What it leaves out, on top of what its connector is not concerned with.
    #[serde(default)]
    pub filter: Filter,
    /// Batches, limits, retries.
    #[serde(default)]
    pub flow: Flow,
}

/// The connectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// Sales documents to an ERP, from `pos.transactions.v1`.
    ErpDocuments(ErpSettings),
    /// Stock movements to an ERP, from `inventory.deltas.v1`.
    ErpStockMovements(ErpSettings),
    /// Loyalty points to a CRM, from `pos.transactions.v1`.
    CrmPoints(PointsSettings),
    /// Parquet files on a local disk or in an S3 bucket, from either topic.
    Parquet(ParquetSettings),
}

/// How records flow to one backend.
#[derive(Debug, Clone, Deserialize)]
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
    pub park_after: Option<Duration>,
    /// When to leave the backend alone.
    pub breaker: BreakerSettings,
    /// What may be read and not yet settled.
    pub in_hand: InHand,
    /// Records that go to the dead letters untried: the way past one that halts its partition.
    pub set_aside: Vec<RecordPlace>,
    /// How often offsets are committed.
    #[serde(with = "humantime_serde")]
    pub commit_every: Duration,
    /// How long a stop waits for what is in hand.
    #[serde(with = "humantime_serde")]
    pub drain_within: Duration,
}

/// Bounds of one call, or of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Most records.
    pub max_records: usize,
    /// Bytes of records past which no further one is added.
    pub max_bytes: ByteSize,
    /// How long the first record waits for company.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
}

/// Pace of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second, in the long run.
    pub calls_per_second: u32,
    /// Calls that may go at once after a rest.
    pub burst_calls: u32,
}

/// Waits between attempts, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Wait after the first failure; it doubles with each further one, with jitter.
    #[serde(with = "humantime_serde")]
    pub initial: Duration,
    /// Longest wait.
    #[serde(with = "humantime_serde")]
    pub longest: Duration,
    /// Failures of one record, while the backend serves others, before it goes to the dead
    /// letters; 12 where absent. Files have no keys and take no such setting.
    pub attempts: Option<u32>,
}

/// When to leave a backend alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Failed calls in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call probes.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
}

/// What may be read and not yet settled, over all partitions of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InHand {
    /// Most records.
    pub max_records: usize,
    /// Most bytes of records.
    pub max_bytes: ByteSize,
}

/// The place of a record on the topic that a sink reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    /// Partition.
    pub partition: Partition,
    /// Offset in the partition.
    pub offset: Offset,
}

/// What is wrong with the settings of a sink.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deliver.sinks[{sink}].{key}: {remedy}")]
pub struct SettingsError {
    /// The sink's name.
    pub sink: String,
    /// The key that is wrong.
    pub key: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
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

impl Target {
    /// Returns the topic it reads.
    pub fn source(&self) -> Source {
        match self {
            Self::ErpDocuments(_) | Self::CrmPoints(_) => Source::Transactions,
            Self::ErpStockMovements(_) => Source::Deltas,
            Self::Parquet(settings) => settings.source,
        }
    }

    pub(crate) fn ordering(&self) -> Ordering {
        match self {
            Self::Parquet(_) => Ordering::Partition,
            _ => Ordering::Key,
        }
    }

    fn secrets(&mut self) -> Vec<&mut Secret> {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                settings.backend.token.iter_mut().collect()
            }
            Self::CrmPoints(settings) => settings.backend.token.iter_mut().collect(),
            Self::Parquet(settings) => settings.secrets(),
        }
    }

    fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                settings.backend.validate()
            }
            Self::CrmPoints(settings) => settings.validate(),
            Self::Parquet(settings) => settings.validate(),
        }
    }
}

impl SinkSettings {
    /// Makes settings with the defaults.
    pub fn new(name: &str, to: Target) -> Self {
        Self { name: name.to_owned(), to, filter: Filter::default(), flow: Flow::default() }
    }

    /// Puts environment variables in place of `env:NAME`.
    ///
    /// # Errors
    /// When a variable is not set.
    pub fn resolve_secrets(
        &mut self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), SecretError> {
        self.to.secrets().into_iter().try_for_each(|secret| secret.resolve(lookup))
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// Names the key that is wrong and the remedy.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.check().map_err(|(key, remedy)| SettingsError { sink: self.name.clone(), key, remedy })
    }

    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.bytes().all(plain) {
            return Err(("name", "use 1 to 40 of a-z, 0-9 and -"));
        }
        self.to.validate()?;
        self.filter.validate(self.to.source())?;
        let flow = &self.flow;
        if self.to.ordering() == Ordering::Partition {
            if flow.park_after.is_some() {
                return Err(("flow.park_after", "remove it: files have no keys to park"));
            }
            if flow.retry.attempts.is_some() {
                return Err(("flow.retry.attempts", "remove it: a file is tried until it stands"));
            }
        }
        flow.check()
    }
}

impl Flow {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        self.check_durations()?;
        let batch_is_sound = self.batch.is_none_or(|batch| {
            (1..=MOST_BATCH_RECORDS).contains(&batch.max_records) && batch.max_bytes.as_u64() > 0
        });
        let rate_is_sound =
            self.rate.is_none_or(|rate| rate.calls_per_second > 0 && rate.burst_calls > 0);
        for (sound, key, remedy) in [
            (batch_is_sound, "flow.batch", "use 1 to 1000000 records and at least 1 byte"),
            (self.concurrency > 0, "flow.concurrency", "use at least 1"),
            (rate_is_sound, "flow.rate", "use at least 1 call a second and a burst of 1"),
            (
                !self.retry.initial.is_zero() && self.retry.initial <= self.retry.longest,
                "flow.retry.initial",
                "use more than zero and at most `longest`",
            ),
            (self.retry.attempts() > 0, "flow.retry.attempts", "use at least 1"),
            (!self.park_after().is_zero(), "flow.park_after", "use more than zero"),
            (self.breaker.failures > 0, "flow.breaker.failures", "use at least 1"),
            (
                self.in_hand.max_records > 0 && self.in_hand.max_bytes.as_u64() > 0,
                "flow.in_hand",
                "use at least 1 record and 1 byte",
            ),
            (!self.commit_every.is_zero(), "flow.commit_every", "use more than zero"),
        ] {
            if !sound {
                return Err((key, remedy));
            }
        }
        Ok(())
    }
}

impl Flow {
    fn check_durations(&self) -> Result<(), (&'static str, &'static str)> {
        for (duration, key) in [
            (self.batch.map_or(Duration::ZERO, |batch| batch.linger), "flow.batch.linger"),
            (self.retry.longest, "flow.retry.longest"),
            (self.park_after(), "flow.park_after"),
            (self.breaker.open_for, "flow.breaker.open_for"),
            (self.commit_every, "flow.commit_every"),
            (self.drain_within, "flow.drain_within"),
        ] {
            if duration > LONGEST_SETTING {
                return Err((key, "use at most one day"));
            }
        }
        Ok(())
    }
}

/// Checks all sinks together.
///
/// # Errors
/// The first thing wrong with one of them, or a name or a place used twice.
pub fn validate(sinks: &[SinkSettings]) -> Result<(), SettingsError> {
    let mut names = BTreeSet::new();
    let mut places = HashSet::new();
    for sink in sinks {
        sink.validate()?;
        if !names.insert(&sink.name) {
            let remedy = "name each sink differently: the name is its consumer group";
            return Err(SettingsError { sink: sink.name.clone(), key: "name", remedy });
        }
        if let Target::Parquet(files) = &sink.to
            && !places.insert((files.place_key(), files.source))
        {
            let remedy =
                "give each sink a place of its own: of two that write one, each loses rows";
            return Err(SettingsError { sink: sink.name.clone(), key: "to.place", remedy });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
