//! Encodes the body of a webhook.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tillrace_core::text::Timestamp;
use tillrace_log::{Offset, Partition};

use crate::audit::hex;
use crate::record::{Record, RecordError, SourceTopic, Transaction, read};

/// Bytes of the digest in a message id.
const ID_BYTES: usize = 16;

/// A webhook, before it is signed.
#[derive(Debug)]
pub(super) struct Message {
    /// Stable id, the same in every delivery.
    pub(super) id: String,
    /// Its JSON.
    pub(super) json: Vec<u8>,
}

#[derive(Serialize)]
struct Payload<'a> {
    /// What happened: `pos.sale`, `inventory.delta`.
    #[serde(rename = "type")]
    kind: &'a str,
    /// When the record was appended to its topic.
    timestamp: String,
    /// What identifies the record, readable.
    id: &'a str,
    topic: &'a str,
    partition: Partition,
    offset: Offset,
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct DeltaId<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Encodes a record, whose value stands in `data` as its topic has it.
pub(super) fn message(
    record: &Record,
    source: SourceTopic,
    topic: &str,
    partition: Partition,
) -> Result<Message, RecordError> {
    let (identity, kind) = match source {
        SourceTopic::Transactions => {
            let transaction = Transaction::read(record)?;
            (transaction.identity(), format!("pos.{}", transaction.kind.as_str()))
        }
        SourceTopic::Deltas => {
            let DeltaId { id } = read(&record.value)?;
            (id.into_owned(), "inventory.delta".to_owned())
        }
    };
    let payload = Payload {
        kind: &kind,
        timestamp: Timestamp::from_millis(record.appended_ms).to_string(),
        id: &identity,
        topic,
        partition,
        offset: record.offset,
        data: read(&record.value)?,
    };
    let json = serde_json::to_vec(&payload)?;
    let digest = Sha256::digest(identity.as_bytes());
    let id = format!("msg_{}", hex(digest.get(..ID_BYTES).unwrap_or(&digest)));
    Ok(Message { id, json })
}
