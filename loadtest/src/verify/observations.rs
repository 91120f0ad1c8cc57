//! Observations of the verifier: what it has read from the topics so far, one method a topic.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::books::{Books, Receipt};
use super::days::{Day, DayRecord, StoreDays};
use super::identities::{Identity, IdentitySet, TerminalLookup};
use super::records::{Audit, Conflict, Delta, Envelope, Ledger, Number, SettledRanges, micro};
use super::tills::{TillPart, Tills};
use crate::acks::{Acks, NamedMovements, StockKey, fingerprint};
use crate::client::ParkedEvent;
use crate::source::{Gap, Movement};
use crate::topics::Record;

/// Parts of the key of a terminal's ledger.
const LEDGER_KEY_PARTS: usize = 4;

/// Offsets read, by partition.
pub(super) type Offsets = BTreeMap<i32, Vec<i64>>;

/// The observations so far.
#[derive(Debug)]
pub(super) struct Observations {
    terminals: TerminalLookup,
    /// Fingerprints of events with an outcome that the sender does not know.
    pub(super) uncertain: HashMap<Identity, u32>,
    /// Events that were answered `parked`.
    pub(super) parked: HashMap<Identity, ParkedPrints>,
    /// Those that `pos.parked` still holds, by key; absent once they are settled.
    pub(super) waiting: HashMap<Vec<u8>, Identity>,
    /// The books of the events on `pos.transactions`, which must be those of the store-days.
    pub(super) books: BTreeMap<Day, Books>,
    /// Their drawers and safe, too.
    pub(super) tills: BTreeMap<Day, Tills>,
    pub(super) days: StoreDays,
    /// The tenant of the sender's key, known from the first record that is certainly the sender's.
    pub(super) tenant: Option<String>,
    pub(super) on_events: IdentitySet,
    pub(super) on_transactions: IdentitySet,
    /// Set aside, with a reason, and not counted.
    pub(super) set_aside: IdentitySet,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) counted: u64,
    pub(super) double_counted: u64,
    pub(super) altered: u64,
    pub(super) strangers: u64,
    pub(super) unreadable: u64,
    pub(super) deltas: NamedMovements,
    /// Missing ranges by the key of the ledger's record, the latest of each.
    pub(super) gaps: HashMap<Vec<u8>, Vec<Gap>>,
    pub(super) settled: SettledRanges,
    pub(super) transaction_offsets: Offsets,
    pub(super) delta_offsets: Offsets,
}

impl Observations {
    pub(super) fn new(
        terminals: TerminalLookup,
        uncertain: HashMap<Identity, u32>,
        parked: &[ParkedEvent],
    ) -> Self {
        let prints = |event: &ParkedEvent| {
            let ParkedEvent { terminal, sequence, fingerprint, mended, .. } = *event;
            ((terminal, sequence), ParkedPrints { fingerprint, mended })
        };
        Self {
            terminals,
            uncertain,
            parked: parked.iter().map(prints).collect(),
            waiting: HashMap::new(),
            books: BTreeMap::new(),
            tills: BTreeMap::new(),
            days: StoreDays::default(),
            tenant: None,
            on_events: IdentitySet::default(),
            on_transactions: IdentitySet::default(),
            set_aside: IdentitySet::default(),
            reasons: BTreeMap::new(),
            counted: 0,
            double_counted: 0,
            altered: 0,
            strangers: 0,
            unreadable: 0,
            deltas: NamedMovements::new(),
            gaps: HashMap::new(),
            settled: SettledRanges::new(),
            transaction_offsets: Offsets::new(),
            delta_offsets: Offsets::new(),
        }
    }

    /// Adds a record of the journal.
    pub(super) fn event(&mut self, record: &Record<'_>, acks: &Acks) {
        let Some(envelope) = self.parse::<Envelope<'_>>(record) else { return };
        if envelope.is_parked() {
            return self.parked_event(&envelope);
        }
        let Some(identity) = self.identify(&envelope) else { return };
        let print = fingerprint(envelope.data.get().as_bytes());
        if acks.get(identity.0, identity.1) == Some(print) {
            if self.tenant.is_none() {
                self.tenant = Some(envelope.tenant.into_owned());
            }
            self.on_events.insert(identity);
        }
    }

    /// Adds a parked event of the journal.
    fn parked_event(&mut self, envelope: &Envelope<'_>) {
        let Some(identity) = self.name(envelope) else { return };
        let print = fingerprint(envelope.data.get().as_bytes());
        if self.parked.get(&identity).is_some_and(|parked| parked.fingerprint == print) {
            self.on_events.insert(identity);
        }
    }

    /// Puts a record of the parked events in the place of the one before, or takes it away.
    pub(super) fn parked(&mut self, record: &Record<'_>) {
        if record.value.is_empty() {
            self.waiting.remove(record.key);
            return;
        }
        let Some(envelope) = self.parse::<Envelope<'_>>(record) else { return };
        if let Some(identity) =
            self.name(&envelope).filter(|_| !self.is_other_tenant(&envelope.tenant))
        {
            self.waiting.insert(record.key.to_vec(), identity);
        }
    }

    /// Puts a record of a store-day in the place of the one before.
    pub(super) fn day(&mut self, record: &Record<'_>) {
        let Some(day) = self.parse::<DayRecord<'_>>(record) else { return };
        if self.is_other_tenant(&day.tenant) || !self.terminals.has_store(&day.store) {
            return;
        }
        match day.books() {
            Ok(Some(books)) => self.days.put(record.key, day.day(), books),
            Ok(None) => {}
            Err(amount) => {
                tracing::debug!(amount, "unreadable store-day");
                self.unreadable += 1;
            }
        }
    }

    /// Adds a record of the counted transactions.
    pub(super) fn transaction(&mut self, record: &Record<'_>, acks: &Acks) {
        self.transaction_offsets.entry(record.partition).or_default().push(record.offset);
        let Some(envelope) = self.parse::<Envelope<'_>>(record) else { return };
        // A released event counts under an identity of its own, which no terminal sent.
        if self.is_other_tenant(&envelope.tenant) || envelope.verdict.as_deref() == Some("released")
        {
            return;
        }
        let Some(identity) = self.identify(&envelope) else { return };
        let print = fingerprint(envelope.data.get().as_bytes());
        let (terminal, sequence) = identity;
        let mended = || self.parked.get(&identity).and_then(|parked| parked.mended);
        let known = acks
            .get(terminal, sequence)
            .or_else(mended)
            .or_else(|| self.uncertain.get(&identity).copied());
        match known {
            None => self.strangers += 1,
            Some(known) if known != print => self.altered += 1,
            Some(_) => {}
        }
        self.add_to_books(&envelope);
        if self.on_transactions.insert(identity) {
            self.counted += u64::from(acks.get(terminal, sequence).is_some());
        } else {
            self.double_counted += 1;
        }
    }

    fn add_to_books(&mut self, envelope: &Envelope<'_>) {
        let text = envelope.data.get();
        let (Ok(receipt), Ok(part)) =
            (serde_json::from_str::<Receipt<'_>>(text), serde_json::from_str::<TillPart<'_>>(text))
        else {
            self.unreadable += 1;
            return;
        };
        let day = (envelope.store.clone().into_owned(), receipt.business_date.clone().into_owned());
        self.tills.entry(day.clone()).or_default().add(&receipt, &part);
        self.books.entry(day).or_default().add(&receipt);
    }

    /// Adds a conflict record.
    pub(super) fn conflict(&mut self, record: &Record<'_>) {
        let Some(conflict) = self.parse::<Conflict<'_>>(record) else { return };
        if self.is_other_tenant(&conflict.tenant) {
            return;
        }
        let terminal =
            self.terminals.find(&conflict.store, &conflict.terminal, conflict.epoch.as_deref());
        let sequence = conflict.sequence.as_ref().and_then(Number::value);
        if let Some(identity) = terminal.zip(sequence) {
            self.set_aside.insert(identity);
            *self.reasons.entry(conflict.reason.into_owned()).or_default() += 1;
        }
    }

    /// Adds a delta to its sum.
    pub(super) fn delta(&mut self, record: &Record<'_>) {
        self.delta_offsets.entry(record.partition).or_default().push(record.offset);
        let Some(delta) = self.parse::<Delta<'_>>(record) else { return };
        if self.is_other_tenant(&delta.tenant) || !self.terminals.has_store(&delta.store) {
            return;
        }
        let movement = (|| {
            Some(Movement {
                net: micro(&delta.net)?,
                sold: micro(&delta.sold)?,
                returned: micro(&delta.returned)?,
                adjusted: micro(&delta.adjusted)?,
            })
        })();
        let Some(movement) = movement else {
            self.unreadable += 1;
            return;
        };
        let key = StockKey {
            store: delta.store.into_owned(),
            sku: delta.sku.into_owned(),
            unit: delta.unit.into_owned(),
            reason: delta.reason.unwrap_or_default().into_owned(),
            location: delta.location.unwrap_or_default().into_owned(),
        };
        self.deltas.entry(key).or_default().add(movement);
    }

    /// Replaces the missing ranges of a terminal. Fiscal devices have records there, too, whose keys have one part more.
    pub(super) fn ledger(&mut self, record: &Record<'_>) {
        if record.key.split(|&byte| byte == b'/').count() > LEDGER_KEY_PARTS {
            return;
        }
        let Some(ledger) = self.parse::<Ledger<'_>>(record) else { return };
        if self.is_other_tenant(&ledger.tenant) {
            return;
        }
        let terminal =
            self.terminals.find(&ledger.store, &ledger.terminal, ledger.epoch.as_deref());
        if let Some(terminal) = terminal {
            let gaps = ledger.missing.iter().map(|&(from, to)| Gap { terminal, from, to });
            self.gaps.insert(record.key.to_vec(), gaps.collect());
        }
    }

    /// Adds the offsets that a sink has settled.
    pub(super) fn audit(&mut self, record: &Record<'_>) {
        let Some(audit) = self.parse::<Audit>(record) else { return };
        self.settled
            .entry((audit.outcome, audit.sink))
            .or_default()
            .entry((audit.topic, audit.partition))
            .or_default()
            .extend(audit.offsets);
    }

    fn identify(&self, envelope: &Envelope<'_>) -> Option<Identity> {
        if envelope.is_event() { self.name(envelope) } else { None }
    }

    fn name(&self, envelope: &Envelope<'_>) -> Option<Identity> {
        let sequence = envelope.sequence.as_deref()?.parse().ok()?;
        let terminal = envelope.terminal.as_deref()?;
        let epoch = envelope.epoch.as_deref();
        Some((self.terminals.find(&envelope.store, terminal, epoch)?, sequence))
    }

    fn is_other_tenant(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_some_and(|ours| ours != tenant)
    }

    fn parse<'a, T: Deserialize<'a>>(&mut self, record: &Record<'a>) -> Option<T> {
        if record.value.is_empty() {
            return None;
        }
        match serde_json::from_slice(record.value) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let Record { partition, offset, .. } = *record;
                tracing::debug!(%error, partition, offset, "unreadable record");
                self.unreadable += 1;
                None
            }
        }
    }
}

/// What is known of an event that was answered `parked`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParkedPrints {
    /// Of its text.
    fingerprint: u32,
    /// Of the text with which it counts when it is readmitted.
    mended: Option<u32>,
}

/// Counts the offsets that lie in any of the ranges (first included, last not).
pub(super) fn count_within(offsets: &[i64], ranges: &[(i64, i64)]) -> u64 {
    let mut ranges: Vec<(i64, i64)> = ranges.to_vec();
    ranges.sort_unstable();
    let (mut count, mut reached) = (0, i64::MIN);
    for (from, to) in ranges {
        let from = from.max(reached);
        if from < to {
            let below = |end| offsets.partition_point(|&offset| offset < end);
            count += below(to) - below(from);
            reached = to;
        }
    }
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_ranges_count_an_offset_once() {
        let offsets = [0, 1, 3, 4, 9];
        assert_eq!(count_within(&offsets, &[(0, 4), (3, 5), (3, 4)]), 4);
        assert_eq!(count_within(&offsets, &[(5, 9)]), 0);
        assert_eq!(count_within(&offsets, &[]), 0);
        assert_eq!(count_within(&offsets, &[(9, 10), (0, 1)]), 2);
    }
}
