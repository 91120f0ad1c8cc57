//! Replays recorded trade: real baskets, and the returns of a benchmark, as canonical events.
//!
//! The same files make the same events, so that a replay can be repeated and counts once. Data sets
//! are played one after the other, each in order of time; the schedule is the run's, not theirs.
//! The rules of each conversion are in `replay/completejourney.rs` and `replay/tpcds.rs`, and in
//! `loadtest/datasets/expect`, which computes the same totals from the same files without any of
//! this code.

mod columns;
mod completejourney;
mod recording;
mod tpcds;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use self::columns::ReplayError;
use self::completejourney::Baskets;
use self::recording::{EventBuffers, Recording};
use self::tpcds::Returns;
use crate::schedule::{Profile, Schedule};
use crate::source::{Directory, ExpectedOutcome, Gap, PlannedEvent, Source, StockEffect, Terminal};

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
    parts: Vec<ReplayPart>,
    directory: Arc<Directory>,
    schedule: Schedule,
    made: u64,
    most: u64,
}

/// A data set, with its offsets in the common directory and its progress.
#[derive(Debug)]
struct ReplayPart {
    recording: Box<dyn Recording>,
    first_terminal: u32,
    first_sku: u32,
    index: usize,
}

impl Replay {
    /// Reads data sets from the folder that `loadtest/datasets/install` has filled.
    ///
    /// # Errors
    /// A file is not there, is no Parquet, or is not what the data set has been.
    pub fn read(folder: &Path, settings: &ReplaySettings) -> Result<Self, ReplayError> {
        let mut directory = Directory { epoch: settings.epoch.clone(), ..Directory::default() };
        let mut parts = Vec::new();
        for set in &settings.sets {
            let recording: Box<dyn Recording> = match set {
                DataSet::CompleteJourney => {
                    Box::new(Baskets::read(&folder.join("completejourney/transactions.parquet"))?)
                }
                DataSet::Tpcds => Box::new(Returns::read(&folder.join("tpcds/returns.parquet"))?),
            };
            let (first_terminal, first_sku) = join(&mut directory, &recording.names().directory);
            parts.push(ReplayPart { recording, first_terminal, first_sku, index: 0 });
        }
        Ok(Self {
            parts,
            directory: Arc::new(directory),
            schedule: Schedule::new(settings.rate, Profile::Constant),
            made: 0,
            most: settings.events.unwrap_or(u64::MAX),
        })
    }

    /// Lists what the data sets hold, and what the conversion had to decide and how often.
    pub fn notes(&self) -> Vec<(&'static str, u64)> {
        self.parts.iter().flat_map(|part| part.recording.notes()).collect()
    }
}

/// Appends a recording's names to the directory; returns where its terminals and SKUs begin there.
fn join(directory: &mut Directory, other: &Directory) -> (u32, u32) {
    let first = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let first_store = first(directory.stores.len());
    let firsts = (first(directory.terminals.len()), first(directory.skus.len()));
    directory.stores.extend_from_slice(&other.stores);
    directory.skus.extend_from_slice(&other.skus);
    directory.terminals.extend(other.terminals.iter().map(|terminal| Terminal {
        store: first_store + terminal.store,
        name: terminal.name.clone(),
    }));
    firsts
}

impl Source for Replay {
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<StockEffect>) -> Option<PlannedEvent> {
        if self.made >= self.most {
            return None;
        }
        let part = self.parts.iter_mut().find(|part| part.index < part.recording.len())?;
        let epoch = self.directory.epoch.as_deref();
        let mut buffers = EventBuffers { text, effects, first_sku: part.first_sku, epoch };
        let number = part.recording.write(part.index, &mut buffers);
        part.index += 1;
        let due = self.schedule.due(self.made);
        self.made += 1;
        Some(PlannedEvent {
            due,
            terminal: part.first_terminal + number.terminal,
            sequence: number.sequence,
            expected: ExpectedOutcome::Accepted,
            held: false,
        })
    }

    /// A replay has no open terminals: it stops where it is.
    fn wind_down(&mut self) {
        self.most = self.made;
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    fn planted_gaps(&self) -> Vec<Gap> {
        Vec::new()
    }
}
