//! Writes the drawers and safes that changed, and forgets those of sealed days.

use bytes::{Bytes, BytesMut};
use tillrace_log::ProducerRecord;

use crate::aggregate::arena::RecordArena;
use crate::aggregate::day_records::write_drawer;
use crate::aggregate::drawers::{DayBalance, NamedDrawer};
use crate::aggregate::partition::Partition;
use crate::aggregate::state;
use crate::aggregate::store::Store;
use crate::text::Date;
use crate::topics::Topics;

impl Partition {
    /// Appends the records of balances; their days are written beside them.
    pub(super) fn write_balances(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let source = self.origin();
        for (slot, date) in std::mem::take(&mut self.buffer.balances) {
            let balance = self.stores[slot as usize].balances.get_mut(&date);
            let Some((drawers, is_safe_changed)) = balance.map(DayBalance::take_changed) else {
                continue;
            };
            let store = &self.stores[slot as usize];
            let Some(balance) = store.balances.get(&date) else { continue };
            if is_safe_changed {
                let [key, state] = arena.pieces(|text| {
                    state::write_safe_key(text, store, date);
                    let key = text.len();
                    state::write_safe_state(text, balance);
                    [key, text.len()]
                });
                rows.push(self.row(&topics.state, key, Some(state)));
            }
            for named in drawers.iter().filter_map(|&slot| balance.drawers().get(slot as usize)) {
                let [key, state] = arena.pieces(|text| {
                    state::write_drawer_state_key(text, store, date, named);
                    let key = text.len();
                    state::write_drawer_state(text, &named.drawer);
                    [key, text.len()]
                });
                rows.push(self.row(&topics.state, key, Some(state)));
                if !is_due(store, date, named) {
                    continue;
                }
                let [key, record] = arena.pieces(|text| {
                    state::write_drawer_key(text, store, date, &named.key);
                    let key = text.len();
                    write_drawer(text, store, date, named, source);
                    [key, text.len()]
                });
                rows.push(self.row(&topics.days, key, Some(record)));
            }
        }
    }

    /// Removes what is kept of the balance of a day that is being sealed.
    pub(in crate::aggregate) fn forget_balance(&mut self, slot: u32, date: Date, topics: &Topics) {
        let store = &self.stores[slot as usize];
        let Some(balance) = store.balances.get(&date) else { return };
        let key = |write: &dyn Fn(&mut BytesMut)| -> Bytes {
            let mut text = BytesMut::new();
            write(&mut text);
            text.freeze()
        };
        let drawers = balance.drawers().iter();
        let drawers = drawers
            .map(|named| key(&|text| state::write_drawer_state_key(text, store, date, named)));
        let safe = key(&|text| state::write_safe_key(text, store, date));
        let keys: Vec<_> = drawers.chain([safe]).collect();
        for key in keys {
            self.buffer.push_row(&topics.state, key, None);
        }
    }
}

/// Tells whether a drawer is published: it is declared, or its terminal has closed.
fn is_due(store: &Store, date: Date, named: &NamedDrawer) -> bool {
    let has_closed = || {
        let terminal = store.terminal(&named.terminal, &named.epoch)?;
        store.terminals.get(terminal as usize)?.days.on(date).map(|seen| seen.closed)
    };
    named.drawer.is_declared() || has_closed().unwrap_or(false)
}
