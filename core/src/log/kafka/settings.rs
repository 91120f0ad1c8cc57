//! What can be set of the Kafka log.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::client::reserved;
use super::fault::KafkaFault;
use crate::log::Partition;

/// Replicas that the promise “accepted means durable” asks for.
pub const PROMISED_REPLICATION: u16 = 3;
/// Longest that librdkafka takes for any of these times, and more than anyone wants.
const LONGEST: Duration = Duration::from_hours(24);

/// Where a Kafka cluster is and how it is used.
#[derive(Clone, PartialEq, Eq, Deserialize)]
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
    pub linger: Duration,
    /// Rows that may wait for their acknowledgement at once; past it a send is given back. Not below
    /// 1,000: the sinks write as many in one piece.
    pub queue_rows: usize,
    /// Bytes of rows that may wait for their acknowledgement at once.
    pub queue_bytes: ByteSize,
    /// Time after which a row that was not acknowledged has failed.
    #[serde(with = "humantime_serde")]
    pub delivery_timeout: Duration,
    /// How long a question to the cluster may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Silence after which a member of a group is taken for dead.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// Time between polls after which a member of a group is taken for stuck.
    #[serde(with = "humantime_serde")]
    pub max_poll_interval: Duration,
    /// Age at which the brokers abort a transaction whose owner is gone.
    #[serde(with = "humantime_serde")]
    pub transaction_timeout: Duration,
    /// Bytes fetched ahead of the reader, per partition.
    pub fetch_ahead: ByteSize,
    /// Further librdkafka properties, such as SASL and TLS; those that promises rest on are refused.
    pub properties: BTreeMap<String, String>,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The event survives the loss of a broker.
    Brokers,
    /// For development: whatever the cluster has.
    Development,
}

/// How record batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
    /// Shows everything but the values of `properties`, which hold passwords.
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
    /// Names the key that is wrong and what to do.
    pub fn validate(&self) -> Result<(), KafkaFault> {
        let wrong = |key, remedy| Err(KafkaFault::Setting { key, remedy });
        if self.brokers.trim().is_empty() {
            return wrong("brokers", "set it to the bootstrap servers, host:port");
        }
        if !(1..=10_000).contains(&self.partitions) {
            return wrong("partitions", "set it between 1 and 10,000");
        }
        if !(1..=9).contains(&self.replication) {
            return wrong("replication", "set it between 1 and 9");
        }
        if self.replication < PROMISED_REPLICATION && self.durability == Durability::Brokers {
            return wrong("replication", "set it to 3, or set durability: development");
        }
        if self.instance.as_deref().is_some_and(|name| !is_plain_name(name)) {
            return wrong("instance", "use 1 to 100 letters, digits, '.', '_' or '-'");
        }
        if !(1_000..=1_000_000).contains(&self.queue_rows) {
            return wrong("queue_rows", "set it between 1,000 and 1,000,000");
        }
        if !(ByteSize::mib(2)..=ByteSize::mib(1_000)).contains(&self.queue_bytes) {
            return wrong("queue_bytes", "set it between 2 MiB and 1,000 MiB");
        }
        if !(ByteSize::mib(2)..=ByteSize::gib(1)).contains(&self.fetch_ahead) {
            return wrong("fetch_ahead", "set it between 2 MiB and 1 GiB");
        }
        self.validate_times()?;
        match self.properties.keys().find(|key| reserved(key)) {
            None => Ok(()),
            Some(key) => Err(KafkaFault::Reserved { key: key.clone() }),
        }
    }

    fn validate_times(&self) -> Result<(), KafkaFault> {
        let wrong = |key, remedy| Err(KafkaFault::Setting { key, remedy });
        let second = Duration::from_secs(1);
        if self.linger > second {
            return wrong("linger", "set it to 1s at most");
        }
        if !(second..=LONGEST).contains(&self.request_timeout) {
            return wrong("request_timeout", "set it between 1s and 24h");
        }
        if !(second..=LONGEST).contains(&self.delivery_timeout) {
            return wrong("delivery_timeout", "set it between 1s and 24h");
        }
        if !(second..=Duration::from_hours(1)).contains(&self.session_timeout) {
            return wrong("session_timeout", "set it between 1s and 1h");
        }
        if !(self.session_timeout..=LONGEST).contains(&self.max_poll_interval) {
            return wrong("max_poll_interval", "set it between session_timeout and 24h");
        }
        // Above 15 minutes brokers refuse by default (transaction.max.timeout.ms).
        if !(second..=Duration::from_mins(15)).contains(&self.transaction_timeout) {
            return wrong("transaction_timeout", "set it between 1s and 15m");
        }
        Ok(())
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(plain)
}
