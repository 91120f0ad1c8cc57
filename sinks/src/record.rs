//! Records as sinks meet them, and the little that the engine itself reads of them.
//!
//! The engine needs to know whose a record is and what kind it is, to apply the declared filter.
//! What a record means is for its connector to read.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use tillrace_core::envelope::{Envelope, EnvelopeError, TYPE_PREFIX};
use tillrace_core::event::Kind;
use tillrace_core::topics::Topics;
use tillrace_log::{Entry, Offset, Topic};

/// The topics that sinks read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `pos.transactions.v1`: each event once, in its envelope.
    Transactions,
    /// `inventory.deltas.v1`: additive changes of stock.
    Deltas,
}

/// A record in the hands of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in its partition.
    pub offset: Offset,
    /// When the log appended it, milliseconds since the Unix epoch.
    pub appended_ms: i64,
    /// Its key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}

/// Whose a record is, and of what kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) store: Cow<'a, str>,
    /// Kind of event; a delta has none.
    pub(crate) kind: Option<Kind>,
}

/// A record that this version cannot read. It goes to the dead letters, unless a newer version may
/// know how to read it: then its partition stops.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unreadable {
    /// A record without a value on a topic that knows no deletion.
    #[error("the record has no value")]
    NoValue,
    /// Its value is not what the topic's contract says.
    #[error("the value breaks the topic's contract: {source}")]
    Malformed {
        /// What the parser said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The envelope is of another make, or of a newer major version.
    #[error("the envelope breaks the topic's contract")]
    Envelope(#[from] EnvelopeError),
    /// The event within breaks its schema.
    #[error("the event breaks its schema: {code}")]
    Refused {
        /// The decoder's code.
        code: &'static str,
    },
    /// A value is larger than what it is to be put into.
    #[error("{what} is out of range")]
    OutOfRange {
        /// The value.
        what: &'static str,
    },
    /// A kind that this version does not know.
    #[error("unknown type {value:?}; a newer version of Tillrace may know it")]
    UnknownType {
        /// What the attribute holds.
        value: String,
    },
}

impl Unreadable {
    /// Tells whether a newer version of Tillrace may have written it, and this process is behind.
    pub(crate) fn may_be_newer(&self) -> bool {
        matches!(self, Self::UnknownType { .. } | Self::Envelope(EnvelopeError::UnknownSchema))
    }
}

impl Source {
    /// Returns the topic within a namespace.
    pub fn topic(self, topics: &Topics) -> &Topic {
        match self {
            Self::Transactions => &topics.transactions,
            Self::Deltas => &topics.deltas,
        }
    }

    /// Reads whose a record is.
    pub(crate) fn head(self, record: &Record) -> Result<Head<'_>, Unreadable> {
        match self {
            Self::Transactions => {
                let transaction = Transaction::read(record)?;
                let Transaction { envelope: Envelope { tenant, store, .. }, kind } = transaction;
                Ok(Head { tenant, store, kind: Some(kind) })
            }
            Self::Deltas => {
                let delta: DeltaHead<'_> = read(&record.value)?;
                Ok(Head { tenant: delta.tenant, store: delta.store, kind: None })
            }
        }
    }
}

impl Record {
    /// Makes a record by hand.
    pub fn new(
        offset: Offset,
        appended_ms: i64,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Self {
        Self { offset, appended_ms, key: key.into(), value: value.into() }
    }

    /// Takes an entry of the log, one without a value with an empty one.
    pub(crate) fn from_entry(entry: Entry) -> Self {
        let Entry { offset, appended_ms, key, value, .. } = entry;
        Self { offset, appended_ms, key, value: value.unwrap_or_default() }
    }

    /// Copies it out of the block that it was read in and that it keeps in memory.
    pub(crate) fn detach(&mut self) {
        self.key = Bytes::copy_from_slice(&self.key);
        self.value = Bytes::copy_from_slice(&self.value);
    }

    /// Returns what it weighs in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// A transaction in its envelope, as connectors read it.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) envelope: Envelope<'a>,
    pub(crate) kind: Kind,
}

impl<'a> Transaction<'a> {
    /// Reads a record of `pos.transactions.v1`.
    pub(crate) fn read(record: &'a Record) -> Result<Self, Unreadable> {
        let envelope = Envelope::parse(&record.value)?;
        let Some(kind) = envelope.event_type.strip_prefix(TYPE_PREFIX).and_then(Kind::parse) else {
            return Err(Unreadable::UnknownType { value: envelope.event_type.into_owned() });
        };
        Ok(Self { envelope, kind })
    }

    /// Returns the event's text as one JSON value, to be passed on as it stands.
    pub(crate) fn data(&self) -> Result<&'a RawValue, Unreadable> {
        read(self.envelope.data)
    }

    /// Returns what tells it from all others, now and after any restart: source and id.
    pub(crate) fn identity(&self) -> String {
        format!("{}#{}", self.envelope.source, self.envelope.id)
    }
}

#[derive(Deserialize)]
struct DeltaHead<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
}

/// Reads a JSON value.
pub(crate) fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Unreadable> {
    Ok(serde_json::from_slice(value)?)
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { source: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests;
