//! Check (b): one pass over a journal partition, with all records derived from it.
//!
//! Each record is exactly one of first, duplicate, conflict, quarantined, refused or control. Its outputs tell its verdict; this
//! pass checks whether the verdict is possible: a first has no earlier first, its copy matches the original, and every other
//! accepted record repeats an identity that has a first. The pass also feeds the other checks: stock effects and numbers.

mod conflict;
mod days;
mod parked;
mod unreadable;

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition};

use crate::decode::Decoder;
use crate::text::Date;
use crate::topics::{self, Topics};

use self::parked::{ParkedEvents, data_hash};
use self::unreadable::is_unreadable;
use super::check::{Check, Difference};
use super::coverage::Coverage;
use super::fiscal::FiscalCounts;
use super::flush_boundaries::{conflict_source, count_source, transaction_source};
use super::journal_record::{JournalRecord, hash_of};
use super::record::EventText;
use super::repeats::Repeats;
use super::report::VerdictCounts;
use super::scan::Scan;
use super::sourced_records::SourcedRecords;
use super::stock::Stock;
use super::store_days::StoreDays;
use super::terminals::{Scope, TerminalNumbers};
use super::tills::Tills;
use super::totals::Checkpoints;

/// The state of a pass, which the other checks read.
pub(super) struct Journal<'a> {
    pub(super) view: &'a dyn LogView,
    pub(super) topics: &'a Topics,
    pub(super) partition: Partition,
    pub(super) coverage: Coverage,
    pub(super) stock: Stock,
    pub(super) tills: Tills,
    pub(super) fiscal: FiscalCounts,
    pub(super) terminals: HashMap<String, TerminalNumbers>,
    pub(super) counts: VerdictCounts,
    /// When the newest record was appended.
    pub(super) newest_ms: Option<i64>,
    pub(super) decoder: Decoder,
    /// Identities of firsts that have no number.
    unnumbered: HashSet<u128>,
    pub(super) repeats: Repeats,
    /// Quarantined and conflicting records, which may be released, with their keys.
    pub(super) kept: HashMap<Offset, Bytes>,
    pub(super) parked_events: ParkedEvents,
    /// Offsets of which `pos.parked` has copies.
    pub(super) parked_sources: BTreeSet<Offset>,
    /// Counts whose source is not a first.
    counts_apart: Vec<(Offset, ConsumerRecord)>,
    /// Offsets that an operator released.
    pub(super) released: BTreeSet<Offset>,
    /// Released offsets before the coverage; whether those records were quarantined is unknown.
    pub(super) released_given: BTreeSet<Offset>,
    /// The date of UTC at the order of each release.
    pub(super) released_on: HashMap<Offset, Date>,
    pub(super) days: StoreDays,
}

/// The checks that a pass reports to.
pub(super) struct Checks<'a> {
    pub(super) verdicts: &'a mut Check,
    pub(super) stock: &'a mut Check,
    pub(super) tills: &'a mut Check,
}

impl<'a> Journal<'a> {
    /// Prepares a pass over the covered part of a partition.
    pub(super) fn new(
        view: &'a dyn LogView,
        topics: &'a Topics,
        partition: Partition,
        coverage: Coverage,
        stock: Stock,
        days: StoreDays,
    ) -> Self {
        Self {
            view,
            topics,
            partition,
            coverage,
            stock,
            tills: Tills::new(coverage.is_complete()),
            fiscal: FiscalCounts::default(),
            terminals: HashMap::new(),
            counts: VerdictCounts::default(),
            newest_ms: None,
            decoder: Decoder::new(),
            unnumbered: HashSet::new(),
            repeats: Repeats::default(),
            kept: HashMap::new(),
            parked_events: ParkedEvents::default(),
            parked_sources: BTreeSet::new(),
            counts_apart: Vec::new(),
            released: BTreeSet::new(),
            released_given: BTreeSet::new(),
            released_on: HashMap::new(),
            days,
        }
    }

    /// Runs the pass.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn pass(
        &mut self,
        checks: &mut Checks<'_>,
        checkpoints: &mut Checkpoints,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LogError> {
        let open = |topic, source| {
            SourcedRecords::open(self.view, topic, self.partition, self.coverage, source)
        };
        let mut transactions = open(&self.topics.transactions, transaction_source)?;
        let mut conflicts = open(&self.topics.conflicts, conflict_source)?;
        let mut counts = open(&self.topics.counts, count_source)?;
        let mut scan = Scan::open(
            self.view,
            &self.topics.events,
            self.partition,
            self.coverage.from,
            self.coverage.to,
        )?;
        let mut read = 0;
        while let Some(entry) = scan.next()? {
            checkpoints.pass(entry.offset, &self.counts);
            self.days.pass(entry.offset);
            self.newest_ms = self.newest_ms.max(Some(entry.appended_ms));
            self.tills.tick(entry.appended_ms);
            self.days.tick(self.newest_ms.unwrap_or_default());
            let derived = DerivedRecords {
                transactions: transactions.at(entry.offset, checks.verdicts)?,
                conflicts: conflicts.at(entry.offset, checks.verdicts)?,
                counts: counts.at(entry.offset, checks.stock)?,
            };
            self.record(&entry, &derived, checks);
            read += 1;
            if read % 4_096 == 0 {
                progress(read);
            }
        }
        progress(read);
        checkpoints.pass(self.coverage.to, &self.counts);
        let transactions = transactions.finish(checks.verdicts)?;
        self.orphaned(transactions.orphaned, checks.verdicts);
        self.orphaned(conflicts.finish(checks.verdicts)?.orphaned, checks.verdicts);
        let mut counts = counts.finish(checks.stock)?.orphaned;
        counts.append(&mut self.counts_apart);
        self.compare_released(&transactions.out_of_order, counts, checks)?;
        self.compare_repeats(checks.verdicts)
    }
}

/// All records that name one journal record as their source.
pub(super) struct DerivedRecords {
    pub(super) transactions: Vec<ConsumerRecord>,
    pub(super) conflicts: Vec<ConsumerRecord>,
    pub(super) counts: Vec<ConsumerRecord>,
}

impl Journal<'_> {
    fn record(
        &mut self,
        entry: &ConsumerRecord,
        derived: &DerivedRecords,
        checks: &mut Checks<'_>,
    ) {
        if let Some(kept) = derived.conflicts.iter().find(|kept| is_unreadable(kept)) {
            self.unreadable(entry, kept, derived, checks);
            return;
        }
        let Some(record) = JournalRecord::read(entry) else {
            checks.verdicts.differs(self.difference(entry, "cannot be read"));
            return;
        };
        let expected_key = record
            .envelope
            .text("store")
            .map(|store| topics::key(&[&record.tenant, &store]))
            .unwrap_or_default();
        if expected_key.as_bytes() != entry.key {
            let what = "the record key does not match the envelope";
            checks.verdicts.differs(self.difference(entry, what).of(record.name()));
        }
        let hash = record.envelope.text("datahash");
        if hash.is_some_and(|hash| hash != data_hash(&record.envelope)) {
            let what = "its data does not match its hash";
            checks.verdicts.differs(self.difference(entry, what).of(record.name()));
        }
        let silent = derived.transactions.is_empty()
            && derived.conflicts.is_empty()
            && derived.counts.is_empty();
        match record.envelope.kind().as_deref() {
            None => checks.verdicts.differs(self.difference(entry, "its type cannot be read")),
            Some("refused" | "release" | "dismiss" | "readmit" | "register" | "tick")
                if !silent =>
            {
                let what = "a refusal or an order has outputs of an event";
                checks.verdicts.differs(self.difference(entry, what).of(record.name()));
            }
            Some("refused") => self.refused(&record, checks),
            Some("release") => self.release(&record, checks),
            Some("dismiss") => self.dismissed(&record, checks),
            Some("readmit" | "tick") => self.counts.control += 1,
            Some("register") => self.register(&record, checks),
            Some("parked") => self.parked(&record, derived, checks),
            Some(_) => self.event(&record, derived, checks),
        }
    }

    fn refused(&mut self, record: &JournalRecord<'_>, checks: &mut Checks<'_>) {
        self.counts.refused += 1;
        let (Some(sequence), Some(scope)) = (record.sequence, record.scope()) else {
            let what = "a refusal names no number or no scope";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
            return;
        };
        let terminal = self.terminal(record, scope);
        if terminal.scope() == scope {
            terminal.refuse(sequence);
        }
    }

    fn event(
        &mut self,
        record: &JournalRecord<'_>,
        derived: &DerivedRecords,
        checks: &mut Checks<'_>,
    ) {
        let Some(scope) = record.scope() else {
            checks.verdicts.differs(self.difference(record.entry, "its scope cannot be read"));
            return;
        };
        if !self.content_is_whole(record) {
            let what = "its content does not match its hash";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if derived.transactions.len() + derived.conflicts.len() > 1 {
            let what = "has more than one verdict";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if let Some(copy) = derived.transactions.first() {
            self.first(record, scope, copy, &derived.counts, checks);
        } else {
            // The copy of a released event comes much later in the log, but these counts may belong to it.
            let source = record.entry.offset;
            let counts = derived.counts.iter().cloned();
            self.counts_apart.extend(counts.map(|count| (source, count)));
            if let Some(conflict) = derived.conflicts.first() {
                self.conflict(record, conflict, checks);
            } else if record.envelope.text("parkedoffset").is_some() {
                self.settled(record);
            } else {
                self.counts.duplicate += 1;
                let hash = hash_of(&record.envelope);
                self.repeats.duplicate(record.identity, record.entry.offset, hash);
                self.known(record, checks);
            }
        }
    }

    /// A first has no earlier first; its copy, its event and its counts match it.
    fn first(
        &mut self,
        record: &JournalRecord<'_>,
        scope: Scope,
        copy: &ConsumerRecord,
        counts: &[ConsumerRecord],
        checks: &mut Checks<'_>,
    ) {
        self.counts.first += 1;
        if record.envelope.text("parkedoffset").is_some() && !self.is_parked(record) {
            let what = "readmitted, but no such event is parked";
            if self.coverage.is_complete() {
                checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
            }
        }
        let terminal = self.terminal(record, scope);
        let new = if let Some(sequence) = record.sequence {
            terminal.first(sequence)
        } else {
            terminal.unnumbered();
            self.unnumbered.insert(record.identity)
        };
        if !new {
            let what = "counted twice: its identity has a first already";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        self.settle_identity(record);
        self.compare_copy(record, copy, &["verdict", "sourcepartition", "sourceoffset"], checks);
        let Ok(event) = serde_json::from_str::<EventText<'_>>(record.envelope.data()) else {
            checks.stock.differs(self.difference(record.entry, "its event cannot be read"));
            return;
        };
        if !record.describes(&event) {
            let what = "the envelope does not match its event";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        self.count_on_day(record, &event);
        if !self.stock.add_event(&record.tenant, &event) {
            checks.stock.differs(self.difference(record.entry, "its lines cannot be read"));
        }
        if !self.balance_first(record, scope, &event) {
            checks.tills.differs(self.difference(record.entry, "its amounts cannot be read"));
        }
        self.compare_counts(record, &event, counts, checks.stock);
    }

    /// Tells whether the event still is the accepted one. A hash of a later version than the decoder's
    /// cannot be compared.
    fn content_is_whole(&mut self, record: &JournalRecord<'_>) -> bool {
        let Some(hash) = hash_of(&record.envelope) else { return true };
        self.decoder.decode(record.envelope.data().as_bytes()).is_ok_and(|event| event.hash == hash)
    }

    /// A repeat of an identity needs an earlier first: otherwise its event is counted nowhere.
    fn known(&self, record: &JournalRecord<'_>, checks: &mut Checks<'_>) {
        if !self.has_first(record) && self.coverage.is_complete() {
            let what = "counted nowhere: its identity has no earlier first";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
    }

    /// Tells whether an identity has a first.
    pub(super) fn has_first(&self, record: &JournalRecord<'_>) -> bool {
        match record.sequence {
            Some(sequence) => self
                .terminals
                .get(&record.terminal)
                .is_some_and(|terminal| terminal.has_first(sequence)),
            None => self.unnumbered.contains(&record.identity),
        }
    }

    pub(super) fn terminal(
        &mut self,
        record: &JournalRecord<'_>,
        scope: Scope,
    ) -> &mut TerminalNumbers {
        // Not `entry`: its owned key would be allocated for every record.
        if !self.terminals.contains_key(&record.terminal) {
            self.terminals.insert(record.terminal.clone(), TerminalNumbers::new(scope));
        }
        self.terminals.entry(record.terminal.clone()).or_default()
    }

    pub(super) fn difference(&self, entry: &ConsumerRecord, what: &'static str) -> Difference {
        Difference::new(&self.topics.events, self.partition, what).at(entry.offset)
    }
}
