//! What the lines of a counted event move: deltas by window, reason and stock location, and counts as they are.

use super::{EventContext, OutputContext};
use crate::aggregate::partition::Partition;
use crate::aggregate::records::CountRecord;
use crate::aggregate::windows::{WindowKey, window_start};
use crate::event::{Event, Line};
use crate::stock::{StockEffect, effect, is_count, relocation};

/// Most bytes of a delta besides its names.
const DELTA_BYTES: usize = 640;
impl Partition {
    pub(super) fn move_stock(
        &mut self,
        context: &EventContext<'_>,
        output: &mut OutputContext<'_>,
    ) {
        let EventContext { store, event, .. } = *context;
        let key = WindowKey {
            store,
            date: event.business_date,
            window_start: window_start(event.occurred_at, self.rules.window_seconds),
            source: context.offset,
            cell: 0,
        };
        let names = {
            let store = &self.stores[store as usize];
            3 * store.key.len() + 2 * (store.tenant.len() + store.name.len())
        };
        for line in &event.lines {
            let effect = effect(event.kind, line);
            if effect != StockEffect::default() {
                self.add_to_window(key, names, (event, line), effect);
            }
            if let Some(arriving) = relocation(event.kind, line) {
                self.relocate(key, names, (event, line), arriving);
            }
            if is_count(event.kind, line) {
                let owner = &self.stores[store as usize];
                let record = CountRecord {
                    partition: self.number,
                    offset: context.offset,
                    line: line.line,
                    tenant: &owner.tenant,
                    store: &owner.name,
                    sku: line.sku,
                    unit: line.unit,
                    location: event.details_of(line).location,
                    quantity: line.quantity,
                    counted_at: context.envelope.time.as_deref().unwrap_or_default(),
                    business_date: event.business_date,
                };
                let key = crate::topics::key(&[&owner.tenant, &owner.name, line.sku]);
                let value = output.arena.json(&record);
                self.buffer.push_row(&output.topics.counts, key.into(), Some(value));
            }
        }
    }

    /// Adds a line's effect to its window, under its reason and location if it has them.
    #[inline]
    fn add_to_window(
        &mut self,
        key: WindowKey,
        names: usize,
        (event, line): (&Event<'_>, &Line<'_>),
        effect: StockEffect,
    ) {
        if line.has_details() {
            let details = event.details_of(line);
            self.add_to_cell(key, names, line, (details.reason, details.location), effect);
        } else if self.buffer.windows.add(key, line.sku, line.unit, effect) {
            self.buffer.size.add(1, DELTA_BYTES + names + 9 * line.sku.len());
        }
    }

    fn add_to_cell(
        &mut self,
        key: WindowKey,
        names: usize,
        line: &Line<'_>,
        (reason, location): (Option<&str>, Option<&str>),
        effect: StockEffect,
    ) {
        let cell = self.buffer.windows.cell(reason, location);
        if self.buffer.windows.add(WindowKey { cell, ..key }, line.sku, line.unit, effect) {
            let words =
                [reason, location].map(|text| text.map_or(0, str::len)).iter().sum::<usize>();
            self.buffer.size.add(1, DELTA_BYTES + names + 9 * (line.sku.len() + words));
        }
    }

    /// Takes goods from one location of the store to another.
    #[cold]
    fn relocate(
        &mut self,
        key: WindowKey,
        names: usize,
        (event, line): (&Event<'_>, &Line<'_>),
        arriving: StockEffect,
    ) {
        let details = event.details_of(line);
        let leaving = StockEffect {
            stock: -arriving.stock,
            adjusted: -arriving.adjusted,
            ..StockEffect::default()
        };
        self.add_to_cell(key, names, line, (details.reason, details.location), leaving);
        self.add_to_cell(key, names, line, (details.reason, details.to_location), arriving);
    }
}
