//! Ticks: time passes in a partition where nobody speaks, by records that its owner writes.

use std::time::Duration;

use serde_json::{Value, json};
use tillrace_log::testing::CommitOutcome;

use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample};
use crate::envelope::{Envelope, TYPE_TICK};

const HOUR: Duration = Duration::from_hours(1);
const NOON_MS: i64 = FRIDAY_MS + DAY_MS / 2;

/// 50 minutes and two hours after noon, by the wall clock.
fn too_soon() -> i64 {
    NOON_MS + 50 * 60_000
}

fn later() -> i64 {
    NOON_MS + 2 * 3_600_000
}

fn ticks(rig: &Rig) -> Vec<(i64, Value)> {
    let entries = rig.log.entries(&rig.topics.events);
    let values = entries.iter().map(|entry| (entry.appended_ms, entry.value.clone().unwrap()));
    values
        .map(|(at_ms, value)| (at_ms, serde_json::from_slice::<Value>(&value).unwrap()))
        .filter(|(_, value)| value["type"] == TYPE_TICK)
        .collect()
}

/// A store that spoke at noon, folded and committed.
fn rig() -> Rig {
    let rig = Rig::new(1);
    rig.accept(&Sample::sale("1", "a", 1));
    rig
}

#[test]
fn a_quiet_partition_gets_one_tick_an_interval_and_its_time_passes() {
    let rig = rig();
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.wall_ms = too_soon;
    engine.step(rig.now + HOUR).unwrap();
    assert_eq!(ticks(&rig).len(), 0);
    engine.wall_ms = later;
    // The partition must have been quiet for a while.
    let mut young = rig.join();
    rig.drain(&mut young).unwrap();
    young.wall_ms = later;
    young.step(rig.now + Duration::from_secs(10)).unwrap();
    assert_eq!(ticks(&rig).len(), 0);
    rig.log.set_clock(later());
    // The transaction leaves a marker behind the tick, so that the journal's end is never reached.
    for seconds in [40, 50, 60, 70] {
        young.step(rig.now + Duration::from_secs(seconds)).unwrap();
    }
    let written = ticks(&rig);
    assert_eq!(written.len(), 1);
    assert_eq!(
        (written[0].0, &written[0].1["store"], &written[0].1["data"]),
        (later(), &json!("1"), &json!({}))
    );
    let checkpoint = &rig.checkpoints()[0];
    assert_eq!(
        (&checkpoint["clock_ms"], &checkpoint["totals"]["control"]),
        (&json!(later()), &json!(1))
    );
    let entries = rig.log.entries(&rig.topics.events);
    let envelope = Envelope::parse(entries.last().unwrap().value.as_deref().unwrap()).unwrap();
    assert_eq!((&*envelope.event_type, &*envelope.tenant), (TYPE_TICK, "demo"));
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], i64::MAX, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

#[test]
fn a_partition_without_stores_gets_none() {
    let rig = Rig::new(1);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.wall_ms = later;
    engine.step(rig.now + HOUR).unwrap();
    assert_eq!(rig.log.entries(&rig.topics.events).len(), 0);
}

#[test]
fn of_two_owners_only_the_one_that_owns_the_partition_writes() {
    let rig = rig();
    let mut first = rig.join();
    rig.drain(&mut first).unwrap();
    first.wall_ms = later;
    // The next owner takes over; the first one has not heard of it.
    let mut second = rig.join_idle();
    second.wall_ms = later;
    rig.log.endings([CommitOutcome::Aborted]);
    first.step(rig.now + HOUR).unwrap();
    assert_eq!(ticks(&rig).len(), 0, "an aborted flush leaves no tick");
    rig.log.assign(&[0], rig.log.members() - 1);
    rig.log.set_clock(later());
    for round in 0..5 {
        second.step(rig.now + HOUR + HOUR * round).unwrap();
        first.step(rig.now + HOUR + HOUR * round).unwrap();
    }
    assert_eq!(ticks(&rig).len(), 1);
}
