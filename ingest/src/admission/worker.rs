//! State that a thread reuses from event to event, to avoid allocations.

use std::cell::RefCell;
use std::fmt::Write;

use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Scope, TYPE_PREFIX};
use tillrace_core::event::Event;
use tillrace_core::text::{Date, percent_encode};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::source_cache::SourceCache;
use crate::dedup_cache::DedupKey;

/// A thread's decoder, buffers and source cache.
#[derive(Default)]
pub(super) struct WorkerState {
    pub(super) decoder: Decoder,
    pub(super) envelope_text: EnvelopeText,
    pub(super) sources: SourceCache,
}

/// Texts of one envelope, each overwritten by the next event.
#[derive(Default)]
pub(super) struct EnvelopeText {
    pub(super) id: String,
    pub(super) epoch: String,
    pub(super) time: String,
    pub(super) date: String,
    dated: Option<Date>,
    pub(super) flags: String,
    pub(super) event_type: String,
    key_bytes: Vec<u8>,
}

thread_local! {
    static WORKER: RefCell<WorkerState> = RefCell::default();
}

/// Runs work with the thread's state; it is never borrowed twice, because evaluation never waits.
pub(super) fn with_worker<T>(work: impl FnOnce(&mut WorkerState) -> T) -> T {
    WORKER.with_borrow_mut(work)
}

impl EnvelopeText {
    /// Writes everything but the flags from an event.
    pub(super) fn describe(&mut self, scope: Scope, event: &Event<'_>) {
        self.event_type.clear();
        self.event_type.push_str(TYPE_PREFIX);
        self.event_type.push_str(event.kind.as_str());
        self.time.clear();
        event.occurred_at.push_to(&mut self.time);
        self.set_date(Some(event.business_date));
        self.set_epoch(scope, event.epoch);
        self.set_id(event.sequence, event.event_id);
    }

    /// Returns the event's dedup key: a hash over its source, its id, which must be set, and its content.
    pub(super) fn dedup_key(&mut self, source: &str, content_hash: u128, seed: u64) -> DedupKey {
        self.key_bytes.clear();
        for text in [source, &self.id] {
            self.key_bytes.extend_from_slice(text.as_bytes());
            self.key_bytes.push(b' ');
        }
        self.key_bytes.extend_from_slice(&content_hash.to_le_bytes());
        xxh3_128_with_seed(&self.key_bytes, seed)
    }

    /// Writes the business date, unless it is that of the previous event.
    pub(super) fn set_date(&mut self, date: Option<Date>) {
        if self.dated == date {
            return;
        }
        self.dated = date;
        self.date.clear();
        if let Some(date) = date {
            date.push_to(&mut self.date);
        }
    }

    /// Writes the ledger's epoch: the event's, the business date, or both joined.
    pub(super) fn set_epoch(&mut self, scope: Scope, epoch: Option<&str>) {
        self.epoch.clear();
        self.epoch.push_str(epoch.unwrap_or_default());
        if scope == Scope::BusinessDate {
            if !self.epoch.is_empty() {
                self.epoch.push('@');
            }
            self.epoch.push_str(&self.date);
        }
    }

    /// Writes the id, which is unique among the events of a source.
    pub(super) fn set_id(&mut self, sequence: Option<u64>, event_id: &str) {
        self.id.clear();
        if let Some(sequence) = sequence {
            self.id.push_str(itoa::Buffer::new().format(sequence));
        } else {
            self.id.push_str("id:");
            percent_encode(event_id, &mut self.id);
        }
    }

    pub(super) fn add_flag(&mut self, flag: impl std::fmt::Display) {
        if !self.flags.is_empty() {
            self.flags.push(',');
        }
        put(&mut self.flags, flag);
    }
}

/// Appends a value's text; writing to a String cannot fail.
pub(super) fn put(text: &mut String, value: impl std::fmt::Display) {
    write!(text, "{value}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_a_date_scope_the_date_is_part_of_the_epoch() {
        let mut envelope_text =
            EnvelopeText { date: "2026-11-27".to_owned(), ..EnvelopeText::default() };
        for (scope, epoch, expected) in [
            (Scope::Terminal, None, ""),
            (Scope::Terminal, Some("e2"), "e2"),
            (Scope::Wrapping(1_000), Some("e2"), "e2"),
            (Scope::BusinessDate, None, "2026-11-27"),
            (Scope::BusinessDate, Some("e2"), "e2@2026-11-27"),
        ] {
            envelope_text.set_epoch(scope, epoch);
            assert_eq!(envelope_text.epoch, expected);
        }
    }

    #[test]
    fn an_event_id_is_no_number() {
        let mut envelope_text = EnvelopeText::default();
        for (sequence, event_id, expected) in [(Some(7), "e", "7"), (None, "7/1", "id:7%2F1")] {
            envelope_text.set_id(sequence, event_id);
            assert_eq!(envelope_text.id, expected);
        }
    }

    #[test]
    fn a_date_is_written_anew_when_it_is_another() {
        let mut envelope_text = EnvelopeText::default();
        for (date, expected) in [
            (Some(Date(0)), "1970-01-01"),
            (Some(Date(0)), "1970-01-01"),
            (Some(Date(1)), "1970-01-02"),
            (None, ""),
            (Some(Date(1)), "1970-01-02"),
        ] {
            envelope_text.set_date(date);
            assert_eq!(envelope_text.date, expected);
        }
    }
}
