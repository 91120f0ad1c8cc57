//! Verifies conservation from outside: compares the sender's acknowledgements with the topics.
//!
//! Every acknowledged identity must be in the journal, and once among the transactions, byte for byte;
//! no refused event may be there; the deltas must sum to what the sender knows it sold, took back and
//! moved; and the ledger must report exactly the numbers that were left out. Neither figures nor code of
//! the engine are used.

mod identities;
mod observations;
mod records;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::identities::{Identity, TerminalLookup};
use self::observations::{Observations, Offsets, count_within};
#[cfg(test)]
pub(crate) use self::records::micro;
use crate::acks::NamedMovements;
use crate::client::Outcome;
use crate::source::{Gap, Movement, QUANTITY_SCALE};
use crate::topics::{ReadError, StartPositions, TopicNames, TopicReader};

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
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            start: StartPositions::default(),
            settle_for: Duration::from_secs(30),
            poll_every: Duration::from_millis(500),
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
    /// Store, SKU and unit with a movement.
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
    /// Store id.
    pub store: String,
    /// SKU.
    pub sku: String,
    /// Unit of measure.
    pub unit: String,
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
    /// Tells whether conservation holds in every respect.
    pub fn holds(&self) -> bool {
        let faults = self.lost
            + self.without_verdict
            + self.double_counted
            + self.altered
            + self.strangers
            + self.unreadable
            + self.not_counted
            + self.stock_differing;
        faults == 0 && self.wrong_ranges.is_empty()
    }
}

/// Reads the topics until all that was acknowledged is counted and the sums agree, or until nothing
/// more comes; then says what was found. Blocks.
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
    let mut observations =
        Observations::new(TerminalLookup::new(&outcome.directory), uncertain(outcome));
    let sent = outcome.moved.named(&outcome.directory);
    let acknowledged = outcome.acks.len();
    let mut last_new = Instant::now();
    loop {
        let before = start.clone();
        look(outcome, reader, &names, &mut start, &mut observations)?;
        progress(&WaitProgress { acknowledged, counted: observations.counted });
        if start != before {
            last_new = Instant::now();
        }
        let is_over = last_new.elapsed() >= settings.settle_for;
        if is_over || observations.counted == acknowledged {
            let expected = with_uncertain(&sent, outcome, &observations);
            if is_over || differences(&expected, &observations.deltas).next().is_none() {
                return Ok(conclude(outcome, &observations, &expected, &names));
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

/// What the deltas should sum to: the acknowledged, and those of unknown fate that were counted.
fn with_uncertain<'a>(
    sent: &'a NamedMovements,
    outcome: &Outcome,
    observations: &Observations,
) -> Cow<'a, NamedMovements> {
    let mut expected = Cow::Borrowed(sent);
    let mut added = BTreeSet::new();
    for event in &outcome.unsettled {
        let identity = (event.planned.terminal, event.planned.sequence);
        let acknowledged = outcome.acks.get(identity.0, identity.1).is_some();
        if acknowledged
            || !observations.on_transactions.contains(identity)
            || !added.insert(identity)
        {
            continue;
        }
        let terminal = &outcome.directory.terminals[identity.0 as usize];
        for effect in &event.effects {
            let store = outcome.directory.stores[terminal.store as usize].clone();
            let sku = outcome.directory.skus[effect.sku as usize].clone();
            let key = (store, sku, effect.unit.to_owned());
            expected.to_mut().entry(key).or_default().add(effect.movement);
        }
    }
    expected
}

/// Compares both ways: a sum of nothing equals an absent one.
fn differences<'a>(
    expected: &'a NamedMovements,
    found: &'a NamedMovements,
) -> impl Iterator<Item = (&'a (String, String, String), Movement, Movement)> {
    let sent = expected
        .iter()
        .map(|(key, sent)| (key, *sent, found.get(key).copied().unwrap_or_default()));
    let unsent = found
        .iter()
        .filter(|(key, _)| !expected.contains_key(*key))
        .map(|(key, found)| (key, Movement::default(), *found));
    sent.chain(unsent).filter(|(_, sent, found)| sent != found)
}

fn conclude(
    outcome: &Outcome,
    observations: &Observations,
    expected: &NamedMovements,
    names: &TopicNames,
) -> Verification {
    let mut verification = Verification {
        acknowledged: outcome.acks.len(),
        counted: observations.counted,
        double_counted: observations.double_counted,
        altered: observations.altered,
        strangers: observations.strangers,
        unreadable: observations.unreadable,
        set_aside: observations.reasons.clone(),
        stock_keys: expected.len() as u64,
        delivered: settled(observations, "delivered", names),
        dead: settled(observations, "dead", names),
        filtered: settled(observations, "filtered", names),
        ..Verification::default()
    };
    for identity in outcome.acks.iter() {
        let counted = observations.on_transactions.contains(identity);
        let set_aside = observations.set_aside.contains(identity);
        let missing = if !observations.on_events.contains(identity) {
            &mut verification.lost
        } else if !(counted || set_aside) {
            &mut verification.without_verdict
        } else {
            verification.not_counted += u64::from(!counted);
            continue;
        };
        *missing += 1;
        if verification.lost_examples.len() < EXAMPLES {
            verification.lost_examples.push(name(outcome, identity));
        }
    }
    for ((store, sku, unit), sent, found) in differences(expected, &observations.deltas) {
        verification.stock_differing += 1;
        if verification.stock_examples.len() < EXAMPLES {
            let (store, sku, unit) = (store.clone(), sku.clone(), unit.clone());
            let (sent, found) = (columns(sent), columns(found));
            let difference = StockDifference { store, sku, unit, sent, found };
            verification.stock_examples.push(difference);
        }
    }
    compare_gaps(outcome, observations, &mut verification);
    verification
}

fn compare_gaps(outcome: &Outcome, observations: &Observations, verification: &mut Verification) {
    let reported: BTreeSet<Gap> = observations.gaps.values().flatten().copied().collect();
    let planted: BTreeSet<Gap> = outcome.planted_gaps.iter().copied().collect();
    let range = |gap: &Gap| {
        let terminal = &outcome.directory.terminals[gap.terminal as usize];
        MissingRange {
            store: outcome.directory.stores[terminal.store as usize].clone(),
            terminal: terminal.name.clone(),
            from: gap.from,
            to: gap.to,
        }
    };
    verification.missing_ranges = reported.iter().map(range).collect();
    verification.wrong_ranges = reported.symmetric_difference(&planted).map(range).collect();
}

/// Counts a sink's records of one outcome: offsets met on the topic that its audit names.
fn settled(
    observations: &Observations,
    outcome: &str,
    names: &TopicNames,
) -> BTreeMap<String, u64> {
    let of_topic = |topic: &str| -> Option<&Offsets> {
        if topic == names.transactions {
            Some(&observations.transaction_offsets)
        } else {
            (topic == names.deltas).then_some(&observations.delta_offsets)
        }
    };
    let mut counts = BTreeMap::new();
    for ((this, sink), topics) in &observations.settled {
        if this == outcome {
            let count: u64 = topics
                .iter()
                .filter_map(|((topic, partition), ranges)| {
                    Some(count_within(of_topic(topic)?.get(partition)?, ranges))
                })
                .sum();
            *counts.entry(sink.clone()).or_default() += count;
        }
    }
    counts
}

fn columns(movement: Movement) -> [i64; 4] {
    [movement.net, movement.sold, movement.returned, movement.adjusted]
}

fn name(outcome: &Outcome, (terminal, sequence): Identity) -> String {
    let terminal = &outcome.directory.terminals[terminal as usize];
    format!("{}/{}/{sequence}", outcome.directory.stores[terminal.store as usize], terminal.name)
}

impl std::fmt::Display for StockDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, sku, unit, sent, found } = self;
        let scale = 10_f64.powi(i32::try_from(QUANTITY_SCALE).unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "for people to read")]
        let print = |values: &[i64; 4]| values.map(|value| value as f64 / scale);
        let (sent, found) = (print(sent), print(found));
        write!(
            f,
            "{store}/{sku} {unit}: sent {sent:?}, found {found:?} (net, sold, returned, adjusted)"
        )
    }
}
