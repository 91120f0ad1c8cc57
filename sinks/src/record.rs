//! Records that sinks deliver, and the header fields that the engine reads of them.
//!
//! The engine reads tenant, store and kind to apply the declared filter. Only the connector reads
//! the rest of a record.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use tillrace_core::envelope::{Envelope, EnvelopeError, TYPE_PREFIX};
use tillrace_core::event::Kind;
use tillrace_core::topics::Topics;
use tillrace_log::{ConsumerRecord, Offset, Topic};

/// The topics that sinks read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceTopic {
    /// `pos.transactions.v1`: each event once, in its envelope.
    Transactions,
    /// `inventory.deltas.v1`: additive changes of stock.
    Deltas,
}

/// A record that a sink delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset in its partition.
    pub offset: Offset,
    /// When the log appended it, milliseconds since the Unix epoch.
    pub appended_ms: i64,
    /// Its key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}

/// Tenant, store and kind of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHeader<'a> {
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) store: Cow<'a, str>,
    /// Kind of event; absent for a delta.
    pub(crate) kind: Option<Kind>,
}

/// Why this version cannot read a record. The record goes to the dead letters, unless a newer version
/// may be able to read it: then its partition halts.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The record has no value, but its topic has no deletions.
    #[error("the record has no value")]
    NoValue,
    /// The value breaks the topic's contract.
    #[error("the value breaks the topic's contract: {source}")]
    Malformed {
        /// The parser's error.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The envelope has another format, or a newer major version.
    #[error("the envelope breaks the topic's contract")]
    Envelope(#[from] EnvelopeError),
    /// The event within breaks its schema.
    #[error("the event breaks its schema: {code}")]
    Refused {
        /// The decoder's code.
        code: &'static str,
    },
    /// A value is out of the range of the backend's format.
    #[error("{what} is out of range")]
    OutOfRange {
        /// The value.
        what: &'static str,
    },
    /// This version does not know the kind of event.
    #[error("unknown type {value:?}; a newer version of Tillrace may know it")]
    UnknownType {
        /// What the attribute holds.
        value: String,
    },
}

impl RecordError {
    /// Tells whether a newer version of Tillrace may have written the record.
    pub(crate) fn may_be_newer(&self) -> bool {
        matches!(self, Self::UnknownType { .. } | Self::Envelope(EnvelopeError::UnknownSchema))
    }
}

impl SourceTopic {
    /// Returns the topic within a namespace.
    pub fn topic(self, topics: &Topics) -> &Topic {
        match self {
            Self::Transactions => &topics.transactions,
            Self::Deltas => &topics.deltas,
        }
    }

    /// Reads the header of a record.
    pub(crate) fn header(self, record: &Record) -> Result<RecordHeader<'_>, RecordError> {
        match self {
            Self::Transactions => {
                let transaction = Transaction::read(record)?;
                let Transaction { envelope: Envelope { tenant, store, .. }, kind } = transaction;
                Ok(RecordHeader { tenant, store, kind: Some(kind) })
            }
            Self::Deltas => {
                let delta: DeltaHeader<'_> = read(&record.value)?;
                Ok(RecordHeader { tenant: delta.tenant, store: delta.store, kind: None })
            }
        }
    }
}

impl Record {
    /// Makes a record.
    pub fn new(
        offset: Offset,
        appended_ms: i64,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Self {
        Self { offset, appended_ms, key: key.into(), value: value.into() }
    }

    /// Converts an entry of the log; a missing value becomes an empty one.
    pub(crate) fn from_entry(entry: ConsumerRecord) -> Self {
        let ConsumerRecord { offset, appended_ms, key, value, .. } = entry;
        Self { offset, appended_ms, key, value: value.unwrap_or_default() }
    }

    /// Copies key and value, because the slices keep the whole block that they were read from in memory.
    pub(crate) fn detach(&mut self) {
        self.key = Bytes::copy_from_slice(&self.key);
        self.value = Bytes::copy_from_slice(&self.value);
    }

    /// Returns the bytes of key and value.
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
    pub(crate) fn read(record: &'a Record) -> Result<Self, RecordError> {
        let envelope = Envelope::parse(&record.value)?;
        let Some(kind) = envelope.event_type.strip_prefix(TYPE_PREFIX).and_then(Kind::parse) else {
            return Err(RecordError::UnknownType { value: envelope.event_type.into_owned() });
        };
        Ok(Self { envelope, kind })
    }

    /// Returns the event's text as one JSON value, unchanged.
    pub(crate) fn data(&self) -> Result<&'a RawValue, RecordError> {
        read(self.envelope.data)
    }

    /// Returns an identity that is unique and stable across restarts: source and id.
    pub(crate) fn identity(&self) -> String {
        format!("{}#{}", self.envelope.source, self.envelope.id)
    }
}

#[derive(Deserialize)]
struct DeltaHeader<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
}

/// Reads a JSON value.
pub(crate) fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, RecordError> {
    Ok(serde_json::from_slice(value)?)
}

impl From<serde_json::Error> for RecordError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { source: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests;
