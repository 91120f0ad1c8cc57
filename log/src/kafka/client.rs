//! How each kind of librdkafka client is configured.
//!
//! A property that a promise rests on is set here and nowhere else, and a setting of that name
//! is refused.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};

use super::error::KafkaFault;
use super::settings::{Compression, KafkaSettings};
use crate::{LogError, RECORD_LIMIT_BYTES, Topic};

/// Rows of a transaction that may wait for their acknowledgement at once.
pub(super) const TRANSACTION_ROWS: usize = 50_000;
/// Bytes of them.
pub(super) const TRANSACTION_BYTES: usize = 32 << 20;

/// Group name of clients that read without belonging to a group. librdkafka wants one for manual
/// assignment; nothing is ever committed under it.
pub const READER_GROUP: &str = "tillrace.reader";

/// Which records a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// Committed ones.
    Committed,
    /// All, those of open and aborted transactions too.
    Uncommitted,
}

/// What every client has.
fn base(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &settings.properties {
        config.set(key, value.expose());
    }
    config.set("bootstrap.servers", &settings.brokers).set("client.id", "tillrace");
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// A client that asks questions.
pub(super) fn asking(settings: &KafkaSettings, isolation: Isolation) -> ClientConfig {
    let mut config = base(settings);
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    config
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false");
    config
}

/// A client that fetches.
fn fetching(settings: &KafkaSettings) -> ClientConfig {
    let mut config = asking(settings, Isolation::Committed);
    let ahead = (settings.fetch_ahead.as_u64() / 1_024).to_string();
    config
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", ahead)
        // The default of a second empties a full queue many times over before it is filled again.
        .set("fetch.queue.backoff.ms", "5");
    config
}

/// A sequential reader. It learns of a partition's end from an answer without records, so it does
/// not let the broker hold that answer back for long.
pub(super) fn reading(settings: &KafkaSettings) -> ClientConfig {
    let mut config = fetching(settings);
    config
        .set("group.id", READER_GROUP)
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50");
    config
}

/// A client that asks for a group's offsets from outside.
pub(super) fn asking_for(settings: &KafkaSettings, group: &str) -> ClientConfig {
    let mut config = asking(settings, Isolation::Committed);
    config.set("group.id", group);
    config
}

/// A member of a group on a topic.
pub(super) fn joining(settings: &KafkaSettings, group: &str, topic: &Topic) -> ClientConfig {
    let mut config = fetching(settings);
    config
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
        .set("max.poll.interval.ms", settings.max_poll_interval.as_millis().to_string())
        .set("enable.partition.eof", "false");
    if let Some(name) = kept_name(settings, group, topic) {
        config.set("group.instance.id", name);
    }
    config
}

/// A producer whose acknowledgement means that the in-sync replicas have the row.
pub(super) fn producing(settings: &KafkaSettings) -> ClientConfig {
    let mut config = base(settings);
    // librdkafka frees a row's share of its queue a little after it reports on it; twice ours is never reached.
    let rows = settings.queue_rows.saturating_mul(2).to_string();
    let kibibytes = (settings.queue_bytes.as_u64() / 1_024).saturating_mul(2).to_string();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", settings.compression.codec())
        .set("linger.ms", settings.linger.as_millis().to_string())
        .set("message.max.bytes", RECORD_LIMIT_BYTES.to_string())
        .set("queue.buffering.max.messages", rows)
        .set("queue.buffering.max.kbytes", kibibytes)
        .set("message.timeout.ms", settings.delivery_timeout.as_millis().to_string())
        .set("topic.metadata.propagation.max.ms", "5000");
    if settings.compression == Compression::Zstd
        && !settings.properties.contains_key("compression.level")
    {
        // librdkafka's own choice, 3, costs more and saves a fiftieth (docs/BENCHMARKS.md).
        config.set("compression.level", "1");
    }
    if settings.compression == Compression::None && !is_encrypted(settings) {
        // A codec reads a batch from one piece, and TLS makes a record of each piece; a socket
        // takes them where they lie. Pieces shorter than this are cheaper to copy.
        config.set("message.copy.max.bytes", "256");
    }
    config
}

fn is_encrypted(settings: &KafkaSettings) -> bool {
    let protocol = settings.properties.get("security.protocol");
    protocol.is_some_and(|protocol| protocol.expose().to_ascii_lowercase().contains("ssl"))
}

/// How long a connection of a transactional producer may be silent, milliseconds; longer than a flush
/// interval.
///
/// A transaction's offsets wait for the group's coordinator without a limit of their own, and librdkafka
/// 2.12 looks for it again only when some broker comes or goes (its issues 5456 and 5511): after
/// a restarted broker nothing may happen until the brokers close idle connections, ten minutes
/// later. So we close them. Such a producer also keeps connecting to all brokers, needed or not: one
/// that had lost all connections while it looked for its coordinator was seen to make none.
const IDLE_MS: &str = "8000";

/// How long a row of a transaction waits for company, milliseconds. Nobody hears of it before the
/// commit, and fewer requests cost less.
const LINGER_MS: &str = "5";

/// A producer of transactions under an id of its own.
pub(super) fn transacting(settings: &KafkaSettings, transactional_id: &str) -> ClientConfig {
    let mut config = producing(settings);
    let timeout = settings.transaction_timeout.as_millis().to_string();
    config
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", &timeout)
        .set("message.timeout.ms", &timeout)
        .set("connections.max.idle.ms", IDLE_MS)
        .set("enable.sparse.connections", "false")
        .set("linger.ms", LINGER_MS)
        .set("queue.buffering.max.messages", (2 * TRANSACTION_ROWS).to_string())
        .set("queue.buffering.max.kbytes", (2 * TRANSACTION_BYTES / 1_024).to_string());
    config
}

/// Makes a client.
///
/// # Errors
/// [`LogError::Refused`] when librdkafka refuses a property.
pub(super) fn create<Client, Context>(
    config: &ClientConfig,
    context: Context,
) -> Result<Client, LogError>
where
    Client: FromClientConfigAndContext<Context>,
    Context: ClientContext,
{
    let refused = |error| KafkaFault::from(error).refusing("configure a Kafka client");
    Client::from_config_and_context(config, context).map_err(refused)
}

/// Name of a transactional producer. The group fences (KIP-447), so it only has to be unique; kept
/// over a restart, it lets the next run abort at once what the last one left open.
pub(super) fn transactional_id(settings: &KafkaSettings, group: &str, topic: &Topic) -> String {
    kept_name(settings, group, topic).unwrap_or_else(|| format!("{group}.{}", uuid::Uuid::new_v4()))
}

/// The ids under which processes with some settings write transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionalIds {
    /// This one, of a named instance.
    One(String),
    /// Any that begins so: each run has another.
    BeginningWith(String),
}

impl TransactionalIds {
    /// Returns the ids of the members of a group on a topic.
    pub fn of(settings: &KafkaSettings, group: &str, topic: &Topic) -> Self {
        kept_name(settings, group, topic)
            .map_or_else(|| Self::BeginningWith(format!("{group}.")), Self::One)
    }
}

/// What a member of a named instance is called, now and after a restart.
fn kept_name(settings: &KafkaSettings, group: &str, topic: &Topic) -> Option<String> {
    let instance = settings.instance.as_ref()?;
    Some(format!("{group}.{topic}.{instance}"))
}

/// Makes a partition number of ours one of librdkafka's.
pub(super) fn native_partition(partition: crate::Partition) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Makes an offset of ours one of librdkafka's.
pub(super) fn native_offset(offset: crate::Offset) -> rdkafka::Offset {
    rdkafka::Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

/// The settings, shared by everything that a log hands out.
pub(super) type Shared = Arc<KafkaSettings>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Secret;

    #[test]
    fn only_a_bare_socket_is_given_rows_in_pieces() {
        let copied = |compression, protocol: &str| {
            let properties = [("security.protocol".to_owned(), protocol.into())].into();
            let config = producing(&KafkaSettings {
                compression,
                properties,
                ..KafkaSettings::new("b:1", 1)
            });
            config.get("message.copy.max.bytes").map(str::to_owned)
        };
        assert_eq!(copied(Compression::None, "sasl_plaintext").as_deref(), Some("256"));
        assert_eq!(copied(Compression::None, "SASL_SSL"), None);
        assert_eq!(copied(Compression::Lz4, "plaintext"), None);
    }

    #[test]
    fn a_level_that_is_given_stands() {
        let level = |compression, given: &[&str]| {
            let key = |level: &&str| ("compression.level".to_owned(), Secret::new(*level));
            let properties = given.iter().map(key).collect();
            let set = KafkaSettings { compression, properties, ..KafkaSettings::new("b:1", 1) };
            producing(&set).get("compression.level").map(str::to_owned)
        };
        assert_eq!(level(Compression::Zstd, &[]).as_deref(), Some("1"));
        assert_eq!(level(Compression::Zstd, &["3"]).as_deref(), Some("3"));
        assert_eq!(level(Compression::Lz4, &[]), None);
    }
}
