//! Further comparisons of a pass over the journal: counts of stock, released payloads, repeats.

use std::collections::{BTreeMap, BTreeSet};

use tillrace_log::{ConsumerRecord, LogError, Offset, Topic};

use crate::text::Decimal;

use super::check::{Check, Difference};
use super::flush_boundaries::transaction_source;
use super::journal::{Checks, Journal};
use super::journal_record::{JournalRecord, hash_of, identity_of};
use super::record::{CountRecord, Envelope, EventText, ReleaseOrder};
use super::scan::Scan;
use super::sourced_records::RecordSource;
use super::terminals::Scope;
use super::tills::Counted;

/// Members of a released record that may differ from the original.
const RELEASED_APART: [&str; 4] = ["id", "verdict", "sourcepartition", "sourceoffset"];

/// Records of `stock.counts` by the journal record they name.
type Counts = BTreeMap<Offset, Vec<ConsumerRecord>>;

impl Journal<'_> {
    /// A copy has the attributes and the data of the journal, but for those of `apart`.
    pub(super) fn compare_copy(
        &self,
        record: &JournalRecord<'_>,
        copy: &ConsumerRecord,
        apart: &[&str],
        checks: &mut Checks<'_>,
    ) {
        let difference = |what| {
            Difference::new(&self.topics.transactions, self.partition, what)
                .at(copy.offset)
                .of(record.name())
        };
        let Some(envelope) = copy.value.as_deref().and_then(Envelope::parse) else { return };
        if let Some(member) = record.envelope.differs_from(&envelope, apart) {
            checks
                .verdicts
                .differs(difference("does not match the journal").between(member, member));
        }
        if copy.key != record.entry.key {
            checks.verdicts.differs(difference("has another key than in the journal"));
        }
    }

    /// Reports records whose source the journal does not hold.
    pub(super) fn orphaned(
        &self,
        entries: impl IntoIterator<Item = (Offset, ConsumerRecord)>,
        check: &mut Check,
    ) {
        for (source, entry) in entries {
            let what = "orphaned: the journal does not hold its source";
            check.differs(
                Difference::new(&entry.topic, self.partition, what)
                    .at(entry.offset)
                    .between("nothing", format_args!("source offset {source}")),
            );
        }
    }

    /// Each count line of a first is on `stock.counts` once, with its values.
    pub(super) fn compare_counts(
        &self,
        record: &JournalRecord<'_>,
        event: &EventText<'_>,
        counts: &[ConsumerRecord],
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
            let Some(index) = expected.iter().position(|line| line.line == count.line) else {
                check.differs(difference("counts a line that was not counted, or twice"));
                continue;
            };
            let line = expected.swap_remove(index);
            let quantity = |text: &str| Decimal::parse(text.as_bytes());
            let same = count.tenant == record.tenant
                && count.store == event.store
                && count.sku == line.sku
                && count.unit == line.unit.as_deref().unwrap_or("C62")
                && count.location == line.location
                && quantity(&count.quantity) == quantity(&line.quantity)
                && event.happened_at(&count.counted_at)
                && count.business_date == event.business_date;
            if !same {
                check.differs(difference("does not match the counted line"));
            }
        }
        for line in expected {
            let what = "a counted line is missing from the topic of counts";
            check.differs(self.difference(record.entry, what).of(format!(
                "{} line {}",
                record.name(),
                line.line
            )));
        }
    }

    /// An operator's order to release a kept record.
    pub(super) fn release(&mut self, record: &JournalRecord<'_>, checks: &mut Checks<'_>) {
        self.counts.control += 1;
        match serde_json::from_str::<ReleaseOrder>(record.envelope.data()) {
            Ok(order) if order.partition == self.partition => {
                if order.offset < self.coverage.from {
                    self.released_given.insert(order.offset);
                } else if self.kept.get(&order.offset) == Some(&record.entry.key)
                    && self.released.insert(order.offset)
                {
                    self.released_on.insert(order.offset, self.days.today());
                    self.counts.released += 1;
                    self.tills.order(order.offset);
                }
            }
            Ok(_) => {}
            Err(_) => checks.verdicts.differs(self.difference(record.entry, "cannot be read")),
        }
    }

    /// Each payload that an operator released is on `pos.transactions` once more, and moves stock;
    /// no other payload does.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn compare_released(
        &mut self,
        copies: &[ConsumerRecord],
        counts: Vec<(Offset, ConsumerRecord)>,
        checks: &mut Checks<'_>,
    ) -> Result<(), LogError> {
        let later = if copies.is_empty() && counts.is_empty() {
            BTreeSet::new()
        } else {
            self.later_orders()?
        };
        let (mut counts, orphaned) = self.counts_of_released(counts);
        let orphaned = orphaned.into_iter().filter(|(source, _)| !later.contains(source));
        self.orphaned(orphaned, checks.stock);
        let mut due = std::mem::take(&mut self.released);
        let mut given = std::mem::take(&mut self.released_given);
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
            let is_given = given.remove(&offset);
            if is_given || due.remove(&offset) {
                self.counts.released += u64::from(is_given);
                done.insert(offset);
                let counts = counts.remove(&offset).unwrap_or_default();
                self.compare_release(offset, &envelope, copy, &counts, checks)?;
            } else if done.contains(&offset) {
                checks.verdicts.differs(difference("released twice"));
            } else if !later.contains(&offset) && self.coverage.is_complete() {
                checks.verdicts.differs(difference("released without an order to do so"));
            }
        }
        for offset in due {
            let what = "an operator released it, but it was not published";
            checks
                .verdicts
                .differs(Difference::new(&self.topics.events, self.partition, what).at(offset));
        }
        Ok(())
    }

    /// Compares a released payload with the journal, as long as the journal holds the original.
    fn compare_release(
        &mut self,
        offset: Offset,
        envelope: &Envelope<'_>,
        copy: &ConsumerRecord,
        counts: &[ConsumerRecord],
        checks: &mut Checks<'_>,
    ) -> Result<(), LogError> {
        let original = self.read_journal_at(offset)?;
        let record = original.as_ref().and_then(JournalRecord::read);
        let member = record
            .as_ref()
            .and_then(|record| record.envelope.differs_from(envelope, &RELEASED_APART));
        if let Some(member) = member {
            let what = "a released record does not match the journal";
            let topic = &self.topics.transactions;
            let difference = Difference::new(topic, self.partition, what).at(copy.offset);
            checks.verdicts.differs(difference.between(member, member));
        }
        let payload = record.as_ref().map_or(envelope, |record| &record.envelope);
        let event = serde_json::from_str::<EventText<'_>>(payload.data()).ok();
        let tenant = payload.text("tenant").unwrap_or_default();
        // Counts of events released before the coverage are unknown.
        if let (Some(record), Some(event), true) = (&record, &event, offset >= self.coverage.from) {
            self.compare_counts(record, event, counts, checks.stock);
        }
        if let Some(event) = &event {
            let ordered_on = self.released_on.get(&offset).copied();
            self.count_released_on_day(&tenant, event, ordered_on);
        }
        if !event.as_ref().is_some_and(|event| self.balance_release(offset, payload, event)) {
            let what = "the amounts of a released record cannot be read";
            let topic = &self.topics.transactions;
            checks.tills.differs(Difference::new(topic, self.partition, what).at(copy.offset));
        }
        if !event.is_some_and(|event| self.stock.add_event(&tenant, &event)) {
            let what = "the lines of a released record cannot be read";
            let topic = &self.topics.transactions;
            checks.stock.differs(Difference::new(topic, self.partition, what).at(copy.offset));
        }
        Ok(())
    }

    /// Adds a first to the balance of its day, and its fiscal counter; returns false if its amounts cannot be read.
    pub(super) fn balance_first(
        &mut self,
        record: &JournalRecord<'_>,
        scope: Scope,
        event: &EventText<'_>,
    ) -> bool {
        if let Some(fiscal) = &event.fiscal {
            self.fiscal.add(&record.tenant, &event.store, fiscal);
        }
        let counted = Counted {
            tenant: &record.tenant,
            epoch: &record.envelope.text("epoch").unwrap_or_default(),
            scope,
            hash: self.content_hash(&record.envelope),
            is_attended: true,
        };
        self.tills.first(&counted, event)
    }

    /// Adds a released event in the same way.
    fn balance_release(
        &mut self,
        offset: Offset,
        payload: &Envelope<'_>,
        event: &EventText<'_>,
    ) -> bool {
        let tenant = payload.text("tenant").unwrap_or_default();
        if let Some(fiscal) = &event.fiscal {
            self.fiscal.add(&tenant, &event.store, fiscal);
        }
        let counted = Counted {
            tenant: &tenant,
            epoch: &payload.text("epoch").unwrap_or_default(),
            scope: payload.text("scope").and_then(|scope| Scope::parse(&scope)).unwrap_or_default(),
            hash: self.content_hash(payload),
            is_attended: false,
        };
        self.tills.released(offset, &counted, event)
    }

    /// Separates the counts of released events, which are outside the journal's order, from orphaned ones.
    fn counts_of_released(
        &self,
        counts: Vec<(Offset, ConsumerRecord)>,
    ) -> (Counts, Vec<(Offset, ConsumerRecord)>) {
        let (released, orphaned): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(source, _)| {
            self.released.contains(source) || self.released_given.contains(source)
        });
        let mut by_source = Counts::new();
        for (source, entry) in released {
            by_source.entry(source).or_default().push(entry);
        }
        (by_source, orphaned)
    }

    /// The hash of an event's content: as its envelope says it, or else made of it.
    pub(super) fn content_hash(&mut self, envelope: &Envelope<'_>) -> u128 {
        let decoder = &mut self.decoder;
        let made = || decoder.decode(envelope.data().as_bytes()).map_or(0, |event| event.hash);
        hash_of(envelope).unwrap_or_else(made)
    }

    pub(super) fn read_journal_at(
        &self,
        offset: Offset,
    ) -> Result<Option<ConsumerRecord>, LogError> {
        self.read_at(&self.topics.events, offset)
    }

    /// Reads one record of the partition; `None` if the log no longer holds it.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn read_at(
        &self,
        topic: &Topic,
        offset: Offset,
    ) -> Result<Option<ConsumerRecord>, LogError> {
        let bounds = self.view.bounds(topic, self.partition)?;
        if !(bounds.start..bounds.end).contains(&offset) {
            return Ok(None);
        }
        Scan::open(self.view, topic, self.partition, offset, offset + 1)?.next()
    }

    /// Returns offsets released above the coverage, whose payloads may be on `pos.transactions`.
    fn later_orders(&self) -> Result<BTreeSet<Offset>, LogError> {
        let end = self.view.bounds(&self.topics.events, self.partition)?.stable_end;
        let mut orders = BTreeSet::new();
        let from = self.coverage.to.min(end);
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

    /// Looks up the firsts of all repeats, and compares their contents.
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
            let RecordSource::At(_, offset) = transaction_source(value) else { continue };
            let Some(envelope) = Envelope::parse(value) else { continue };
            if let Some(identity) = identity_of(&envelope) {
                self.repeats.first(identity, offset, hash_of(&envelope));
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
