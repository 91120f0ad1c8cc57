//! kill -9 of a writing process, again and again, on real files.
//!
//! The child is this test binary, told by its environment to write. It commits batches of rows
//! together with a place that counts them, and says each batch's number once it is acknowledged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{
    Cleanup, Committed, Log, LogView, Offset, Polled, Position, ProducerRecord, Topic, TopicSpec,
};

const FOLDER: &str = "TILLRACE_TEST_KILL_FOLDER";
const ROWS: u64 = 3;
const GROUP: &str = "writer";

fn open(dir: &Path) -> Arc<LocalLog> {
    let mut settings = LocalSettings::new(dir, 1);
    settings.tuning.segment_bytes = ByteSize::kib(128);
    settings.tuning.upkeep_every = Duration::from_millis(20);
    let log = LocalLog::open(settings).unwrap();
    let cleanups =
        [("out", Cleanup::Delete { retention_ms: 86_400_000 }), ("keyed", Cleanup::Compact)];
    let spec = |(name, cleanup)| TopicSpec { topic: Topic::new(name), cleanup };
    log.ensure_topics(&cleanups.map(spec)).unwrap();
    log
}

/// Letters of which compression saves a quarter, so that there are several segments.
fn letters(seed: u64) -> String {
    let mut state = seed;
    let mut letter = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    };
    (0..700).map(|_| letter()).collect()
}

fn batches(log: &LocalLog) -> u64 {
    let committed = log.committed(GROUP, &Topic::new("out"), 0).unwrap();
    committed.map_or(0, |committed| committed.offset / ROWS)
}

/// What the child does until it is killed.
#[test]
#[ignore = "run by the test below, which kills it"]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let log = open(Path::new(&dir));
    let mut consumer = log.transactional_consumer(GROUP, &Topic::new("out")).unwrap();
    assert!(matches!(consumer.poll(0, Duration::ZERO).unwrap(), Polled::Assigned(_)));
    for batch in batches(&log).. {
        let row = |topic: &str, number: u64| ProducerRecord {
            topic: Topic::new(topic),
            partition: 0,
            key: Bytes::from_static(b"k"),
            value: Some(Bytes::from(format!("{number}:{}", letters(number)))),
        };
        let mut rows: Vec<_> = (batch * ROWS..(batch + 1) * ROWS).map(|n| row("out", n)).collect();
        rows.push(row("keyed", batch));
        let committed = Committed { offset: (batch + 1) * ROWS, metadata: String::new() };
        consumer.commit_transaction(rows, &[Position { partition: 0, committed }]).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {batch}").unwrap();
        out.flush().unwrap();
    }
}

/// Lets a child write until so many batches are acknowledged, kills it, and returns the last.
fn write_and_kill(dir: &Path, count: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        if let Some(number) = line.unwrap().strip_prefix("acknowledged ") {
            // The last word may be cut off by the kill; the one before it is whole.
            acknowledged.extend(number.parse::<u64>());
        }
        if acknowledged.len() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged[acknowledged.len() - 1]
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged_and_shows_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let acknowledged = write_and_kill(dir.path(), 40 + round * 17);
        let log = open(dir.path());
        let batches = batches(&log);
        assert!(
            (acknowledged + 1..=acknowledged + 2).contains(&batches),
            "{acknowledged} was acknowledged last, the place says {batches} batches"
        );
        let (out, keyed) = (Topic::new("out"), Topic::new("keyed"));
        assert_eq!(log.bounds(&out, 0).unwrap().stable_end, batches * ROWS);
        let mut reader = log.reader(&out, 0, 0).unwrap();
        let mut next: Offset = 0;
        while next < batches * ROWS {
            for entry in reader.read(100, Duration::from_secs(30)).unwrap() {
                assert_eq!(entry.offset, next);
                assert!(entry.value.unwrap().starts_with(format!("{next}:").as_bytes()));
                next += 1;
            }
        }
        assert_eq!(log.bounds(&keyed, 0).unwrap().stable_end, batches);
        let mut reader = log.reader(&keyed, 0, batches - 1).unwrap();
        let latest = reader.read(1, Duration::ZERO).unwrap();
        assert_eq!(latest[0].offset, batches - 1, "the latest of the key is never forgotten");
    }
}
