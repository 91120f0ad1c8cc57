//! Check (b): one pass over a journal partition, with everything that claims its records.
//!
//! Each record is exactly one of first, duplicate, conflict, quarantined, refused or control. What
//! a record is, its outputs say; whether that can be, is recounted here: a first has no first
//! before it, its copy says what the original says, and whatever else is accepted repeats an
//! identity that has a first. The pass also feeds the other checks: stock effects and numbers.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use crate::decode::Decoder;
use crate::log::{Entry, LogError, LogView, Offset, Partition};
use crate::topics::{self, Topics};

use super::check::{Check, Difference};
use super::claims::Claims;
use super::cut::{Cut, conflict_source, count_source, transaction_source};
use super::record::{ConflictRecord, Envelope, EventText, ReleaseOrder};
use super::repeats::{HashStart, Repeats};
use super::report::VerdictCounts;
use super::scan::Scan;
use super::stock::Stock;
use super::subject::{Record, hash_of};
use super::terminals::{Scope, Terminal};
use super::totals::Checkpoints;
use super::unreadable::is_unreadable;

/// What a pass leaves for the other checks.
pub(super) struct Journal<'a> {
    pub(super) view: &'a dyn LogView,
    pub(super) topics: &'a Topics,
    pub(super) partition: Partition,
    pub(super) cut: Cut,
    pub(super) stock: Stock,
    pub(super) terminals: HashMap<String, Terminal>,
    pub(super) counts: VerdictCounts,
    /// When the newest record was appended.
    pub(super) newest_ms: Option<i64>,
    pub(super) decoder: Decoder,
    /// Identities of firsts that have no number.
    unnumbered: HashSet<u128>,
    pub(super) repeats: Repeats,
    /// Records kept aside, which may be released, and whose they are.
    kept: HashMap<Offset, Bytes>,
    /// Counts that were met with a record which is no first.
    counts_apart: Vec<(Offset, Entry)>,
    /// Offsets that an operator released.
    pub(super) released: BTreeSet<Offset>,
    /// The same, of offsets before the covered part: whether they were kept is not known.
    pub(super) released_given: BTreeSet<Offset>,
}

/// The checks that a pass reports to.
pub(super) struct Checks<'a> {
    pub(super) verdicts: &'a mut Check,
    pub(super) stock: &'a mut Check,
}

impl<'a> Journal<'a> {
    /// Prepares a pass over the covered part of a partition.
    pub(super) fn new(
        view: &'a dyn LogView,
        topics: &'a Topics,
        partition: Partition,
        cut: Cut,
        stock: Stock,
    ) -> Self {
        Self {
            view,
            topics,
            partition,
            cut,
            stock,
            terminals: HashMap::new(),
            counts: VerdictCounts::default(),
            newest_ms: None,
            decoder: Decoder::new(),
            unnumbered: HashSet::new(),
            repeats: Repeats::default(),
            kept: HashMap::new(),
            counts_apart: Vec::new(),
            released: BTreeSet::new(),
            released_given: BTreeSet::new(),
        }
    }

    /// Makes the pass.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn pass(
        &mut self,
        checks: &mut Checks<'_>,
        checkpoints: &mut Checkpoints,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LogError> {
        let open = |topic, source| Claims::open(self.view, topic, self.partition, self.cut, source);
        let mut transactions = open(&self.topics.transactions, transaction_source)?;
        let mut conflicts = open(&self.topics.conflicts, conflict_source)?;
        let mut counts = open(&self.topics.counts, count_source)?;
        let mut scan =
            Scan::open(self.view, &self.topics.events, self.partition, self.cut.from, self.cut.to)?;
        let mut read = 0;
        while let Some(entry) = scan.next()? {
            checkpoints.pass(entry.offset, &self.counts);
            self.newest_ms = self.newest_ms.max(Some(entry.appended_ms));
            let claims = Claimed {
                transactions: transactions.at(entry.offset, checks.verdicts)?,
                conflicts: conflicts.at(entry.offset, checks.verdicts)?,
                counts: counts.at(entry.offset, checks.stock)?,
            };
            self.record(&entry, &claims, checks);
            read += 1;
            if read % 4_096 == 0 {
                progress(read);
            }
        }
        progress(read);
        checkpoints.pass(self.cut.to, &self.counts);
        let transactions = transactions.finish(checks.verdicts)?;
        self.astray(transactions.astray, checks.verdicts);
        self.astray(conflicts.finish(checks.verdicts)?.astray, checks.verdicts);
        let mut counts = counts.finish(checks.stock)?.astray;
        counts.append(&mut self.counts_apart);
        self.compare_released(&transactions.apart, counts, checks)?;
        self.compare_repeats(checks.verdicts)
    }
}

/// Everything that names one journal record as its source.
pub(super) struct Claimed {
    pub(super) transactions: Vec<Entry>,
    pub(super) conflicts: Vec<Entry>,
    pub(super) counts: Vec<Entry>,
}

impl Journal<'_> {
    fn record(&mut self, entry: &Entry, claimed: &Claimed, checks: &mut Checks<'_>) {
        if let Some(kept) = claimed.conflicts.iter().find(|kept| is_unreadable(kept)) {
            self.unreadable(entry, kept, claimed, checks);
            return;
        }
        let Some(record) = Record::read(entry) else {
            checks.verdicts.differs(self.difference(entry, "cannot be read"));
            return;
        };
        let expected_key = record
            .envelope
            .text("store")
            .map(|store| topics::key(&[&record.tenant, &store]))
            .unwrap_or_default();
        if expected_key.as_bytes() != entry.key {
            let what = "the record key does not say what the envelope says";
            checks.verdicts.differs(self.difference(entry, what).of(record.name()));
        }
        let silent = claimed.transactions.is_empty()
            && claimed.conflicts.is_empty()
            && claimed.counts.is_empty();
        match record.envelope.kind().as_deref() {
            None => checks.verdicts.differs(self.difference(entry, "its type cannot be read")),
            Some("refused" | "release") if !silent => {
                let what = "a refusal or a release has outputs of an event";
                checks.verdicts.differs(self.difference(entry, what).of(record.name()));
            }
            Some("refused") => self.refused(&record, checks),
            Some("release") => self.release(&record, checks),
            Some(_) => self.event(&record, claimed, checks),
        }
    }

    fn refused(&mut self, record: &Record<'_>, checks: &mut Checks<'_>) {
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

    fn release(&mut self, record: &Record<'_>, checks: &mut Checks<'_>) {
        self.counts.control += 1;
        match serde_json::from_str::<ReleaseOrder>(record.envelope.data()) {
            Ok(order) if order.partition == self.partition => {
                if order.offset < self.cut.from {
                    self.released_given.insert(order.offset);
                } else if self.kept.get(&order.offset) == Some(&record.entry.key)
                    && self.released.insert(order.offset)
                {
                    self.counts.released += 1;
                }
            }
            Ok(_) => {}
            Err(_) => checks.verdicts.differs(self.difference(record.entry, "cannot be read")),
        }
    }

    fn event(&mut self, record: &Record<'_>, claimed: &Claimed, checks: &mut Checks<'_>) {
        let Some(scope) = record.scope() else {
            checks.verdicts.differs(self.difference(record.entry, "its scope cannot be read"));
            return;
        };
        if !self.content_is_whole(record) {
            let what = "its content is not that of its hash";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if claimed.transactions.len() + claimed.conflicts.len() > 1 {
            let what = "has more than one verdict";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if let Some(copy) = claimed.transactions.first() {
            self.first(record, scope, copy, &claimed.counts, checks);
        } else {
            // Of a released event they come much later in the log; but they may be the first.
            let source = record.entry.offset;
            let counts = claimed.counts.iter().cloned();
            self.counts_apart.extend(counts.map(|count| (source, count)));
            if let Some(conflict) = claimed.conflicts.first() {
                self.conflict(record, conflict, checks);
            } else {
                self.counts.duplicate += 1;
                let hash = hash_of(&record.envelope);
                self.repeats.duplicate(record.identity, record.entry.offset, hash);
                self.known(record, checks);
            }
        }
    }

    /// A first has none before it; its copy, its event and its counts say the same.
    fn first(
        &mut self,
        record: &Record<'_>,
        scope: Scope,
        copy: &Entry,
        counts: &[Entry],
        checks: &mut Checks<'_>,
    ) {
        self.counts.first += 1;
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
        self.compare_copy(record, copy, &["verdict", "sourcepartition", "sourceoffset"], checks);
        let Ok(event) = serde_json::from_str::<EventText<'_>>(record.envelope.data()) else {
            checks.stock.differs(self.difference(record.entry, "its event cannot be read"));
            return;
        };
        if !record.describes(&event) {
            let what = "the envelope does not say what its event says";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
        if !self.stock.add_event(&record.tenant, &event) {
            checks.stock.differs(self.difference(record.entry, "its lines cannot be read"));
        }
        self.compare_counts(record, &event, counts, checks.stock);
    }

    fn conflict(&mut self, record: &Record<'_>, kept: &Entry, checks: &mut Checks<'_>) {
        let value = kept.value.as_deref().unwrap_or_default();
        let Ok(conflict) = serde_json::from_slice::<ConflictRecord<'_>>(value) else {
            let what = "cannot be read";
            let place = Difference::new(&self.topics.conflicts, self.partition, what);
            checks.verdicts.differs(place.at(kept.offset).of(record.name()));
            return;
        };
        let same = conflict.data.get() == record.envelope.data()
            && record.says("tenant", &conflict.tenant)
            && record.says("store", &conflict.store)
            && record.says("terminal", &conflict.terminal)
            && record.says("eventid", &conflict.eventid)
            && record.says("contenthash", &conflict.contenthash)
            && kept.key == record.entry.key;
        let difference = |what| {
            Difference::new(&self.topics.conflicts, self.partition, what)
                .at(kept.offset)
                .of(record.name())
        };
        if !same {
            checks.verdicts.differs(difference("does not say what the journal says"));
        }
        // What has no time of trade cannot be released.
        if conflict.detail != "time_implausible" {
            self.kept.insert(record.entry.offset, record.entry.key.clone());
        }
        match conflict.reason.as_ref() {
            "conflict" => {
                self.counts.conflict += 1;
                let known = conflict.known_hash.as_deref().and_then(HashStart::parse);
                self.repeats.conflict(
                    record.identity,
                    record.entry.offset,
                    hash_of(&record.envelope),
                    known,
                );
                self.known(record, checks);
            }
            "duplicate_unverified" => {
                self.counts.duplicate_unverified += 1;
                self.known(record, checks);
            }
            "quarantined" => self.counts.quarantined += 1,
            _ => checks.verdicts.differs(difference("an unknown reason")),
        }
    }

    /// Tells whether the event is still the one that was accepted. A hash of a later version than
    /// the decoder's says nothing.
    fn content_is_whole(&mut self, record: &Record<'_>) -> bool {
        let Some(hash) = hash_of(&record.envelope) else { return true };
        self.decoder.decode(record.envelope.data().as_bytes()).is_ok_and(|event| event.hash == hash)
    }

    /// What repeats an identity needs a first before it: otherwise it is counted nowhere.
    fn known(&self, record: &Record<'_>, checks: &mut Checks<'_>) {
        let known = match record.sequence {
            Some(sequence) => self
                .terminals
                .get(&record.terminal)
                .is_some_and(|terminal| terminal.has_first(sequence)),
            None => self.unnumbered.contains(&record.identity),
        };
        if !known && self.cut.is_whole() {
            let what = "counted nowhere: no first of its identity stands before it";
            checks.verdicts.differs(self.difference(record.entry, what).of(record.name()));
        }
    }

    fn compare_copy(
        &self,
        record: &Record<'_>,
        copy: &Entry,
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
                .differs(difference("does not say what the journal says").between(member, member));
        }
        if copy.key != record.entry.key {
            checks.verdicts.differs(difference("stands under another key than in the journal"));
        }
    }

    fn terminal(&mut self, record: &Record<'_>, scope: Scope) -> &mut Terminal {
        // Not `entry`: its owned key would be allocated for every record.
        if !self.terminals.contains_key(&record.terminal) {
            self.terminals.insert(record.terminal.clone(), Terminal::new(scope));
        }
        self.terminals.entry(record.terminal.clone()).or_default()
    }

    /// Reports records that come from no record of the journal at their place.
    pub(super) fn astray(
        &self,
        entries: impl IntoIterator<Item = (Offset, Entry)>,
        check: &mut Check,
    ) {
        for (source, entry) in entries {
            let what = "comes from no record of the journal at its place";
            check.differs(
                Difference::new(&entry.topic, self.partition, what)
                    .at(entry.offset)
                    .between("nothing", format_args!("source offset {source}")),
            );
        }
    }

    pub(super) fn difference(&self, entry: &Entry, what: &'static str) -> Difference {
        Difference::new(&self.topics.events, self.partition, what).at(entry.offset)
    }
}
