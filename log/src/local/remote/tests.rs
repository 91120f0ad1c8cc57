use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use super::protocol::Request;
use super::*;
use crate::local::tests::{open, row, send, topic, values};
use crate::{Committed, Position, ProducerRecord, WritableLog as _};

const WAIT: Duration = Duration::from_secs(30);

#[test]
fn another_process_reads_through_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    send(&log, vec![row("in", "a"), row("in", "b")]);
    let committed = Committed { offset: 1, metadata: "m".to_owned() };
    let mut consumer = crate::Log::consumer(&*log, "g", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();
    consumer.commit(&[Position { partition: 1, committed: committed.clone() }]).unwrap();
    let serving = serve(&log).unwrap();
    let view = RemoteLog::connect(dir.path()).unwrap();
    assert_eq!(view.partitions(), 2);
    assert_eq!(view.bounds(&topic("in"), 1).unwrap(), log.bounds(&topic("in"), 1).unwrap());
    assert_eq!(view.committed("g", &topic("in"), 1).unwrap(), Some(committed));
    assert_eq!(view.committed("g", &topic("in"), 0).unwrap(), None);
    assert_eq!(values(&view, "in"), ["a", "b"]);
    let unknown = view.bounds(&topic("no"), 0).unwrap_err();
    assert!(matches!(unknown, LogError::UnknownTopic { .. }), "{unknown}");
    let far = view.reader(&topic("in"), 1, 9).err().unwrap();
    assert!(matches!(far, LogError::OutOfRange { offset: 9, start: 0, end: 2, .. }), "{far}");
    let mut reader = view.reader(&topic("in"), 1, 2).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || reader.read(5, WAIT).unwrap().len());
        send(&log, vec![row("in", "c")]);
        assert_eq!(waiting.join().unwrap(), 1);
    });
    drop(serving);
    assert!(view.bounds(&topic("in"), 1).unwrap_err().is_retryable());
    assert!(RemoteLog::connect(dir.path()).is_err());
}

#[test]
fn another_process_writes_through_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    send(&log, vec![row("in", "a")]);
    let serving = serve(&log).unwrap();
    let remote = RemoteLog::connect(dir.path()).unwrap();
    let producer = remote.producer().unwrap();
    let write = |records: Vec<ProducerRecord>| {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        producer.send(records, Box::new(move |outcomes| tell.send(outcomes).unwrap())).unwrap();
        told.try_recv().expect("it is answered when `send` returns")
    };
    let tombstone = ProducerRecord { value: None, ..row("out", "") };
    let outcomes = write(vec![row("in", "b"), tombstone, row("no", "c")]);
    assert!(
        matches!(outcomes[..], [Ok(1), Ok(0), Err(LogError::UnknownTopic { .. })]),
        "{outcomes:?}"
    );
    assert_eq!(values(&remote, "in"), ["a", "b"]);
    let large = ProducerRecord { value: Some(vec![0; 8 << 20].into()), ..row("in", "") };
    assert!(matches!(write(vec![large])[..], [Err(LogError::TooLarge { .. })]));
    let outcomes = write(vec![row("in", "d")]);
    assert!(matches!(outcomes[..], [Ok(2)]), "a refused request harms no later one: {outcomes:?}");
    drop(serving);
    let outcomes = write(vec![row("in", "e")]);
    assert!(matches!(&outcomes[..], [Err(error)] if error.is_retryable()), "{outcomes:?}");
}

#[test]
fn a_view_opens_the_files_when_nobody_owns_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    send(&log, vec![row("in", "a")]);
    assert!(open_view(dir.path()).is_err(), "owned, and not served");
    let serving = serve(&log).unwrap();
    assert_eq!(values(&*open_view(dir.path()).unwrap(), "in"), ["a"]);
    drop((serving, log));
    let view = open_view(dir.path()).unwrap();
    assert_eq!((view.partitions(), values(&*view, "in")), (2, vec!["a".to_owned()]));
    assert!(open_view(&dir.path().join("missing")).is_err());
}

#[test]
fn a_long_path_has_its_socket_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120));
    let log = open(&deep);
    send(&log, vec![row("in", "a")]);
    let serving = serve(&log).unwrap();
    let elsewhere = socket_of(&deep).unwrap();
    assert!(!elsewhere.starts_with(&deep));
    assert_eq!(values(&RemoteLog::connect(&deep).unwrap(), "in"), ["a"]);
    drop(serving);
    assert!(!elsewhere.parent().unwrap().exists(), "nothing is left behind");
}

proptest! {
    #[test]
    fn a_request_to_write_comes_back_and_a_part_of_it_is_none(
        records in vec((any::<u32>(), vec(any::<u8>(), 0..20), option::of(vec(any::<u8>(), 0..50))), 0..8),
        cut in any::<Index>(),
    ) {
        let record = |(partition, key, value): (u32, Vec<u8>, Option<Vec<u8>>)| ProducerRecord {
            topic: topic("in"),
            partition,
            key: key.into(),
            value: value.map(Into::into),
        };
        let request = Request::Write { records: records.into_iter().map(record).collect() };
        let bytes = Bytes::from(request.encode());
        prop_assert_eq!(Request::decode(&bytes), Some(request));
        prop_assert_eq!(Request::decode(&bytes.slice(..cut.index(bytes.len()))), None);
    }

    #[test]
    fn any_bytes_are_a_request_or_none(bytes in vec(any::<u8>(), 0..200)) {
        Request::decode(&bytes.into());
    }
}
