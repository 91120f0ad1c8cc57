//! An operator's release: a quarantined event is counted after all, under a new identity.
//!
//! The control record names the offset of the event on the journal. Only a quarantined event can be released, and once; one
//! that can not be read, or has no time of trade, never. The released event has its offset appended to its id, and counts in
//! stock and in its store-day, but not in a ledger. A release without effect is logged, and counts as a control record.

use serde::Deserialize;
use tillrace_log::{ConsumerRecord, Offset};

use super::fold::{EventContext, FoldContext, FoldError};
use super::partition::Partition;
use super::unreadable::{self, UnreadableReason};
use crate::envelope::{Envelope, SourceVerdict, VerdictKind};

#[derive(Debug, Deserialize)]
struct ReleaseOrder {
    partition: tillrace_log::Partition,
    offset: Offset,
    #[serde(default)]
    operator: String,
}

impl Partition {
    /// Executes a release.
    ///
    /// # Errors
    /// When the order or the event it names can not be read, or the log fails.
    pub(super) fn release(
        &mut self,
        store: u32,
        entry: &ConsumerRecord,
        envelope: &Envelope<'_>,
        fold_context: &mut FoldContext<'_>,
    ) -> Result<(), FoldError> {
        let order: ReleaseOrder = serde_json::from_slice(envelope.data)
            .map_err(|_unreadable| UnreadableReason::Release)?;
        let original = self.find_releasable(store, entry.offset, &order, fold_context)?;
        self.tick(entry.appended_ms);
        let is_released = original
            .is_some_and(|original| self.release_event(store, &original, fold_context).is_some());
        tracing::info!(
            store_id = %envelope.store,
            tenant = %envelope.tenant,
            operator = order.operator,
            offset = order.offset,
            is_released,
            "release of a quarantined event"
        );
        self.checkpoint.totals.control += 1;
        Ok(())
    }

    /// Returns the record that a release names, if it may be released.
    fn find_releasable(
        &self,
        store: u32,
        offset: Offset,
        order: &ReleaseOrder,
        fold_context: &FoldContext<'_>,
    ) -> Result<Option<ConsumerRecord>, FoldError> {
        let released = &self.stores[store as usize].released;
        if order.partition != self.number
            || order.offset >= offset
            || released.contains(order.offset)
            || released.is_full()
        {
            return Ok(None);
        }
        let quarantine = fold_context.quarantine;
        let is_quarantined = self.buffer.quarantined.contains(&order.offset)
            || quarantine.is_quarantined(self.number, order.offset).map_err(FoldError::Log)?;
        if !is_quarantined {
            return Ok(None);
        }
        let original = quarantine.event(self.number, order.offset).map_err(FoldError::Log)?;
        Ok(original.filter(|original| original.key == self.stores[store as usize].key))
    }

    /// Counts a quarantined event; `None` if it can not be counted, in which case it was not quarantined as an event either.
    fn release_event(
        &mut self,
        store: u32,
        original: &ConsumerRecord,
        fold_context: &mut FoldContext<'_>,
    ) -> Option<()> {
        let value = original.value.as_deref()?;
        let envelope = unreadable::read(value).ok()?;
        // Parked events come back by readmission, and a readmission by another one.
        if envelope.parked.is_some() || envelope.readmission.is_some() {
            return None;
        }
        let event = fold_context.decoder.decode(envelope.data).ok()?;
        if !event.is_time_of_trade() {
            return None;
        }
        let offset = original.offset;
        let source_verdict =
            SourceVerdict { verdict: VerdictKind::Released, partition: self.number, offset };
        let renamed = Envelope {
            id: format!("{}~r{offset}", envelope.id).into(),
            source_verdict: Some(source_verdict),
            ..envelope.clone()
        };
        let mut text = Vec::with_capacity(value.len() + 128);
        renamed.write(&mut text);
        let key = self.stores[store as usize].key.clone();
        let output = &mut fold_context.output;
        self.buffer.push(output.arena, &output.topics.transactions, &key, &[&text]);
        let context = EventContext { store, offset, envelope: &envelope, event: &event, value };
        self.count(&context, None, output);
        self.checkpoint.totals.released += 1;
        self.stores[store as usize].released.add(offset);
        self.mark_store(store);
        Some(())
    }
}
