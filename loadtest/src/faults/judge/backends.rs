//! Back ends: each record once under its key, with the content of the topic, in the order of its store.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::topics::{RecordPosition, Topics};
use crate::backend::{Kind, Ledger};
use crate::stage::Stage;

#[derive(Deserialize)]
struct Document<'a> {
    partition: i32,
    offset: i64,
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct Points {
    partition: i32,
    offset: i64,
    loyalty_id: String,
}

/// Holds every ledger to the topics.
pub(super) fn judge(stage: &mut Stage<'_>, topics: &Topics) {
    if topics.unreadable > 0 {
        stage.fault(format!("{} records on the topics are unreadable", topics.unreadable));
    }
    let documents = stage.backends.ledger(Kind::Documents);
    let stored = by_place(&documents, |text| {
        let document: Document<'_> = serde_json::from_str(text).ok()?;
        Some(((document.partition, document.offset), document.event.get().to_owned()))
    });
    compare(stage, "sales documents", stored, &topics.documents);
    let points = stage.backends.ledger(Kind::Points);
    let stored = by_place(&points, |text| {
        let points: Points = serde_json::from_str(text).ok()?;
        Some(((points.partition, points.offset), points.loyalty_id))
    });
    compare(stage, "points", stored, &topics.accounts);
    let movements = stage.backends.ledger(Kind::Movements);
    let stored = movements.records().map(|(id, text)| (id.to_owned(), text.to_owned()));
    compare(stage, "stock movements", Some(stored.collect()), &topics.movements);
    // Movements are additive, and records that were dead come after later ones.
    let is_ordered = !stage.plan.dead_letters;
    judge_ledger(stage, "sales documents", &documents, is_ordered);
    judge_ledger(stage, "points", &points, is_ordered);
    judge_ledger(stage, "stock movements", &movements, false);
}

/// Arranges a ledger by places on the topic; `None` where two ids have one place or a record does not read.
fn by_place(
    ledger: &Ledger,
    read: impl Fn(&str) -> Option<(RecordPosition, String)>,
) -> Option<BTreeMap<RecordPosition, String>> {
    let mut stored = BTreeMap::new();
    for (_, text) in ledger.records() {
        let (place, content) = read(text)?;
        if stored.insert(place, content).is_some() {
            return None;
        }
    }
    Some(stored)
}

fn compare<K: Ord>(
    stage: &mut Stage<'_>,
    what: &str,
    stored: Option<BTreeMap<K, String>>,
    expected: &BTreeMap<K, String>,
) {
    let Some(stored) = stored else {
        stage.fault(format!("{what}: one record of the topic is stored under two keys"));
        return;
    };
    let missing = expected.keys().filter(|key| !stored.contains_key(key)).count();
    let foreign = stored.keys().filter(|key| !expected.contains_key(key)).count();
    let differs = |(key, text): &(&K, &String)| expected.get(key).is_some_and(|want| want != *text);
    let differing = stored.iter().filter(differs).count();
    if missing + foreign + differing > 0 {
        stage.fault(format!(
            "{what}: of {}, {missing} are missing, {differing} differ, {foreign} should not be there",
            expected.len()
        ));
    }
}

fn judge_ledger(stage: &mut Stage<'_>, what: &str, ledger: &Ledger, is_ordered: bool) {
    let faults = [
        ("came again with other content", &ledger.altered),
        ("went under a key that is not theirs", &ledger.wrong_keys),
    ];
    for (fault, examples) in faults {
        if !examples.is_empty() {
            stage.fault(format!("{what}: some {fault}: {examples:?}"));
        }
    }
    if is_ordered && !ledger.disordered.is_empty() {
        stage.fault(format!("{what}: out of their store's order: {:?}", ledger.disordered));
    }
    if ledger.unreadable > 0 {
        stage.fault(format!("{what}: {} calls are not what the contract says", ledger.unreadable));
    }
    if ledger.repeats > 0 {
        stage.fact(format!("{what}: {} came again under their keys", ledger.repeats));
    }
}
