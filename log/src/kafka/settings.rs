//! What can be set of the Kafka log.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use std::{fmt, fs};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::properties::{Refusal, refusal, reserved};
use crate::Partition;
use crate::setting::{DurationText, Inspection, Secret, SettingErrors, SizeText};

/// Partitions that a topic may have.
pub const PARTITIONS: RangeInclusive<Partition> = 1..=1_000;

/// Replicas that the promise “accepted means durable” asks for.
pub const PROMISED_REPLICATION: u16 = 3;
/// Longest that librdkafka takes for any of these times, and more than anyone wants.
const LONGEST: Duration = Duration::from_hours(24);

/// Where a Kafka cluster is and how it is used.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Bootstrap servers, `host:port`, commas between.
    pub brokers: String,
    /// Partitions of every topic; fixed when the topics are made. Set for either log in one place.
    #[serde(skip)]
    pub partitions: Partition,
    /// Replicas of the topics that are made.
    pub replication: u16,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Name of this process, unique and kept over restarts. With one it keeps its partitions over
    /// a quick restart, and a transaction that it left open is aborted at once, not after
    /// `transaction_timeout`.
    pub instance: Option<String>,
    /// How record batches are compressed.
    pub compression: Compression,
    /// How long a row outside a transaction waits for company before its batch is sent.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub linger: Duration,
    /// Rows that may wait for their acknowledgement at once; past it a send is given back. Not below
    /// 1,000: the sinks write as many in one piece.
    pub queue_rows: usize,
    /// Bytes of rows that may wait for their acknowledgement at once.
    #[schemars(with = "SizeText")]
    pub queue_bytes: ByteSize,
    /// Time after which a row that was not acknowledged has failed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub delivery_timeout: Duration,
    /// How long a question to the cluster may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub request_timeout: Duration,
    /// Silence after which a member of a group is taken for dead.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub session_timeout: Duration,
    /// Time between polls after which a member of a group is taken for stuck.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub max_poll_interval: Duration,
    /// Age at which the brokers abort a transaction whose owner is gone.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub transaction_timeout: Duration,
    /// Bytes fetched ahead of the reader, per partition.
    #[schemars(with = "SizeText")]
    pub fetch_ahead: ByteSize,
    /// Further librdkafka properties, such as SASL and TLS; those that promises rest on are refused. A value may name an
    /// environment variable, `env:NAME`, or a file, `file:PATH`: passwords should.
    pub properties: BTreeMap<String, Secret>,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The event survives the loss of a broker.
    Brokers,
    /// For development: whatever the cluster has.
    Development,
}

/// How record batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: little CPU, a third of the size.
    Lz4,
    /// Zstandard: more CPU, a sixth of the size.
    Zstd,
}

impl Compression {
    /// Returns librdkafka's name of it.
    pub(super) fn codec(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            partitions: 0,
            replication: PROMISED_REPLICATION,
            durability: Durability::Brokers,
            instance: None,
            compression: Compression::Lz4,
            linger: Duration::from_millis(1),
            queue_rows: 20_000,
            queue_bytes: ByteSize::mib(64),
            delivery_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_mins(5),
            transaction_timeout: Duration::from_secs(15),
            fetch_ahead: ByteSize::mib(4),
            properties: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    /// Shows what a reader of a log needs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("durability", &self.durability)
            .field("instance", &self.instance)
            .field("properties", &self.properties.keys())
            .finish_non_exhaustive()
    }
}

impl KafkaSettings {
    /// The defaults, on these bootstrap servers, with so many partitions.
    pub fn new(brokers: impl Into<String>, partitions: Partition) -> Self {
        Self { brokers: brokers.into(), partitions, ..Self::default() }
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// Names every key that is wrong and what to do.
    pub fn validate(&self) -> Result<(), SettingErrors> {
        Inspection::of("log", |found| {
            found.range("partitions", self.partitions, PARTITIONS);
            found.within("kafka", |found| self.inspect(found));
        })
    }

    /// Notes what cannot be; `partitions`, which belongs to either log, aside.
    pub fn inspect(&self, found: &mut Inspection) {
        let brokers = self.brokers.split(',').map(str::trim);
        found.require(
            brokers.clone().all(|broker| !broker.is_empty()),
            "brokers",
            "names no broker, or has an empty place",
            "set it to the bootstrap servers: host:port, commas between",
        );
        found.range("replication", self.replication, 1..=9);
        found.require(
            self.replication >= PROMISED_REPLICATION || self.durability == Durability::Development,
            "replication",
            "is below what `durability: brokers` promises",
            "set it to 3, or set `durability: development`",
        );
        found.require(
            self.instance.as_deref().is_none_or(is_plain_name),
            "instance",
            "is no plain name",
            "use 1 to 100 letters, digits, '.', '_' or '-'",
        );
        found.range("queue_rows", self.queue_rows, 1_000..=1_000_000);
        found.range("queue_bytes", self.queue_bytes, ByteSize::mib(2)..=ByteSize::mib(1_000));
        found.range("fetch_ahead", self.fetch_ahead, ByteSize::mib(2)..=ByteSize::gib(1));
        self.inspect_times(found);
        for (property, value) in &self.properties {
            found.within("properties", |found| inspect_property(found, property, value));
        }
    }

    fn inspect_times(&self, found: &mut Inspection) {
        let second = Duration::from_secs(1);
        found.range("linger", self.linger, ..=second);
        found.range("request_timeout", self.request_timeout, second..=LONGEST);
        found.range("delivery_timeout", self.delivery_timeout, second..=LONGEST);
        found.range("session_timeout", self.session_timeout, second..=Duration::from_hours(1));
        found.range("max_poll_interval", self.max_poll_interval, second..=LONGEST);
        found.require(
            self.max_poll_interval >= self.session_timeout,
            "max_poll_interval",
            "is below session_timeout",
            "set it at least to session_timeout",
        );
        // Above 15 minutes brokers refuse by default (transaction.max.timeout.ms).
        let longest = Duration::from_mins(15);
        found.range("transaction_timeout", self.transaction_timeout, second..=longest);
    }

    /// Returns every property that names a variable or file, with its path within the section.
    pub fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        let path = |property: &String| format!("properties.{property}");
        self.properties.iter_mut().map(|(property, value)| (path(property), value)).collect()
    }
}

/// Asks librdkafka whether it knows a property and takes the value. Properties that promises rest on are refused.
fn inspect_property(found: &mut Inspection, property: &str, value: &Secret) {
    if reserved(property) {
        found.error(property, "is set by Tillrace and cannot be overridden", "remove it");
        return;
    }
    if is_secret(property) {
        found.secret(property, value);
    }
    if value.is_unresolved() {
        return;
    }
    if property.ends_with(".location")
        && value.expose() != "probe"
        && let Err(error) = fs::metadata(value.expose())
    {
        let fault = format!("cannot read {}: {error}", value.expose());
        found.error(property, fault, "name a file that can be read");
    }
    match refusal(property, value.expose()) {
        None => {}
        Some(Refusal::Unknown) => found.error(
            property,
            "is no property of librdkafka",
            "see the list in librdkafka's CONFIGURATION.md, or remove it",
        ),
        Some(Refusal::Value) => found.error(
            property,
            "has a value that librdkafka does not take",
            "see librdkafka's CONFIGURATION.md for what it takes",
        ),
    }
}

/// Tells whether a property holds a secret.
fn is_secret(property: &str) -> bool {
    ["password", "secret", "key.pem", "sasl.oauthbearer.config"]
        .iter()
        .any(|word| property.contains(word))
}

fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(plain)
}
