//! What else a pass over the journal compares: counts of stock, released payloads, repeats.

use std::collections::BTreeSet;

use crate::log::{Entry, LogError, Offset};
use crate::text::Decimal;

use super::claims::Source;
use super::cut::transaction_source;
use super::journal::{Checks, Journal, Record, identity_of};
use super::record::{CountRecord, Envelope, EventText, ReleaseOrder};
use super::report::{Check, Difference};
use super::scan::Scan;

/// What a released payload may say otherwise than the original.
const RELEASED_APART: [&str; 6] =
    ["id", "eventid", "verdict", "sourcepartition", "sourceoffset", "flags"];

impl Journal<'_> {
    /// Each count line of a first stands once on `stock.counts`, as it was counted.
    pub(super) fn compare_counts(
        &self,
        record: &Record<'_>,
        event: &EventText<'_>,
        counts: &[Entry],
        check: &mut Check,
    ) {
        let mut expected: Vec<_> = event
            .lines
            .iter()
            .flatten()
            .filter(|line| event.kind == "inventory_count" && line.line_type == "count")
            .filter(|line| !line.void.unwrap_or(false))
            .collect();
        for entry in counts {
            let difference = |what| {
                Difference::new(&self.topics.counts, self.partition, what)
                    .at(entry.offset)
                    .of(record.name())
            };
            let value = entry.value.as_deref().unwrap_or_default();
            let Ok(count) = serde_json::from_slice::<CountRecord<'_>>(value) else { continue };
            let Some(place) = expected.iter().position(|line| line.line == count.line) else {
                check.differs(difference("counts a line that was not counted, or twice"));
                continue;
            };
            let line = expected.swap_remove(place);
            let quantity = |text: &str| Decimal::parse(text.as_bytes());
            let same = count.tenant == record.tenant
                && count.store == event.store
                && count.sku == line.sku
                && count.unit == line.unit.as_deref().unwrap_or("C62")
                && quantity(&count.quantity) == quantity(&line.quantity)
                && count.counted_at == event.occurred_at
                && count.business_date == event.business_date;
            if !same {
                check.differs(difference("does not say what was counted"));
            }
        }
        for line in expected {
            let what = "a counted line is not on the counts' topic";
            check.differs(self.difference(record.entry, what).of(format!(
                "{} line {}",
                record.name(),
                line.line
            )));
        }
    }

    /// Each payload that an operator released stands once more on `pos.transactions`, and moves
    /// stock; nothing else does.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn compare_released(
        &mut self,
        copies: &[Entry],
        checks: &mut Checks<'_>,
    ) -> Result<(), LogError> {
        let later = if copies.is_empty() { BTreeSet::new() } else { self.later_orders()? };
        let mut due = std::mem::take(&mut self.released);
        let mut done = BTreeSet::new();
        for copy in copies {
            let difference = |what| {
                Difference::new(&self.topics.transactions, self.partition, what).at(copy.offset)
            };
            let value = copy.value.as_deref().unwrap_or_default();
            let Some((envelope, offset)) = Envelope::parse(value).and_then(|envelope| {
                let offset = released_offset(&envelope)?;
                Some((envelope, offset))
            }) else {
                checks.verdicts.differs(difference("a released record names no offset"));
                continue;
            };
            if due.remove(&offset) {
                done.insert(offset);
                self.compare_release(offset, &envelope, copy, checks)?;
            } else if done.contains(&offset) {
                checks.verdicts.differs(difference("released twice"));
            } else if !later.contains(&offset) && self.cut.is_whole() {
                checks.verdicts.differs(difference("released without an order to do so"));
            }
        }
        for offset in due {
            let what = "an operator released it, but it did not go out";
            checks
                .verdicts
                .differs(Difference::new(&self.topics.events, self.partition, what).at(offset));
        }
        Ok(())
    }

    fn compare_release(
        &mut self,
        offset: Offset,
        envelope: &Envelope<'_>,
        copy: &Entry,
        checks: &mut Checks<'_>,
    ) -> Result<(), LogError> {
        let mut scan =
            Scan::open(self.view, &self.topics.events, self.partition, offset, offset + 1)?;
        let Some(original) = scan.next()? else { return Ok(()) };
        let Some(record) = Record::read(&original) else { return Ok(()) };
        if let Some(member) = record.envelope.differs_from(envelope, &RELEASED_APART) {
            checks.verdicts.differs(
                Difference::new(
                    &self.topics.transactions,
                    self.partition,
                    "a released record does not say what the journal says",
                )
                .at(copy.offset)
                .of(record.name())
                .between(member, member),
            );
        }
        let event = serde_json::from_str::<EventText<'_>>(record.envelope.data());
        if !event.is_ok_and(|event| self.stock.add_event(&record.tenant, &event)) {
            checks.stock.differs(self.difference(&original, "its lines cannot be read"));
        }
        Ok(())
    }

    /// Offsets released above the covered part, whose payloads may stand on `pos.transactions`.
    fn later_orders(&self) -> Result<BTreeSet<Offset>, LogError> {
        let end = self.view.bounds(&self.topics.events, self.partition)?.stable_end;
        let mut orders = BTreeSet::new();
        let from = self.cut.to.min(end);
        let mut scan = Scan::open(self.view, &self.topics.events, self.partition, from, end)?;
        while let Some(entry) = scan.next()? {
            let order = entry
                .value
                .as_deref()
                .and_then(Envelope::parse)
                .filter(|envelope| envelope.kind().as_deref() == Some("release"))
                .and_then(|envelope| serde_json::from_str::<ReleaseOrder>(envelope.data()).ok());
            orders.extend(order.map(|order| order.offset));
        }
        Ok(orders)
    }

    /// Looks the firsts of all repeats up, and compares their contents.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn compare_repeats(&mut self, check: &mut Check) -> Result<(), LogError> {
        if self.repeats.is_empty() {
            return Ok(());
        }
        let mut scan = Scan::whole(self.view, &self.topics.transactions, self.partition)?;
        while let Some(entry) = scan.next()? {
            let value = entry.value.as_deref().unwrap_or_default();
            let Source::At(_, offset) = transaction_source(value) else { continue };
            let Some(envelope) = Envelope::parse(value) else { continue };
            if let Some(identity) = identity_of(&envelope) {
                self.repeats.first(identity, offset, super::journal::hash_of(&envelope));
            }
        }
        for (offset, what) in self.repeats.wrong() {
            check.differs(Difference::new(&self.topics.events, self.partition, what).at(offset));
        }
        Ok(())
    }
}

/// The offset that a released record's new id ends with.
fn released_offset(envelope: &Envelope<'_>) -> Option<Offset> {
    envelope.text("id")?.rsplit_once("~r")?.1.parse().ok()
}
