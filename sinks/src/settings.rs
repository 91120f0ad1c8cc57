//! Settings of the delivery role: which sinks there are, and how gently each is treated.
//!
//! What only one connector needs stands with that connector; defaults stand here or there, once.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tillrace_core::log::{Offset, Partition};
use tillrace_core::setting::{DurationText, Inspection, Secret, SettingErrors, SizeText};

use crate::connector::Ordering;
use crate::crm::PointsSettings;
use crate::erp::ErpSettings;
use crate::filter::Filter;
use crate::parquet::ParquetSettings;
use crate::record::Source;

const LONGEST_NAME: usize = 40;
/// Longest duration that a setting may have: what lies beyond is a slip, and must not overflow a clock.
pub(crate) const LONGEST_SETTING: Duration = Duration::from_hours(24);
/// No batch setting may ask for more records than this.
const MOST_BATCH_RECORDS: usize = 1_000_000;

/// One sink: what it is called, where it delivers, what it leaves out, how it flows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, JsonSchema)]
#[schemars(tag = "kind", rename_all = "snake_case")]
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

/// A connector's name, as `kind` has it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ErpDocuments,
    ErpStockMovements,
    CrmPoints,
    Parquet,
}

/// Reads `kind` and then its settings straight from the source, so that an error knows its key and a text stays as it
/// was written: what serde derives takes all of it into a buffer first. Where `kind` is not the first key, as in a JSON
/// object sorted by name, the keys before it do go through a buffer.
impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a connector: its `kind` and what it needs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
        let mut before = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key != "kind" {
                before.insert(key, map.next_value()?);
                continue;
            }
            let kind: Kind = map.next_value()?;
            if before.is_empty() {
                return target(kind, MapAccessDeserializer::new(map));
            }
            while let Some((key, value)) = map.next_entry()? {
                before.insert(key, value);
            }
            return target(kind, before).map_err(de::Error::custom);
        }
        Err(de::Error::missing_field("kind"))
    }
}

fn target<'de, D: Deserializer<'de>>(kind: Kind, settings: D) -> Result<Target, D::Error> {
    match kind {
        Kind::ErpDocuments => Deserialize::deserialize(settings).map(Target::ErpDocuments),
        Kind::ErpStockMovements => {
            Deserialize::deserialize(settings).map(Target::ErpStockMovements)
        }
        Kind::CrmPoints => Deserialize::deserialize(settings).map(Target::CrmPoints),
        Kind::Parquet => Deserialize::deserialize(settings).map(Target::Parquet),
    }
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

    fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                settings.backend.secrets()
            }
            Self::CrmPoints(settings) => settings.backend.secrets(),
            Self::Parquet(settings) => settings.secrets(),
        }
    }

    fn inspect(&self, found: &mut Inspection) {
        match self {
            Self::ErpDocuments(settings) | Self::ErpStockMovements(settings) => {
                found.within("backend", |found| settings.backend.inspect(found));
            }
            Self::CrmPoints(settings) => settings.inspect(found),
            Self::Parquet(settings) => settings.inspect(found),
        }
    }
}

impl SinkSettings {
    /// Makes settings with the defaults.
    pub fn new(name: &str, to: Target) -> Self {
        Self { name: name.to_owned(), to, filter: Filter::default(), flow: Flow::default() }
    }

    /// Returns every secret, with its path within the sink.
    pub fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        let secrets = self.to.secrets().into_iter();
        secrets.map(|(path, secret)| (format!("to.{path}"), secret)).collect()
    }

    /// Notes what the types do not say.
    pub fn inspect(&self, found: &mut Inspection) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        found.require(
            (1..=LONGEST_NAME).contains(&self.name.len()) && self.name.bytes().all(plain),
            "name",
            "is no name of a sink",
            "use 1 to 40 of a-z, 0-9 and -",
        );
        found.within("to", |found| self.to.inspect(found));
        found.within("filter", |found| self.filter.inspect(self.to.source(), found));
        found.within("flow", |found| {
            self.flow.inspect(found);
            if self.to.ordering() == Ordering::Partition {
                self.flow.inspect_for_files(found);
            }
        });
    }
}

impl Flow {
    fn inspect(&self, found: &mut Inspection) {
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
    fn inspect_for_files(&self, found: &mut Inspection) {
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

/// Notes what is wrong with sinks, each by itself and together.
pub fn inspect(sinks: &[SinkSettings], found: &mut Inspection) {
    let (mut names, mut places) = (BTreeSet::new(), HashSet::new());
    found.each("sinks", sinks, |found, sink| {
        sink.inspect(found);
        if let Target::Parquet(files) = &sink.to {
            found.require(
                places.insert((files.place_key(), files.source)),
                "to.place",
                "is another sink's too",
                "give each sink a place of its own: of two that write one, each loses rows",
            );
        }
        found.require(
            names.insert(&sink.name),
            "name",
            "is another sink's too",
            "name each sink differently: the name is its consumer group",
        );
    });
}

/// Checks all sinks together.
///
/// # Errors
/// Names every setting that cannot be used.
pub fn validate(sinks: &[SinkSettings]) -> Result<(), SettingErrors> {
    Inspection::of("", |found| inspect(sinks, found))
}

#[cfg(test)]
mod tests;
