use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::aggregate::fixture::{Rig, Sample};
use crate::decode::Decoder;

/// Appends a sale that a device recorded.
fn record(rig: &Rig, sequence: u64, device: &str, counter: u64) {
    let sample = Sample::sale("1", "a", sequence);
    let mut event: Value = serde_json::from_slice(&sample.data()).unwrap();
    event["fiscal"] = json!({"scheme": "kassensichv", "device": device, "counter": counter});
    let text = serde_json::to_vec(&event).unwrap();
    let hash = Decoder::new().decode(&text).unwrap().hash;
    rig.append(&sample, sample.written_as(&event, hash, &text), sample.occurred_ms);
}

fn devices(rig: &Rig) -> BTreeMap<String, Value> {
    let published = rig.latest(&rig.topics.ledger).into_iter();
    published
        .filter(|(key, _)| key.contains("/fiscal/"))
        .map(|(key, value)| (key, value["fiscal"].clone()))
        .collect()
}

fn holds(rig: &Rig) {
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

#[test]
fn missing_and_repeated_counters_are_shown_by_device_and_do_not_hold_up_the_day() {
    let rig = Rig::new(1);
    let counters = [("tse/1", 7), ("tse/1", 9), ("b", 1), ("tse/1", 9), ("tse/1", 12), ("b", 2)];
    for (sequence, (device, counter)) in (1..).zip(counters) {
        record(&rig, sequence, device, counter);
    }
    // A copy is no event of its own.
    record(&rig, 6, "b", 2);
    rig.accept(&Sample::sale("1", "a", 7).kind("close"));
    rig.run();
    let found = devices(&rig);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["demo/1/fiscal/kassensichv/b", "demo/1/fiscal/kassensichv/tse%2F1"]
    );
    let expected = json!({"scheme": "kassensichv", "device": "tse/1", "events": 4, "lowest": 7, "highest": 12,
        "missing_count": 3, "missing": [[8, 8], [10, 11]], "missing_truncated": false, "repeated_count": 1, "repeated": [9],
        "untracked_count": 0, "further_devices": false});
    assert_eq!(found["demo/1/fiscal/kassensichv/tse%2F1"], expected);
    assert_eq!(found["demo/1/fiscal/kassensichv/b"]["missing_count"], 0);
    assert_eq!(rig.latest(&rig.topics.days)["demo/1/2026-11-27"]["status"], "complete");
    holds(&rig);
}

#[test]
fn a_device_that_has_no_room_is_said_on_the_others_and_after_a_restart() {
    let rig = Rig::new(1);
    for device in 0..=MAX_DEVICES as u64 {
        record(&rig, device + 1, &device.to_string(), 1);
    }
    rig.run();
    record(&rig, 100, "0", 2);
    rig.run();
    let found = devices(&rig);
    assert_eq!(found.len(), MAX_DEVICES);
    assert!(found.values().all(|device| device["further_devices"] == true), "{found:?}");
    assert_eq!(found["demo/1/fiscal/kassensichv/0"]["events"], 2);
    holds(&rig);
}

#[test]
fn a_counter_far_below_the_first_is_said_and_many_gaps_are_kept_in_blocks() {
    let rig = Rig::new(1);
    record(&rig, 1, "d", 100_000);
    record(&rig, 2, "d", 5);
    for number in 0..100 {
        record(&rig, 3 + number, "d", 100_002 + 2 * number);
    }
    rig.run();
    record(&rig, 200, "d", 100_001);
    rig.run();
    let device = &devices(&rig)["demo/1/fiscal/kassensichv/d"];
    assert_eq!(
        [&device["untracked_count"], &device["missing_count"], &device["events"]],
        [1, 99, 103]
    );
    assert_eq!(
        (&device["missing"][0], &device["missing_truncated"]),
        (&json!([100_003, 100_003]), &json!(true))
    );
    assert!(rig.log.largest_row() < 16 << 10, "{}", rig.log.largest_row());
    holds(&rig);
}

/// Ranges of what is not in a set, between its ends.
fn gaps(seen: &BTreeSet<u64>) -> Vec<[u64; 2]> {
    let pairs = seen.iter().zip(seen.iter().skip(1));
    pairs.filter(|(low, high)| *low + 1 < **high).map(|(low, high)| [low + 1, high - 1]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counters_are_those_of_the_set_of_events_in_any_order_with_restarts(
        counters in prop::collection::vec((0..3_u8, 1..60_u64), 1..60),
        order in any::<u64>(),
        flush_records in 4..30_usize,
        steps in 1..5_usize,
    ) {
        let mut acts: Vec<_> = (1..).zip(counters).collect();
        for end in (1..acts.len()).rev() {
            acts.swap(end, usize::try_from(order.rotate_left(u32::try_from(end).unwrap()) % (end as u64 + 1)).unwrap());
        }
        let mut rig = Rig::new(1);
        rig.settings.flush_records = flush_records;
        for &(sequence, (device, counter)) in acts.iter().chain(acts.iter().step_by(4)) {
            record(&rig, sequence, &device.to_string(), counter);
        }
        let mut engine = rig.join();
        (0..steps).for_each(|_| engine.step(rig.now).unwrap());
        drop(engine);
        rig.run();
        let found = devices(&rig);
        for device in 0..3_u8 {
            let all: Vec<u64> = acts.iter().filter(|(_, (of, _))| *of == device).map(|(_, (_, counter))| *counter).collect();
            let Some(published) = found.get(&format!("demo/1/fiscal/kassensichv/{device}")) else {
                prop_assert!(all.is_empty());
                continue;
            };
            let seen: BTreeSet<u64> = all.iter().copied().collect();
            let gaps = gaps(&seen);
            let missing: u64 = gaps.iter().map(|[from, to]| to - from + 1).sum();
            let repeated: Vec<&u64> = seen.iter().filter(|counter| all.iter().filter(|other| other == counter).count() > 1).take(MAX_REPEATED).collect();
            prop_assert_eq!(&published["missing"], &json!(gaps));
            prop_assert_eq!(&published["missing_count"], missing);
            prop_assert_eq!(&published["repeated"], &json!(repeated));
            prop_assert_eq!(&published["repeated_count"], (all.len() - seen.len()) as u64);
            prop_assert_eq!((&published["lowest"], &published["highest"]), (&json!(seen.first()), &json!(seen.last())));
        }
        let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
        prop_assert!(report.holds(), "{}", report);
    }
}

/// A device whose names are as long as they can be, with as many numbers as a record lists.
pub(in crate::aggregate) fn longest(name: &str) -> FiscalDevice {
    let from = u64::MAX / 2;
    let mut counters = Counters::open_at(from);
    for number in 0..100 {
        counters.add(from + 20_000 * number);
        counters.add(from + 20_000 * number);
    }
    counters.events = u64::MAX;
    counters.further_devices = true;
    let mut devices = FiscalDevices::default();
    devices.push(name, name, counters);
    devices.list.remove(0)
}
