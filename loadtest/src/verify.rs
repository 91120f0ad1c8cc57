//! Verifies conservation from outside: compares the sender's acknowledgements with the topics.
//!
//! Every acknowledged identity must be in the journal, and once among the transactions, byte for byte;
//! no refused event may be there; each parked one either still waits on its topic or counts once, as its
//! mapping mends it; the deltas must sum to what the sender knows it sold, took back and moved, by reason
//! and stock location; the store-days must say what the counted events add up to, in sales, liabilities,
//! tenders and the till balance; and the ledger must report exactly the numbers that were left out. Neither figures nor
//! code of the engine are used.

mod books;
mod conclusion;
mod days;
mod identities;
mod observations;
mod records;
mod tills;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::conclusion::{RunRecords, conclude, with_late};
#[cfg(test)]
pub(crate) use self::days::DayRecordWriter;
use self::identities::{Identity, TerminalLookup};
use self::observations::Observations;
#[cfg(test)]
pub(crate) use self::records::micro;
use crate::acks::{NamedMovements, StockKey};
use crate::client::Outcome;
use crate::source::QUANTITY_SCALE;
use crate::topics::{ReadError, Record, StartPositions, TopicNames, TopicReader};

/// Examples kept of each kind of fault; all are counted.
const EXAMPLES: usize = 20;

/// How to verify.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// Prefix of all topics; empty for none.
    pub namespace: String,
    /// Where the run began; [`StartPositions::default`] for the topics' start.
    pub start: StartPositions,
    /// The wait for missing records ends after this time without a new one.
    pub settle_for: Duration,
    /// Pause between two reads.
    pub poll_every: Duration,
    /// Whether what a mapping mends was readmitted, and must count.
    pub readmitted: bool,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            start: StartPositions::default(),
            settle_for: Duration::from_secs(30),
            poll_every: Duration::from_millis(500),
            readmitted: false,
        }
    }
}

/// Progress of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitProgress {
    /// Acknowledged events.
    pub acknowledged: u64,
    /// Those counted so far.
    pub counted: u64,
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Acknowledged events.
    pub acknowledged: u64,
    /// Those among them that are counted.
    pub counted: u64,
    /// Acknowledged, but absent from the journal.
    pub lost: u64,
    /// Acknowledged and in the journal, but neither counted nor set aside by the end of the wait.
    pub without_verdict: u64,
    /// Counted again.
    pub double_counted: u64,
    /// Counted with other bytes than were sent.
    pub altered: u64,
    /// Counted, but never acknowledged.
    pub strangers: u64,
    /// Records that break the contract of their topic.
    pub unreadable: u64,
    /// Set aside as conflicts and the like, by reason, some of them counted too.
    pub set_aside: BTreeMap<String, u64>,
    /// Acknowledged and set aside, and so not counted.
    pub not_counted: u64,
    /// Answered `parked`.
    pub parked: u64,
    /// Those among them that still wait on the topic of parked events.
    pub parked_waiting: u64,
    /// Those that were readmitted, and count.
    pub readmitted: u64,
    /// Those that are absent from the journal, or neither wait nor count.
    pub parked_lost: u64,
    /// Those that wait and count as well.
    pub parked_twice: u64,
    /// Those that were readmitted by the fleet's mapping, and do not count.
    pub not_readmitted: u64,
    /// Days of a store with a counted event.
    pub days: u64,
    /// Those among them that the store-days tell otherwise.
    pub days_differing: u64,
    /// The first of them.
    pub day_examples: Vec<String>,
    /// What the counted events add up to: by currency, the sums of a store-day by name.
    pub books: BTreeMap<String, BTreeMap<String, String>>,
    /// What the counted events did to stock.
    #[serde(skip)]
    pub moved: NamedMovements,
    /// Store, SKU, unit, reason and location with a movement.
    pub stock_keys: u64,
    /// Those whose deltas do not sum to what was sent.
    pub stock_differing: u64,
    /// The first of them.
    pub stock_examples: Vec<StockDifference>,
    /// The first identities that are lost or without a verdict.
    pub lost_examples: Vec<String>,
    /// Numbers that the ledger reports as missing.
    pub missing_ranges: Vec<MissingRange>,
    /// Ranges reported as missing that were not left out, and left out that were not reported.
    pub wrong_ranges: Vec<MissingRange>,
    /// Records delivered, by sink.
    pub delivered: BTreeMap<String, u64>,
    /// Records in the dead letter, by sink.
    pub dead: BTreeMap<String, u64>,
    /// Records that a sink's filter left out, by sink.
    pub filtered: BTreeMap<String, u64>,
}

/// A SKU whose sums differ; quantities in millionths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockDifference {
    /// What they are about.
    #[serde(flatten)]
    pub key: StockKey,
    /// What the sender knows: net, sold, returned, adjusted.
    pub sent: [i64; 4],
    /// What the deltas sum to.
    pub found: [i64; 4],
}

/// Numbers missing from a terminal, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MissingRange {
    /// Store id.
    pub store: String,
    /// Terminal id.
    pub terminal: String,
    /// First missing number.
    pub from: u64,
    /// Last missing number.
    pub to: u64,
}

impl Verification {
    /// Tells whether nothing that was read so far is still to come.
    fn is_settled(&self) -> bool {
        let open = self.stock_differing
            + self.days_differing
            + self.parked_lost
            + self.parked_twice
            + self.not_readmitted;
        open == 0
    }

    /// Tells whether conservation holds in every respect.
    pub fn holds(&self) -> bool {
        let faults = self.lost
            + self.without_verdict
            + self.double_counted
            + self.altered
            + self.strangers
            + self.unreadable
            + self.not_counted
            + self.parked_lost
            + self.parked_twice
            + self.not_readmitted
            + self.days_differing
            + self.stock_differing;
        faults == 0 && self.wrong_ranges.is_empty()
    }
}

/// Reads the topics until all that was acknowledged is counted, all that was parked has its place and the sums
/// agree, or until nothing more comes; then says what was found. Blocks.
///
/// # Errors
/// A topic cannot be read.
pub fn verify(
    outcome: &Outcome,
    reader: &mut dyn TopicReader,
    settings: &VerifySettings,
    mut progress: impl FnMut(&WaitProgress),
) -> Result<Verification, ReadError> {
    let names = TopicNames::new(&settings.namespace);
    let mut start = settings.start.clone();
    let lookup = TerminalLookup::new(&outcome.directory);
    let mut observations = Observations::new(lookup, uncertain(outcome), &outcome.parked_events);
    for (key, value) in settings.start.days() {
        observations.day(&Record { partition: 0, offset: 0, key, value });
    }
    let before = observations.days.by_day();
    let sent = outcome.moved.named(&outcome.directory);
    let acknowledged = outcome.acks.len();
    let mut last_new = Instant::now();
    loop {
        let place = start.clone();
        look(outcome, reader, &names, &mut start, &mut observations)?;
        progress(&WaitProgress { acknowledged, counted: observations.counted });
        if start != place {
            last_new = Instant::now();
        }
        let is_over = last_new.elapsed() >= settings.settle_for;
        if is_over || observations.counted == acknowledged {
            let expected = with_late(&sent, outcome, &observations);
            let read = RunRecords { outcome, observations: &observations, before: &before };
            let found = conclude(&read, &expected, settings, &names);
            if is_over || found.is_settled() {
                return Ok(found);
            }
        }
        std::thread::sleep(settings.poll_every);
    }
}

/// Reads what is new: transactions before deltas, so that the deltas of every transaction read are
/// read with it.
fn look(
    outcome: &Outcome,
    reader: &mut dyn TopicReader,
    names: &TopicNames,
    start: &mut StartPositions,
    observations: &mut Observations,
) -> Result<(), ReadError> {
    let acks = &outcome.acks;
    reader.read(&names.events, start.of(&names.events), &mut |record| {
        observations.event(record, acks);
    })?;
    reader.read(&names.transactions, start.of(&names.transactions), &mut |record| {
        observations.transaction(record, acks);
    })?;
    reader.read(&names.conflicts, start.of(&names.conflicts), &mut |record| {
        observations.conflict(record);
    })?;
    reader
        .read(&names.deltas, start.of(&names.deltas), &mut |record| observations.delta(record))?;
    reader
        .read(&names.ledger, start.of(&names.ledger), &mut |record| observations.ledger(record))?;
    reader.read(&names.days, start.of(&names.days), &mut |record| observations.day(record))?;
    reader
        .read(&names.parked, start.of(&names.parked), &mut |record| observations.parked(record))?;
    reader.read(&names.audit, start.of(&names.audit), &mut |record| observations.audit(record))
}

/// Events that were sent and may or may not have arrived.
fn uncertain(outcome: &Outcome) -> HashMap<Identity, u32> {
    outcome
        .unsettled
        .iter()
        .map(|event| ((event.planned.terminal, event.planned.sequence), event.fingerprint))
        .collect()
}

impl std::fmt::Display for StockDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: StockKey { store, sku, unit, reason, location }, sent, found } = self;
        let about = [reason, location].map(String::as_str);
        let about = about.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
        let scale = 10_f64.powi(i32::try_from(QUANTITY_SCALE).unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "for people to read")]
        let print = |values: &[i64; 4]| values.map(|value| value as f64 / scale);
        let (sent, found) = (print(sent), print(found));
        write!(
            f,
            "{store}/{sku} {unit} {about}: sent {sent:?}, found {found:?} (net, sold, returned, adjusted)"
        )
    }
}
