//! Replays recorded trade: real baskets, and the returns of a benchmark, as canonical events.
//!
//! The same files make the same events, so that a replay can be repeated and counts once. Data sets
//! are played one after the other, each in order of time; the schedule is the run's, not theirs.
//! What each conversion decides stands in `replay/completejourney.rs` and `replay/tpcds.rs`, and in
//! `loadtest/datasets/expect`, which computes the same totals from the same files without any of
//! this code.

mod columns;
mod completejourney;
mod tape;
mod tpcds;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use self::columns::ReplayError;
use self::completejourney::Baskets;
use self::tape::{Page, Tape};
use self::tpcds::Returns;
use crate::schedule::{Profile, Schedule};
use crate::source::{Effect, Expected, Gap, Planned, Roster, Source, Terminal};

/// A recorded data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSet {
    /// Baskets of a grocer: `completejourney/transactions.parquet`.
    CompleteJourney,
    /// Returns of TPC-DS: `tpcds/returns.parquet`.
    Tpcds,
}

/// What to replay.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The data sets, played in this order.
    pub sets: Vec<DataSet>,
    /// Events a second; zero for no schedule.
    pub rate: f64,
    /// Stop after so many events.
    pub events: Option<u64>,
    /// Epoch that every event carries.
    pub epoch: Option<String>,
}

/// Recorded trade as a source.
#[derive(Debug)]
pub struct Replay {
    parts: Vec<Part>,
    roster: Arc<Roster>,
    schedule: Schedule,
    made: u64,
    most: u64,
}

/// A data set, with its place in the common roster and how far it was played.
#[derive(Debug)]
struct Part {
    tape: Box<dyn Tape>,
    first_terminal: u32,
    first_sku: u32,
    place: usize,
}

impl Replay {
    /// Reads data sets from the folder that `loadtest/datasets/install` has filled.
    ///
    /// # Errors
    /// A file is not there, is no Parquet, or is not what the data set has been.
    pub fn read(folder: &Path, settings: &ReplaySettings) -> Result<Self, ReplayError> {
        let mut roster = Roster { epoch: settings.epoch.clone(), ..Roster::default() };
        let mut parts = Vec::new();
        for set in &settings.sets {
            let tape: Box<dyn Tape> = match set {
                DataSet::CompleteJourney => {
                    Box::new(Baskets::read(&folder.join("completejourney/transactions.parquet"))?)
                }
                DataSet::Tpcds => Box::new(Returns::read(&folder.join("tpcds/returns.parquet"))?),
            };
            let (first_terminal, first_sku) = join(&mut roster, &tape.names().roster);
            parts.push(Part { tape, first_terminal, first_sku, place: 0 });
        }
        Ok(Self {
            parts,
            roster: Arc::new(roster),
            schedule: Schedule::new(settings.rate, Profile::Constant),
            made: 0,
            most: settings.events.unwrap_or(u64::MAX),
        })
    }

    /// Says what the data sets hold, and what had to be decided while converting and how often.
    pub fn notes(&self) -> Vec<(&'static str, u64)> {
        self.parts.iter().flat_map(|part| part.tape.notes()).collect()
    }
}

/// Appends a tape's names to the roster; returns where its terminals and SKUs begin there.
fn join(roster: &mut Roster, other: &Roster) -> (u32, u32) {
    let first = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let first_store = first(roster.stores.len());
    let firsts = (first(roster.terminals.len()), first(roster.skus.len()));
    roster.stores.extend_from_slice(&other.stores);
    roster.skus.extend_from_slice(&other.skus);
    roster.terminals.extend(other.terminals.iter().map(|terminal| Terminal {
        store: first_store + terminal.store,
        name: terminal.name.clone(),
    }));
    firsts
}

impl Source for Replay {
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<Effect>) -> Option<Planned> {
        if self.made >= self.most {
            return None;
        }
        let part = self.parts.iter_mut().find(|part| part.place < part.tape.len())?;
        let epoch = self.roster.epoch.as_deref();
        let mut page = Page { text, effects, first_sku: part.first_sku, epoch };
        let number = part.tape.write(part.place, &mut page);
        part.place += 1;
        let due = self.schedule.due(self.made);
        self.made += 1;
        Some(Planned {
            due,
            terminal: part.first_terminal + number.terminal,
            sequence: number.sequence,
            expected: Expected::Accepted,
            held: false,
        })
    }

    /// A replay has nothing open: it stops where it is.
    fn wind_down(&mut self) {
        self.most = self.made;
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn roster(&self) -> Arc<Roster> {
        Arc::clone(&self.roster)
    }

    fn planted_gaps(&self) -> Vec<Gap> {
        Vec::new()
    }
}
