//! Encodes the body of a call to an ERP, and decodes the reply.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tillrace_core::envelope::{SourceVerdict, VerdictKind};
use tillrace_log::{Offset, Partition};

use crate::audit::hex;
use crate::connector::{MAX_RETRY_AFTER, RecordOutcome};
use crate::record::{Record, RecordError, Transaction, read};

/// One item to be booked.
#[derive(Debug)]
pub(super) struct Item {
    /// Stable id, the same in every delivery.
    pub(super) id: String,
    /// Its JSON.
    pub(super) json: Vec<u8>,
}

#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    kind: &'a str,
    /// Whether an operator released the event from quarantine.
    released: bool,
    tenant: &'a str,
    store: &'a str,
    terminal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    event_id: Option<&'a str>,
    business_date: Option<&'a str>,
    occurred_at: Option<&'a str>,
    received_at: &'a str,
    partition: Partition,
    offset: Offset,
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct DeltaId<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Encodes the sales document of a transaction.
pub(super) fn document(record: &Record, partition: Partition) -> Result<Item, RecordError> {
    let transaction = Transaction::read(record)?;
    let id = transaction.identity();
    let envelope = &transaction.envelope;
    let released = matches!(
        envelope.source_verdict,
        Some(SourceVerdict { verdict: VerdictKind::Released, .. })
    );
    let document = Document {
        id: &id,
        kind: transaction.kind.as_str(),
        released,
        tenant: &envelope.tenant,
        store: &envelope.store,
        terminal: envelope.terminal.as_deref(),
        epoch: envelope.epoch.as_deref(),
        sequence: envelope.sequence,
        event_id: envelope.event_id.as_deref(),
        business_date: envelope.business_date.as_deref(),
        occurred_at: envelope.time.as_deref(),
        received_at: &envelope.received_time,
        partition,
        offset: record.offset,
        event: transaction.data()?,
    };
    let json = serde_json::to_vec(&document)?;
    Ok(Item { id, json })
}

/// Encodes a delta as a stock movement, unchanged.
pub(super) fn movement(record: &Record) -> Result<Item, RecordError> {
    let DeltaId { id } = read(&record.value)?;
    Ok(Item { id: id.into_owned(), json: record.value.to_vec() })
}

/// Joins items into the body of a batch: `{"<name>":[…]}`.
pub(super) fn batch(name: &str, items: &[Item]) -> Vec<u8> {
    let bytes: usize = items.iter().map(|item| item.json.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + name.len() + 8);
    body.extend_from_slice(b"{\"");
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(b"\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&item.json);
    }
    body.extend_from_slice(b"]}");
    body
}

/// Returns the idempotency key of a batch: the same items in the same order give the same key.
pub(super) fn batch_key(items: &[Item]) -> String {
    let mut digest = Sha256::new();
    for item in items {
        digest.update(item.id.as_bytes());
        digest.update(b"\n");
    }
    let digest = digest.finalize();
    format!("batch-{}", hex(digest.get(..16).unwrap_or(&digest)))
}

/// An ERP's answer to a batch.
#[derive(Debug, Deserialize)]
pub(super) struct BatchReply {
    results: Vec<ItemResult>,
}

#[derive(Debug, Deserialize)]
struct ItemResult {
    id: String,
    status: Status,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    retry_after_seconds: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Booked now.
    Booked,
    /// Booked before, under the same id.
    Duplicate,
    Rejected,
    Retry,
    DependencyMissing,
    /// A status outside the contract: the outcome of the item is unknown.
    #[serde(other)]
    Unknown,
}

impl BatchReply {
    /// Returns the outcome of each item; an item that the reply omits is retried.
    pub(super) fn outcomes(self, items: &[Item]) -> Vec<RecordOutcome> {
        let mut results: HashMap<String, ItemResult> =
            self.results.into_iter().map(|result| (result.id.clone(), result)).collect();
        items
            .iter()
            .map(|item| match results.remove(&item.id) {
                Some(result) => result.outcome(),
                None => RecordOutcome::Retry { code: "left_out".to_owned(), after: None },
            })
            .collect()
    }
}

impl ItemResult {
    fn outcome(self) -> RecordOutcome {
        match self.status {
            Status::Booked | Status::Duplicate => RecordOutcome::Delivered,
            Status::DependencyMissing => RecordOutcome::DependencyMissing,
            Status::Rejected => RecordOutcome::Rejected {
                code: self.code.unwrap_or_else(|| "rejected".to_owned()),
                detail: self.detail.unwrap_or_default(),
            },
            Status::Retry => RecordOutcome::Retry {
                code: self.code.unwrap_or_else(|| "retry".to_owned()),
                after: self.retry_after_seconds.and_then(|seconds| bounded_seconds(seconds.get())),
            },
            Status::Unknown => {
                RecordOutcome::Retry { code: "unknown_status".to_owned(), after: None }
            }
        }
    }
}

/// Reads a number of seconds of any size, capped at the longest wait that the engine accepts.
fn bounded_seconds(number: &str) -> Option<Duration> {
    let seconds: f64 = number.parse().ok()?;
    let longest = MAX_RETRY_AFTER.as_secs_f64();
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(longest)))
}
