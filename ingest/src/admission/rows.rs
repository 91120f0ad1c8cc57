//! Writes the rows of a chunk: keys and values in one buffer.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;
use tillrace_core::decode::RejectCode;
use tillrace_core::envelope::{Admission, Envelope, ParkedMark, TYPE_PARKED, TYPE_REFUSED};
use tillrace_core::event::Event;
use tillrace_core::topics::{Topics, key, partition_of_key};
use tillrace_log::{Partition, ProducerRecord};
use xxhash_rust::xxh3::xxh3_128;

use super::source_cache::CachedSource;
use super::worker::EnvelopeText;
use super::{ChunkContext, RefusedEvent};
use crate::publish::DedupClaims;

/// Envelope and key beside the text of an event, roughly.
const OVERHEAD_BYTES: usize = 700;

/// Writes the rows of a chunk.
pub(super) struct RowWriter<'a> {
    context: &'a ChunkContext<'a>,
    partitions: Partition,
    gateway: &'a str,
    received_time: &'a str,
    buffer: Vec<u8>,
    /// The last row's key; the next is often the same.
    key: Range<usize>,
}

/// A row whose key and value are ranges of the buffer.
#[derive(Debug, Clone)]
pub(super) struct RowDraft {
    is_event: bool,
    partition: Partition,
    key: Range<usize>,
    value: Range<usize>,
}

/// A record of `pos.rejected`.
#[derive(Serialize)]
struct RejectionRecord<'a> {
    code: &'a str,
    pointer: &'a str,
    detail: &'a str,
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eventid: Option<&'a str>,
    receivedtime: &'a str,
    gateway: &'a str,
    original: &'a str,
}

/// What is known of a parked event besides its text.
pub(super) struct ParkedEvent<'a> {
    pub(super) code: RejectCode,
    pub(super) pointer: &'a str,
    pub(super) event_id: &'a str,
    pub(super) sequence: Option<u64>,
    pub(super) content_hash: Option<u128>,
    pub(super) data_hash: u128,
}

/// The data of a refused event's marker.
#[derive(Serialize)]
struct RefusalMarker<'a> {
    code: &'a str,
    pointer: &'a str,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(
        context: &'a ChunkContext<'a>,
        partitions: Partition,
        [gateway, received_time]: [&'a str; 2],
        [text_bytes, events]: [usize; 2],
    ) -> Self {
        let buffer = Vec::with_capacity(text_bytes + events * OVERHEAD_BYTES);
        Self { context, partitions, gateway, received_time, buffer, key: 0..0 }
    }

    /// Writes the row of a good event; its envelope text must be set.
    pub(super) fn event(
        &mut self,
        envelope_text: &EnvelopeText,
        event: &Event<'_>,
        admission: Admission,
        text: &[u8],
        source: &CachedSource,
    ) -> RowDraft {
        let envelope = Envelope {
            event_type: Cow::Borrowed(&envelope_text.event_type),
            time: Some(Cow::Borrowed(&envelope_text.time)),
            event_id: Some(Cow::Borrowed(event.event_id)),
            sequence: event.sequence,
            content_hash: Some(event.hash),
            data_hash: Some(xxh3_128(text)),
            flags: (!envelope_text.flags.is_empty())
                .then_some(Cow::Borrowed(envelope_text.flags.as_str())),
            admission,
            ..self.envelope(envelope_text, source, text)
        };
        let from = self.buffer.len();
        envelope.write(&mut self.buffer);
        self.draft(true, source.partition, source.key(), from)
    }

    /// Writes the row of a parked event; its envelope text must be set.
    pub(super) fn parked(
        &mut self,
        envelope_text: &EnvelopeText,
        parked: &ParkedEvent<'_>,
        text: &[u8],
        source: &CachedSource,
    ) -> RowDraft {
        let flags = envelope_text.flags.as_str();
        let envelope = Envelope {
            event_type: Cow::Borrowed(TYPE_PARKED),
            event_id: Some(Cow::Borrowed(parked.event_id)),
            sequence: parked.sequence,
            content_hash: parked.content_hash,
            data_hash: Some(parked.data_hash),
            flags: (!flags.is_empty()).then_some(Cow::Borrowed(flags)),
            parked: Some(ParkedMark {
                code: Cow::Borrowed(parked.code.as_str()),
                pointer: Cow::Borrowed(parked.pointer),
            }),
            ..self.envelope(envelope_text, source, text)
        };
        let from = self.buffer.len();
        envelope.write(&mut self.buffer);
        self.draft(true, source.partition, source.key(), from)
    }

    /// Writes the marker that a refused event leaves in the journal; its envelope text must be set.
    pub(super) fn marker(
        &mut self,
        envelope_text: &EnvelopeText,
        refused: &RefusedEvent,
        source: &CachedSource,
        sequence: u64,
    ) -> RowDraft {
        let marker = RefusalMarker { code: refused.reason.code(), pointer: &refused.pointer };
        let data = json(&marker);
        let envelope = Envelope {
            event_type: Cow::Borrowed(TYPE_REFUSED),
            event_id: refused.identity.event_id.as_deref().map(Cow::Borrowed),
            sequence: Some(sequence),
            ..self.envelope(envelope_text, source, &data)
        };
        let from = self.buffer.len();
        envelope.write(&mut self.buffer);
        self.draft(true, source.partition, source.key(), from)
    }

    /// Writes the record of a refused event that people read.
    pub(super) fn rejected(&mut self, refused: &RefusedEvent, original: &str) -> RowDraft {
        let identity = &refused.identity;
        let record = RejectionRecord {
            code: refused.reason.code(),
            pointer: &refused.pointer,
            detail: refused.reason.detail(),
            tenant: &self.context.caller.tenant.settings.id,
            store: identity.store.as_deref(),
            terminal: identity.terminal.as_deref(),
            sequence: identity.sequence,
            eventid: identity.event_id.as_deref(),
            receivedtime: self.received_time,
            gateway: self.gateway,
            original,
        };
        let from = self.buffer.len();
        self.buffer.extend_from_slice(&json(&record));
        let key = key(&[record.tenant, record.store.unwrap_or_default()]);
        self.draft(false, partition_of_key(&key, self.partitions), &key, from)
    }

    /// Makes the rows of all drafts, grouped by partition in order, and the fallback rows separately.
    pub(super) fn finish(
        self,
        topics: &Topics,
        drafts: &[RowDraft],
        fallback_rows: &[RowDraft],
        claims: &mut DedupClaims,
    ) -> WrittenRows {
        let buffer = Bytes::from(self.buffer);
        let row = |draft: &RowDraft| {
            let topic = if draft.is_event { &topics.events } else { &topics.rejected };
            ProducerRecord {
                topic: topic.clone(),
                partition: draft.partition,
                key: buffer.slice(draft.key.clone()),
                value: Some(buffer.slice(draft.value.clone())),
            }
        };
        let mut order: Vec<usize> = (0..drafts.len()).collect();
        order.sort_by_key(|&draft| drafts.get(draft).map(|draft| draft.partition));
        let mut row_indices = vec![0; drafts.len()];
        for (index, &draft) in order.iter().enumerate() {
            if let Some(slot) = row_indices.get_mut(draft) {
                *slot = index;
            }
        }
        claims.reorder(&row_indices);
        WrittenRows {
            rows: order.iter().filter_map(|&draft| drafts.get(draft)).map(row).collect(),
            row_indices,
            fallback_rows: fallback_rows.iter().map(row).collect(),
        }
    }

    /// The attributes that all envelopes of a source have in common.
    fn envelope<'e>(
        &self,
        envelope_text: &'e EnvelopeText,
        source: &'e CachedSource,
        data: &'e [u8],
    ) -> Envelope<'e>
    where
        'a: 'e,
    {
        let tenant = &self.context.caller.tenant;
        Envelope {
            id: Cow::Borrowed(&envelope_text.id),
            source: Cow::Borrowed(source.name()),
            event_type: Cow::Borrowed(""),
            tenant: Cow::Borrowed(&tenant.settings.id),
            store: Cow::Borrowed(source.store()),
            terminal: Some(Cow::Borrowed(source.terminal())),
            epoch: source.epoch().map(Cow::Borrowed),
            business_date: (!envelope_text.date.is_empty())
                .then_some(Cow::Borrowed(envelope_text.date.as_str())),
            received_time: Cow::Borrowed(self.received_time),
            scope: tenant.scope,
            policy_revision: Cow::Borrowed(&tenant.policy_revision),
            admission: Admission::Live,
            gateway: Cow::Borrowed(self.gateway),
            traceparent: self.context.traceparent.map(Cow::Borrowed),
            data,
            ..Envelope::default()
        }
    }

    /// Makes a draft of the value written since `from`.
    fn draft(&mut self, is_event: bool, partition: Partition, key: &str, from: usize) -> RowDraft {
        let value = from..self.buffer.len();
        if self.buffer.get(self.key.clone()) != Some(key.as_bytes()) {
            self.buffer.extend_from_slice(key.as_bytes());
            self.key = value.end..self.buffer.len();
        }
        RowDraft { is_event, partition, key: self.key.clone(), value }
    }
}

/// Rows made from drafts.
pub(super) struct WrittenRows {
    pub(super) rows: Vec<ProducerRecord>,
    /// The index of each draft's row.
    pub(super) row_indices: Vec<usize>,
    pub(super) fallback_rows: Vec<ProducerRecord>,
}

/// Serialises plain data, which cannot fail.
fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids hold no control characters, texts may.
    #[test]
    fn the_largest_refusal_fits_its_kind() {
        let (id, original) =
            ("\"".repeat(64), "\u{1}".repeat(super::super::chunk::MAX_ORIGINAL_BYTES));
        let record = RejectionRecord {
            code: &id,
            pointer: &"\u{1}".repeat(512),
            detail: &"d".repeat(200),
            tenant: &id,
            store: Some(&id),
            terminal: Some(&id),
            sequence: Some(u64::MAX),
            eventid: Some(&id),
            receivedtime: &id,
            gateway: &id,
            original: &original,
        };
        let bytes = json(&record).len() + key(&[&id, &id]).len();
        let largest = tillrace_core::record_size::largest("pos.rejected.v1", "rejected event");
        assert!(bytes <= largest, "{bytes}");
    }
}
