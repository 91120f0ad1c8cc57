//! The findings of one check: figures of both sides, and every difference with its position.

use std::fmt;

use serde::Serialize;
use tillrace_log::{Offset, Partition, Topic};

use crate::text::{Decimal, format_minor};

/// Differences that a check lists; further ones are counted only.
const LISTED: usize = 20;

/// One check of the conservation law.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Its letter and subject.
    pub name: String,
    /// Figures of both sides.
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
    pub fn new(name: impl Into<String>) -> Self {
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

    /// Adds a difference.
    pub fn differs(&mut self, difference: Difference) {
        self.differences_total += 1;
        if self.differences.len() < LISTED {
            self.differences.push(difference);
        }
    }

    /// Adds a figure of both sides.
    pub fn figure(&mut self, what: impl Into<String>, recounted: Amount, recorded: Amount) {
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

/// A count, or a sum of quantities or money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "serde_json::Value")]
pub enum Amount {
    /// A number of things.
    Count(u64),
    /// Millionths of a unit.
    Quantity(i128),
    /// Money in minor units, and how many decimals they are.
    Money(i128, u32),
    /// Unknown from the log.
    Unknown,
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => formatter.pad(&count.to_string()),
            Self::Quantity(millionths) => formatter.pad(&quantity(*millionths)),
            Self::Money(minor, exponent) => formatter.pad(&format_minor(*minor, *exponent)),
            Self::Unknown => formatter.pad("-"),
        }
    }
}

/// Counts become numbers, quantities and money decimal strings, what is unknown `null`.
impl From<Amount> for serde_json::Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Count(count) => count.into(),
            Amount::Quantity(millionths) => quantity(millionths).into(),
            Amount::Money(minor, exponent) => format_minor(minor, exponent).into(),
            Amount::Unknown => Self::Null,
        }
    }
}

/// One difference between recount and log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Topic it was seen on.
    pub topic: String,
    /// Partition it was seen in, where it is about one.
    pub partition: Option<Partition>,
    /// Its offset, where it is about one record.
    pub offset: Option<Offset>,
    /// The identity of the event, key or writer.
    pub identity: String,
    /// What is wrong.
    pub what: &'static str,
    /// What the recount says.
    pub recounted: String,
    /// What the log says.
    pub recorded: String,
}

impl Difference {
    /// Describes a difference on a topic.
    pub fn new(topic: &Topic, partition: impl Into<Option<Partition>>, what: &'static str) -> Self {
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

    /// Sets the offset of the record.
    #[must_use]
    pub fn at(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Sets the identity.
    #[must_use]
    pub fn of(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// Sets what either side says.
    #[must_use]
    pub fn between(mut self, recounted: impl fmt::Display, recorded: impl fmt::Display) -> Self {
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
