//! Reads topics from outside: by name, from a position to the present end.
//!
//! There are two readers: one for [Kafka](kafka), one for the output of a [command](tap). A program
//! that embeds the load test passes its own.

pub mod kafka;
pub mod tap;

use std::collections::BTreeMap;

/// The next offset to read of each partition; an absent one begins at the start.
pub type Positions = BTreeMap<i32, i64>;

/// One record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, empty where there is none.
    pub key: &'a [u8],
    /// Its value: JSON text, byte for byte as the log has it; empty in a tombstone, which says that the key is gone.
    pub value: &'a [u8],
}

/// Why a topic could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Kafka failed.
    #[error("failed to read topic {topic} from Kafka")]
    Kafka {
        /// The topic.
        topic: String,
        /// Why.
        source: rdkafka::error::KafkaError,
    },
    /// The command could not be run or read.
    #[error("failed to read the output of {command:?}")]
    Tap {
        /// The command line.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command failed.
    #[error("{command:?} ended with {status}")]
    TapStatus {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The command printed a line that is not a record.
    #[error("{command:?} printed a line that is not a record: {line:?}")]
    TapLine {
        /// The command line.
        command: String,
        /// The beginning of the line.
        line: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A reader of another program failed.
    #[error("failed to read topic {topic}")]
    Other {
        /// The topic.
        topic: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads records; only what is committed, each once, in order of offset within a partition.
pub trait TopicReader {
    /// Passes every record from `positions` to the end as it is now, and moves `positions` past it.
    /// A topic that does not exist has no records.
    ///
    /// # Errors
    /// The topic cannot be read.
    fn read(
        &mut self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError>;

    /// Moves `positions` to the present end without reading what is before it.
    ///
    /// # Errors
    /// The topic cannot be read.
    fn skip(&mut self, topic: &str, positions: &mut Positions) -> Result<(), ReadError> {
        self.read(topic, positions, &mut |_| {})
    }
}

/// The topics that verification reads, by their public names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the topic of that name")]
pub struct TopicNames {
    pub events: String,
    pub transactions: String,
    pub conflicts: String,
    pub deltas: String,
    pub ledger: String,
    pub audit: String,
    pub days: String,
    pub parked: String,
}

impl TopicNames {
    /// Names the topics of a namespace, which is a prefix with a dot; an empty one adds nothing.
    pub fn new(namespace: &str) -> Self {
        let dot = if namespace.is_empty() { "" } else { "." };
        let name = |topic: &str| format!("{namespace}{dot}{topic}");
        Self {
            events: name("pos.events.v1"),
            transactions: name("pos.transactions.v1"),
            conflicts: name("pos.conflicts.v1"),
            deltas: name("inventory.deltas.v1"),
            ledger: name("terminal.ledger.v1"),
            audit: name("pos.audit.v1"),
            days: name("store.days.v1"),
            parked: name("pos.parked.v1"),
        }
    }

    /// Lists them.
    pub fn all(&self) -> [&str; 8] {
        [
            &self.events,
            &self.transactions,
            &self.conflicts,
            &self.deltas,
            &self.ledger,
            &self.audit,
            &self.days,
            &self.parked,
        ]
    }
}

/// Positions in all topics: where a run begins to count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartPositions {
    topics: BTreeMap<String, Positions>,
    /// The latest value of each key of `store.days`: a day goes on with what earlier runs brought.
    days: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl StartPositions {
    /// Takes the present ends, so that what is there already is not counted.
    ///
    /// # Errors
    /// A topic cannot be read.
    pub fn take(reader: &mut dyn TopicReader, names: &TopicNames) -> Result<Self, ReadError> {
        let mut start = Self::default();
        for topic in names.all().into_iter().filter(|topic| *topic != names.days) {
            reader.skip(topic, start.of(topic))?;
        }
        let mut days = BTreeMap::new();
        reader.read(&names.days, start.of(&names.days), &mut |record| {
            days.insert(record.key.to_vec(), record.value.to_vec());
        })?;
        start.days = days;
        Ok(start)
    }

    /// Lists the days as they stood at the start, key and value.
    pub(crate) fn days(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.days.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Returns the positions in one topic.
    pub(crate) fn of(&mut self, topic: &str) -> &mut Positions {
        self.topics.entry(topic.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_stands_before_every_name() {
        assert_eq!(TopicNames::new("").events, "pos.events.v1");
        assert!(TopicNames::new("eu").all().iter().all(|name| name.starts_with("eu.")));
    }
}
