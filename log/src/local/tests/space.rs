//! Descriptors and room on the disk run out: nothing stops for good, and nothing acknowledged goes.

use bytesize::ByteSize;

use super::super::space;
use super::retention::World;
use super::*;
use crate::explain::Explained;
use crate::health::{Health, Impact};

const RESERVE: u64 = 512 << 20;

/// Sends until a row is refused; returns why.
fn until_refused(world: &World) -> LogError {
    for number in 0..1_000 {
        let outcome = send(&world.log, vec![row("in", &noise(number, 5_000))]).remove(0);
        if let Err(error) = outcome {
            return error;
        }
    }
    panic!("nothing was refused");
}

fn codes(health: &Health) -> Vec<(&'static str, Impact)> {
    let standing = health.active_conditions();
    standing.iter().map(|one| (one.condition.code, one.condition.impact)).collect()
}

#[test]
fn a_segment_that_cannot_be_created_poisons_nothing() {
    let world = World::new();
    world.disk.set_without_descriptor(2);
    let refused = until_refused(&world);
    assert!(refused.is_retryable(), "{refused}");
    for part in ["simulated/0000000002", "ulimit -n"] {
        assert!(refused.to_string().contains(part), "{part} in {refused}");
    }
    let sent = world.log.bounds(&topic("in"), 1).unwrap().end;
    let again = send(&world.log, vec![row("in", "again")]).remove(0).unwrap_err();
    assert!(again.is_retryable(), "the second file cannot be created either: {again}");
    let offset = *send(&world.log, vec![row("in", "again")])[0].as_ref().unwrap();
    assert_eq!(offset, sent, "nothing of what was refused was written");
    assert_eq!(world.log.open_log.shared.metrics.stopped.get(), 0);
    let world = world.reopen();
    let shown = values(&world.log, "in");
    assert_eq!((shown.len() as u64, shown.last().unwrap().as_str()), (sent + 1, "again"));
}

#[test]
fn new_events_are_refused_before_the_disk_is_full_and_taken_when_there_is_room() {
    let world = World::new();
    let (shared, health) = (&world.log.open_log.shared, Health::default());
    world.log.report_to(health.clone());
    world.disk.set_available(RESERVE);
    assert!(send(&world.log, vec![row("in", "a")])[0].is_ok(), "the reserve itself is left");
    let mut consumer = world.log.transactional_consumer("g", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();

    world.disk.set_available(RESERVE - 1);
    let refused = send(&world.log, vec![row("in", "b"), row("in", "c")]);
    for outcome in refused {
        let error = outcome.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.explanation().code, "local_log_disk_full");
        for part in ["simulated/", "log.local.reserve_bytes", "it goes on by itself"] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
    }
    assert!(world.log.unwritable(&topic("in")).unwrap_err().is_retryable());
    consumer.commit_transaction(vec![row("out", "flushed")], &[]).unwrap();
    space::watch(shared);
    assert_eq!(codes(&health), [("disk_full", Impact::NotReady)]);

    world.disk.set_available(RESERVE / 2 - 1);
    let refused = consumer.commit_transaction(vec![row("out", "not flushed")], &[]).unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    let committed = Committed { offset: 1, metadata: String::new() };
    consumer.commit(&[Position { partition: 1, committed }]).unwrap();

    world.disk.set_available(RESERVE + 1);
    assert!(send(&world.log, vec![row("in", "d")])[0].is_err(), "a little more is not room yet");
    world.disk.set_available(RESERVE / 8 * 9);
    assert_eq!(*send(&world.log, vec![row("in", "e")])[0].as_ref().unwrap(), 1);
    space::watch(shared);
    assert_eq!(codes(&health), [("disk_filling", Impact::Degraded)]);
    world.disk.set_available(RESERVE * 4);
    space::watch(shared);
    assert_eq!(codes(&health), []);
    assert_eq!(world.log.unwritable(&topic("in")).unwrap(), Vec::<Partition>::new());
    assert_eq!(values(&world.log, "in"), ["a", "e"]);
    assert_eq!(values(&world.log, "out"), ["flushed"]);
}

#[test]
fn a_disk_that_fills_within_days_is_told_long_before() {
    let world = World::new();
    let health = Health::default();
    world.log.report_to(health.clone());
    world
        .log
        .ensure_topics(&[TopicSpec {
            topic: topic("in"),
            cleanup: Cleanup::Delete { retention_ms: 365 * 86_400_000 },
        }])
        .unwrap();
    world.fill("in", "k");
    world.disk.set_available(RESERVE * 4);
    space::watch(&world.log.open_log.shared);
    assert_eq!(codes(&health), [], "100 KB an hour fill 1.5 GiB in years");
    let mut registry = Registry::default();
    world.log.register(&mut registry);
    for _ in 0..30 {
        world.fill("in", "k");
    }
    world.disk.set_available(RESERVE * 2 + (40 << 20));
    space::watch(&world.log.open_log.shared);
    // Some 2.4 MB in what counts as an hour: 550 MiB last nine days; ten times as much, one.
    assert_eq!(codes(&health), []);
    for _ in 0..300 {
        world.fill("in", "k");
    }
    space::watch(&world.log.open_log.shared);
    assert_eq!(codes(&health), [("disk_filling", Impact::Degraded)]);
    let cause = &health.active_conditions()[0].condition.cause;
    assert!(cause.contains("simulated/") && cause.contains("full in 0."), "{cause}");
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let left = page.lines().find_map(|line| line.strip_prefix("tillrace_log_disk_left_seconds "));
    let left: f64 = left.unwrap().parse().unwrap();
    assert!((3_600.0..86_400.0).contains(&left), "{left}");
}

#[test]
fn a_failed_write_is_told() {
    use super::simulated::Fault;
    let world = World::new();
    let health = Health::default();
    world.log.report_to(health.clone());
    world.disk.set_fault(1, Fault::Fails(std::io::ErrorKind::StorageFull));
    assert!(send(&world.log, vec![row("in", "a")])[0].is_err());
    space::watch(&world.log.open_log.shared);
    assert_eq!(codes(&health), [("write_failed", Impact::NotReady)]);
    assert!(health.active_conditions()[0].condition.cause.contains("simulated/0000000001"));
}

#[test]
fn the_oldest_goes_when_the_log_is_larger_than_its_bound() {
    let world = World::bounded(Some(ByteSize::kib(512)));
    world.fill("out", "k");
    for _ in 0..20 {
        world.fill("in", "k");
    }
    world.maintenance();
    let stored = |world: &World| world.disk.bytes(".log");
    assert!(world.start("in") > 0, "the oldest are gone before their time");
    assert!(world.start("out") > 0, "of every topic");
    let left = 400 - world.start("in");
    assert!((100..170).contains(&left), "half a megabyte is some 130 records: {left}");
    assert!(stored(&world) < 700 << 10, "{}", stored(&world));
    let world = world.reopen();
    assert_eq!(400 - world.start("in"), left);
}

#[test]
fn what_a_group_has_not_read_is_above_the_bound() {
    let world = World::bounded(Some(ByteSize::kib(512)));
    let health = Health::default();
    world.log.report_to(health.clone());
    let mut consumer = world.log.consumer("slow", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();
    for _ in 0..20 {
        world.fill("in", "k");
    }
    world.maintenance();
    assert_eq!(world.start("in"), 0, "nothing was read");
    assert_eq!(codes(&health), [("retention_exceeded", Impact::Degraded)]);
    let cause = health.active_conditions()[0].condition.cause.clone();
    assert!(cause.contains("slow on in"), "{cause}");
    let committed = Committed { offset: 100, metadata: String::new() };
    consumer.commit(&[Position { partition: 1, committed }]).unwrap();
    world.maintenance();
    let start = world.start("in");
    assert!((1..=100).contains(&start), "no further than it has read: {start}");
    let committed = Committed { offset: 400, metadata: String::new() };
    consumer.commit(&[Position { partition: 1, committed }]).unwrap();
    world.maintenance();
    assert!(world.start("in") > 200);
    assert_eq!(codes(&health), []);
}

/// A recount takes nothing as given that the journal holds: what was made of it must not go before it.
#[test]
fn nothing_younger_goes_before_what_a_group_has_not_read() {
    let world = World::bounded(Some(ByteSize::kib(512)));
    let mut consumer = world.log.consumer("slow", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();
    world.fill("in", "k");
    for _ in 0..20 {
        world.fill("out", "k");
    }
    world.maintenance();
    assert_eq!((world.start("in"), world.start("out")), (0, 0), "the oldest is unread");
    let committed = Committed { offset: 20, metadata: String::new() };
    consumer.commit(&[Position { partition: 1, committed }]).unwrap();
    world.maintenance();
    assert_eq!(world.start("in"), 20);
    assert!(world.start("out") > 0);
}

#[test]
fn topics_that_wait_for_a_person_are_kept_by_age_alone() {
    let world = World::bounded(Some(ByteSize::kib(512)));
    world.log.open_log.shared.keep_by_age.set([topic("out")].into()).unwrap();
    world.fill("out", "k");
    for _ in 0..20 {
        world.fill("in", "k");
    }
    world.maintenance();
    assert!(world.start("in") > 0);
    assert_eq!(world.start("out"), 0);
    assert_eq!(values(&world.log, "out").len(), 20);
}
