//! The report of a recount.

use std::fmt;

use serde::{Deserialize, Serialize};

use tillrace_log::{Offset, Partition};

use super::check::Check;

/// The outcome of a recount.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was recounted, partition by partition.
    pub covered: Vec<CoveredOffsets>,
    /// Records of the journal by verdict, as recounted.
    pub verdicts: VerdictCounts,
    /// What became of the records behind each sink's committed offsets.
    pub sinks: Vec<SinkCounts>,
    /// Numbers that terminals never sent, or that never arrived.
    pub gaps: Gaps,
    /// The checks (b) to (g), in that order, (d) once a sink.
    pub checks: Vec<Check>,
}

impl Report {
    /// Tells whether every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
}

/// The offsets of the journal that were recounted in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoveredOffsets {
    /// Partition.
    pub partition: Partition,
    /// First offset recounted: 0, or a flush's end that all topics still hold.
    pub from: Offset,
    /// Next offset of the aggregator when the recount began.
    pub to: Offset,
    /// Firsts before `from`, taken as given; `None` when no checkpoint tells.
    pub firsts_given: Option<u64>,
    /// When its newest record was appended, milliseconds since the Unix epoch.
    pub newest_ms: Option<i64>,
}

/// How many records of the journal had each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the verdicts")]
pub struct VerdictCounts {
    pub first: u64,
    pub duplicate: u64,
    pub duplicate_unverified: u64,
    pub conflict: u64,
    pub quarantined: u64,
    pub refused: u64,
    pub parked: u64,
    pub settled: u64,
    pub control: u64,
    pub unreadable: u64,
    /// Of the control records and settled readmissions, those that put a kept payload out.
    pub released: u64,
}

impl VerdictCounts {
    /// Number of records: each has one verdict, and `released` is a part of `control`.
    pub fn records(&self) -> u64 {
        self.first
            + self.duplicate
            + self.duplicate_unverified
            + self.conflict
            + self.quarantined
            + self.refused
            + self.parked
            + self.settled
            + self.control
            + self.unreadable
    }

    /// Lists the counts with their names.
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("first", self.first),
            ("duplicate", self.duplicate),
            ("duplicate_unverified", self.duplicate_unverified),
            ("conflict", self.conflict),
            ("quarantined", self.quarantined),
            ("refused", self.refused),
            ("parked", self.parked),
            ("settled", self.settled),
            ("control", self.control),
            ("unreadable", self.unreadable),
            ("released", self.released),
        ]
    }

    /// Returns what was counted since `earlier`.
    pub(super) fn less(&self, earlier: &Self) -> Self {
        Self {
            first: self.first.saturating_sub(earlier.first),
            duplicate: self.duplicate.saturating_sub(earlier.duplicate),
            duplicate_unverified: self
                .duplicate_unverified
                .saturating_sub(earlier.duplicate_unverified),
            conflict: self.conflict.saturating_sub(earlier.conflict),
            quarantined: self.quarantined.saturating_sub(earlier.quarantined),
            refused: self.refused.saturating_sub(earlier.refused),
            parked: self.parked.saturating_sub(earlier.parked),
            settled: self.settled.saturating_sub(earlier.settled),
            control: self.control.saturating_sub(earlier.control),
            unreadable: self.unreadable.saturating_sub(earlier.unreadable),
            released: self.released.saturating_sub(earlier.released),
        }
    }

    /// Adds the counts of another partition.
    pub(super) fn add(&mut self, other: &Self) {
        self.first += other.first;
        self.duplicate += other.duplicate;
        self.duplicate_unverified += other.duplicate_unverified;
        self.conflict += other.conflict;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.parked += other.parked;
        self.settled += other.settled;
        self.control += other.control;
        self.unreadable += other.unreadable;
        self.released += other.released;
    }
}

/// What became of the records behind a sink's committed offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SinkCounts {
    /// The sink's name.
    pub sink: String,
    /// Records below its committed offsets.
    pub records: u64,
    /// Of these: delivered at least once.
    pub delivered: u64,
    /// Of these: never delivered, given up as a dead letter.
    pub dead: u64,
    /// Of these: never delivered, put aside with a stuck key.
    pub parked: u64,
    /// Of these: left out by the sink's declared filter.
    pub filtered: u64,
    /// Deliveries beyond the first of a record.
    pub redelivered: u64,
    /// Records older than the audit that is kept; taken as given.
    pub given: u64,
    /// Records below the offset at which the sink began.
    pub begun: u64,
}

/// Numbers missing between a terminal's baseline and its highest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// Terminals recounted.
    pub terminals: u64,
    /// Terminals with something missing.
    pub terminals_with_gaps: u64,
    /// Ranges missing.
    pub ranges: u64,
    /// Numbers missing.
    pub numbers: u64,
}

impl Gaps {
    /// Adds what one terminal misses.
    pub(super) fn add(&mut self, ranges: usize, numbers: u64) {
        self.terminals_with_gaps += u64::from(ranges > 0);
        self.ranges += ranges as u64;
        self.numbers = self.numbers.saturating_add(numbers);
    }
}

impl Report {
    /// One line where all of it is covered, else one a partition.
    fn write_covered(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.verdicts.records();
        if self.covered.iter().all(|covered| covered.from == 0) {
            let partitions = self.covered.len();
            return writeln!(
                formatter,
                "covered: all {records} records that were consumed, in {partitions} partitions"
            );
        }
        for CoveredOffsets { partition, from, to, firsts_given, .. } in &self.covered {
            write!(formatter, "covered: partition {partition}, offsets {from} to {to}")?;
            match firsts_given {
                Some(0) => writeln!(formatter)?,
                Some(given) => writeln!(formatter, ", {given} firsts before them taken as given")?,
                None => writeln!(formatter, ", firsts before them taken as given")?,
            }
        }
        Ok(())
    }
}

/// Writes a table for people: what was covered, then each check.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_covered(formatter)?;
        for check in &self.checks {
            write!(formatter, "\n{check}")?;
        }
        writeln!(
            formatter,
            "\n{}",
            if self.holds() { "Conservation holds." } else { "CONSERVATION DOES NOT HOLD." }
        )
    }
}
