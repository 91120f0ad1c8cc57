//! An operator's release: an event kept aside goes out after all, under an identity of its own.
//!
//! The control record names the offset of the event on the journal. What was kept aside, and only
//! that, can be released, and once; what can not be read, or has no time of trade, never. The event
//! goes out with its offset joined to its id, counts in stock and in its store-day, and never in the
//! ledger. A release that can not be followed is reported and counts as the control record that it is.

use serde::Deserialize;

use super::fold::{FoldError, Subject, Workbench};
use super::partition::Partition;
use super::unreadable::{self, Unreadable};
use crate::envelope::{Envelope, Settled, SettledVerdict};
use crate::log::{self, Entry, Offset};

#[derive(Debug, Deserialize)]
struct Order {
    partition: log::Partition,
    offset: Offset,
    #[serde(default)]
    operator: String,
}

impl Partition {
    /// Follows a release.
    ///
    /// # Errors
    /// When the order or the event it names can not be read, or the log fails.
    pub(super) fn release(
        &mut self,
        store: u32,
        entry: &Entry,
        envelope: &Envelope<'_>,
        bench: &mut Workbench<'_>,
    ) -> Result<(), FoldError> {
        let order: Order =
            serde_json::from_slice(envelope.data).map_err(|_unreadable| Unreadable::Release)?;
        let original = self.releasable(store, entry.offset, &order, bench)?;
        self.tick(entry.appended_ms);
        let done = original.is_some_and(|original| self.let_out(store, &original, bench).is_some());
        tracing::info!(
            store_id = %envelope.store,
            tenant = %envelope.tenant,
            operator = order.operator,
            offset = order.offset,
            done,
            "release of an event kept aside"
        );
        self.checkpoint.totals.control += 1;
        Ok(())
    }

    /// The record that an order names, if it may be released.
    fn releasable(
        &self,
        store: u32,
        offset: Offset,
        order: &Order,
        bench: &Workbench<'_>,
    ) -> Result<Option<Entry>, FoldError> {
        let released = &self.stores[store as usize].released;
        if order.partition != self.number
            || order.offset >= offset
            || released.contains(order.offset)
            || released.is_full()
        {
            return Ok(None);
        }
        let archive = bench.archive;
        let kept = self.outputs.kept.contains(&order.offset)
            || archive.was_kept(self.number, order.offset).map_err(FoldError::Log)?;
        if !kept {
            return Ok(None);
        }
        let original = archive.event(self.number, order.offset).map_err(FoldError::Log)?;
        Ok(original.filter(|original| original.key == self.stores[store as usize].key))
    }

    /// Lets an event out; `None` where it is none that can be counted, which was then not kept aside as one either.
    fn let_out(&mut self, store: u32, original: &Entry, bench: &mut Workbench<'_>) -> Option<()> {
        let value = original.value.as_deref()?;
        let envelope = unreadable::read(value).ok()?;
        let event = bench.decoder.decode(envelope.data).ok()?;
        if !event.is_time_of_trade() {
            return None;
        }
        let offset = original.offset;
        let settled = Settled { verdict: SettledVerdict::Released, partition: self.number, offset };
        let renamed = Envelope {
            id: format!("{}~r{offset}", envelope.id).into(),
            settled: Some(settled),
            ..envelope.clone()
        };
        let mut text = Vec::with_capacity(value.len() + 128);
        renamed.write(&mut text);
        let key = self.stores[store as usize].key.clone();
        let desk = &mut bench.desk;
        self.outputs.push(desk.paper, &desk.topics.transactions, &key, &[&text]);
        let subject = Subject { store, offset, envelope: &envelope, event: &event, value };
        self.count(&subject, None, desk);
        self.checkpoint.totals.released += 1;
        self.stores[store as usize].released.add(offset);
        self.mark_store(store);
        Some(())
    }
}
