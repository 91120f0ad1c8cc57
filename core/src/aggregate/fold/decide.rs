//! The decision on an event: by its dates first, then by its number on the ledger, or by its id if it has none.

use super::super::days::is_sealed;
use super::super::hashes::ShortHash;
use super::super::ledger::{Decision, LedgerClock};
use super::super::partition::Partition;
use super::super::settings::AHEAD_MS;
use super::super::store::identity_hash;
use super::super::verdict::{QuarantineReason, Verdict};
use super::EventContext;
use crate::envelope::Scope;

/// Days by which a business date, or a terminal's clock, may be ahead of the append.
const DAYS_AHEAD: i32 = 2;

impl Partition {
    /// Decides on an event; returns its terminal too, if it has one.
    pub(in crate::aggregate) fn decide(
        &mut self,
        context: &EventContext<'_>,
    ) -> (Decision, Option<u32>) {
        let quarantine = |reason| (Decision::quarantine(reason), None);
        let event = context.event;
        if !event.is_time_of_trade() {
            return quarantine(QuarantineReason::TimeImplausible);
        }
        let (today, now_ms) = (self.today(), self.checkpoint.clock_ms);
        let ahead_ms = event.occurred_at.millis().saturating_sub(now_ms);
        if event.business_date.0 > today.0.saturating_add(DAYS_AHEAD) || ahead_ms > AHEAD_MS {
            return quarantine(QuarantineReason::DateAhead);
        }
        let scope = context.envelope.scope;
        if scope == Scope::BusinessDate && is_sealed(event.business_date, today) {
            return quarantine(QuarantineReason::DateTooOld);
        }
        let Some(terminal) = self.terminal(context.store, event.terminal, context.epoch(), scope)
        else {
            return quarantine(QuarantineReason::TooManyTerminals);
        };
        let entry = &mut self.stores[context.store as usize].terminals[terminal as usize];
        if entry.ledger.scope != scope {
            return quarantine(QuarantineReason::ScopeChanged);
        }
        if scope == Scope::BusinessDate {
            entry.expires = entry.expires.max(Some(event.business_date));
        }
        let decision = match event.sequence {
            Some(sequence) => self.decide_by_number(context, terminal, sequence),
            None => self.decide_by_id(context, terminal),
        };
        (decision, Some(terminal))
    }

    fn decide_by_number(
        &mut self,
        context: &EventContext<'_>,
        terminal: u32,
        sequence: u64,
    ) -> Decision {
        let (now_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        let ledger = &mut self.stores[context.store as usize].terminals[terminal as usize].ledger;
        let (streak, pending) = (ledger.streak, ledger.pending());
        let recent = context.event.occurred_at.millis() >= now_ms.saturating_sub(horizon_ms);
        let hash = ShortHash::of(context.hash());
        let decision = ledger.decide(sequence, hash, recent, LedgerClock { now_ms, horizon_ms });
        if decision.verdict == Verdict::First || ledger.streak != streak {
            self.mark_ledger(context.store, terminal, pending);
        }
        if let (true, Some(number)) = (decision.filled, decision.number) {
            self.mark_days_of(context.store, terminal, number);
        }
        decision
    }

    fn decide_by_id(&mut self, context: &EventContext<'_>, terminal: u32) -> Decision {
        let (now_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.event_id_horizon_ms);
        let event = context.event;
        if event.occurred_at.millis() < now_ms.saturating_sub(horizon_ms) {
            return Decision::quarantine(QuarantineReason::IdTooOld);
        }
        let store = &mut self.stores[context.store as usize];
        let blocks = store.ids.changed();
        let verdict = store.ids.decide(
            identity_hash(event.terminal, context.epoch(), event.event_id),
            ShortHash::of(context.hash()),
            now_ms,
            self.rules.event_ids_kept_ms(),
            self.rules.event_ids_per_store,
        );
        let blocks = store.ids.changed().saturating_sub(blocks);
        self.buffer.size.add(blocks, blocks * (2_048 + 2 * store.key.len()));
        if verdict == Verdict::First {
            store.terminals[terminal as usize].unnumbered += 1;
            self.mark_terminal(context.store, terminal);
        }
        if self.stores[context.store as usize].ids.changed() > 0 {
            self.mark_store(context.store);
        }
        Decision { verdict, number: None, jumped: false, filled: false, reset: false }
    }
}
