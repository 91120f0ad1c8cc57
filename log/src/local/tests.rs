//! The Local log on real files.

mod crash;
mod damage;
mod retention;
mod sidecars;
mod simulated;
mod space;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::{Cleanup, Polled, Position, ProducerRecord, Weaknesses};

const WAIT: Duration = Duration::from_secs(30);

pub(super) fn topic(name: &str) -> Topic {
    Topic::new(name)
}

pub(super) fn open(dir: &std::path::Path) -> Arc<LocalLog> {
    let log = LocalLog::open(LocalSettings::new(dir, 2)).unwrap();
    ensure(&log);
    log
}

fn ensure(log: &LocalLog) {
    let kept = Cleanup::Delete { retention_ms: 86_400_000 };
    let specs = ["in", "out"].map(|name| TopicSpec { topic: topic(name), cleanup: kept });
    assert_eq!(log.ensure_topics(&specs).unwrap(), Weaknesses::default());
}

pub(super) fn row(name: &str, value: &str) -> ProducerRecord {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    ProducerRecord { topic: topic(name), partition: 1, key: Bytes::from_static(b"k"), value }
}

pub(super) fn send(log: &LocalLog, rows: Vec<ProducerRecord>) -> Vec<Result<Offset, LogError>> {
    let (done, heard) = crossbeam::channel::bounded(1);
    let producer = log.producer().unwrap();
    producer.send(rows, Box::new(move |outcomes| done.send(outcomes).unwrap())).unwrap();
    heard.recv_timeout(WAIT).unwrap()
}

pub(super) fn values(log: &dyn LogView, name: &str) -> Vec<String> {
    let mut reader = log.reader(&topic(name), 1, 0).unwrap();
    let end = log.bounds(&topic(name), 1).unwrap().stable_end;
    let mut values = Vec::new();
    while reader.position() < end {
        for entry in reader.read(3, WAIT).unwrap() {
            values.push(String::from_utf8(entry.value.unwrap().to_vec()).unwrap());
        }
    }
    values
}

/// Letters that compression makes a quarter shorter, no more.
pub(super) fn noise(seed: u64, length: usize) -> String {
    let mut dice = simulated::Dice(seed);
    let letter = |_| char::from(b'0' + u8::try_from(dice.roll(64)).unwrap());
    (0..length).map(letter).collect()
}

#[test]
fn rows_come_back_in_order_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let rows: Vec<_> = (0..10).map(|n| row("in", &n.to_string())).collect();
    let offsets: Vec<_> = send(&log, rows).into_iter().map(Result::unwrap).collect();
    assert_eq!(offsets, (0..10).collect::<Vec<_>>());
    drop(log);
    let log = open(dir.path());
    assert_eq!(values(&*log, "in"), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(send(&log, vec![row("in", "10")])[0].as_ref().unwrap(), &10);
}

#[test]
fn outputs_and_places_are_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    send(&log, vec![row("in", "a"), row("in", "b")]);
    let mut consumer = log.transactional_consumer("g", &topic("in")).unwrap();
    assert!(matches!(consumer.poll(10, WAIT).unwrap(), Polled::Assigned(all) if all == [0, 1]));
    assert_eq!(consumer.committed(1).unwrap(), None);
    consumer.start(1, 0).unwrap();
    let Polled::Records(entries) = consumer.poll(10, WAIT).unwrap() else { panic!("no records") };
    assert_eq!(entries.len(), 2);
    let committed = Committed { offset: 2, metadata: "m".into() };
    let position = Position { partition: 1, committed: committed.clone() };
    consumer.commit_transaction(vec![row("out", "ab")], &[position]).unwrap();
    assert!(log.consumer("g", &topic("in")).is_err(), "one live member a group");
    drop((consumer, log));
    let log = open(dir.path());
    assert_eq!(log.committed("g", &topic("in"), 1).unwrap(), Some(committed));
    assert_eq!(values(&*log, "out"), ["ab"]);
}

#[test]
fn a_folder_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let error = LocalLog::open(LocalSettings::new(dir.path(), 2)).unwrap_err();
    assert!(error.to_string().contains("another process owns"), "{error}");
    drop(log);
    open(dir.path());
}

#[test]
fn a_full_queue_gives_everything_back() {
    let disk = simulated::SimulatedDisk::default();
    let tuning = LocalTuning { queue_bytes: bytesize::ByteSize::mib(1), ..LocalTuning::default() };
    let shared_disk = Arc::new(disk.clone());
    let open_log =
        OpenLog::start_writing(shared_disk, Some(2), &tuning, Arc::new(now_ms), None).unwrap();
    let log = LocalLog { open_log: Arc::new(open_log), dir: PathBuf::new() };
    ensure(&log);
    let producer = log.producer().unwrap();
    let answered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let value = "x".repeat(100_000);
    let mut taken = 0;
    let full = disk.while_stuck(|| {
        loop {
            let answered = Arc::clone(&answered);
            let count = move |outcomes: Vec<Result<Offset, LogError>>| {
                assert!(outcomes.iter().all(Result::is_ok));
                answered.fetch_add(outcomes.len(), Ordering::SeqCst);
            };
            match producer.send(vec![row("in", &value)], Box::new(count)) {
                Ok(()) => taken += 1,
                Err(full) => return full,
            }
        }
    });
    assert_eq!(full.rows, [row("in", &value)]);
    assert!(
        (10..=20).contains(&taken),
        "one group in the writer's hands, 1 MiB behind it: {taken}"
    );
    producer.flush(WAIT).unwrap();
    assert_eq!(answered.load(Ordering::SeqCst), taken);
    producer.send(full.rows, full.done).unwrap();
    producer.flush(WAIT).unwrap();
    assert_eq!(values(&log, "in").len(), taken + 1);
}

#[test]
fn the_metrics_count_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut registry = Registry::default();
    log.register(&mut registry);
    send(&log, vec![row("in", "a"), row("in", "b")]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in
        ["tillrace_log_records_total 2", "tillrace_log_frames_total 2", "tillrace_log_stopped 0"]
    {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
}

#[test]
fn settings_that_cannot_be_name_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = LocalSettings::new(dir.path(), 2);
    settings.tuning.record_bytes = settings.tuning.frame_bytes;
    let error = LocalLog::open(settings).unwrap_err().to_string();
    assert!(error.contains("record_bytes"), "{error}");
    let read: LocalTuning =
        serde_json::from_str(r#"{"segment_bytes":"1 MiB","seal_after":"2s"}"#).unwrap();
    assert_eq!(read.segment_bytes, bytesize::ByteSize::mib(1));
    assert_eq!(read.seal_after, Duration::from_secs(2));
    assert!(serde_json::from_str::<LocalTuning>(r#"{"segment":1}"#).is_err());
}

#[test]
fn a_frame_has_a_limit_and_a_send_may_span_several() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = LocalSettings::new(dir.path(), 2);
    settings.tuning.frame_bytes = bytesize::ByteSize::kib(64);
    settings.tuning.record_bytes = bytesize::ByteSize::kib(32);
    let log = LocalLog::open(settings).unwrap();
    ensure(&log);
    let rows: Vec<_> = (0..10).map(|_| row("in", &"x".repeat(20_000))).collect();
    let mut consumer = log.transactional_consumer("g", &topic("in")).unwrap();
    let error = consumer.commit_transaction(rows.clone(), &[]).unwrap_err();
    assert!(matches!(error, LogError::TooLarge { limit: 65_536, .. }), "{error}");
    assert!(send(&log, rows).iter().all(Result::is_ok));
    assert_eq!(values(&*log, "in").len(), 10);
}

#[test]
fn an_idle_log_seals_its_tail() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = LocalSettings::new(dir.path(), 2);
    settings.tuning.seal_after = Duration::from_millis(5);
    let log = LocalLog::open(settings).unwrap();
    ensure(&log);
    send(&log, vec![row("in", "a")]);
    let name = log.open_log.shared.state.read().active.name;
    let sealed = || {
        let disk = RealDisk::open(dir.path()).unwrap();
        let (salt, length) = segment::read_header(&disk, &name).unwrap();
        let bytes = segment::read_all(&disk, &name, length).unwrap();
        scan::scan(&disk, &name, salt, &bytes, &mut |_, _| Ok(())).is_ok_and(|one| one.sealed)
    };
    let until = std::time::Instant::now() + WAIT;
    while !sealed() {
        assert!(std::time::Instant::now() < until, "the tail is not sealed");
        std::thread::yield_now();
    }
    let ask = || log.open_log.shared.metrics.frames.get();
    assert_eq!(ask(), 2, "a seal is no group commit");
}

#[test]
fn a_thread_that_panics_is_the_end_of_the_log_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert!(log.failure().is_none());
    log.open_log.spawn("local-log-test", || panic!("a fault of ours")).unwrap();
    log.open_log.join_last();
    let failure = log.failure().unwrap().to_string();
    assert!(failure.contains("the thread local-log-test of the local log panicked"), "{failure}");
}

/// A log whose clock panics when it is told to: the writer asks it for every frame.
fn open_with_faulty_clock(faulty: &Arc<AtomicBool>) -> LocalLog {
    let (disk, tuning) = (simulated::SimulatedDisk::default(), LocalTuning::default());
    let is_faulty = Arc::clone(faulty);
    let clock = Arc::new(move || {
        assert!(!is_faulty.load(Ordering::SeqCst), "a fault of ours");
        now_ms()
    });
    let open_log = OpenLog::start_writing(Arc::new(disk), Some(2), &tuning, clock, None).unwrap();
    let log = LocalLog { open_log: Arc::new(open_log), dir: PathBuf::new() };
    ensure(&log);
    log
}

/// A thread that panics drops the rows that it holds before it says why: who asks in between hears no reason.
fn wait_until_stopped(log: &LocalLog) {
    while log.open_log.shared.metrics.stopped.get() == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn after_the_writer_panicked_who_writes_hears_of_it() {
    let faulty = Arc::new(AtomicBool::new(false));
    let log = open_with_faulty_clock(&faulty);
    let producer = log.producer().unwrap();
    faulty.store(true, Ordering::SeqCst);
    let (done, heard) = crossbeam::channel::bounded::<Vec<Result<Offset, LogError>>>(1);
    let lost = Box::new(move |outcomes| done.send(outcomes).unwrap());
    producer.send(vec![row("in", "lost")], lost).unwrap();
    wait_until_stopped(&log);
    let flushed = producer.flush(WAIT).unwrap_err().to_string();
    assert!(heard.recv_timeout(WAIT).is_err(), "nobody can say what became of it");
    let rows = vec![row("in", "a"), row("in", "b")];
    let told: Vec<String> =
        send(&log, rows).into_iter().map(|outcome| outcome.unwrap_err().to_string()).collect();
    let reason = "the thread local-log-write of the local log panicked";
    assert_eq!(told.len(), 2);
    for error in [&flushed, &told[0], &told[1]] {
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn after_a_callback_panicked_who_writes_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let producer = log.producer().unwrap();
    producer.send(vec![row("in", "a")], Box::new(|_| panic!("a fault of ours"))).unwrap();
    wait_until_stopped(&log);
    producer.flush(WAIT).unwrap_err();
    let told = send(&log, vec![row("in", "b")]).remove(0).unwrap_err().to_string();
    assert!(told.contains("the thread local-log-answer of the local log panicked"), "{told}");
}
