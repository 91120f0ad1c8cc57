//! Sources of traffic: they generate events with their due times and expected outcomes.
//!
//! Only a [`Source`] knows the truth: which terminal sent which numbers, which events must be refused
//! and with what code, which are parked and mended later, and the stock effects of every one that counts. The verifier compares that with
//! the topics. Sources do not send, duplicate or reorder: that is [`crate::traffic`].

use std::sync::Arc;
use std::time::Duration;

use crate::schedule::Schedule;

/// Scale of quantities: millionths of a unit.
pub const QUANTITY_SCALE: u32 = 6;

/// One unit of quantity.
pub const ONE: i64 = 1_000_000;

/// A terminal, as an index into [`Directory::terminals`].
pub type TerminalIndex = u32;

/// Yields events in the order and at the times a fleet would send them.
pub trait Source: Send {
    /// Appends the next event to `text` (one JSON object, no line end) and its stock effects to
    /// `effects`; returns `None`, having appended nothing, when there are no more.
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<StockEffect>) -> Option<PlannedEvent>;

    /// Ends the day: from now on only events that close open terminals follow.
    fn wind_down(&mut self);

    /// Returns when its events are due.
    fn schedule(&self) -> &Schedule;

    /// Returns the names of stores, terminals and SKUs by index.
    fn directory(&self) -> Arc<Directory>;

    /// Lists the numbers left out on purpose so far: the gaps a terminal ledger should report.
    fn planted_gaps(&self) -> Vec<Gap>;
}

/// A planned event: its terminal, due time and expected outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedEvent {
    /// When to send it, from the start of the run; zero where the run has no schedule.
    pub due: Duration,
    /// Its terminal.
    pub terminal: TerminalIndex,
    /// Its number on that terminal; a refused event may share it with the good one that follows.
    pub sequence: u64,
    /// Its expected outcome.
    pub expected: ExpectedOutcome,
    /// Whether its terminal was offline when it happened, and sends it later.
    pub held: bool,
}

/// The expected outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedOutcome {
    /// It is accepted, and counted once.
    Accepted,
    /// It is kept and counts nowhere, for the rule of this code.
    Parked {
        /// The rule.
        code: &'static str,
        /// Fingerprint of the text that the fleet's [mapping](crate::fleet::MAPPING) makes of it, and with which it
        /// counts when it is readmitted; `None` where nothing mends it.
        mended: Option<u32>,
    },
    /// It is refused for good, with this code.
    Refused(&'static str),
}

impl ExpectedOutcome {
    /// Tells whether it counts, at once or when it is mended.
    pub fn can_count(self) -> bool {
        matches!(self, Self::Accepted | Self::Parked { mended: Some(_), .. })
    }
}

/// The effect of one event on one SKU of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct StockEffect {
    /// Index into [`Directory::skus`].
    pub sku: u32,
    /// Unit of measure, UN/ECE Recommendation 20.
    pub unit: &'static str,
    /// The reason that the line gives; empty for none.
    pub reason: &'static str,
    /// The stock location that the line names; empty for none.
    pub location: &'static str,
    /// How much.
    pub movement: Movement,
}

/// Quantities moved, in millionths of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Movement {
    /// Change of stock.
    pub net: i64,
    /// Sold, less what was reversed.
    pub sold: i64,
    /// Brought back, whatever became of it.
    pub returned: i64,
    /// Adjusted or transferred.
    pub adjusted: i64,
}

impl Movement {
    /// Adds another movement to this one.
    pub fn add(&mut self, other: Self) {
        self.net += other.net;
        self.sold += other.sold;
        self.returned += other.returned;
        self.adjusted += other.adjusted;
    }

    /// Tells whether nothing moved.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// Numbers of a terminal that were never sent, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// The terminal.
    pub terminal: TerminalIndex,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
}

/// The names of stores, terminals and SKUs, by index.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// Store ids.
    pub stores: Vec<String>,
    /// Terminals of all stores.
    pub terminals: Vec<Terminal>,
    /// SKUs.
    pub skus: Vec<String>,
    /// Epoch that every event carries.
    pub epoch: Option<String>,
}

/// A terminal of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Index into [`Directory::stores`].
    pub store: u32,
    /// Its id within the store.
    pub name: String,
}
