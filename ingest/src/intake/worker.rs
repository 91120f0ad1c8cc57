//! What a thread keeps from event to event, so that nothing is allocated for each.

use std::cell::RefCell;
use std::fmt::Write;

use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Scope, TYPE_PREFIX};
use tillrace_core::event::Event;
use tillrace_core::text::{Date, percent_encode};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::known::Known;
use crate::recent::Mark;

/// A thread's decoder, buffers and names.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) decoder: Decoder,
    pub(super) words: Words,
    pub(super) known: Known,
}

/// Texts of one envelope, each overwritten by the next event.
#[derive(Default)]
pub(super) struct Words {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) epoch: String,
    pub(super) time: String,
    pub(super) date: String,
    pub(super) flags: String,
    pub(super) event_type: String,
    marked: Vec<u8>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Lends the thread's worker; the borrow cannot meet itself because judging never waits.
pub(super) fn with_worker<T>(work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with_borrow_mut(work)
}

impl Words {
    /// Writes everything but the flags from an event.
    pub(super) fn describe(&mut self, scope: Scope, tenant: &str, event: &Event<'_>) {
        self.event_type.clear();
        self.event_type.push_str(TYPE_PREFIX);
        self.event_type.push_str(event.kind.as_str());
        self.time.clear();
        event.occurred_at.push_to(&mut self.time);
        self.set_date(Some(event.business_date));
        self.set_epoch(scope, event.epoch);
        self.set_identity([tenant, event.store, event.terminal], event.sequence, event.event_id);
    }

    /// Returns the event's mark: a hash over its identity, which must be set, and its content.
    pub(super) fn mark(&mut self, content_hash: u128, seed: u64) -> Mark {
        self.marked.clear();
        for text in [&self.source, &self.id] {
            self.marked.extend_from_slice(text.as_bytes());
            self.marked.push(b' ');
        }
        self.marked.extend_from_slice(&content_hash.to_le_bytes());
        xxh3_128_with_seed(&self.marked, seed)
    }

    pub(super) fn set_date(&mut self, date: Option<Date>) {
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

    /// Writes source and id, by which one event is told from every other; the epoch must be set.
    pub(super) fn set_identity(
        &mut self,
        [tenant, store, terminal]: [&str; 3],
        sequence: Option<u64>,
        event_id: &str,
    ) {
        self.source.clear();
        let epoch = (!self.epoch.is_empty()).then_some(self.epoch.as_str());
        for part in [tenant, store, terminal].into_iter().chain(epoch) {
            self.source.push('/');
            percent_encode(part, &mut self.source);
        }
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
        let mut words = Words { date: "2026-11-27".to_owned(), ..Words::default() };
        for (scope, epoch, expected) in [
            (Scope::Terminal, None, ""),
            (Scope::Terminal, Some("e2"), "e2"),
            (Scope::Wrapping(1_000), Some("e2"), "e2"),
            (Scope::BusinessDate, None, "2026-11-27"),
            (Scope::BusinessDate, Some("e2"), "e2@2026-11-27"),
        ] {
            words.set_epoch(scope, epoch);
            assert_eq!(words.epoch, expected);
        }
    }

    #[test]
    fn source_and_id_cannot_reach_into_one_another() {
        let mut words = Words::default();
        words.set_identity(["t", "a/b", "3"], Some(7), "e");
        assert_eq!((words.source.as_str(), words.id.as_str()), ("/t/a%2Fb/3", "7"));
        words.epoch.push_str("x y");
        words.set_identity(["t", "s", "3"], None, "e/1");
        assert_eq!((words.source.as_str(), words.id.as_str()), ("/t/s/3/x%20y", "id:e%2F1"));
    }
}
