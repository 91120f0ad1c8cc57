//! Markers of rejected events: what a ledger records of an event that the gateway rejected.
//!
//! A marker occupies its number until a good event with that number comes. It counts nothing and writes no record of its own;
//! the state and the ledger of its terminal include it as `refused`.

use super::partition::Partition;
use crate::envelope::{Envelope, Scope};
use crate::text::Date;

impl Partition {
    /// Records a rejected event in its terminal's ledger.
    pub(super) fn record_rejection(&mut self, store: u32, envelope: &Envelope<'_>) {
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
