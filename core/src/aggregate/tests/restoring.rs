//! Taking over: the order of steps, and what a disagreement says.

use std::time::Duration;

use tillrace_log::LogError;

use super::super::fixture::{DAY_MS, Rig, Sample};
use super::super::{AggregateError, VerdictTotals};

fn until_error(rig: &Rig) -> AggregateError {
    let mut engine = rig.join();
    (0..50).find_map(|_| engine.step(rig.now).err()).expect("an error")
}

/// What is said of the partition that stands still.
fn until_stopped(rig: &Rig) -> (String, String) {
    let mut engine = rig.join();
    for _ in 0..10 {
        engine.step(rig.now).unwrap();
    }
    let standing = rig.health.active_conditions();
    assert_eq!((standing.len(), standing[0].condition.code), (1, "partition_stopped"));
    (standing[0].condition.cause.clone(), standing[0].condition.remedy.clone())
}

#[test]
fn the_first_position_is_that_of_the_log_and_goes_with_flush_0() {
    let rig = Rig::new(1);
    for number in 1..=5 {
        rig.accept(&Sample::sale("1", "a", number));
    }
    rig.log.delete_before(&rig.topics.events, 0, 3);
    let mut engine = rig.join();
    (0..2).for_each(|_| engine.step(rig.now).unwrap());
    assert_eq!((rig.log.commits(), rig.log.group_offset(0)), (1, Some(3)));
    let checkpoint = &rig.checkpoints()[0];
    assert_eq!(
        (checkpoint["flush"].as_u64(), checkpoint["next_offset"].as_u64()),
        (Some(0), Some(3))
    );
    rig.drain(&mut engine).unwrap();
    assert_eq!(rig.checkpoints()[0]["flush"], 1);
    assert_eq!(rig.checkpoints()[0]["totals"]["first"], 2);
}

#[test]
fn checkpoint_and_group_must_agree() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.run();
    rig.log.set_committed(0, Some(0));
    let (cause, remedy) = until_stopped(&rig);
    assert!(cause.contains("is at 1") && cause.contains("group at 0"), "{cause}");
    assert!(remedy.contains("--to-offset") && remedy.contains("start"), "{remedy}");
}

#[test]
fn a_lost_group_offset_is_restored_by_command_only() {
    let mut rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.run();
    rig.log.set_committed(0, None);
    let (cause, remedy) = until_stopped(&rig);
    assert!(cause.contains("has no offset, the checkpoint is at 1"), "{cause}");
    assert!(remedy.contains("--adopt-checkpoints"), "{remedy}");
    rig.settings.adopt_checkpoints = true;
    rig.accept(&Sample::sale("1", "a", 1));
    rig.accept(&Sample::sale("1", "a", 2));
    rig.run();
    let totals: VerdictTotals =
        serde_json::from_value(rig.checkpoints()[0]["totals"].clone()).unwrap();
    assert_eq!((totals.first, totals.duplicate, totals.records()), (2, 1, 3));
}

#[test]
fn a_group_offset_without_state_stops() {
    let rig = Rig::new(1);
    rig.log.set_committed(0, Some(4));
    let (cause, _) = until_stopped(&rig);
    assert!(cause.contains("is at 4, but there is no state"), "{cause}");
}

#[test]
fn a_position_below_the_start_of_the_log_stops_with_the_range() {
    let rig = Rig::new(1);
    for number in 1..=3 {
        rig.accept(&Sample::sale("1", "a", number));
    }
    rig.run();
    for number in 4..=9 {
        rig.accept(&Sample::sale("1", "a", number));
    }
    rig.log.delete_before(&rig.topics.events, 0, 7);
    let error = until_error(&rig);
    let lost = |error: &AggregateError| {
        matches!(error, AggregateError::Log(LogError::OutOfRange { offset: 3, start: 7, .. }))
    };
    assert!(lost(&error), "{error}");
}

#[test]
fn another_number_of_partitions_is_refused() {
    let rig = Rig::new(1);
    rig.run();
    let mut text =
        String::from_utf8(rig.log.entries(&rig.topics.state)[0].value.clone().unwrap().to_vec())
            .unwrap();
    text =
        text.replace("\"partitions\":1", "\"partitions\":12").replace("\"flush\":0", "\"flush\":9");
    rig.log.append(&rig.topics.state, 0, "checkpoint/9", text.into_bytes(), 0);
    let error = until_error(&rig);
    assert!(matches!(error, AggregateError::Partitions { found: 12, expected: 1, .. }), "{error}");
}

#[test]
fn a_damaged_state_record_is_named() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.run();
    for (key, value) in [
        ("terminal/demo/1/b/", "{}"),
        ("hashes/demo/1/z/0", "?"),
        ("hashes/demo/1/a//0", "?"),
        ("day/demo/1/2026-11-27", "[]"),
    ] {
        let rig = Rig { log: rig.log.fork(), ..Rig::new(1) };
        rig.log.append(&rig.topics.state, 0, key, value.as_bytes().to_vec(), 0);
        let (cause, _) = until_stopped(&rig);
        assert!(cause.contains(key), "{cause}");
    }
}

#[test]
fn an_open_transaction_on_the_state_is_waited_for() {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig.run();
    rig.log.open_transaction(&rig.topics.state, 0);
    rig.accept(&Sample::sale("1", "a", 2));
    let mut engine = rig.join();
    (0..20).for_each(|_| engine.step(rig.now).unwrap());
    assert_eq!(rig.log.group_offset(0), Some(1));
    rig.log.close_transaction(&rig.topics.state, 0);
    rig.drain(&mut engine).unwrap();
    assert_eq!(rig.checkpoints()[0]["totals"]["first"], 2);
}

#[test]
fn a_transaction_that_stays_open_is_reported() {
    let rig = Rig::new(1);
    rig.log.open_transaction(&rig.topics.state, 0);
    let mut engine = rig.join();
    (0..5).for_each(|_| engine.step(rig.now).unwrap());
    let error = engine.step(rig.now + Duration::from_secs(121)).unwrap_err();
    assert!(matches!(error, AggregateError::StillOpen { .. }) && error.is_retryable(), "{error}");
}

#[test]
fn a_flush_is_due_by_time_by_records_and_by_bytes() {
    let flushes = |change: &dyn Fn(&mut Rig), events: u64, wait: Duration| {
        let mut rig = Rig::new(1);
        change(&mut rig);
        for number in 1..=events {
            rig.accept(&Sample::sale("1", "a", number));
        }
        let mut engine = rig.join();
        (0..8).for_each(|_| engine.step(rig.now).unwrap());
        let before = rig.log.commits();
        engine.step(rig.now + wait).unwrap();
        (before - 1, rig.log.commits() - 1)
    };
    assert_eq!(flushes(&|_| {}, 100, Duration::from_millis(4_999)), (0, 0));
    assert_eq!(flushes(&|_| {}, 100, Duration::from_secs(5)), (0, 1));
    // Besides its copy an event costs at least a delta, its day and its terminal at first.
    let (by_records, _) = flushes(&|rig| rig.settings.flush_records = 50, 500, Duration::ZERO);
    assert!((8..=20).contains(&by_records), "{by_records}");
    let small = |rig: &mut Rig| rig.settings.flush_bytes = bytesize::ByteSize::mib(1);
    let (by_bytes, _) = flushes(&small, 3_000, Duration::ZERO);
    assert!((2..=8).contains(&by_bytes), "{by_bytes}");
}

#[test]
fn a_backlog_over_a_day_of_windows_drains_within_the_bounds_of_a_flush() {
    let mut rig = Rig::new(1);
    rig.settings.flush_records = 5_000;
    let events = 20_000_u64;
    let noon = Sample::sale("1", "a", 1).occurred_ms;
    for number in 0..events {
        let store = (number % 40).to_string();
        let mut sale = Sample::sale(&store, "a", number / 40);
        let step = DAY_MS / i64::try_from(events).unwrap();
        sale.occurred_ms = noon - DAY_MS + i64::try_from(number).unwrap() * step;
        rig.append(&sale, sale.accepted(), noon);
    }
    rig.run();
    assert_eq!(rig.checkpoints()[0]["totals"]["first"], events);
    let sold: i64 = rig.stock().values().map(|sums| sums[1]).sum();
    assert_eq!(sold, i64::try_from(events).unwrap() * 1_000_000);
    let largest = rig.log.largest_commit();
    assert!(largest > 2_500 && largest <= 5_100, "{largest}");
}
