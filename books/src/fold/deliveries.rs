//! Deliveries by ranges of offsets, as the audit has them, and dead letters.

use std::borrow::Cow;

use serde::Deserialize;
use tillrace_core::text::Timestamp;
use tillrace_log::ConsumerRecord;

use super::FoldError;
use super::text::{utc, utc_of};
use crate::change::Batch;

/// Offsets of a span: a range is cut where one ends, so that whoever looks for an offset reads one span of the index.
pub(crate) const SPAN_OFFSETS: u64 = 256;

#[derive(Deserialize)]
struct Audit<'a> {
    #[serde(borrow)]
    sink: Cow<'a, str>,
    topic: Cow<'a, str>,
    partition: u32,
    offsets: Vec<(u64, u64)>,
    outcome: Cow<'a, str>,
    status: Option<i64>,
    attempts: u64,
    started: Cow<'a, str>,
    elapsed_ms: u64,
    redriven: bool,
}

pub(super) fn add(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let audit: Audit<'_> = serde_json::from_slice(value)?;
    let started = utc("started", &audit.started)?;
    for &(first, past) in &audit.offsets {
        let mut from = first;
        while from < past {
            let span = from / SPAN_OFFSETS;
            let until = past.min((span + 1) * SPAN_OFFSETS);
            batch.insert(
                "deliveries",
                &[
                    "topic",
                    "partition",
                    "span",
                    "first_offset",
                    "past_offset",
                    "audit_partition",
                    "audit_offset",
                    "sink",
                    "outcome",
                    "status",
                    "attempts",
                    "started_at",
                    "elapsed_ms",
                    "is_redriven",
                ],
                [
                    audit.topic.as_ref().into(),
                    audit.partition.into(),
                    span.into(),
                    from.into(),
                    until.into(),
                    record.partition.into(),
                    record.offset.into(),
                    audit.sink.as_ref().into(),
                    audit.outcome.as_ref().into(),
                    audit.status.into(),
                    audit.attempts.into(),
                    started.clone(),
                    audit.elapsed_ms.into(),
                    audit.redriven.into(),
                ],
            );
            from = until;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct DeadLetter<'a> {
    #[serde(borrow)]
    sink: Cow<'a, str>,
    topic: Cow<'a, str>,
    offset: u64,
    reason: Cow<'a, str>,
    error: Cow<'a, str>,
    attempts: u64,
}

pub(super) fn add_dead(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let letter: DeadLetter<'_> = serde_json::from_slice(value)?;
    // What follows the code is the backend's words, which may repeat what it was sent.
    let code = letter.error.split(':').next().unwrap_or_default();
    batch.insert(
        "dead_letters",
        &[
            "dead_topic",
            "partition",
            "dead_offset",
            "sink",
            "topic",
            "source_offset",
            "reason",
            "code",
            "attempts",
            "died_at",
        ],
        [
            record.topic.as_str().into(),
            record.partition.into(),
            record.offset.into(),
            letter.sink.as_ref().into(),
            letter.topic.as_ref().into(),
            letter.offset.into(),
            letter.reason.as_ref().into(),
            code.into(),
            letter.attempts.into(),
            utc_of(Timestamp::from_millis(record.appended_ms)).into(),
        ],
    );
    Ok(())
}
