//! The Local log on real files: group commit by batch size and number of committers, and reading
//! back. Beside it the physical bound: the same bytes appended to one file, `fdatasync` each.
//!
//! Every record has 900 bytes. The folder is the system's temporary one: set `TMPDIR` to a disk
//! worth measuring, a memory file system measures nothing.
#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{Cleanup, Log, LogView, ProducerRecord, Topic, TopicSpec, WritableLog};

const RECORD_BYTES: usize = 900;
const BACKLOG: u64 = 200_000;

fn open(dir: &Path) -> Arc<LocalLog> {
    let log = LocalLog::open(LocalSettings::new(dir, 8)).expect("the log opens");
    let cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
    log.ensure_topics(&[TopicSpec { topic: Topic::new("events"), cleanup }]).expect("a topic");
    log
}

fn rows(batch: usize, partition: u32, value: &Bytes) -> Vec<ProducerRecord> {
    let row = || ProducerRecord {
        topic: Topic::new("events"),
        partition,
        key: Bytes::from_static(b"tenant/store"),
        value: Some(value.clone()),
    };
    (0..batch).map(|_| row()).collect()
}

/// Has each committer commit so many batches, waiting for each; returns the time for all.
fn commit(log: &Arc<LocalLog>, committers: u32, batch: usize, times: u64) -> Duration {
    let value = Bytes::from(vec![0x5a; RECORD_BYTES]);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for partition in 0..committers {
            let (log, value) = (Arc::clone(log), value.clone());
            scope.spawn(move || {
                let producer = log.producer().expect("a producer opens");
                let (durable, heard) = mpsc::sync_channel(1);
                for _ in 0..times {
                    let durable = durable.clone();
                    let done = move |outcomes: Vec<_>| durable.send(outcomes).expect("heard");
                    let rows = rows(batch, partition, &value);
                    producer.send(rows, Box::new(done)).expect("there is room");
                    assert!(heard.recv().expect("an answer").iter().all(Result::is_ok));
                }
            });
        }
    });
    began.elapsed()
}

/// The same bytes, one append and one sync a batch, one committer at a time.
fn append(file: &Mutex<File>, committers: u32, batch: usize, times: u64) -> Duration {
    let bytes = vec![0x5a; RECORD_BYTES * batch];
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..committers {
            scope.spawn(|| {
                for _ in 0..times {
                    let mut file = file.lock();
                    file.write_all(&bytes).expect("the disk takes it");
                    file.sync_data().expect("the disk syncs");
                }
            });
        }
    });
    began.elapsed()
}

fn group_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/commit");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for batch in [1, 100] {
        for committers in [1, 8] {
            let id = format!("{batch}x{committers}");
            group.throughput(Throughput::Elements(batch as u64 * u64::from(committers)));
            group.bench_with_input(BenchmarkId::new("local", &id), &(), |bencher, ()| {
                let dir = tempfile::tempdir().expect("a folder");
                let log = open(dir.path());
                bencher.iter_custom(|times| commit(&log, committers, batch, times));
            });
            group.bench_with_input(BenchmarkId::new("append", &id), &(), |bencher, ()| {
                let file = Mutex::new(tempfile::tempfile().expect("a file"));
                bencher.iter_custom(|times| append(&file, committers, batch, times));
            });
        }
    }
    group.finish();
}

fn read_back(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let log = open(dir.path());
    commit(&log, 1, 500, BACKLOG / 500);
    let mut group = criterion.benchmark_group("log/read");
    group.sample_size(10).throughput(Throughput::Elements(BACKLOG));
    group.bench_function("local", |bencher| {
        bencher.iter(|| {
            let mut reader = log.reader(&Topic::new("events"), 0, 0).expect("a reader opens");
            while reader.position() < BACKLOG {
                black_box(reader.read(1_000, Duration::ZERO).expect("reading works"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, group_commit, read_back);
criterion_main!(benches);
