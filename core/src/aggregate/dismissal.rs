//! An operator's dismissal: a parked or refused event was no trade, and lacks no longer.
//!
//! The control record names the offset of a parked event, or the terminal and number of a refused one. The number is then
//! dismissed, unless another parked text holds it; a good event still takes it, and what comes parked or refused after the
//! dismissal is judged anew. A dismissal without effect is logged, and counts as a control record.

use serde::Deserialize;
use tillrace_log::{ConsumerRecord, Offset};

use super::fold::OutputContext;
use super::partition::Partition;
use super::sequence_set::OpenReason;
use super::unreadable::UnreadableReason;
use crate::envelope::Envelope;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum DismissOrder {
    Parked {
        partition: tillrace_log::Partition,
        offset: Offset,
        #[serde(default)]
        operator: String,
    },
    Refused {
        terminal: String,
        #[serde(default)]
        epoch: String,
        sequence: u64,
        #[serde(default)]
        operator: String,
    },
}

impl Partition {
    /// Executes a dismissal.
    ///
    /// # Errors
    /// When the order can not be read.
    pub(super) fn dismiss(
        &mut self,
        store: u32,
        entry: &ConsumerRecord,
        envelope: &Envelope<'_>,
        output: &mut OutputContext<'_>,
    ) -> Result<(), UnreadableReason> {
        let order: DismissOrder = serde_json::from_slice(envelope.data)
            .map_err(|_unreadable| UnreadableReason::Dismissal)?;
        self.tick(entry.appended_ms);
        let (is_dismissed, operator) = match &order {
            DismissOrder::Parked { partition, offset, operator } => {
                let is_parked = *partition == self.number
                    && self.stores[store as usize].parked.contains(*offset);
                if is_parked {
                    self.settle(store, *offset, output);
                }
                (is_parked, operator)
            }
            DismissOrder::Refused { terminal, epoch, sequence, operator } => {
                (self.dismiss_refused(store, terminal, epoch, *sequence), operator)
            }
        };
        tracing::info!(
            store_id = %envelope.store,
            tenant = %envelope.tenant,
            operator,
            offset = entry.offset,
            is_dismissed,
            "dismissal of a parked or refused event"
        );
        self.checkpoint.totals.control += 1;
        Ok(())
    }

    fn dismiss_refused(&mut self, store: u32, terminal: &str, epoch: &str, sequence: u64) -> bool {
        let owner = &self.stores[store as usize];
        let Some(terminal) = owner.terminal(terminal, epoch) else { return false };
        let number = owner.terminals[terminal as usize].ledger.tracked_number(sequence);
        number
            .is_some_and(|number| self.dismiss_number(store, terminal, number, OpenReason::Refused))
    }
}
