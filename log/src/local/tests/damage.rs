//! What damage looks like: an error that says where, or a torn tail that is cut.

use std::sync::Arc;

use bytes::Bytes;
use bytesize::ByteSize;

use super::super::disk::{Disk, RealDisk};
use super::super::segment::SegmentName;
use super::*;

/// A log of several segments on real files; `values` were acknowledged in this order.
pub(super) struct Written {
    pub(super) dir: tempfile::TempDir,
    pub(super) values: Vec<String>,
}

pub(super) fn settings(dir: &std::path::Path) -> LocalSettings {
    let mut settings = LocalSettings::new(dir, 2);
    settings.tuning.segment_bytes = ByteSize::kib(64);
    settings
}

impl Written {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = LocalLog::open(settings(dir.path())).unwrap();
        ensure(&log);
        let values: Vec<_> = (0..60).map(|n| format!("{n}:{}", noise(n, 5_000))).collect();
        for value in &values {
            assert!(send(&log, vec![row("in", value)])[0].is_ok());
        }
        drop(log);
        let written = Self { dir, values };
        assert!(written.segments().len() >= 4, "{:?}", written.segments());
        written
    }

    pub(super) fn disk(&self) -> RealDisk {
        RealDisk::open(self.dir.path()).unwrap()
    }

    pub(super) fn segments(&self) -> Vec<SegmentName> {
        let files = self.disk().list().unwrap();
        let mut names: Vec<_> = files.iter().filter_map(|file| SegmentName::parse(file)).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn change(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    }

    pub(super) fn open(&self) -> Result<Arc<LocalLog>, LogError> {
        LocalLog::open(settings(self.dir.path()))
    }

    pub(super) fn sidecars(&self) -> Vec<String> {
        let files = self.disk().list().unwrap();
        files.into_iter().filter(|file| SegmentName::parse_index(file).is_some()).collect()
    }
}

pub(super) fn flip(position: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[position] ^= 0x10
}

fn damaged(error: LogError, file: &str) -> String {
    match error {
        LogError::Damaged { place, detail } => {
            assert!(place.contains(file), "{place} does not name {file}");
            assert!(place.contains(" at byte "), "{place}");
            detail.to_owned()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_flipped_bit_in_a_closed_segment_stops_its_reader_with_the_place() {
    let written = Written::new();
    let file = written.segments()[1].log();
    written.change(&file, flip(30_000));
    let log = written.open().unwrap();
    let mut reader = log.reader(&topic("in"), 1, 0).unwrap();
    let mut read = 0;
    let error = loop {
        match reader.read(1, WAIT) {
            Ok(entries) => read += entries.len(),
            Err(error) => break error,
        }
    };
    damaged(error, &file);
    damaged(reader.read(1, WAIT).unwrap_err(), &file);
    assert!((1..59).contains(&read), "what stands before the damage is read: {read}");
    let later = log.bounds(&topic("in"), 1).unwrap().end - 1;
    let mut reader = log.reader(&topic("in"), 1, later).unwrap();
    assert_eq!(reader.read(1, WAIT).unwrap().len(), 1, "what stands behind it is read");
}

#[test]
fn a_flipped_bit_with_a_good_frame_behind_it_is_no_torn_tail() {
    let written = Written::new();
    let newest = *written.segments().last().unwrap();
    written.change(&newest.log(), flip(500));
    damaged(written.open().unwrap_err(), &newest.log());
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let written = Written::new();
    let newest = *written.segments().last().unwrap();
    written.change(&newest.log(), |bytes| {
        let length = bytes.len() - 40 - 2_000;
        bytes.truncate(length);
    });
    let log = written.open().unwrap();
    let kept = written.values.len() - 1;
    assert_eq!(values(&*log, "in"), written.values[..kept]);
    let again = send(&log, vec![row("in", &written.values[kept])]);
    assert_eq!(*again[0].as_ref().unwrap(), kept as u64);
    drop(log);
    let log = written.open().unwrap();
    assert_eq!(values(&*log, "in"), written.values);
}

#[test]
fn garbage_behind_the_tail_is_cut() {
    let written = Written::new();
    let newest = *written.segments().last().unwrap();
    written.change(&newest.log(), |bytes| bytes.extend([0xa5; 3_000]));
    assert_eq!(values(&*written.open().unwrap(), "in"), written.values);
}

/// Bytes of real frames inside a record, then a torn frame before them: they must not count as
/// good frames behind a bad one.
#[test]
fn frames_that_a_client_sent_are_none() {
    let written = Written::new();
    let newest = *written.segments().last().unwrap();
    let frames = Bytes::from(std::fs::read(written.dir.path().join(newest.log())).unwrap());
    let log = written.open().unwrap();
    let hostile = ProducerRecord { value: Some(frames.slice(48..)), ..row("in", "") };
    assert!(send(&log, vec![hostile])[0].is_ok());
    drop(log);
    let newest = *written.segments().last().unwrap();
    written.change(&newest.log(), |bytes| {
        let length = bytes.len() - 40 - 1;
        bytes.truncate(length);
    });
    assert_eq!(values(&*written.open().unwrap(), "in"), written.values);
}

#[test]
fn a_closed_segment_cut_short_is_damage() {
    let written = Written::new();
    let file = written.segments()[1].log();
    written.change(&file, |bytes| bytes.truncate(20_000));
    damaged(written.open().unwrap_err(), &file);
}

#[test]
fn a_missing_segment_is_damage() {
    for place in [0, 1] {
        let written = Written::new();
        written.disk().remove(&written.segments()[place].log()).unwrap();
        assert!(matches!(written.open().unwrap_err(), LogError::Damaged { .. }), "at {place}");
    }
}

#[test]
fn a_lost_or_damaged_sidecar_is_rebuilt() {
    let written = Written::new();
    assert_eq!(values(&*written.open().unwrap(), "in"), written.values);
    let sidecars = written.sidecars();
    assert!(sidecars.len() >= 3, "{sidecars:?}");
    written.disk().remove(&sidecars[0]).unwrap();
    written.change(&sidecars[1], flip(40));
    assert_eq!(values(&*written.open().unwrap(), "in"), written.values);
    assert_eq!(written.sidecars().len(), sidecars.len());
}

#[test]
fn a_header_of_another_file_is_damage() {
    let written = Written::new();
    let names = written.segments();
    let (one, two) = (names[0].log(), names[1].log());
    std::fs::copy(written.dir.path().join(&one), written.dir.path().join(&two)).unwrap();
    assert_eq!(
        damaged(written.open().unwrap_err(), &two),
        "the segment's header is that of another file"
    );
}

#[test]
fn another_number_of_partitions_is_refused() {
    let written = Written::new();
    let error = LocalLog::open(LocalSettings::new(written.dir.path(), 3)).unwrap_err();
    assert!(matches!(&error, LogError::PartitionCount { found: 2, expected: 3, .. }), "{error}");
}

#[test]
fn a_segment_that_cannot_be_opened_for_a_while_costs_no_record() {
    let written = Written::new();
    let log = written.open().unwrap();
    let mut consumer = log.consumer("g", &topic("in")).unwrap();
    consumer.poll(0, Duration::ZERO).unwrap();
    consumer.start(1, 0).unwrap();
    let mut reader = log.reader(&topic("in"), 1, 0).unwrap();
    let (file, away) = (written.segments()[1].log(), "away");
    written.disk().rename(&file, away).unwrap();
    let Polled::Records(polled) = consumer.poll(100, WAIT).unwrap() else { panic!("no records") };
    let mut polled: Vec<_> = polled.into_iter().map(|entry| entry.offset).collect();
    let read = reader.read(100, WAIT).unwrap();
    let mut read: Vec<_> = read.into_iter().map(|entry| entry.offset).collect();
    assert_eq!(polled, read);
    for error in [consumer.poll(100, WAIT).unwrap_err(), reader.read(100, WAIT).unwrap_err()] {
        assert!(error.is_retryable(), "{error}");
    }
    written.disk().rename(away, &file).unwrap();
    while polled.len() < 60 {
        let Polled::Records(more) = consumer.poll(100, WAIT).unwrap() else { panic!("no records") };
        polled.extend(more.into_iter().map(|entry| entry.offset));
    }
    while read.len() < 60 {
        read.extend(reader.read(100, WAIT).unwrap().into_iter().map(|entry| entry.offset));
    }
    assert_eq!(polled, (0..60).collect::<Vec<_>>());
    assert_eq!(read, polled);
}
