//! Counts the fiscal counter of an event.

use super::EventContext;
use crate::aggregate::partition::Partition;

impl Partition {
    /// Counts the counter that a fiscal device gave an event, if one did.
    #[inline]
    pub(super) fn count_fiscal(&mut self, context: &EventContext<'_>) {
        let fiscal = context.event.details.first().and_then(|details| details.fiscal.as_ref());
        let Some((fiscal, counter)) = fiscal.and_then(|fiscal| Some((fiscal, fiscal.counter?)))
        else {
            return;
        };
        let store = &mut self.stores[context.store as usize];
        let names = [fiscal.scheme, fiscal.device];
        let growth = store.fiscal.add(names, counter, store.key.len());
        self.buffer.size.add(growth.records, growth.bytes);
        if growth.is_first && growth.records > 0 {
            self.buffer.devices.push(context.store);
        }
    }
}
