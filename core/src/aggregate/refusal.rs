//! Markers of refused events: what a ledger keeps of an event that the gateway turned away.
//!
//! A marker fills its number until a good event with that number comes. It counts nothing and writes no
//! record of its own; its terminal's state and ledger say that it was there.

use super::partition::Partition;
use crate::envelope::{Envelope, Scope};
use crate::text::Date;

impl Partition {
    /// Notes a refused event in its terminal's ledger.
    pub(super) fn refuse(&mut self, store: u32, envelope: &Envelope<'_>) {
        self.checkpoint.totals.refused += 1;
        let (Some(name), Some(sequence)) = (envelope.terminal.as_deref(), envelope.sequence) else {
            return;
        };
        let epoch = envelope.epoch.as_deref().unwrap_or("");
        let Some(terminal) = self.terminal(store, name, epoch, envelope.scope) else { return };
        let entry = &mut self.stores[store as usize].terminals[terminal as usize];
        if entry.ledger.scope != envelope.scope {
            return;
        }
        if envelope.scope == Scope::BusinessDate {
            let date = envelope.business_date.as_deref().map(str::as_bytes);
            entry.expires = entry.expires.max(date.and_then(Date::parse));
        }
        let pending = entry.ledger.pending();
        if let Some(number) = entry.ledger.refuse(sequence) {
            self.mark_ledger(store, terminal, pending);
            self.mark_days_of(store, terminal, number);
        }
    }
}
