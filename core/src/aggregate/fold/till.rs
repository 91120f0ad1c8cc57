//! Counts an event in the till balance of its day.

use super::EventContext;
use crate::aggregate::drawers::{DayBalance, Growth, Rank, Till};
use crate::aggregate::partition::Partition;
use crate::envelope::Scope;
use crate::event::Kind;
use crate::text::Date;
use crate::till_balance;

/// Returns the rank of what an event states. Numbers that begin anew say nothing about which event is the later.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash tells two events apart")]
fn rank_of(context: &EventContext<'_>) -> Rank {
    let number = match context.envelope.scope {
        Scope::Wrapping(_) => 0,
        Scope::Terminal | Scope::BusinessDate => context.event.sequence.unwrap_or(0),
    };
    let occurred_micros = context.event.occurred_at.micros;
    Rank { number, occurred_micros, hash: context.hash() as u64 }
}

impl Partition {
    /// Counts an event in the balance of its day, which is not sealed; a released event has no terminal.
    pub(super) fn balance_till(&mut self, context: &EventContext<'_>, terminal: Option<u32>) {
        let (event, epoch) = (context.event, context.epoch());
        let store = &mut self.stores[context.store as usize];
        let date = event.business_date;
        if till_balance::effect(event.kind).is_some() {
            let balance = store.balances.entry(date).or_default();
            let till = Till { epoch, slot: terminal, store_key: &store.key };
            let growth = balance.add(event, till, || rank_of(context));
            self.grow_balance(context.store, date, growth);
        }
        if terminal.is_some() && event.kind == Kind::Close {
            let store = &mut self.stores[context.store as usize];
            let Some(balance) = store.balances.get_mut(&date) else { return };
            let growth = balance.mark_terminal(event.terminal, epoch, &store.key);
            self.grow_balance(context.store, date, growth);
        }
    }

    fn grow_balance(&mut self, store: u32, date: Date, growth: Growth) {
        if growth == Growth::default() {
            return;
        }
        self.buffer.size.add(growth.records, growth.bytes);
        let balance = self.stores[store as usize].balances.get_mut(&date);
        if balance.is_some_and(DayBalance::list) {
            self.buffer.balances.push((store, date));
        }
    }
}
