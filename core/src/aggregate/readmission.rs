//! A readmission: a parked event comes again, as it was or mended, after rules or versions changed.
//!
//! It is judged as any event, except that it never steps towards a suspected reset. If the number is free it is the first. If a
//! first has the number, the parked event is settled without effect. If the ledger can not take it any more, because it has
//! forgotten the date, the id or the gap, the event counts once, as one that an operator releases does. A readmission of an
//! event that is not parked any more has no effect.

use super::fold::{Anomalies, EventContext, OutputContext};
use super::ledger::Decision;
use super::parking::{identity_name, parked_name};
use super::partition::Partition;
use super::verdict::{QuarantineReason, Verdict};
use crate::envelope::{Envelope, Readmission, SourceVerdict, VerdictKind};

impl Partition {
    /// Folds a readmission in.
    pub(super) fn readmit(
        &mut self,
        context: &EventContext<'_>,
        readmission: Readmission,
        output: &mut OutputContext<'_>,
    ) -> Anomalies {
        let store = context.store;
        let name = identity_name(context.envelope)
            .map(|identity| parked_name(&identity, readmission.text_hash));
        let parked = name.and_then(|name| self.stores[store as usize].parked.find(&name));
        let Some(parked) = parked else {
            self.checkpoint.totals.settled += 1;
            return Anomalies::default();
        };
        let (decision, terminal) = self.decide_without_streak(context);
        match (decision.verdict, terminal) {
            (Verdict::First, Some(terminal)) => {
                self.checkpoint.totals.first += 1;
                self.forward(context, output);
                self.count(context, Some((terminal, decision)), output);
                self.settle_identity(context, decision.number, output);
                // It may have been parked where the ledger could not take its number.
                self.settle(store, parked, output);
            }
            (
                Verdict::Quarantined(
                    QuarantineReason::TimeImplausible | QuarantineReason::DateAhead,
                ),
                _,
            ) => {
                self.checkpoint.totals.quarantined += 1;
                self.quarantine_event(context, decision.verdict, output);
            }
            (Verdict::Quarantined(reason), _) if reason != QuarantineReason::ResetSuspected => {
                self.checkpoint.totals.settled += 1;
                self.checkpoint.totals.released += 1;
                self.forward_released(context, output);
                self.count(context, None, output);
                self.settle(store, parked, output);
            }
            _ => {
                self.checkpoint.totals.settled += 1;
                self.settle(store, parked, output);
            }
        }
        Anomalies { jumps: u64::from(decision.jumped), resets: 0 }
    }

    fn decide_without_streak(&mut self, context: &EventContext<'_>) -> (Decision, Option<u32>) {
        let owner = &self.stores[context.store as usize];
        let epoch = context.envelope.epoch.as_deref().unwrap_or("");
        let terminal = owner.terminal(context.event.terminal, epoch);
        let streak =
            terminal.map_or(0, |terminal| owner.terminals[terminal as usize].ledger.streak);
        let (decision, terminal) = self.decide(context);
        if let Some(terminal) = terminal {
            let owner = &mut self.stores[context.store as usize];
            owner.terminals[terminal as usize].ledger.streak = streak;
        }
        (decision, terminal)
    }

    /// Writes an event that counts outside of its ledger to `pos.transactions`, under an id of its own.
    fn forward_released(&mut self, context: &EventContext<'_>, output: &mut OutputContext<'_>) {
        let (verdict, partition, offset) = (VerdictKind::Released, self.number, context.offset);
        let renamed = Envelope {
            id: format!("{}~r{offset}", context.envelope.id).into(),
            source_verdict: Some(SourceVerdict { verdict, partition, offset }),
            ..context.envelope.clone()
        };
        let mut text = Vec::with_capacity(context.value.len() + 128);
        renamed.write(&mut text);
        let key = self.stores[context.store as usize].key.clone();
        self.buffer.push(output.arena, &output.topics.transactions, &key, &[&text]);
    }
}
