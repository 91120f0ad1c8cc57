//! The derived records as they are published: names and shapes, nothing else. Deltas and
//! ledgers, of which there are most, are written by [`super::deltas`] and [`super::terminals`], days by
//! [`super::day_records`].
//!
//! Their schemas are in `docs/schemas/`; a test validates real output with them.

use std::fmt;

use serde::{Serialize, Serializer};
use tillrace_log::{Offset, Partition};

use crate::text::{Date, Decimal};

/// `stock.counts.v1`.
#[derive(Debug, Serialize)]
pub(super) struct CountRecord<'a> {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) line: u32,
    pub(super) tenant: &'a str,
    pub(super) store: &'a str,
    pub(super) sku: &'a str,
    pub(super) unit: &'a str,
    /// Stock location that was counted, where the line names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<&'a str>,
    #[serde(serialize_with = "as_text")]
    pub(super) quantity: Decimal,
    pub(super) counted_at: &'a str,
    #[serde(serialize_with = "as_text")]
    pub(super) business_date: Date,
}

/// `pos.conflicts.v1`, all but `data`, which follows as the event's own text.
#[derive(Debug, Serialize)]
pub(super) struct ConflictRecord<'a> {
    pub(super) reason: &'static str,
    pub(super) detail: &'static str,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) tenant: &'a str,
    pub(super) store: &'a str,
    pub(super) terminal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eventid: Option<&'a str>,
    /// Absent on a parked event, which has `datahash` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contenthash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datahash: Option<String>,
    /// The leading digits of the hash that the first event had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) known_hash: Option<String>,
    pub(super) receivedtime: &'a str,
}

/// `pos.conflicts.v1`, of a record that can not be read.
#[derive(Debug, Serialize)]
pub(super) struct UnreadableRecord {
    pub(super) reason: &'static str,
    pub(super) detail: &'static str,
    pub(super) error: String,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) key: String,
    /// Length of the value.
    pub(super) bytes: usize,
    /// Its beginning.
    pub(super) value: String,
}

/// Serialises a value as its displayed text.
fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
