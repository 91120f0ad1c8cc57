//! Random histories with a crash at any instant, on the simulated disk, against a naive model.
//!
//! The model is what was acknowledged. After every crash the log must show all of it that it may
//! not have forgotten, at its offsets; of the one submission that was under way it may show all or
//! nothing; and it must show nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use proptest::prelude::*;

use super::super::catalog::Control;
use super::super::commit::commit_whole;
use super::super::frame::Lane;
use super::super::maintenance;
use super::super::open_log::OpenLog;
use super::super::reader::LocalReader;
use super::super::settings::LocalTuning;
use super::noise;
use super::simulated::{Dice, Fault, SimulatedDisk};
use crate::{Cleanup, Committed, LogError, Offset, ProducerRecord, Reader, Topic};

const PARTITIONS: u32 = 2;
const RETENTION_MS: i64 = 10_000;
const GROUP: &str = "reader";
/// `timed` is kept by time and has a group; `keyed` keeps the latest of each key.
const TOPICS: [&str; 2] = ["timed", "keyed"];

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Rows in one frame: topic, partition, key, length of the value (0: tombstone).
    Write(Vec<(usize, u32, u8, usize)>),
    /// The same, with the group's place in `timed` moved to the end of a partition.
    Transact(Vec<(usize, u32, u8, usize)>, u32),
    /// The clock goes on.
    Pass(i64),
    /// A round of maintenance.
    Maintenance,
    /// An orderly end and opening.
    Reopen,
    /// The process is killed and the log opened again.
    Kill,
}

fn rows() -> impl Strategy<Value = Vec<(usize, u32, u8, usize)>> {
    let length = prop_oneof![Just(0_usize), 1..400_usize, 20_000..40_000_usize];
    prop::collection::vec((0..TOPICS.len(), 0..PARTITIONS, 0..4_u8, length), 1..5)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => rows().prop_map(Step::Write),
        4 => (rows(), 0..PARTITIONS).prop_map(|(rows, partition)| Step::Transact(rows, partition)),
        2 => (0..8_000_i64).prop_map(Step::Pass),
        3 => Just(Step::Maintenance),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

type Stored = (Bytes, Option<Bytes>, i64);

/// What was acknowledged.
#[derive(Debug, Clone, Default)]
struct Model {
    records: Records,
    next: BTreeMap<(usize, u32), Offset>,
    places: BTreeMap<u32, Offset>,
    written: u64,
}

impl Model {
    fn add(&mut self, rows: &[ProducerRecord], now_ms: i64) {
        for row in rows {
            let topic = TOPICS.iter().position(|name| *name == row.topic.as_str()).unwrap();
            let lane = (topic, row.partition);
            let offset = self.next.entry(lane).or_default();
            let stored = (row.key.clone(), row.value.clone(), now_ms);
            self.records.entry(lane).or_default().insert(*offset, stored);
            *offset += 1;
        }
    }

    /// Whether the log must still show a record.
    fn needs(&self, lane: (usize, u32), offset: Offset, now_ms: i64) -> bool {
        let records = &self.records[&lane];
        let (key, value, at_ms) = &records[&offset];
        if lane.0 == 0 {
            let unread = offset >= self.places.get(&lane.1).copied().unwrap_or(0);
            return unread || now_ms - at_ms <= RETENTION_MS;
        }
        let later = records.range(offset + 1..).any(|(_, (other, ..))| other == key);
        !later && value.is_some()
    }
}

/// Rows, and the place of a partition.
type Pending = (Vec<ProducerRecord>, Option<(u32, Offset)>);
/// Records by topic and partition.
type Records = BTreeMap<(usize, u32), BTreeMap<Offset, Stored>>;

/// A log on a simulated disk, with its model.
struct World {
    disk: SimulatedDisk,
    clock: Arc<AtomicI64>,
    open_log: Option<Arc<OpenLog>>,
    model: Model,
    /// What was under way when the power went: rows, place, time.
    pending: Option<Pending>,
}

fn tuning() -> LocalTuning {
    LocalTuning {
        segment_bytes: ByteSize::kib(64),
        frame_bytes: ByteSize::kib(256),
        record_bytes: ByteSize::kib(128),
        queue_bytes: ByteSize::mib(1),
        seal_after: Duration::from_hours(1),
        upkeep_every: Duration::from_hours(1),
        ..LocalTuning::default()
    }
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let disk = SimulatedDisk::default();
        let mut world =
            Self { disk, clock, open_log: None, model: Model::default(), pending: None };
        world.open().unwrap();
        let cleanups =
            [Cleanup::Delete { retention_ms: RETENTION_MS.cast_unsigned() }, Cleanup::Compact];
        let mut controls: Vec<_> = (0..)
            .zip(TOPICS.iter().zip(cleanups))
            .map(|(id, (name, cleanup))| Control::Topic {
                id,
                partitions: PARTITIONS,
                cleanup,
                name: Topic::new(name),
            })
            .collect();
        controls.push(Control::Join { group: GROUP.to_owned(), topic: 0 });
        commit_whole(&world.open_log().shared, Vec::new(), controls).unwrap();
        world
    }

    fn open_log(&self) -> &Arc<OpenLog> {
        self.open_log.as_ref().unwrap()
    }

    fn open(&mut self) -> Result<(), LogError> {
        self.open_log = None;
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || clock.load(Ordering::SeqCst));
        let disk = Arc::new(self.disk.clone());
        self.open_log =
            Some(Arc::new(OpenLog::start_writing(disk, Some(PARTITIONS), &tuning(), clock, None)?));
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn step(&mut self, step: &Step) -> Result<(), LogError> {
        match step {
            Step::Write(rows) => self.commit(rows, None),
            Step::Transact(rows, partition) => self.commit(rows, Some(*partition)),
            Step::Pass(ms) => {
                self.clock.fetch_add(*ms, Ordering::SeqCst);
                Ok(())
            }
            Step::Maintenance => {
                let shared = &self.open_log().shared;
                maintenance::write_sidecars(shared)?;
                maintenance::round(shared, &mut 0)
            }
            Step::Reopen => self.open(),
            Step::Kill => {
                // The old threads go on with the old disk; the new one is a copy.
                self.disk = self.disk.after_kill();
                self.open()
            }
        }
    }

    fn commit(
        &mut self,
        rows: &[(usize, u32, u8, usize)],
        place: Option<u32>,
    ) -> Result<(), LogError> {
        let mut made = Vec::new();
        for (topic, partition, key, length) in rows {
            self.model.written += 1;
            let value = (*length > 0).then(|| Bytes::from(noise(self.model.written, *length)));
            let (topic, key) = (Topic::new(TOPICS[*topic]), Bytes::from(vec![*key]));
            made.push(ProducerRecord { topic, partition: *partition, key, value });
        }
        let next = |partition| self.model.next.get(&(0, partition)).copied().unwrap_or(0);
        let place = place.map(|partition| (partition, next(partition)));
        let controls = place.map(|(partition, offset)| Control::Commit {
            group: GROUP.to_owned(),
            lane: Lane { topic: 0, partition },
            lsn: 0,
            committed: Committed { offset, metadata: String::new() },
        });
        self.pending = Some((made.clone(), place));
        let controls = controls.into_iter().collect();
        commit_whole(&self.open_log().shared, made, controls)?;
        let (made, place) = self.pending.take().unwrap();
        self.model.add(&made, self.now_ms());
        self.model.places.extend(place);
        Ok(())
    }

    /// Everything that the log shows.
    fn shown(&self) -> (Records, BTreeMap<u32, Offset>) {
        let open_log = self.open_log();
        let mut records = Records::new();
        let mut places = BTreeMap::new();
        for (topic, name) in TOPICS.iter().enumerate() {
            for partition in 0..PARTITIONS {
                let lane = Lane { topic: u32::try_from(topic).unwrap(), partition };
                let bounds = open_log.shared.state.read().bounds(lane);
                let name = Topic::new(name);
                let mut reader = LocalReader::open(open_log, &name, lane, bounds.start).unwrap();
                let mut entries = Vec::new();
                while reader.read_now(usize::MAX, &mut entries, &mut 0).is_ok()
                    && Reader::position(&reader) < bounds.end
                {}
                assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset));
                let stored = entries
                    .into_iter()
                    .map(|entry| (entry.offset, (entry.key, entry.value, entry.appended_ms)));
                records.entry((topic, partition)).or_default().extend(stored);
                if topic == 0 {
                    let state = open_log.shared.state.read();
                    let place = state.catalog.committed(GROUP, lane);
                    places.extend(place.map(|place| (partition, place.committed.offset)));
                }
            }
        }
        (records, places)
    }

    /// Compares what is shown with the model; settles what was under way.
    fn check(&mut self) {
        let (shown, places) = self.shown();
        if let Some((rows, place)) = self.pending.take() {
            let mut with = self.model.clone();
            with.add(&rows, self.now_ms());
            with.places.extend(place);
            let arrived = rows.iter().any(|row| {
                let topic = TOPICS.iter().position(|name| *name == row.topic.as_str()).unwrap();
                let lane = (topic, row.partition);
                let offset = self.model.next.get(&lane).copied().unwrap_or(0);
                shown[&lane].contains_key(&offset)
            });
            if arrived {
                self.model = with;
            }
        }
        assert_eq!(places, self.model.places);
        let now_ms = self.now_ms();
        for (lane, shown) in &shown {
            let empty = BTreeMap::new();
            let known = self.model.records.get(lane).unwrap_or(&empty);
            for (offset, stored) in shown {
                let known = known.get(offset);
                assert!(known == Some(stored), "{lane:?} shows {offset}, which is not so");
            }
            for offset in known.keys() {
                let there = shown.contains_key(offset);
                let needed = self.model.needs(*lane, *offset, now_ms);
                assert!(there || !needed, "{lane:?} lost {offset}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_at_any_instant_loses_nothing_acknowledged(
        steps in prop::collection::vec(step(), 1..40),
        cuts in prop::collection::vec((1..120_u64, any::<u64>()), 1..4),
    ) {
        let mut world = World::new();
        let mut steps = steps.iter().cycle();
        for (after, seed) in cuts {
            world.disk.set_fault(after, Fault::PowerCut);
            for step in steps.by_ref().take(60) {
                if world.step(step).is_err() {
                    break;
                }
            }
            world.open_log = None;
            world.disk = world.disk.after_power_cut(&mut Dice(seed));
            world.open().unwrap();
            world.check();
        }
    }

    #[test]
    fn a_failed_write_or_sync_stops_the_log_and_loses_nothing_acknowledged(
        steps in prop::collection::vec(step(), 1..40),
        after in 1..80_u64,
        seed: u64,
    ) {
        let mut world = World::new();
        world.disk.set_fault(after, Fault::Fails(std::io::ErrorKind::StorageFull));
        for step in &steps {
            if world.step(step).is_err() {
                break;
            }
        }
        // The process ends, another one opens what the page cache shows, then the power goes.
        world.disk = world.disk.after_kill();
        world.open().unwrap();
        world.check();
        world.disk = world.disk.after_power_cut(&mut Dice(seed));
        world.open().unwrap();
        world.check();
    }
}
