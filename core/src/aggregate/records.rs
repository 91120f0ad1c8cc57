//! The derived records as they are published: names and shapes, nothing else. Deltas and
//! ledgers, of which there are most, are written by [`super::deltas`] and [`super::terminals`], days by
//! [`super::day_records`].
//!
//! Their schemas are in `docs/schemas/`; a test validates real output with them.

use std::fmt;

use serde::{Serialize, Serializer};
use tillrace_log::{Offset, Partition};

use super::verdict::Verdict;
use crate::envelope::Envelope;
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

impl<'a> ConflictRecord<'a> {
    /// Describes a record that is not counted, by its envelope; the caller adds the hash of its content or text.
    pub(super) fn of(
        verdict: Verdict,
        (partition, offset): (Partition, Offset),
        envelope: &'a Envelope<'_>,
    ) -> Self {
        let (reason, detail, known) = match verdict {
            Verdict::Conflict(known) => ("conflict", "other_content", Some(known)),
            Verdict::Quarantined(reason) => ("quarantined", reason.as_str(), None),
            _ => ("duplicate_unverified", "past_horizon", None),
        };
        Self {
            reason,
            detail,
            partition,
            offset,
            tenant: &envelope.tenant,
            store: &envelope.store,
            terminal: envelope.terminal.as_deref().unwrap_or_default(),
            epoch: envelope.epoch.as_deref(),
            sequence: envelope.sequence,
            eventid: envelope.event_id.as_deref(),
            contenthash: None,
            datahash: None,
            known_hash: known.map(|known| format!("h2:{:08x}", known.0)),
            receivedtime: &envelope.received_time,
        }
    }
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
