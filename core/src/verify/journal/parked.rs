//! Parked events as recounted: which are unsettled, and whether `pos.parked` has exactly those.
//!
//! The copies of settled events are gone from the compacted topic, so that the recount remembers names of its own: the key of a
//! copy, which ends with the hash of the text. A name that was there before is a duplicate, unless the topic says otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use tillrace_log::{ConsumerRecord, LogError, Offset};
use xxhash_rust::xxh3::xxh3_128;

use crate::text::{Date, percent_encode};
use crate::topics;

use super::{Checks, DerivedRecords, Journal};
use crate::verify::check::{Check, Difference};
use crate::verify::journal_record::{JournalRecord, hash_of};
use crate::verify::record::Envelope;
use crate::verify::scan::Scan;
use crate::verify::terminals::Scope;

/// Members of a copy that the original does not have.
const COPY_APART: [&str; 3] = ["verdict", "sourcepartition", "sourceoffset"];
const DAY_MS: i64 = 86_400_000;

/// The parked events of one partition.
#[derive(Debug, Default)]
pub(in crate::verify) struct ParkedEvents {
    unsettled: HashMap<String, Unsettled>,
    names: BTreeMap<Offset, String>,
    by_identity: HashMap<u128, BTreeSet<String>>,
    settled: BTreeSet<String>,
}

#[derive(Debug)]
struct Unsettled {
    offset: Offset,
    identity: u128,
    terminal: String,
    number: Option<u64>,
    /// The day it counts on by itself, because it has no number.
    day: Option<(String, Date)>,
}

/// A dismissal, as the `data` of a control record.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::verify) enum DismissOrder {
    Parked {
        partition: u32,
        offset: Offset,
    },
    Refused {
        terminal: String,
        #[serde(default)]
        epoch: String,
        sequence: u64,
    },
}

impl ParkedEvents {
    fn settle(&mut self, name: &str) -> Option<(Unsettled, bool)> {
        let event = self.unsettled.remove(name)?;
        self.names.remove(&event.offset);
        let others = self.by_identity.entry(event.identity).or_default();
        others.remove(name);
        let is_last = others.is_empty();
        self.settled.insert(name.to_owned());
        Some((event, is_last))
    }
}

/// Key of a parked event's copy.
fn name_of(record: &JournalRecord<'_>, hash: &str) -> String {
    let mut name = format!("{}/", record.terminal);
    if let Some(sequence) = record.sequence {
        name.push_str(&sequence.to_string());
    } else {
        name.push_str("id:");
        percent_encode(record.envelope.text("eventid").as_deref().unwrap_or(""), &mut name);
    }
    format!("{name}/{}", hash.trim_start_matches("x3:"))
}

/// The name of the parked event that a record readmits.
fn readmitted(record: &JournalRecord<'_>) -> Option<String> {
    record.envelope.text("parkedoffset")?;
    Some(name_of(record, &record.envelope.text("parkedhash")?))
}

/// Returns the hash of a record's data as its envelope should name it.
pub(in crate::verify) fn data_hash(envelope: &Envelope<'_>) -> String {
    format!("x3:{:032x}", xxh3_128(envelope.data().as_bytes()))
}

impl Journal<'_> {
    /// Recounts a parked event.
    pub(in crate::verify) fn parked(
        &mut self,
        record: &JournalRecord<'_>,
        derived: &DerivedRecords,
        checks: &mut Checks<'_>,
    ) {
        if !derived.transactions.is_empty() || !derived.counts.is_empty() {
            let what = "a parked event has outputs of a counted one";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if let Some(conflict) = derived.conflicts.first() {
            self.conflict(record, conflict, checks);
            return;
        }
        let name = name_of(record, &data_hash(&record.envelope));
        let parked = &self.parked_events;
        let is_again = parked.unsettled.contains_key(&name)
            || (parked.settled.contains(&name)
                && !self.parked_sources.contains(&record.entry.offset));
        if is_again {
            self.counts.duplicate += 1;
            return;
        }
        if let Some(hash) = hash_of(&record.envelope).filter(|_| self.has_first(record)) {
            // A rule that was set later parked a retry of its first.
            self.counts.duplicate += 1;
            self.repeats.duplicate(record.identity, record.entry.offset, Some(hash));
            return;
        }
        self.counts.parked += 1;
        let number = self.hold(record);
        let date = self.park_on_day(record, number);
        let identity = number.map_or(record.identity, |number| held(&record.terminal, number));
        let event = Unsettled {
            offset: record.entry.offset,
            identity,
            terminal: record.terminal.clone(),
            number,
            day: date.map(|date| (record.store_key(), date)),
        };
        let parked = &mut self.parked_events;
        parked.by_identity.entry(identity).or_default().insert(name.clone());
        parked.names.insert(event.offset, name.clone());
        parked.unsettled.insert(name, event);
    }

    fn hold(&mut self, record: &JournalRecord<'_>) -> Option<u64> {
        let (sequence, scope) = (record.sequence?, record.scope()?);
        if scope == Scope::BusinessDate && !self.is_open_day(record) {
            return None;
        }
        let terminal = self.terminal(record, scope);
        if terminal.scope() == scope { terminal.park(sequence) } else { None }
    }

    pub(in crate::verify) fn is_open_day(&self, record: &JournalRecord<'_>) -> bool {
        let date = record.envelope.text("businessdate");
        let date = date.and_then(|date| Date::parse(date.as_bytes()));
        let today = self.newest_ms.unwrap_or_default().div_euclid(DAY_MS);
        date.is_some_and(|date| (today - 34..=today + 2).contains(&i64::from(date.0)))
    }

    /// Recounts a readmission that is no first and is not kept aside: it settles its parked event, or had none.
    pub(in crate::verify) fn settled(&mut self, record: &JournalRecord<'_>) {
        self.counts.settled += 1;
        let Some(name) = readmitted(record) else { return };
        let Some((event, is_last)) = self.settle(&name) else { return };
        if self.has_first(record) {
            return;
        }
        // The ledger could not take it: it is counted as a released event.
        self.released.insert(record.entry.offset);
        self.tills.order(record.entry.offset);
        self.released_on.insert(record.entry.offset, self.days.today());
        self.counts.released += 1;
        self.give_up(&event, is_last);
    }

    /// Settles what a first has taken the identity of.
    pub(in crate::verify) fn settle_identity(&mut self, record: &JournalRecord<'_>) {
        if let Some(name) = readmitted(record) {
            if !self.parked_events.unsettled.contains_key(&name) {
                return;
            }
            self.settle(&name);
        }
        if self.parked_events.unsettled.is_empty() {
            return;
        }
        let number = record.sequence.and_then(|sequence| {
            self.terminals.get(&record.terminal).and_then(|terminal| terminal.number_of(sequence))
        });
        let identity = number.map_or(record.identity, |number| held(&record.terminal, number));
        let names = self.parked_events.by_identity.get(&identity).cloned().unwrap_or_default();
        for name in names {
            self.settle(&name);
        }
    }

    fn settle(&mut self, name: &str) -> Option<(Unsettled, bool)> {
        let settled = self.parked_events.settle(name);
        if let Some((Unsettled { day: Some((store, date)), .. }, _)) = &settled {
            self.days.unpark(store, *date);
        }
        settled
    }

    /// Tells whether a readmission names an event that is parked.
    pub(in crate::verify) fn is_parked(&self, record: &JournalRecord<'_>) -> bool {
        let name = readmitted(record);
        name.is_some_and(|name| self.parked_events.unsettled.contains_key(&name))
    }

    /// Recounts a dismissal.
    pub(in crate::verify) fn dismissed(
        &mut self,
        record: &JournalRecord<'_>,
        checks: &mut Checks<'_>,
    ) {
        self.counts.control += 1;
        match serde_json::from_str::<DismissOrder>(record.envelope.data()) {
            Ok(DismissOrder::Parked { partition, offset }) if partition == self.partition => {
                let name = self.parked_events.names.get(&offset).cloned();
                let store = format!("{}/", String::from_utf8_lossy(&record.entry.key));
                let name = name.filter(|name| name.starts_with(&store));
                if let Some((event, is_last)) = name.and_then(|name| self.settle(&name)) {
                    self.give_up(&event, is_last);
                }
            }
            Ok(DismissOrder::Parked { .. }) => {}
            Ok(DismissOrder::Refused { terminal, epoch, sequence }) => {
                let store = record.envelope.text("store").unwrap_or_default();
                let key = topics::key(&[&record.tenant, &store, &terminal, &epoch]);
                if let Some(terminal) = self.terminals.get_mut(&key) {
                    terminal.dismiss_refused(sequence);
                }
            }
            Err(_) => checks.verdicts.differs(self.difference(record.entry, "cannot be read")),
        }
    }

    fn give_up(&mut self, event: &Unsettled, is_last: bool) {
        if let (Some(number), true) = (event.number, is_last)
            && let Some(terminal) = self.terminals.get_mut(&event.terminal)
        {
            terminal.dismiss_parked(number);
        }
    }

    /// Compares `pos.parked` with the unsettled events.
    ///
    /// # Errors
    /// When the log fails.
    pub(in crate::verify) fn compare_parked(&mut self, check: &mut Check) -> Result<(), LogError> {
        let topic = &self.topics.parked;
        // Where the copies stand and what they are of: their texts may be as much as the log.
        let mut copies: BTreeMap<Vec<u8>, (Offset, Option<Offset>)> = BTreeMap::new();
        let mut scan = Scan::whole(self.view, topic, self.partition)?;
        while let Some(entry) = scan.next()? {
            match &entry.value {
                Some(value) => {
                    let source = Envelope::parse(value).and_then(|copy| copy.whole("sourceoffset"));
                    copies.insert(entry.key.to_vec(), (entry.offset, source));
                }
                None => drop(copies.remove(&entry.key[..])),
            }
        }
        // What was written since may have settled any of them.
        let end = self.view.bounds(&self.topics.events, self.partition)?.stable_end;
        let is_behind = self.coverage.to < end;
        let unsettled: BTreeMap<_, _> =
            self.parked_events.unsettled.iter().map(|(name, event)| (name, event.offset)).collect();
        for (name, offset) in unsettled {
            let place = |what| {
                Difference::new(topic, self.partition, what)
                    .of(format!("{name} of offset {offset}"))
            };
            match copies.remove(name.as_bytes()) {
                Some((at, _source)) => {
                    let original = self.read_journal_at(offset)?;
                    let copy = self.read_at(topic, at)?;
                    // A record may be gone by retention, a copy by compaction.
                    if let (Some(original), Some(copy)) = (original, copy)
                        && !is_copy(&original, &copy)
                    {
                        check.differs(place("does not match the journal"));
                    }
                }
                None if is_behind => {}
                None => check.differs(place("an unsettled parked event has no copy")),
            }
        }
        for (at, source) in copies.into_values() {
            if source.is_none_or(|source| (self.coverage.from..self.coverage.to).contains(&source))
                && !is_behind
            {
                let what = "the copy of an event that is settled, or never was parked";
                check.differs(Difference::new(topic, self.partition, what).at(at));
            }
        }
        Ok(())
    }

    /// Reads the journal offsets of which `pos.parked` still has copies.
    ///
    /// # Errors
    /// When the log fails.
    pub(in crate::verify) fn read_parked_sources(&mut self) -> Result<(), LogError> {
        let mut scan = Scan::whole(self.view, &self.topics.parked, self.partition)?;
        while let Some(entry) = scan.next()? {
            let envelope = entry.value.as_deref().and_then(Envelope::parse);
            self.parked_sources
                .extend(envelope.and_then(|envelope| envelope.whole("sourceoffset")));
        }
        Ok(())
    }
}

fn is_copy(original: &ConsumerRecord, copy: &ConsumerRecord) -> bool {
    let original = original.value.as_deref().and_then(Envelope::parse);
    let copy = copy.value.as_deref().and_then(Envelope::parse);
    match (original, copy) {
        (Some(original), Some(copy)) => original.differs_from(&copy, &COPY_APART).is_none(),
        _ => false,
    }
}

/// Identity of an event by its terminal and the number that is recounted.
fn held(terminal: &str, number: u64) -> u128 {
    xxh3_128(format!("{terminal}#held:{number}").as_bytes())
}
