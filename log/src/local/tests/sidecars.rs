//! Whatever happens to a file beside the log heals, or stops with its cause, its path and a remedy.

use std::fs;
use std::path::Path;

use super::super::disk::Disk;
use super::super::segment::SegmentName;
use super::damage::{Written, flip, settings};
use super::retention::World;
use super::*;
use crate::explain::Explained;

/// Length of a sidecar's header and of its table with one partition: what follows are runs.
const TABLE: usize = 32 + 64 + 4;

type Change = fn(&mut Vec<u8>);

/// What can happen to a sidecar while the log is open: its table is in memory, its runs are not.
const CHANGES: [(&str, Change); 4] = [
    ("cut behind its table", |bytes| bytes.truncate(TABLE)),
    ("cut to nothing", Vec::clear),
    ("a run flipped", |bytes| bytes[TABLE + 3] ^= 1),
    ("a run overwritten", |bytes| bytes[TABLE..].fill(0xff)),
];

/// Opens the log with sidecars written, and changes one of them under it.
fn changed(change: Change) -> (Written, Arc<LocalLog>, String) {
    let written = Written::new();
    drop(written.open().unwrap());
    let log = written.open().unwrap();
    let mut sidecars = written.sidecars();
    sidecars.sort_unstable();
    let sidecar = sidecars.swap_remove(1);
    written.change(&sidecar, change);
    (written, log, sidecar)
}

#[test]
fn a_sidecar_that_cannot_be_read_is_made_anew_while_the_log_is_open() {
    for (name, change) in CHANGES {
        let (written, log, _) = changed(change);
        assert_eq!(values(&*log, "in"), written.values, "{name}");
        drop(log);
        assert_eq!(values(&*written.open().unwrap(), "in"), written.values, "{name}, then opened");
    }
}

#[test]
fn a_sidecar_that_is_gone_is_made_anew_while_the_log_is_open() {
    let (written, log, sidecar) = changed(|_| {});
    written.disk().remove(&sidecar).unwrap();
    assert_eq!(values(&*log, "in"), written.values);
}

#[test]
fn a_sidecar_is_made_anew_for_consumers_and_reports_too() {
    for (name, change) in CHANGES {
        let (written, log, _) = changed(change);
        let mut consumer = log.consumer("g", &topic("in")).unwrap();
        consumer.poll(0, Duration::ZERO).unwrap();
        consumer.start(1, 0).unwrap();
        let mut offsets = Vec::new();
        while offsets.len() < written.values.len() {
            let Polled::Records(some) = consumer.poll(100, WAIT).unwrap() else { panic!("{name}") };
            offsets.extend(some.into_iter().map(|entry| entry.offset));
        }
        assert_eq!(offsets, (0..60).collect::<Vec<_>>(), "{name}");

        let (_written, log, _) = changed(change);
        let mut consumer = log.consumer("g", &topic("in")).unwrap();
        consumer.poll(0, Duration::ZERO).unwrap();
        let second = Arc::clone(&log.open_log.shared.state.read().sealed[1]);
        let offset = second.lanes.values().next().unwrap().first;
        let committed = Committed { offset, metadata: String::new() };
        consumer.commit(&[Position { partition: 1, committed }]).unwrap();
        let report = log.groups().unwrap();
        assert!(report[0].oldest_unread_ms.is_some(), "{name}");
    }
}

#[test]
fn a_sidecar_is_made_anew_for_maintenance_too() {
    let world = World::new();
    for _ in 0..4 {
        world.fill("keyed", "k");
        world.fill("in", "k");
    }
    maintenance::write_sidecars(&world.log.open_log.shared).unwrap();
    for sidecar in world.disk.names(".idx") {
        world.disk.open(&sidecar).unwrap().write_at(&[0xff; 24], 32 + 2 * 64 + 4).unwrap();
    }
    let before = world.segments();
    world.pass(10_001);
    world.fill("out", "k");
    world.maintenance();
    assert!(world.segments() < before, "it removed what it was to remove");
    let mut reader = world.log.reader(&topic("keyed"), 1, 0).unwrap();
    let mut offsets = Vec::new();
    while reader.position() < 80 {
        offsets.extend(reader.read(100, WAIT).unwrap().into_iter().map(|entry| entry.offset));
    }
    assert_eq!(offsets.last(), Some(&79), "the latest of its key");
    assert!(offsets.len() < 40, "{offsets:?}");
}

#[test]
fn maintenance_writes_what_was_made_anew_under_another_name() {
    let (written, log, sidecar) = changed(|bytes| bytes.truncate(TABLE));
    assert_eq!(values(&*log, "in"), written.values);
    let (name, listing) = SegmentName::parse_index(&sidecar).unwrap();
    let renewed = || {
        let sidecars = written.sidecars();
        !sidecars.contains(&sidecar) && sidecars.contains(&name.index(listing + 1))
    };
    let until = std::time::Instant::now() + WAIT;
    while !renewed() {
        assert!(std::time::Instant::now() < until, "{:?}", written.sidecars());
        std::thread::yield_now();
    }
    drop(log);
    let log = written.open().unwrap();
    let in_memory =
        |one: &Arc<segment::Segment>| matches!(one.listed, segment::RunListing::Memory(..));
    assert!(!log.open_log.shared.state.read().sealed.iter().any(in_memory), "none was scanned");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Reads until the end or an error, which must say where and what to do.
fn read_all(dir: &Path) -> (Vec<String>, Option<LogError>) {
    let log = match LocalLog::open(settings(dir)) {
        Ok(log) => log,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut reader = log.reader(&topic("in"), 1, 0).unwrap();
    let end = log.bounds(&topic("in"), 1).unwrap().end;
    let mut values = Vec::new();
    while reader.position() < end {
        match reader.read(100, Duration::ZERO) {
            Ok(entries) => {
                assert!(!entries.is_empty(), "the reader stands still in front of the end");
                let value =
                    |entry: super::super::super::ConsumerRecord| entry.value.unwrap().to_vec();
                values
                    .extend(entries.into_iter().map(|one| String::from_utf8(value(one)).unwrap()));
            }
            Err(error) => return (values, Some(error)),
        }
    }
    (values, None)
}

#[test]
fn every_file_flipped_or_cut_anywhere_heals_or_stops_with_path_and_remedy() {
    let written = Written::new();
    drop(written.open().unwrap());
    let newest = written.segments().last().unwrap().log();
    let mut healed = 0;
    for file in written.disk().list().unwrap() {
        let length = fs::metadata(written.dir.path().join(&file)).unwrap().len();
        let length = usize::try_from(length).unwrap();
        for eighth in 0..8 {
            for cut in [false, true] {
                let (at, dir) = (length * eighth / 8, tempfile::tempdir().unwrap());
                copy(written.dir.path(), dir.path());
                let path = dir.path().join(&file);
                let mut bytes = fs::read(&path).unwrap();
                match cut {
                    true => bytes.truncate(at),
                    false if at < bytes.len() => flip(at)(&mut bytes),
                    false => {}
                }
                fs::write(&path, bytes).unwrap();
                let (values, error) = read_all(dir.path());
                let case = format!("{file} at {at} of {length}, cut: {cut}: {error:?}");
                assert_eq!(values, written.values[..values.len()], "{case}");
                match error {
                    // A newest segment cut short looks like an older state of itself.
                    None if file == newest && cut => {}
                    None => {
                        healed += 1;
                        assert_eq!(values.len(), written.values.len(), "{case}");
                    }
                    Some(error) => {
                        assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{case}");
                        assert_eq!(error.explanation().code, "log_damaged", "{case}");
                        assert!(
                            SegmentName::parse(&file).is_some(),
                            "only segments cannot heal: {case}"
                        );
                    }
                }
            }
        }
    }
    assert!(healed >= 16 * 4, "sidecars heal: {healed}");
}

#[test]
fn an_error_names_what_failed_where_and_what_to_do() {
    use std::io::{Error, ErrorKind};
    let kinds = [
        (ErrorKind::StorageFull.into(), "Make room on this disk"),
        (ErrorKind::ReadOnlyFilesystem.into(), "mount the file system for writing"),
        (ErrorKind::PermissionDenied.into(), "Give that user the right"),
        (ErrorKind::NotFound.into(), "`data` in the configuration"),
        (Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()), "ulimit -n"),
        (Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()), "Check this disk"),
    ];
    for (error, remedy) in kinds {
        let said = errors::unavailable("create a segment", || "/data/log/1.log".to_owned())(error);
        assert!(said.is_retryable(), "{said}");
        assert!(said.explanation().remedy.contains(remedy), "{said}");
        let said = said.to_string();
        for part in ["create a segment", "/data/log/1.log", remedy] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let error = LocalLog::open(LocalSettings::new(&file, 2)).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("; "), "{error}");
    let missing = dir.path().join("missing");
    let error = open_view(&missing).err().unwrap().to_string();
    assert!(error.contains(missing.to_str().unwrap()) && error.contains("`data`"), "{error}");
}

#[test]
fn a_segment_of_another_format_is_refused_with_what_to_do() {
    let written = Written::new();
    let oldest = written.segments()[0].log();
    written.change(&oldest, |bytes| {
        bytes[8] = 1;
        let crc = crc32c::crc32c(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    });
    let error = written.open().unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.explanation().code, "local_log_format");
    let said = error.to_string();
    for part in [oldest.as_str(), "format 1", "reads 2", "run the version that wrote it"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
