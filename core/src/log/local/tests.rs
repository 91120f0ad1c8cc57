//! The Local log on real files.

mod crash;
mod damage;
mod forgetting;
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::log::{Cleanup, Polled, Position, Row};

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
    assert_eq!(log.ensure_topics(&specs).unwrap(), Vec::<String>::new());
}

pub(super) fn row(name: &str, value: &str) -> Row {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Row { topic: topic(name), partition: 1, key: Bytes::from_static(b"k"), value }
}

pub(super) fn send(log: &LocalLog, rows: Vec<Row>) -> Vec<Result<Offset, LogError>> {
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
    consumer.commit_with(vec![row("out", "ab")], &[position]).unwrap();
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
