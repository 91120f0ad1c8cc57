//! Concludes what was found: compares what the sender knows with what was read from the topics.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, decimal};
use super::days::{Day, DayBooks};
use super::identities::Identity;
use super::observations::{Observations, Offsets, count_within};
use super::tills::Tills;
use super::{EXAMPLES, MissingRange, StockDifference, Verification, VerifySettings};
use crate::acks::{NamedMovements, StockKey};
use crate::client::{Outcome, ParkedEvent};
use crate::source::{Gap, Movement, StockEffect, TerminalIndex};
use crate::topics::TopicNames;

/// What a conclusion rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunRecords<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) observations: &'a Observations,
    /// The store-days as they stood when the run began.
    pub(super) before: &'a BTreeMap<Day, DayBooks>,
}

/// What the deltas should sum to: the acknowledged, those of unknown fate that were counted, and the parked that were readmitted.
pub(super) fn with_late<'a>(
    sent: &'a NamedMovements,
    outcome: &Outcome,
    observations: &Observations,
) -> Cow<'a, NamedMovements> {
    let mut expected = Cow::Borrowed(sent);
    let mut added = BTreeSet::new();
    let uncertain = outcome.unsettled.iter().map(|event| {
        let identity = (event.planned.terminal, event.planned.sequence);
        (identity, event.effects.as_slice())
    });
    let parked = outcome
        .parked_events
        .iter()
        .map(|event: &ParkedEvent| ((event.terminal, event.sequence), event.effects.as_slice()));
    for (identity, effects) in uncertain.chain(parked) {
        let acknowledged = outcome.acks.get(identity.0, identity.1).is_some();
        if !acknowledged
            && observations.on_transactions.contains(identity)
            && added.insert(identity)
        {
            add_effects(expected.to_mut(), outcome, identity.0, effects);
        }
    }
    if !added.is_empty() {
        expected.to_mut().retain(|_, sum| !sum.is_zero());
    }
    expected
}

fn add_effects(
    sums: &mut NamedMovements,
    outcome: &Outcome,
    terminal: TerminalIndex,
    effects: &[StockEffect],
) {
    let store = outcome.directory.terminals[terminal as usize].store;
    for effect in effects {
        let key = StockKey::of(&outcome.directory, store, effect);
        sums.entry(key).or_default().add(effect.movement);
    }
}

/// Compares both ways: a sum of nothing equals an absent one.
fn differences<'a>(
    expected: &'a NamedMovements,
    found: &'a NamedMovements,
) -> impl Iterator<Item = (&'a StockKey, Movement, Movement)> {
    let sent = expected
        .iter()
        .map(|(key, sent)| (key, *sent, found.get(key).copied().unwrap_or_default()));
    let unsent = found
        .iter()
        .filter(|(key, _)| !expected.contains_key(*key))
        .map(|(key, found)| (key, Movement::default(), *found));
    sent.chain(unsent).filter(|(_, sent, found)| sent != found)
}

/// Says what was found.
pub(super) fn conclude(
    read: &RunRecords<'_>,
    expected: &NamedMovements,
    settings: &VerifySettings,
    names: &TopicNames,
) -> Verification {
    let RunRecords { outcome, observations, before } = *read;
    let mut verification = Verification {
        acknowledged: outcome.acks.len(),
        counted: observations.counted,
        double_counted: observations.double_counted,
        altered: observations.altered,
        strangers: observations.strangers,
        unreadable: observations.unreadable,
        set_aside: observations.reasons.clone(),
        parked: outcome.parked_events.len() as u64,
        days: observations.books.len() as u64,
        books: total_books(observations),
        moved: expected.clone(),
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
    place_parked(outcome, observations, settings.readmitted, &mut verification);
    compare_days(observations, before, &mut verification);
    for (key, sent, found) in differences(expected, &observations.deltas) {
        verification.stock_differing += 1;
        if verification.stock_examples.len() < EXAMPLES {
            let (key, sent, found) = (key.clone(), columns(sent), columns(found));
            verification.stock_examples.push(StockDifference { key, sent, found });
        }
    }
    compare_gaps(outcome, observations, &mut verification);
    verification
}

/// Finds each parked event: it waits, or it counts.
fn place_parked(
    outcome: &Outcome,
    observations: &Observations,
    readmitted: bool,
    verification: &mut Verification,
) {
    let waiting: BTreeSet<Identity> = observations.waiting.values().copied().collect();
    for event in &outcome.parked_events {
        let identity = (event.terminal, event.sequence);
        let waits = waiting.contains(&identity);
        let counts = observations.on_transactions.contains(identity);
        let is_kept = observations.on_events.contains(identity) && (waits || counts);
        verification.parked_waiting += u64::from(waits && !counts);
        verification.readmitted += u64::from(counts && !waits);
        verification.parked_twice += u64::from(waits && counts);
        verification.not_readmitted += u64::from(readmitted && event.mended.is_some() && !counts);
        verification.parked_lost += u64::from(!is_kept);
        if !is_kept && verification.lost_examples.len() < EXAMPLES {
            verification.lost_examples.push(format!("{} (parked)", name(outcome, identity)));
        }
    }
}

/// Compares what the counted events add up to with the store-days, less what stood there before the run.
fn compare_days(
    observations: &Observations,
    before: &BTreeMap<Day, DayBooks>,
    verification: &mut Verification,
) {
    let mut found = observations.days.by_day();
    for day in observations.books.keys() {
        found.entry(day.clone()).or_default();
    }
    for (day, now) in &mut found {
        let mut right = observations.books.get(day).cloned().unwrap_or_default();
        right.balance = observations.tills.get(day).map(Tills::sums).unwrap_or_default();
        let earlier = before.get(day);
        if let Some(earlier) = earlier {
            now.books.join(&earlier.books, -1);
        }
        if now.is_unbalanced || earlier.is_some_and(|earlier| earlier.is_unbalanced) {
            now.books.balance.clear();
            right.balance.clear();
        }
        if let Some(difference) = now.books.difference(&right) {
            verification.days_differing += 1;
            if verification.day_examples.len() < EXAMPLES {
                let (store, date) = day;
                verification.day_examples.push(format!("store {store}, {date}: {difference}"));
            }
        }
    }
}

/// Adds up the books of all days, by currency and name of the sum.
fn total_books(observations: &Observations) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = Books::default();
    for books in observations.books.values() {
        all.join(books, 1);
    }
    let mut by_currency: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for ((currency, name), sum) in all.totals {
        by_currency.entry(currency).or_default().insert(name, decimal(sum));
    }
    by_currency
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
