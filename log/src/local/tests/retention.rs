//! Retention, compaction, groups that hold back, on the simulated disk with a clock of our own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use bytesize::ByteSize;

use super::super::disk::Disk;
use super::super::maintenance;
use super::super::open_log::OpenLog;
use super::simulated::{Fault, SimulatedDisk};
use super::*;

const RETENTION_MS: i64 = 10_000;

/// A log with topics `in` and `out`, kept by time, and `keyed`, by key.
pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    clock: Arc<AtomicI64>,
    pub(super) log: LocalLog,
}

impl World {
    pub(super) fn new() -> Self {
        Self::bounded(None)
    }

    /// A log with a bound in bytes.
    pub(super) fn bounded(retention_bytes: Option<ByteSize>) -> Self {
        let disk = SimulatedDisk::default();
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let log = Self::open_bounded(&disk, &clock, retention_bytes).unwrap();
        let timed = Cleanup::Delete { retention_ms: RETENTION_MS.cast_unsigned() };
        let cleanups = [("in", timed), ("out", timed), ("keyed", Cleanup::Compact)];
        let spec = |(name, cleanup)| TopicSpec { topic: topic(name), cleanup };
        log.ensure_topics(&cleanups.map(spec)).unwrap();
        Self { disk, clock, log }
    }

    fn open(disk: &SimulatedDisk, clock: &Arc<AtomicI64>) -> Result<LocalLog, LogError> {
        Self::open_bounded(disk, clock, None)
    }

    fn open_bounded(
        disk: &SimulatedDisk,
        clock: &Arc<AtomicI64>,
        retention_bytes: Option<ByteSize>,
    ) -> Result<LocalLog, LogError> {
        let clock = Arc::clone(clock);
        let clock = Arc::new(move || clock.load(Ordering::SeqCst));
        let tuning = LocalTuning {
            segment_bytes: ByteSize::kib(64),
            retention_bytes,
            seal_after: Duration::from_hours(1),
            stalled_after: Duration::from_mins(1),
            ..LocalTuning::default()
        };
        let disk = Arc::new(disk.clone());
        let open_log = Arc::new(OpenLog::start_writing(disk, Some(2), &tuning, clock, None)?);
        Ok(LocalLog { open_log, dir: PathBuf::new() })
    }

    pub(super) fn reopen(self) -> Self {
        let Self { disk, clock, log } = self;
        drop(log);
        let log = Self::open(&disk, &clock).unwrap();
        Self { disk, clock, log }
    }

    pub(super) fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Fills a segment or more with rows of one topic and key.
    pub(super) fn fill(&self, name: &str, key: &'static str) {
        for number in 0..20 {
            let value = Some(Bytes::from(noise(number, 5_000)));
            let key = Bytes::from_static(key.as_bytes());
            let row = ProducerRecord { key, value, ..row(name, "") };
            assert!(send(&self.log, vec![row])[0].is_ok());
        }
    }

    pub(super) fn maintenance(&self) {
        let shared = &self.log.open_log.shared;
        maintenance::write_sidecars(shared).unwrap();
        maintenance::round(shared, &mut 0).unwrap();
    }

    pub(super) fn start(&self, name: &str) -> Offset {
        self.log.bounds(&topic(name), 1).unwrap().start
    }

    pub(super) fn segments(&self) -> usize {
        self.disk.names(".log").len()
    }
}

#[test]
fn what_is_past_retention_goes_and_the_rest_stays() {
    let world = World::new();
    world.fill("in", "k");
    world.fill("in", "k");
    world.pass(RETENTION_MS + 1);
    world.fill("in", "k");
    let before = world.segments();
    world.maintenance();
    let start = world.start("in");
    assert!((20..=40).contains(&start), "two segments were past it: {start}");
    assert!(world.segments() < before, "{before} segments, now {}", world.segments());
    let error = world.log.reader(&topic("in"), 1, start - 1).err().unwrap();
    assert!(matches!(error, LogError::OutOfRange { .. }), "{error}");
    let world = world.reopen();
    assert_eq!(world.start("in"), start);
    let mut reader = world.log.reader(&topic("in"), 1, start).unwrap();
    let mut left = 60 - start;
    while left > 0 {
        left -= reader.read(100, WAIT).unwrap().len() as u64;
    }
}

#[test]
fn a_group_holds_what_it_has_not_committed_until_it_is_removed() {
    let world = World::new();
    let mut consumer = world.log.consumer("slow", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();
    world.fill("in", "k");
    world.pass(RETENTION_MS + 1);
    world.fill("in", "k");
    world.maintenance();
    assert_eq!(world.start("in"), 0, "nothing was committed");
    let committed = Committed { offset: 5, metadata: String::new() };
    consumer.commit(&[Position { partition: 1, committed }]).unwrap();
    let error = world.log.remove_group("slow").unwrap_err();
    assert!(error.to_string().contains("live member"), "{error}");
    drop(consumer);
    let world = world.reopen();
    world.maintenance();
    assert_eq!(world.start("in"), 0, "the first segment holds records it has yet to read");
    world.log.remove_group("slow").unwrap();
    world.maintenance();
    assert!(world.start("in") > 0);
    assert_eq!(world.log.groups().unwrap(), []);
}

#[test]
fn a_group_that_stands_still_is_reported() {
    let world = World::new();
    let consumer = world.log.consumer("slow", &topic("in")).unwrap();
    assert!(!world.log.groups().unwrap()[0].stalled);
    let written_ms = world.clock.load(Ordering::SeqCst);
    assert!(send(&world.log, vec![row("in", "a"), row("in", "b")])[0].is_ok());
    world.pass(59_000);
    assert!(!world.log.groups().unwrap()[0].stalled);
    world.pass(2_000);
    let expected = GroupReport {
        group: "slow".to_owned(),
        topic: topic("in"),
        unread: 2,
        oldest_unread_ms: Some(written_ms),
        stalled: true,
    };
    assert_eq!(world.log.groups().unwrap(), [expected]);
    drop(consumer);
}

#[test]
fn longer_lived_topics_and_latest_keys_outlive_their_neighbours() {
    let world = World::new();
    assert!(send(&world.log, vec![row("keyed", "kept")])[0].is_ok());
    let other = ProducerRecord { key: Bytes::from_static(b"other"), ..row("keyed", "other") };
    assert!(send(&world.log, vec![row("in", "early"), other])[0].is_ok());
    world.fill("in", "k");
    for number in 0..3 {
        assert!(send(&world.log, vec![row("keyed", &number.to_string())])[0].is_ok());
        world.fill("in", "k");
    }
    world.pass(RETENTION_MS + 1);
    world.fill("out", "k");
    let before = world.segments();
    world.maintenance();
    assert!(world.segments() < before);
    let world = world.reopen();
    assert_eq!(values(&world.log, "keyed"), ["other", "2"], "one of each key");
    assert_eq!(values(&world.log, "out").len(), 20);
    assert!(world.start("in") > 0);
    let merged = world.disk.names(".log");
    assert!(merged.iter().any(|name| !name.ends_with("-000000.log")), "{merged:?}");
}

#[test]
fn a_tombstone_outlives_what_it_buries() {
    let world = World::new();
    let tombstone = ProducerRecord { value: None, ..row("keyed", "") };
    world.fill("in", "k");
    assert!(send(&world.log, vec![row("keyed", "buried")])[0].is_ok());
    world.fill("in", "k");
    assert!(send(&world.log, vec![tombstone])[0].is_ok());
    let entries = |world: &World| {
        let mut reader = world.log.reader(&topic("keyed"), 1, 0).unwrap();
        let entries = reader.read(10, Duration::ZERO).unwrap();
        assert_eq!(reader.position(), 2);
        entries.into_iter().map(|entry| (entry.offset, entry.value.is_none())).collect::<Vec<_>>()
    };
    for (passed_ms, expected) in [(RETENTION_MS + 1, vec![(1, true)]), (86_400_000, vec![])] {
        world.fill("out", "k");
        world.pass(passed_ms);
        world.maintenance();
        assert_eq!(entries(&world), expected, "after {passed_ms} ms");
    }
    assert_eq!(entries(&world.reopen()), []);
}

#[test]
fn a_reader_under_way_is_not_disturbed() {
    let world = World::new();
    for _ in 0..4 {
        world.fill("out", "k");
        world.fill("keyed", "k");
    }
    let mut reader = world.log.reader(&topic("keyed"), 1, 0).unwrap();
    assert_eq!(reader.read(3, WAIT).unwrap().len(), 3);
    world.maintenance();
    let mut last = None;
    while reader.position() < 80 {
        for entry in reader.read(7, WAIT).unwrap() {
            assert!(last < Some(entry.offset), "offsets rise");
            last = Some(entry.offset);
        }
    }
    assert_eq!(last, Some(79), "the latest is there");
}

/// The merged file is whole, the old ones are still there: opening ignores and removes them.
#[test]
fn a_crash_between_merging_and_unlinking_shows_nothing_twice() {
    let world = World::new();
    for _ in 0..4 {
        world.fill("keyed", "k");
    }
    let shared = &world.log.open_log.shared;
    maintenance::write_sidecars(shared).unwrap();
    let before = values(&world.log, "keyed").len();
    for after in 1..200 {
        let disk = world.disk.after_kill();
        let log = World::open(&disk, &world.clock).unwrap();
        disk.set_fault(after, Fault::PowerCut);
        let shared = &log.open_log.shared;
        let done = maintenance::write_sidecars(shared)
            .and_then(|()| maintenance::round(shared, &mut 0))
            .is_ok();
        drop(log);
        let log = World::open(&disk.after_kill(), &world.clock).unwrap();
        let mut reader = log.reader(&topic("keyed"), 1, 0).unwrap();
        let mut offsets = Vec::new();
        while reader.position() < 80 {
            offsets.extend(reader.read(100, WAIT).unwrap().into_iter().map(|one| one.offset));
        }
        assert!(offsets.is_sorted_by(|one, other| one < other), "{offsets:?}");
        assert_eq!(offsets.last(), Some(&79));
        if done {
            assert!(offsets.len() < before, "compaction did its work");
            return;
        }
    }
    panic!("maintenance did not end");
}

#[test]
fn a_full_disk_stops_the_log_and_says_so() {
    let world = World::new();
    assert!(send(&world.log, vec![row("in", "a")])[0].is_ok());
    world.disk.set_fault(1, Fault::Fails(std::io::ErrorKind::StorageFull));
    let full = send(&world.log, vec![row("in", "b")]).remove(0).unwrap_err();
    for part in ["simulated/0000000001", "Make room on this disk", "start this process again"] {
        assert!(full.to_string().contains(part), "{part} in {full}");
    }
    assert!(!full.is_retryable());
    let after = send(&world.log, vec![row("in", "c")]).remove(0).unwrap_err();
    assert_eq!(after.to_string(), full.to_string(), "nothing is written after a failure");
    assert_eq!(values(&world.log, "in"), ["a"], "what is durable can be read");
    let world = world.reopen();
    assert_eq!(values(&world.log, "in"), ["a"]);
    assert_eq!(*send(&world.log, vec![row("in", "d")])[0].as_ref().unwrap(), 1);
}

#[test]
fn a_lost_newest_segment_is_damage() {
    let world = World::new();
    world.fill("in", "k");
    world.fill("in", "k");
    maintenance::write_sidecars(&world.log.open_log.shared).unwrap();
    let newest = world.disk.names(".log").pop().unwrap();
    let World { disk, clock, log } = world;
    drop(log);
    disk.remove(&newest).unwrap();
    let error = World::open(&disk, &clock).unwrap_err();
    assert!(
        matches!(&error, LogError::Damaged { detail, .. } if detail.contains("newest")),
        "{error}"
    );
}
