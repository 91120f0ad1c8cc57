//! Records that can not be read, times that can not be trade, and partitions that can not go on: each told, none in the way of others.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tillrace_log::health::Impact;

use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample};
use crate::decode::Decoder;
use crate::text::Timestamp;

fn totals(rig: &Rig) -> serde_json::Value {
    rig.checkpoints()[0]["totals"].clone()
}

fn holds(rig: &Rig) {
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

/// What someone else may have written to the journal, and what is said of it.
pub(super) fn garbage() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let sale = Sample::sale("1", "a", 2);
    let text = String::from_utf8(sale.accepted()).unwrap();
    let with = |from: &str, to: &str| text.replace(from, to).into_bytes();
    let long = "x".repeat(300_000);
    vec![
        ("no_envelope", "demo/1", b"?".to_vec()),
        ("no_envelope", "demo/1", vec![0xff; 200_000]),
        ("too_long", "demo/1", vec![1; 900_000]),
        ("no_envelope", "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}", vec![1; 2_000]),
        ("no_envelope", "demo/1", with("\"id\":", "\"di\":")),
        ("unknown_schema", "demo/1", with("event:v1", "event:v2")),
        ("other_key", "demo/2", sale.accepted()),
        ("other_key", "", sale.accepted()),
        ("no_event", "demo/1", with("\"kind\":\"sale\"", "\"kind\":\"theft\"")),
        ("too_long", "demo/1", with("milk", &long)),
        (
            "too_long",
            "demo/1",
            with("\"terminal\":\"a\",\"", &format!("\"terminal\":\"{}\",\"", "a".repeat(65))),
        ),
        ("no_release", "demo/1", with("tillrace.pos.sale", "tillrace.pos.release")),
    ]
}

#[test]
fn what_can_not_be_read_is_kept_aside_and_stops_nothing() {
    let rig = Rig::new(1);
    let mut expected = Vec::new();
    rig.accept(&Sample::sale("1", "a", 1));
    for (detail, key, value) in garbage() {
        let offset = rig.log.append(&rig.topics.events, 0, key, value, FRIDAY_MS + DAY_MS / 2);
        expected.push((json!("unreadable"), json!(detail), json!(offset)));
    }
    rig.accept(&Sample::sale("1", "a", 3));
    rig.run();
    let kept: Vec<_> = rig
        .read(&rig.topics.conflicts)
        .into_iter()
        .map(|kept| (kept["reason"].clone(), kept["detail"].clone(), kept["offset"].clone()))
        .collect();
    assert_eq!(kept, expected);
    assert_eq!((&totals(&rig)["unreadable"], &totals(&rig)["first"]), (&json!(12), &json!(2)));
    assert_eq!(rig.latest(&rig.topics.ledger)["demo/1/a/"]["missing"], json!([[2, 2]]));
    let largest = crate::record_size::largest("pos.conflicts.v1", "unreadable record");
    assert!((6_000..largest).contains(&rig.log.largest_row()), "{}", rig.log.largest_row());
    holds(&rig);
}

#[test]
fn the_recount_objects_where_a_good_event_is_said_to_be_unreadable() {
    let rig = Rig::new(1);
    let sale = Sample::sale("1", "a", 1);
    rig.accept(&sale);
    rig.run();
    holds(&rig);
    let bytes = sale.accepted().len();
    let said = json!({"reason": "unreadable", "detail": "no_envelope", "error": "?", "partition": 0,
        "offset": 0, "key": "demo/1", "bytes": bytes, "value": "?"});
    let said = serde_json::to_vec(&said).unwrap();
    rig.log.append(&rig.topics.conflicts, 0, "demo/1", said, FRIDAY_MS);
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    let report = report.to_string();
    assert!(report.contains("set aside as unreadable, but can be read"), "{report}");
    assert!(report.contains("set aside as unreadable, but has other outputs too"), "{report}");
}

#[test]
fn records_that_can_not_be_read_are_told_of_for_an_hour() {
    let rig = Rig::new(1);
    let at = rig.log.append(&rig.topics.events, 0, "demo/1", b"{\"a\":1}".to_vec(), FRIDAY_MS);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    let standing = rig.health.active_conditions();
    let condition = &standing[0].condition;
    assert_eq!((condition.code, &*condition.subject), ("records_unreadable", "partition 0"));
    assert_eq!(condition.impact, Impact::Degraded);
    assert!(
        condition.cause.starts_with(&format!("pos.events.v1 0/{at}: the envelope")),
        "{condition:?}"
    );
    assert!(condition.remedy.contains("tap pos.conflicts.v1"), "{condition:?}");
    engine.step(rig.now + Duration::from_mins(59)).unwrap();
    assert_eq!(rig.health.active_conditions().len(), 1);
    engine.step(rig.now + Duration::from_hours(1)).unwrap();
    assert_eq!(rig.health.active_conditions().len(), 0);
}

#[test]
fn what_can_not_be_read_can_not_be_released() {
    let rig = Rig::new(1);
    let sale = Sample::sale("1", "a", 1);
    let kept = rig.append(&sale, b"?".to_vec(), FRIDAY_MS);
    rig.append(&sale, sale.release(0, kept), FRIDAY_MS);
    rig.run();
    rig.append(&sale, sale.release(0, kept), FRIDAY_MS);
    rig.run();
    assert_eq!((&totals(&rig)["released"], &totals(&rig)["control"]), (&json!(0), &json!(2)));
    holds(&rig);
}

fn dated(sequence: u64, occurred_at: &str, business_date: &str) -> (Sample, Vec<u8>) {
    let mut sale = Sample::sale("1", "a", sequence);
    sale.business_date = business_date.into();
    let mut data: serde_json::Value = serde_json::from_slice(&sale.data()).unwrap();
    data["occurred_at"] = occurred_at.into();
    let data = serde_json::to_vec(&data).unwrap();
    let hash = Decoder::new().decode(&data).expect("the schema allows it").hash;
    let value = sale.written_with(occurred_at, hash, &data);
    (sale, value)
}

/// A common runtime's unset date, east of Greenwich, is in the year before the first.
#[test]
fn times_that_can_not_be_trade_are_kept_aside_for_good() {
    let rig = Rig::new(1);
    let times = [
        ("0001-01-01T00:00:00+01:00", "2026-11-27"),
        ("0001-01-01T00:00:00Z", "2026-11-27"),
        ("1601-01-01T00:00:00Z", "2026-11-27"),
        ("1970-01-01T00:00:00Z", "2026-11-27"),
        ("1980-01-01T00:00:00Z", "2026-11-27"),
        ("1989-12-31T23:59:59.999Z", "2026-11-27"),
        ("1990-01-01T00:00:00+00:01", "2026-11-27"),
        ("9999-12-31T23:59:59-23:59", "2026-11-27"),
        ("2026-11-27T12:00:00Z", "0001-01-01"),
        ("2026-11-27T12:00:00Z", "9999-12-31"),
    ];
    for (sequence, (occurred_at, date)) in (1..).zip(times) {
        let (sale, value) = dated(sequence, occurred_at, date);
        let offset = rig.append(&sale, value, FRIDAY_MS + DAY_MS / 2);
        rig.append(&sale, sale.release(0, offset), FRIDAY_MS + DAY_MS / 2);
    }
    rig.run();
    let (sale, _) = dated(1, times[0].0, times[0].1);
    rig.append(&sale, sale.release(0, 0), FRIDAY_MS + DAY_MS / 2);
    let (sale, value) = dated(90, "1990-01-01T00:00:00Z", "1990-01-01");
    rig.append(&sale, value, FRIDAY_MS + DAY_MS / 2);
    rig.run();
    let details: Vec<_> =
        rig.read(&rig.topics.conflicts).into_iter().map(|kept| kept["detail"].clone()).collect();
    assert_eq!(details, ["time_implausible"; 10]);
    assert_eq!((&totals(&rig)["released"], &totals(&rig)["first"]), (&json!(0), &json!(1)));
    let windows: Vec<_> = rig
        .read(&rig.topics.deltas)
        .into_iter()
        .map(|delta| delta["window_start"].clone())
        .collect();
    assert_eq!(windows, ["1990-01-01T00:00:00Z"]);
    holds(&rig);
}

fn time() -> impl Strategy<Value = String> {
    let year = prop_oneof![1..9_999_u32, Just(1), Just(9_999), 1_988..1_992_u32, 2_024..2_028_u32];
    let zone = (prop::sample::select(&["+", "-"]), 0..24_u32, 0..60_u32);
    (year, prop::sample::select(&["01-01", "12-31", "11-27"]), 0..24_u32, zone).prop_map(
        |(year, day, hour, (sign, hours, minutes))| {
            format!("{year:04}-{day}T{hour:02}:59:59{sign}{hours:02}:{minutes:02}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a terminal's clock and the log's say, and though all is released that can be: every window can be read by whoever
    /// reads times as the schema has them.
    #[test]
    fn every_window_that_goes_out_can_be_read_back(
        times in prop::collection::vec((time(), time()), 1..6),
        clock_ms in prop_oneof![Just(FRIDAY_MS), Just(0), 0..253_402_300_800_000_i64, any::<i64>()],
        window_minutes in prop::sample::select(&[1_u64, 60, 1_440]),
    ) {
        let mut rig = Rig::new(1);
        rig.settings.window = Duration::from_mins(window_minutes);
        for (sequence, (occurred_at, date)) in (1..).zip(&times) {
            let (sale, value) = dated(sequence, occurred_at, &date[..10]);
            let offset = rig.append(&sale, value, clock_ms);
            rig.append(&sale, sale.release(0, offset), clock_ms);
        }
        rig.run();
        let seconds = i64::try_from(window_minutes * 60).unwrap();
        for delta in rig.read(&rig.topics.deltas) {
            let start = delta["window_start"].as_str().unwrap();
            let read = Timestamp::parse(start.as_bytes());
            prop_assert!(read.is_some_and(|at| at.micros % (seconds * 1_000_000) == 0), "{}", start);
            prop_assert!(read.is_some_and(|at| at.to_string() == start), "{}", start);
            prop_assert!(("1990".."9999-12-31").contains(&start), "{}", start);
            let date = delta["business_date"].as_str().unwrap();
            prop_assert!(crate::text::Date::parse(date.as_bytes()).is_some(), "{}", date);
        }
    }
}

#[test]
fn a_partition_whose_state_can_not_be_read_stands_still_alone() {
    let rig = Rig::new(2);
    let stores: Vec<Sample> = (0..20).map(|s| Sample::sale(&s.to_string(), "a", 1)).collect();
    for sample in &stores {
        rig.accept(sample);
    }
    rig.run();
    let first = rig.log.group_offset(0).unwrap();
    rig.log.append(&rig.topics.state, 0, "terminal/demo/1/b/", b"{}".to_vec(), 0);
    for sample in &stores {
        rig.accept(&Sample::sale(&sample.store, "a", 2));
    }
    let mut engine = rig.join();
    for _ in 0..20 {
        engine.step(rig.now).unwrap();
        engine.flush(rig.now).unwrap();
    }
    assert_eq!(rig.log.group_offset(0), Some(first));
    let other = tillrace_log::LogView::bounds(&rig.log, &rig.topics.events, 1).unwrap().end;
    assert_eq!(rig.log.group_offset(1), Some(other));
    let standing = rig.health.active_conditions();
    assert_eq!((standing.len(), standing[0].condition.code), (1, "partition_stopped"));
    assert!(standing[0].condition.cause.contains("terminal/demo/1/b/"), "{standing:?}");
    assert!(!standing[0].condition.remedy.is_empty());
    drop(engine);
    assert_eq!(rig.health.active_conditions().len(), 0);
}

/// Sizes are bounded by construction; should one be wrong, the others do not pay for it.
#[test]
fn a_record_that_the_log_would_not_take_stops_its_partition_alone() {
    let (rig, usual) = (Rig::new(2), Rig::new(2));
    let stores: Vec<Sample> = (0..20).map(|s| Sample::sale(&s.to_string(), "a", 1)).collect();
    for sample in &stores {
        usual.accept(sample);
    }
    usual.run();
    let long = stores.iter().find(|sample| rig.partition(sample) == 0).unwrap();
    rig.accept(&Sample::sale(&long.store, "a", 1).note(&"n".repeat(60)));
    for sample in stores.iter().filter(|sample| rig.partition(sample) == 1) {
        rig.accept(sample);
    }
    let mut engine = rig.join();
    (0..6).for_each(|_| engine.step(rig.now).unwrap());
    // The longest record is the event's copy; the note makes one of them longer than the others.
    engine.record_limit = usual.log.largest_row() + 8;
    engine.flush(rig.now).unwrap();
    let end = |partition| {
        tillrace_log::LogView::bounds(&rig.log, &rig.topics.events, partition).unwrap().end
    };
    assert_eq!((rig.log.group_offset(0), rig.log.group_offset(1)), (Some(0), Some(end(1))));
    let standing = rig.health.active_conditions();
    assert_eq!((standing.len(), standing[0].condition.code), (1, "partition_stopped"));
    assert!(standing[0].condition.cause.contains("pos.transactions.v1"), "{standing:?}");
}
