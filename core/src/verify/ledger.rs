//! Check (e): the numbers of each terminal against its ledger record.
//!
//! Distinct numbers with a first, and refused ones without, and missing ones make up everything
//! from the baseline to the highest. The ledger's own marks, counts and gaps are read from
//! `terminal.ledger`, latest per terminal, and compared with the recount's ranges.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use tillrace_log::{LogError, Offset, Partition, Topic};

use crate::topics;

use super::check::{Amount, Check, Difference};
use super::coverage::Coverage;
use super::fiscal::PublishedDevices;
use super::ranges::Ranges;
use super::record::LedgerRecord;
use super::report::Gaps;
use super::scan::Scan;
use super::terminals::{Scope, TerminalNumbers};

/// Ranges that a ledger record lists at most.
const LISTED_RANGES: usize = 64;

/// The latest ledger record of each terminal within the coverage.
#[derive(Default)]
pub(super) struct Ledgers {
    latest: BTreeMap<String, (Offset, LedgerRecord)>,
    /// Terminals of which only newer records are kept.
    moved_on: BTreeSet<String>,
    pub(super) devices: PublishedDevices,
}

impl Ledgers {
    /// Reads records from a scan of `terminal.ledger`. `limit` is the aggregator's committed offset;
    /// `None` before it is read: every record is then at or below it.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn read(
        &mut self,
        scan: &mut Scan,
        limit: Option<Offset>,
        topic: &Topic,
        partition: Partition,
        check: &mut Check,
    ) -> Result<(), LogError> {
        while let Some(entry) = scan.next()? {
            let Some(value) = entry.value.as_deref() else { continue };
            let difference = |what| Difference::new(topic, partition, what).at(entry.offset);
            let unreadable = || check.differs(difference("cannot be read"));
            if self.devices.take(&entry.key, value, entry.offset, limit, unreadable) {
                continue;
            }
            let Ok(record) = serde_json::from_slice::<LedgerRecord>(value) else {
                check.differs(difference("cannot be read"));
                continue;
            };
            if record.partition != partition {
                check.differs(difference("comes from another partition"));
            }
            let epoch = record.epoch.as_deref().unwrap_or("");
            let key = topics::key(&[&record.tenant, &record.store, &record.terminal, epoch]);
            if limit.is_none_or(|limit| record.offset <= limit) {
                self.latest.insert(key, (entry.offset, record));
            } else if !self.latest.contains_key(&key) {
                self.moved_on.insert(key);
            }
        }
        Ok(())
    }
}

/// Sums over the terminals of a recount; two numbers are recounted and recorded.
#[derive(Debug, Default)]
pub(super) struct LedgerTotals {
    pub(super) gaps: Gaps,
    firsts: [u64; 2],
    refused: [u64; 2],
    parked: [u64; 2],
    dismissed: [u64; 2],
    missing: [u64; 2],
    span: u64,
}

impl LedgerTotals {
    /// Writes the sums into the check.
    pub(super) fn figures(&self, check: &mut Check) {
        check.figure("terminals", Amount::Count(self.gaps.terminals), Amount::Unknown);
        for (what, [recounted, recorded]) in [
            ("numbers with a first", self.firsts),
            ("numbers refused, without a first", self.refused),
            ("numbers parked, without a first", self.parked),
            ("numbers dismissed, without a first", self.dismissed),
            ("numbers missing", self.missing),
            (
                "together, and highest - baseline + 1",
                [
                    self.firsts[0]
                        + self.refused[0]
                        + self.parked[0]
                        + self.dismissed[0]
                        + self.missing[0],
                    self.span,
                ],
            ),
        ] {
            check.figure(what, Amount::Count(recounted), Amount::Count(recorded));
        }
    }
}

/// Compares the terminals of one partition with their ledger records.
pub(super) struct Comparison<'a> {
    pub(super) topic: &'a Topic,
    pub(super) partition: Partition,
    pub(super) coverage: Coverage,
    pub(super) check: &'a mut Check,
    pub(super) totals: &'a mut LedgerTotals,
}

impl Comparison<'_> {
    /// Compares every terminal that either side knows.
    pub(super) fn run(&mut self, terminals: &HashMap<String, TerminalNumbers>, ledgers: &Ledgers) {
        let sorted: BTreeMap<&String, &TerminalNumbers> = terminals.iter().collect();
        for (key, terminal) in sorted {
            if let Some((offset, record)) = ledgers.latest.get(key) {
                self.terminal(&LedgerEntry { key, offset: *offset }, terminal, record);
            } else if ledgers.moved_on.contains(key) {
                self.check.notes.push(format!("{key} moved on during the recount: not compared"));
            } else {
                let what = "a terminal has no ledger record";
                self.check.differs(Difference::new(self.topic, self.partition, what).of(key));
            }
        }
        if !self.coverage.is_complete() {
            return;
        }
        for (key, (offset, record)) in &ledgers.latest {
            let empty = record.firsts == 0 && record.high_water.is_none();
            if !terminals.contains_key(key) && !empty {
                let what = "the journal has no such terminal";
                let place = Difference::new(self.topic, self.partition, what).at(*offset);
                self.check.differs(place.of(key));
            }
        }
    }

    fn terminal(
        &mut self,
        entry: &LedgerEntry<'_>,
        terminal: &TerminalNumbers,
        record: &LedgerRecord,
    ) {
        self.totals.gaps.terminals += 1;
        if Scope::parse(&record.scope) != Some(terminal.scope()) {
            self.differs(entry, "scope", terminal.scope(), &record.scope);
        }
        let seen = terminal.seen();
        match (record.baseline, record.high_water) {
            (Some(baseline), Some(high)) if baseline <= high => {
                self.marks(entry, terminal.scope(), &seen, (baseline, high));
                self.missing(entry, &seen, (baseline, high), record);
            }
            _ if seen.count() == 0 => {}
            _ => self.differs(entry, "marks", "both, in order", "missing or crossed"),
        }
        if self.coverage.is_complete() {
            self.counts(entry, terminal, record);
        } else if let (Some(baseline), Some(high)) = (record.baseline, record.high_water) {
            // The number of firsts without a number is unknown; those with one fill the range at most.
            let span = high.saturating_sub(baseline).saturating_add(1);
            let without_first = [record.refused, record.parked, record.dismissed]
                .into_iter()
                .fold(record.missing_count, u64::saturating_add);
            let together = without_first.saturating_add(record.firsts);
            if without_first > span || together < span {
                let recorded = format_args!("{} and {without_first}", record.firsts);
                self.differs(entry, "firsts, and refused and missing ones, fill", span, recorded);
            }
        }
    }

    /// The lowest and the highest number.
    fn marks(&mut self, entry: &LedgerEntry<'_>, scope: Scope, seen: &Ranges, marks: (u64, u64)) {
        let (baseline, high) = marks;
        let (Some(lowest), Some(highest)) = (seen.first(), seen.last()) else {
            if self.coverage.is_complete() {
                self.differs(
                    entry,
                    "marks",
                    "no number seen",
                    format_args!("{baseline} to {high}"),
                );
            }
            return;
        };
        let whole = self.coverage.is_complete();
        if highest > high || (whole && highest != high) {
            self.differs(entry, "highest number", highest, high);
        }
        let lowest = if scope == Scope::BusinessDate && whole { lowest.min(1) } else { lowest };
        if lowest < baseline || (whole && lowest != baseline) {
            self.differs(entry, "baseline", lowest, baseline);
        }
        self.totals.span = self.totals.span.saturating_add((high - baseline).saturating_add(1));
    }

    /// What is missing between the marks. The record lists what was jumped over apart from the
    /// rest, and the lowest ranges of either only; it counts all.
    fn missing(
        &mut self,
        entry: &LedgerEntry<'_>,
        seen: &Ranges,
        (baseline, high): (u64, u64),
        record: &LedgerRecord,
    ) {
        let mut listed = Ranges::default();
        for &(from, to) in record.missing.iter().chain(&record.jumps) {
            let inside = baseline <= from && from <= to && to <= high;
            if !inside || seen.gaps(from, to) != [(from, to)] {
                let recorded = format_args!("{from} to {to}");
                self.differs(entry, "missing, but seen or out of range", "not missing", recorded);
            } else if !listed.insert_span(from, to).is_empty() {
                let recorded = format_args!("{from} to {to}");
                self.differs(entry, "listed as missing twice", "once", recorded);
            }
        }
        if !self.coverage.is_complete() {
            self.totals.gaps.add(record.missing.len() + record.jumps.len(), record.missing_count);
            return;
        }
        let gaps = seen.gaps(baseline, high);
        let numbers: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
        self.totals.gaps.add(gaps.len(), numbers);
        self.totals.missing[0] += numbers;
        self.totals.missing[1] = self.totals.missing[1].saturating_add(record.missing_count);
        if numbers != record.missing_count {
            self.differs(entry, "how many numbers are missing", numbers, record.missing_count);
        }
        let complete = !record.missing_truncated && record.jumps.len() < LISTED_RANGES;
        let listed: Vec<_> = listed.spans().collect();
        if complete && listed != gaps {
            self.differs(entry, "which numbers are missing", RangeList(&gaps), RangeList(&listed));
        }
    }

    fn counts(
        &mut self,
        entry: &LedgerEntry<'_>,
        terminal: &TerminalNumbers,
        record: &LedgerRecord,
    ) {
        let firsts = terminal.numbered() + terminal.without_number();
        let refused = terminal.refused_only();
        if firsts != record.firsts {
            self.differs(entry, "firsts", firsts, record.firsts);
        }
        if refused != record.refused {
            self.differs(entry, "refused without a first", refused, record.refused);
        }
        let (parked, dismissed) = terminal.kept_aside();
        if parked != record.parked {
            self.differs(entry, "parked without a first", parked, record.parked);
        }
        if dismissed != record.dismissed {
            self.differs(entry, "dismissed without a first", dismissed, record.dismissed);
        }
        self.totals.parked[0] += parked;
        self.totals.parked[1] += record.parked;
        self.totals.dismissed[0] += dismissed;
        self.totals.dismissed[1] += record.dismissed;
        self.totals.firsts[0] += terminal.numbered();
        self.totals.firsts[1] += record.firsts.saturating_sub(terminal.without_number());
        self.totals.refused[0] += refused;
        self.totals.refused[1] += record.refused;
    }

    fn differs(
        &mut self,
        entry: &LedgerEntry<'_>,
        what: &'static str,
        recounted: impl fmt::Display,
        recorded: impl fmt::Display,
    ) {
        self.check.differs(
            Difference::new(self.topic, self.partition, what)
                .at(entry.offset)
                .of(entry.key)
                .between(recounted, recorded),
        );
    }
}

/// The key of a terminal, and the offset of its ledger record.
struct LedgerEntry<'a> {
    key: &'a str,
    offset: Offset,
}

/// Formats the first few ranges.
struct RangeList<'a>(&'a [(u64, u64)]);

impl fmt::Display for RangeList<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        if self.0.is_empty() {
            return formatter.write_str("none");
        }
        for (index, (from, to)) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(formatter, "{comma}{from}-{to}")?;
        }
        if self.0.len() > SHOWN {
            write!(formatter, ", and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}
