//! What was counted nowhere: conflicts, parked events, refusals. Their texts are left on the topics.

use std::borrow::Cow;

use serde::Deserialize;
use tillrace_core::envelope::Envelope;
use tillrace_log::ConsumerRecord;

use super::FoldError;
use super::text::utc;
use crate::change::Batch;

#[derive(Deserialize)]
struct Conflict<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    detail: Cow<'a, str>,
    offset: u64,
    tenant: Option<Cow<'a, str>>,
    store: Option<Cow<'a, str>>,
    terminal: Option<Cow<'a, str>>,
    sequence: Option<u64>,
    eventid: Option<Cow<'a, str>>,
    receivedtime: Option<Cow<'a, str>>,
}

pub(super) fn add_conflict(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let conflict: Conflict<'_> = serde_json::from_slice(value)?;
    batch.insert(
        "conflicts",
        &[
            "partition",
            "conflict_offset",
            "journal_offset",
            "reason",
            "detail",
            "tenant",
            "store",
            "terminal",
            "sequence",
            "event_id",
            "received_at",
        ],
        [
            record.partition.into(),
            record.offset.into(),
            conflict.offset.into(),
            conflict.reason.as_ref().into(),
            conflict.detail.as_ref().into(),
            conflict.tenant.as_deref().into(),
            conflict.store.as_deref().into(),
            conflict.terminal.as_deref().into(),
            conflict.sequence.into(),
            conflict.eventid.as_deref().into(),
            conflict
                .receivedtime
                .as_deref()
                .map(|time| utc("receivedtime", time))
                .transpose()?
                .into(),
        ],
    );
    Ok(())
}

pub(super) fn add_parked(key: &str, value: &[u8], batch: &mut Batch) -> Result<(), FoldError> {
    let unread = |error| FoldError::Envelope(format!("{error}"));
    let envelope = Envelope::parse(value).map_err(unread)?;
    let source = envelope.source_verdict.ok_or(FoldError::Member("sourceoffset"))?;
    let mark = envelope.parked.as_ref().ok_or(FoldError::Member("parkedcode"))?;
    batch.replace(
        "parked",
        &[
            "record_key",
            "partition",
            "journal_offset",
            "tenant",
            "store",
            "terminal",
            "sequence",
            "event_id",
            "business_date",
            "code",
            "pointer",
            "received_at",
            "is_settled",
        ],
        [
            key.into(),
            source.partition.into(),
            source.offset.into(),
            envelope.tenant.as_ref().into(),
            envelope.store.as_ref().into(),
            envelope.terminal.as_deref().unwrap_or("").into(),
            envelope.sequence.into(),
            envelope.event_id.as_deref().into(),
            envelope.business_date.as_deref().into(),
            mark.code.as_ref().into(),
            mark.pointer.as_ref().into(),
            utc("receivedtime", &envelope.received_time)?,
            false.into(),
        ],
    );
    Ok(())
}

#[derive(Deserialize)]
struct Rejected<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    pointer: Cow<'a, str>,
    tenant: Cow<'a, str>,
    store: Option<Cow<'a, str>>,
    terminal: Option<Cow<'a, str>>,
    sequence: Option<u64>,
    eventid: Option<Cow<'a, str>>,
    receivedtime: Cow<'a, str>,
}

pub(super) fn add_rejected(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let rejected: Rejected<'_> = serde_json::from_slice(value)?;
    batch.insert(
        "rejected",
        &[
            "partition",
            "rejected_offset",
            "code",
            "pointer",
            "tenant",
            "store",
            "terminal",
            "sequence",
            "event_id",
            "received_at",
        ],
        [
            record.partition.into(),
            record.offset.into(),
            rejected.code.as_ref().into(),
            rejected.pointer.as_ref().into(),
            rejected.tenant.as_ref().into(),
            rejected.store.as_deref().into(),
            rejected.terminal.as_deref().into(),
            rejected.sequence.into(),
            rejected.eventid.as_deref().into(),
            utc("receivedtime", &rejected.receivedtime)?,
        ],
    );
    Ok(())
}
