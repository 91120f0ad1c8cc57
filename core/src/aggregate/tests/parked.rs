//! Parked events, readmissions and dismissals, in any order and across restarts, against a model that keeps plain sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use tillrace_log::Offset;

use super::super::VerdictTotals;
use super::super::fixture::{DAY_MS, Rig, Sample};
use super::super::state;
use crate::envelope::{Envelope, TYPE_DISMISS, TYPE_READMIT};

fn totals(rig: &Rig) -> VerdictTotals {
    serde_json::from_value(rig.checkpoints()[0]["totals"].clone()).unwrap()
}

fn holds(rig: &Rig) {
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

fn sale(number: u64, note: &str) -> Sample {
    Sample::sale("1", "a", number).note(note)
}

fn append(rig: &Rig, sample: &Sample, value: Vec<u8>) -> Offset {
    rig.append(sample, value, sample.occurred_ms)
}

fn dismiss(offset: Offset) -> Value {
    json!({"partition": 0, "offset": offset, "operator": "ada", "reason": "a test"})
}

fn day(rig: &Rig) -> Value {
    rig.latest(&rig.topics.days)["demo/1/2026-11-27"].clone()
}

#[test]
fn a_parked_event_is_kept_and_lacks_until_it_is_readmitted() {
    let rig = Rig::new(1);
    rig.accept(&sale(1, ""));
    let parked = sale(2, "x");
    let offset = append(&rig, &parked, parked.parked());
    append(&rig, &parked, parked.parked());
    rig.accept(&sale(3, "").kind("close"));
    rig.run();
    let before = totals(&rig);
    assert_eq!((before.first, before.parked, before.duplicate), (2, 1, 1));
    assert_eq!(rig.parked().len(), 1);
    let copies = rig.log.entries(&rig.topics.parked);
    let copy = Envelope::parse(copies[0].value.as_deref().unwrap()).unwrap();
    assert_eq!((copy.data, copy.source_verdict.unwrap().offset), (&parked.broken()[..], offset));
    assert_eq!((&day(&rig)["parked_count"], &day(&rig)["status"]), (&json!(1), &json!("open")));
    assert_eq!(rig.latest(&rig.topics.ledger)["demo/1/a/"]["parked"], 1);
    holds(&rig);
    let mended = sale(2, "mended");
    append(&rig, &mended, mended.readmitted(offset, &parked.broken()));
    append(&rig, &mended, mended.readmitted(offset, &parked.broken()));
    append(&rig, &parked, parked.parked());
    let other = sale(2, "other");
    append(&rig, &other, other.parked());
    rig.run();
    let after = totals(&rig);
    assert_eq!((after.first, after.settled, after.duplicate, after.conflict), (3, 1, 2, 1));
    assert_eq!(rig.parked(), Vec::<String>::new());
    assert_eq!((&day(&rig)["parked_count"], &day(&rig)["status"]), (&json!(0), &json!("complete")));
    assert_eq!(rig.read(&rig.topics.conflicts)[0]["detail"], "parked_text");
    holds(&rig);
}

#[test]
fn what_was_accepted_before_a_rule_was_set_is_a_duplicate() {
    let rig = Rig::new(1);
    rig.accept(&sale(1, ""));
    append(&rig, &sale(1, ""), sale(1, "").parked_by_rule());
    append(&rig, &sale(2, ""), sale(2, "").parked_by_rule());
    rig.run();
    let totals = totals(&rig);
    assert_eq!((totals.first, totals.duplicate, totals.parked, totals.conflict), (1, 1, 1, 0));
    holds(&rig);
}

#[test]
fn a_day_lacks_what_was_refused_until_an_operator_dismisses_it() {
    let rig = Rig::new(1);
    rig.accept(&sale(1, ""));
    append(&rig, &sale(2, ""), sale(2, "").refused());
    let parked = sale(3, "x");
    let offset = append(&rig, &parked, parked.parked());
    rig.accept(&sale(4, "").kind("close"));
    rig.run();
    assert_eq!((&day(&rig)["refused_count"], &day(&rig)["parked_count"]), (&json!(1), &json!(1)));
    append(&rig, &parked, parked.control(TYPE_DISMISS, &dismiss(offset)));
    append(&rig, &parked, parked.control(TYPE_DISMISS, &dismiss(offset)));
    let refused = json!({"terminal": "a", "sequence": 2, "operator": "ada", "reason": "a test"});
    append(&rig, &parked, parked.control(TYPE_DISMISS, &refused));
    append(&rig, &parked, parked.control(TYPE_READMIT, &json!({"digest": "1", "mapping": {}})));
    rig.run();
    assert_eq!(day(&rig)["status"], "complete");
    assert_eq!((totals(&rig).control, rig.parked().len()), (4, 0));
    let ledger = &rig.latest(&rig.topics.ledger)["demo/1/a/"];
    assert_eq!([&ledger["dismissed"], &ledger["missing_count"]], [&json!(2), &json!(0)]);
    holds(&rig);
    append(&rig, &parked, parked.parked());
    rig.accept(&sale(2, "late"));
    rig.run();
    assert_eq!((totals(&rig).duplicate, totals(&rig).first), (1, 3));
    holds(&rig);
}

#[test]
fn the_gauges_count_what_is_missing_and_parked_until_it_comes() {
    let rig = Rig::new(1);
    let lacking = |rig: &Rig| {
        let mut engine = rig.join();
        rig.drain(&mut engine).unwrap();
        engine.update_lag_gauges();
        let [_, _, missing, parked] = rig.metrics.lacking_in(0);
        (missing, parked)
    };
    rig.accept(&sale(1, ""));
    let parked = sale(2, "x");
    let offset = append(&rig, &parked, parked.parked());
    rig.accept(&sale(5, ""));
    assert_eq!((lacking(&rig), lacking(&rig)), ((2, 1), (2, 1)));
    rig.accept(&sale(4, ""));
    append(&rig, &parked, parked.readmitted(offset, &parked.broken()));
    assert_eq!(lacking(&rig), (1, 0));
}

#[test]
fn the_gauges_follow_while_flushes_come_by_size() {
    let mut rig = Rig::new(1);
    rig.settings.flush_records = 1;
    let mut engine = rig.join();
    let half = rig.settings.flush_interval / 2;
    (0..5).for_each(|_| engine.step(rig.now).unwrap());
    for number in 1..6_u32 {
        let parked = sale(number.into(), "x");
        append(&rig, &parked, parked.parked());
        engine.step(rig.now + half * number).unwrap();
        engine.flush(rig.now + half * number).unwrap();
    }
    let [.., parked] = rig.metrics.lacking_in(0);
    assert!(parked >= 3, "{parked} of 5 parked, by the gauge");
}

#[test]
fn an_event_without_a_number_counts_on_its_own_day() {
    let rig = Rig::new(1);
    let mut parked = sale(1, "x");
    parked.sequence = None;
    let offset = append(&rig, &parked, parked.parked());
    rig.run();
    assert_eq!((&day(&rig)["parked_count"], &day(&rig)["status"]), (&json!(1), &json!("open")));
    append(&rig, &parked, parked.readmitted(offset, &parked.broken()));
    rig.run();
    assert_eq!(
        (&day(&rig)["parked_count"], &day(&rig)["transactions"]),
        (&json!(0), &json!({"sale": 1}))
    );
    holds(&rig);
}

#[test]
fn what_the_ledger_has_forgotten_counts_once() {
    let rig = Rig::new(1);
    let mut parked = sale(1, "x");
    parked.sequence = None;
    let offset = append(&rig, &parked, parked.parked());
    // Ids are kept for three days.
    let later = parked.occurred_ms + 20 * DAY_MS;
    for _ in 0..2 {
        rig.append(&parked, parked.readmitted(offset, &parked.broken()), later);
    }
    rig.run();
    let totals = totals(&rig);
    assert_eq!((totals.first, totals.settled, totals.released), (0, 2, 1));
    let published = rig.read(&rig.topics.transactions);
    assert_eq!((published.len(), &published[0]["verdict"]), (1, &json!("released")));
    assert_eq!(published[0]["id"], "id:id-x~r1");
    holds(&rig);
}

#[test]
fn a_store_has_room_for_so_many() {
    let mut rig = Rig::new(1);
    rig.settings.parked_per_store = 2;
    for number in 1..=3 {
        append(&rig, &sale(number, "x"), sale(number, "x").parked());
    }
    rig.run();
    assert_eq!((totals(&rig).parked, totals(&rig).quarantined), (2, 1));
    assert_eq!(rig.read(&rig.topics.conflicts)[0]["detail"], "too_many_parked");
    holds(&rig);
}

#[test]
fn a_partition_waits_at_a_record_of_a_later_version_and_the_others_go_on() {
    let rig = Rig::new(2);
    let (here, other) = (sale(1, ""), Sample::sale("2", "a", 1));
    assert_ne!(rig.partition(&here), rig.partition(&other));
    rig.accept(&here);
    let newer = String::from_utf8(sale(2, "").accepted()).unwrap();
    let newer = newer.replace("tillrace.pos.sale", "tillrace.pos.tip_pool");
    let newer = newer.replace("\"kind\":\"sale\"", "\"kind\":\"tip_pool\"");
    let offset = append(&rig, &here, newer.into_bytes());
    rig.accept(&sale(3, ""));
    rig.accept(&other);
    let mut engine = rig.join();
    (0..20).for_each(|_| engine.step(rig.now).unwrap());
    engine.flush(rig.now).unwrap();
    assert_eq!(rig.log.group_offset(rig.partition(&here)), Some(offset));
    assert_eq!(rig.log.group_offset(rig.partition(&other)), Some(1));
    let conditions = rig.health.active_conditions();
    let condition = &conditions[0].condition;
    assert_eq!((conditions.len(), condition.code), (1, "record_needs_upgrade"));
    assert!(condition.cause.contains("tip_pool"), "{}", condition.cause);
    assert!(condition.remedy.contains("aggregators first"), "{}", condition.remedy);
    assert_eq!(rig.read(&rig.topics.conflicts), Vec::<Value>::new());
}

#[test]
fn state_of_an_older_or_newer_version_is_refused_with_what_to_do() {
    for (version, says) in [(state::VERSION - 1, "older"), (state::VERSION + 1, "newer")] {
        let rig = Rig::new(1);
        rig.accept(&sale(1, ""));
        rig.run();
        let entries = rig.log.entries(&rig.topics.state);
        let checkpoint =
            entries.iter().rfind(|entry| entry.key.starts_with(b"checkpoint/")).unwrap();
        let text = String::from_utf8(checkpoint.value.as_deref().unwrap().to_vec()).unwrap();
        let text =
            text.replacen(&format!("\"v\":{}", state::VERSION), &format!("\"v\":{version}"), 1);
        let key = String::from_utf8(checkpoint.key.to_vec()).unwrap();
        rig.log.append(&rig.topics.state, 0, &key, text.into_bytes(), 0);
        let mut engine = rig.join();
        (0..10).for_each(|_| engine.step(rig.now).unwrap());
        let conditions = rig.health.active_conditions();
        let condition = &conditions[0].condition;
        assert!(condition.cause.contains(says), "{}", condition.cause);
        assert!(condition.remedy.contains(says), "{}", condition.remedy);
    }
}

/// What may happen to a number.
#[derive(Debug, Clone, Copy)]
enum Act {
    Plain,
    Refused,
    Parked(usize),
    Readmit { text: usize, mended: bool },
    Dismiss(usize),
    DismissRefused,
}

#[derive(Debug, Default)]
struct Number {
    /// Content of the first.
    first: Option<&'static str>,
    unsettled: BTreeSet<usize>,
    settled: BTreeSet<usize>,
}

/// The model of one terminal.
#[derive(Debug, Default)]
struct Model {
    numbers: BTreeMap<u64, Number>,
    totals: VerdictTotals,
    streak: u64,
}

impl Model {
    fn act(&mut self, number: u64, act: Act) {
        let Self { numbers, totals, streak } = self;
        let number = numbers.entry(number).or_default();
        match act {
            Act::Plain => match number.first {
                None => {
                    (totals.first, *streak) = (totals.first + 1, 0);
                    number.take("plain");
                }
                Some("plain") => (totals.duplicate, *streak) = (totals.duplicate + 1, 0),
                Some(_) => {
                    *streak += 1;
                    let verdict =
                        if *streak > 8 { &mut totals.quarantined } else { &mut totals.conflict };
                    *verdict += 1;
                }
            },
            Act::Refused => totals.refused += 1,
            Act::Parked(text) => {
                if number.unsettled.contains(&text) || number.settled.contains(&text) {
                    totals.duplicate += 1;
                } else if number.first.is_some() {
                    totals.conflict += 1;
                } else {
                    totals.parked += 1;
                    number.unsettled.insert(text);
                }
            }
            Act::Readmit { text, mended } => {
                if number.unsettled.contains(&text) {
                    totals.first += 1;
                    number.take(if mended { "mended" } else { "plain" });
                } else {
                    totals.settled += 1;
                }
            }
            Act::Dismiss(text) => {
                totals.control += 1;
                if number.unsettled.remove(&text) {
                    number.settled.insert(text);
                }
            }
            Act::DismissRefused => totals.control += 1,
        }
    }

    fn unsettled(&self) -> usize {
        self.numbers.values().map(|number| number.unsettled.len()).sum()
    }
}

impl Number {
    fn take(&mut self, content: &'static str) {
        self.first = Some(content);
        self.settled.append(&mut self.unsettled);
    }
}

/// Appends what happens to a number; `parked` has where its texts were parked.
fn happen(rig: &Rig, parked: &mut BTreeMap<(u64, usize), Offset>, number: u64, act: Act) {
    let texts = ["one", "two"];
    let plain = sale(number, "plain");
    let value = match act {
        Act::Plain => plain.accepted(),
        Act::Refused => plain.refused(),
        Act::Parked(text) => sale(number, texts[text]).parked(),
        Act::Readmit { text, mended } => {
            let offset = parked.get(&(number, text)).copied().unwrap_or(0);
            let event = if mended { sale(number, "mended") } else { plain.clone() };
            event.readmitted(offset, &sale(number, texts[text]).broken())
        }
        Act::Dismiss(text) => {
            let offset = parked.get(&(number, text)).copied().unwrap_or(Offset::MAX);
            plain.control(TYPE_DISMISS, &dismiss(offset))
        }
        Act::DismissRefused => {
            plain.control(TYPE_DISMISS, &json!({"terminal": "a", "sequence": number}))
        }
    };
    let offset = append(rig, &plain, value);
    if let Act::Parked(text) = act {
        parked.entry((number, text)).or_insert(offset);
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Plain),
        2 => Just(Act::Refused),
        5 => (0..2_usize).prop_map(Act::Parked),
        3 => (0..2_usize, any::<bool>()).prop_map(|(text, mended)| Act::Readmit { text, mended }),
        2 => (0..2_usize).prop_map(Act::Dismiss),
        1 => Just(Act::DismissRefused),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_gives_what_the_model_says(
        acts in prop::collection::vec((1..6_u64, act(), any::<bool>()), 1..40),
    ) {
        let (steady, restarted) = (Rig::new(1), Rig::new(1));
        let mut model = Model::default();
        let mut parked = [BTreeMap::new(), BTreeMap::new()];
        for &(number, act, restarts) in &acts {
            model.act(number, act);
            happen(&steady, &mut parked[0], number, act);
            happen(&restarted, &mut parked[1], number, act);
            if restarts {
                restarted.run();
            }
        }
        steady.run();
        restarted.run();
        prop_assert_eq!(totals(&steady), model.totals);
        prop_assert_eq!(steady.parked().len(), model.unsettled());
        prop_assert_eq!(steady.outcome(), restarted.outcome());
        holds(&steady);
        holds(&restarted);
    }
}
