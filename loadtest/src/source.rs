//! What a source of traffic is: it writes events, says when each is due, and what should come of it.
//!
//! A [`Source`] is the only thing that knows the truth: which terminal sent which numbers, which
//! events must be refused and with what code, and what every accepted one does to stock. The
//! verifier compares that with what stands on the topics. Sources do not send, do not repeat and do
//! not disorder: that is [`crate::traffic`].

use std::sync::Arc;
use std::time::Duration;

/// Scale of quantities: millionths of a unit.
pub const QUANTITY_SCALE: u32 = 6;

/// One unit of quantity.
pub const ONE: i64 = 1_000_000;

/// A terminal, as an index into [`Roster::terminals`].
pub type TerminalIndex = u32;

/// Yields events in the order and at the times a fleet would send them.
pub trait Source: Send {
    /// Appends the next event to `text` (one JSON object, no line end) and what it does to stock to
    /// `effects`; returns `None`, having appended nothing, when there are no more.
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<Effect>) -> Option<Planned>;

    /// Ends the day: from now on only what closes what is open.
    fn wind_down(&mut self);

    /// Names the stores, terminals and SKUs that indices stand for.
    fn roster(&self) -> Arc<Roster>;

    /// Lists the numbers left out on purpose so far: the gaps a terminal ledger should report.
    fn planted_gaps(&self) -> Vec<Gap>;
}

/// An event's plan: who sends it when, and what should come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// When to send it, from the start of the run; zero where the run has no schedule.
    pub due: Duration,
    /// Who sends it.
    pub terminal: TerminalIndex,
    /// Its number on that terminal; a refused event may share it with the good one that follows.
    pub sequence: u64,
    /// What should come of it.
    pub expected: Expected,
}

/// What should come of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is accepted, and counted once.
    Accepted,
    /// It is refused for good, with this code.
    Refused(&'static str),
}

/// What one event does to one SKU of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Index into [`Roster::skus`].
    pub sku: u32,
    /// Unit of measure, UN/ECE Recommendation 20.
    pub unit: &'static str,
    /// How much.
    pub movement: Movement,
}

/// Quantities moved, in millionths of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

    /// Says whether nothing moved.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// Numbers of a terminal that were never sent, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// Whose numbers.
    pub terminal: TerminalIndex,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
}

/// The names behind the indices.
#[derive(Debug, Clone, Default)]
pub struct Roster {
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
    /// Index into [`Roster::stores`].
    pub store: u32,
    /// Its id within the store.
    pub name: String,
}

/// An even schedule: so many events a second, or no schedule at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    per_second: Option<f64>,
}

impl Pace {
    /// Plans `per_second` events a second; zero means as fast as they are taken.
    pub fn per_second(per_second: f64) -> Self {
        Self { per_second: (per_second > 0.0).then_some(per_second) }
    }

    /// Returns when the event of this number (from 0) is due.
    #[expect(clippy::cast_precision_loss, reason = "2^53 events are more than a run")]
    pub fn due(self, number: u64) -> Duration {
        self.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(number as f64 / rate))
    }

    /// Says whether there is a schedule.
    pub fn is_scheduled(self) -> bool {
        self.per_second.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_spreads_events_evenly() {
        assert_eq!(Pace::per_second(200.0).due(0), Duration::ZERO);
        assert_eq!(Pace::per_second(200.0).due(50), Duration::from_millis(250));
        assert_eq!(Pace::per_second(0.0).due(50), Duration::ZERO);
    }
}
