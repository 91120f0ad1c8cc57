//! The verdict on an event: its dates first, then its number on the ledger, or its id where it has none.

use super::super::days::is_sealed;
use super::super::hashes::ShortHash;
use super::super::ledger::{Moment, Ruling};
use super::super::partition::Partition;
use super::super::settings::AHEAD_MS;
use super::super::store::identity_hash;
use super::super::verdict::{Quarantine, Verdict};
use super::Subject;
use crate::envelope::Scope;

/// Days by which a business date, or a terminal's clock, may be ahead of the append.
const DAYS_AHEAD: i32 = 2;

impl Partition {
    /// Gives the verdict, and the terminal where it has one.
    pub(super) fn judge(&mut self, subject: &Subject<'_>) -> (Ruling, Option<u32>) {
        let aside = |reason| (Ruling::aside(reason), None);
        let event = subject.event;
        if !event.is_time_of_trade() {
            return aside(Quarantine::TimeImplausible);
        }
        let (today, now_ms) = (self.today(), self.checkpoint.clock_ms);
        let ahead_ms = event.occurred_at.millis().saturating_sub(now_ms);
        if event.business_date.0 > today.0.saturating_add(DAYS_AHEAD) || ahead_ms > AHEAD_MS {
            return aside(Quarantine::DateAhead);
        }
        let scope = subject.envelope.scope;
        if scope == Scope::BusinessDate && is_sealed(event.business_date, today) {
            return aside(Quarantine::DateTooOld);
        }
        let Some(terminal) = self.terminal(subject.store, event.terminal, subject.epoch(), scope)
        else {
            return aside(Quarantine::TooManyTerminals);
        };
        let entry = &mut self.stores[subject.store as usize].terminals[terminal as usize];
        if entry.ledger.scope != scope {
            return aside(Quarantine::ScopeChanged);
        }
        if scope == Scope::BusinessDate {
            entry.expires = entry.expires.max(Some(event.business_date));
        }
        let ruling = match event.sequence {
            Some(sequence) => self.judge_number(subject, terminal, sequence),
            None => self.judge_id(subject, terminal),
        };
        (ruling, Some(terminal))
    }

    fn judge_number(&mut self, subject: &Subject<'_>, terminal: u32, sequence: u64) -> Ruling {
        let (now_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let ledger = &mut self.stores[subject.store as usize].terminals[terminal as usize].ledger;
        let (streak, pending) = (ledger.streak, ledger.pending());
        let recent = subject.event.occurred_at.millis() >= now_ms.saturating_sub(horizon_ms);
        let hash = ShortHash::of(subject.hash());
        let ruling = ledger.judge(sequence, hash, recent, Moment { now_ms, horizon_ms });
        if ruling.verdict == Verdict::First || ledger.streak != streak {
            self.mark_ledger(subject.store, terminal, pending);
        }
        if let (true, Some(number)) = (ruling.filled, ruling.number) {
            self.mark_days_of(subject.store, terminal, number);
        }
        ruling
    }

    fn judge_id(&mut self, subject: &Subject<'_>, terminal: u32) -> Ruling {
        let (now_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.event_id_horizon_ms);
        let event = subject.event;
        if event.occurred_at.millis() < now_ms.saturating_sub(horizon_ms) {
            return Ruling::aside(Quarantine::IdTooOld);
        }
        let store = &mut self.stores[subject.store as usize];
        let blocks = store.ids.changed();
        let verdict = store.ids.judge(
            identity_hash(event.terminal, subject.epoch(), event.event_id),
            ShortHash::of(subject.hash()),
            now_ms,
            self.rules.event_ids_kept_ms(),
            self.rules.event_ids_per_store,
        );
        let blocks = store.ids.changed().saturating_sub(blocks);
        self.outputs.weight.add(blocks, blocks * (2_048 + 2 * store.key.len()));
        if verdict == Verdict::First {
            store.terminals[terminal as usize].unnumbered += 1;
            self.mark_terminal(subject.store, terminal);
        }
        if self.stores[subject.store as usize].ids.changed() > 0 {
            self.mark_store(subject.store);
        }
        Ruling { verdict, number: None, jumped: false, filled: false, reset: false }
    }
}
