//! What a recount found: figures of either side, and every difference with its place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::log::{Offset, Partition, Topic};
use crate::text::Decimal;

/// Differences that a check lists; further ones are counted only.
const LISTED: usize = 20;

/// The outcome of a recount.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was recounted, partition by partition.
    pub covered: Vec<Covered>,
    /// Records of the journal by verdict, as recounted.
    pub verdicts: VerdictCounts,
    /// What became of the records behind each sink's committed offsets.
    pub sinks: Vec<SinkCounts>,
    /// Numbers that terminals never sent, or that never arrived.
    pub gaps: Gaps,
    /// The checks (b) to (e), in that order, (d) once a sink.
    pub checks: Vec<Check>,
}

impl Report {
    /// Tells whether every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
}

/// The part of the journal that was recounted in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// Partition.
    pub partition: Partition,
    /// First offset recounted: 0, or a flush's end that all topics still hold.
    pub from: Offset,
    /// Next offset of the aggregator when the recount began.
    pub to: Offset,
    /// Firsts before `from`, taken as given; `None` when no checkpoint tells.
    pub firsts_given: Option<u64>,
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
    pub control: u64,
    /// Of the control records, those that put a kept payload out.
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
            + self.control
    }

    /// Lists the counts with their names.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("first", self.first),
            ("duplicate", self.duplicate),
            ("duplicate_unverified", self.duplicate_unverified),
            ("conflict", self.conflict),
            ("quarantined", self.quarantined),
            ("refused", self.refused),
            ("control", self.control),
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
            control: self.control.saturating_sub(earlier.control),
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
        self.control += other.control;
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

/// One check of the conservation law.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Its letter and what it is about.
    pub name: String,
    /// What was counted on either side.
    pub figures: Vec<Figure>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// Number of differences, those not listed included.
    pub differences_total: u64,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Check {
    /// Starts a check without findings.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            figures: Vec::new(),
            differences: Vec::new(),
            differences_total: 0,
            notes: Vec::new(),
        }
    }

    /// Tells whether nothing differs.
    pub fn holds(&self) -> bool {
        self.differences_total == 0
    }

    /// Notes a difference.
    pub(super) fn differs(&mut self, difference: Difference) {
        self.differences_total += 1;
        if self.differences.len() < LISTED {
            self.differences.push(difference);
        }
    }

    /// Notes what was counted on either side.
    pub(super) fn figure(&mut self, what: impl Into<String>, recounted: Amount, recorded: Amount) {
        self.figures.push(Figure { what: what.into(), recounted, recorded });
    }
}

/// One thing counted twice: by the recount, and as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What was counted.
    pub what: String,
    /// By the recount.
    pub recounted: Amount,
    /// As recorded.
    pub recorded: Amount,
}

/// A count, or a sum of quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "serde_json::Value")]
pub enum Amount {
    /// A number of things.
    Count(u64),
    /// Millionths of a unit.
    Quantity(i128),
    /// The log does not say.
    Unknown,
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => formatter.pad(&count.to_string()),
            Self::Quantity(millionths) => formatter.pad(&quantity(*millionths)),
            Self::Unknown => formatter.pad("-"),
        }
    }
}

/// Counts become numbers, quantities decimal strings, what is unknown `null`.
impl From<Amount> for serde_json::Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Count(count) => count.into(),
            Amount::Quantity(millionths) => quantity(millionths).into(),
            Amount::Unknown => Self::Null,
        }
    }
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Topic it was seen on.
    pub topic: String,
    /// Partition it was seen in, where it is about one.
    pub partition: Option<Partition>,
    /// Its offset, where it is about one record.
    pub offset: Option<Offset>,
    /// Whose it is: an event's, a key's or a writer's identity.
    pub identity: String,
    /// What is wrong.
    pub what: &'static str,
    /// What the recount says.
    pub recounted: String,
    /// What the log says.
    pub recorded: String,
}

impl Difference {
    /// Describes what is wrong at a place.
    pub(super) fn new(
        topic: &Topic,
        partition: impl Into<Option<Partition>>,
        what: &'static str,
    ) -> Self {
        Self {
            topic: topic.as_str().to_owned(),
            partition: partition.into(),
            offset: None,
            identity: String::new(),
            what,
            recounted: String::new(),
            recorded: String::new(),
        }
    }

    /// Names the record.
    pub(super) fn at(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Names whose it is.
    pub(super) fn of(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// Sets what either side says.
    pub(super) fn between(
        mut self,
        recounted: impl fmt::Display,
        recorded: impl fmt::Display,
    ) -> Self {
        self.recounted = recounted.to_string();
        self.recorded = recorded.to_string();
        self
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.topic)?;
        if let Some(partition) = self.partition {
            write!(formatter, "/{partition}")?;
        }
        if let Some(offset) = self.offset {
            write!(formatter, "@{offset}")?;
        }
        if !self.identity.is_empty() {
            write!(formatter, " {}", self.identity)?;
        }
        write!(formatter, ": {}", self.what)?;
        if !(self.recounted.is_empty() && self.recorded.is_empty()) {
            write!(formatter, " (recounted {}, recorded {})", self.recounted, self.recorded)?;
        }
        Ok(())
    }
}

/// Writes a table for people: what was covered, then each check.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for covered in &self.covered {
            write!(
                formatter,
                "partition {}: offsets {} to {}",
                covered.partition, covered.from, covered.to
            )?;
            match covered.firsts_given {
                Some(0) => writeln!(formatter)?,
                Some(given) => writeln!(formatter, ", {given} firsts before them taken as given")?,
                None => writeln!(formatter, ", firsts before them taken as given")?,
            }
        }
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

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "holds" } else { "DOES NOT HOLD" };
        writeln!(formatter, "{:<48}{:>18}{:>18}  {verdict}", self.name, "recounted", "recorded")?;
        for figure in &self.figures {
            writeln!(
                formatter,
                "  {:<46}{:>18}{:>18}",
                figure.what, figure.recounted, figure.recorded
            )?;
        }
        for note in &self.notes {
            writeln!(formatter, "  note: {note}")?;
        }
        for difference in &self.differences {
            writeln!(formatter, "  ! {difference}")?;
        }
        let listed = u64::try_from(self.differences.len()).unwrap_or(u64::MAX);
        if self.differences_total > listed {
            writeln!(formatter, "  ! and {} more", self.differences_total - listed)?;
        }
        Ok(())
    }
}

/// Writes a sum of quantities; one beyond an `i64` of millionths is cut to whole units.
fn quantity(millionths: i128) -> String {
    i64::try_from(millionths).map_or_else(
        |_too_large| (millionths / i128::from(Decimal::ONE.0)).to_string(),
        |millionths| Decimal(millionths).to_string(),
    )
}
