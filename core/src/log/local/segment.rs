//! Segments: their names, their making, their scanning.
//!
//! A segment's name carries the numbers it covers and a generation. A file that is written anew
//! (a tail after a crash, or several segments merged by retention) gets a higher generation and
//! covers what the old ones covered; it appears whole, by rename after sync. So where two files
//! cover the same numbers the higher generation stands and the other is a leftover: a crash
//! between writing and unlinking shows nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::disk::{Disk, DiskFile};
use super::frame::{self, Frame, FrameKind, Lane, Records, Salt, SectionHead, SectionKind};
use super::index::{self, Index, LaneSummary, Run};
use super::settings::unavailable;
use super::wire::Fields;
use crate::log::LogError;

const MAGIC: u64 = u64::from_le_bytes(*b"tillrace");
const VERSION: u32 = 1;
/// Bytes before the first frame.
pub(super) const HEADER: u64 = 48;
/// How a file is named until it is whole.
pub(super) const DRAFT: &str = ".tmp";

/// Which segment numbers a file covers, and how often they were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) generation: u32,
}

impl SegmentName {
    pub(super) fn log(&self) -> String {
        format!("{:010}-{:010}-{:06}.log", self.first, self.last, self.generation)
    }

    /// Name of a sidecar. Each listing has a name of its own: a reader that holds the one before
    /// finds what it expects, or nothing.
    pub(super) fn index(&self, listing: u32) -> String {
        format!("{:010}-{:010}-{:06}-{listing:06}.idx", self.first, self.last, self.generation)
    }

    /// Parses the name of a sidecar.
    pub(super) fn parse_index(file: &str) -> Option<(Self, u32)> {
        let (name, listing) = file.strip_suffix(".idx")?.rsplit_once('-')?;
        let (name, listing) = (Self::parse(&format!("{name}.log"))?, listing.parse().ok()?);
        (name.index(listing) == file).then_some((name, listing))
    }

    pub(super) fn parse(file: &str) -> Option<Self> {
        let mut numbers = file.strip_suffix(".log")?.split('-');
        let first = numbers.next()?.parse().ok()?;
        let last = numbers.next()?.parse().ok()?;
        let generation = numbers.next()?.parse().ok()?;
        let name = Self { first, last, generation };
        (numbers.next().is_none() && first <= last && name.log() == file).then_some(name)
    }

    /// Tells whether this file replaces the other.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        self.generation > other.generation && self.first <= other.first && other.last <= self.last
    }
}

/// A closed segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) salt: Salt,
    pub(super) length: u64,
    pub(super) lanes: BTreeMap<Lane, LaneSummary>,
    pub(super) listed: Listed,
}

/// Where the runs of a closed segment are listed.
#[derive(Debug, Clone)]
pub(super) enum Listed {
    /// In memory, until the sidecar is written.
    Memory(Arc<Index>),
    /// In the sidecar of this number.
    Sidecar(u32),
}

impl Segment {
    /// Returns the runs of one partition.
    ///
    /// # Errors
    /// When the sidecar cannot be read or is damaged.
    pub(super) fn runs(&self, disk: &dyn Disk, lane: Lane) -> Result<Arc<[Run]>, LogError> {
        let Some(summary) = self.lanes.get(&lane) else { return Ok(Arc::from([])) };
        match &self.listed {
            Listed::Memory(index) => {
                let runs = index.lanes.get(&lane).map(|runs| runs.runs.as_slice());
                Ok(Arc::from(runs.unwrap_or_default()))
            }
            Listed::Sidecar(listing) => index::read_runs(disk, &self.name.index(*listing), summary),
        }
    }

    /// Writes another listing of the same records, or of fewer of them.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn relist(&self, disk: &dyn Disk, index: &Index) -> Result<Self, LogError> {
        let listing = match self.listed {
            Listed::Memory(_) => 0,
            Listed::Sidecar(listing) => listing + 1,
        };
        let Self { name, salt, length, .. } = *self;
        let lanes = index.write_sidecar(disk, &name.index(listing), salt, length)?;
        Ok(Self { name, salt, length, lanes, listed: Listed::Sidecar(listing) })
    }

    /// Unlinks the sidecar; one that is gone already is no error.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn remove_sidecar(&self, disk: &dyn Disk) -> Result<(), LogError> {
        match self.listed {
            Listed::Memory(_) => Ok(()),
            Listed::Sidecar(listing) => remove_file(disk, &self.name.index(listing)),
        }
    }

    /// Unlinks the segment and its sidecar.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn remove(&self, disk: &dyn Disk) -> Result<(), LogError> {
        self.remove_sidecar(disk)?;
        remove_file(disk, &self.name.log())
    }
}

/// Unlinks a file; one that is gone already is no error.
pub(super) fn remove_file(disk: &dyn Disk, file: &str) -> Result<(), LogError> {
    match disk.remove(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(unavailable("remove a file")(error))
        }
        _ => Ok(()),
    }
}

/// A segment being written under a draft's name.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    disk: &'a dyn Disk,
    pub(super) name: SegmentName,
    pub(super) salt: Salt,
    file: Arc<dyn DiskFile>,
    pub(super) position: u64,
}

impl<'a> Draft<'a> {
    /// Creates the file with its header.
    pub(super) fn create(disk: &'a dyn Disk, name: SegmentName) -> Result<Self, LogError> {
        let salt = Salt::random();
        let failed = unavailable("create a segment");
        let file = disk.create(&(name.log() + DRAFT)).map_err(&failed)?;
        let mut header = Vec::with_capacity(48);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&name.generation.to_le_bytes());
        header.extend_from_slice(&name.first.to_le_bytes());
        header.extend_from_slice(&name.last.to_le_bytes());
        header.extend_from_slice(&salt.0.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        file.write_at(&header, 0).map_err(&failed)?;
        Ok(Self { disk, name, salt, file, position: HEADER })
    }

    /// Writes a finished frame at [`Self::position`].
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), LogError> {
        self.file.write_at(frame, self.position).map_err(unavailable("write a segment"))?;
        self.position += frame.len() as u64;
        Ok(())
    }

    /// Makes it durable under its own name.
    pub(super) fn publish(self) -> Result<Arc<dyn DiskFile>, LogError> {
        let failed = unavailable("publish a segment");
        self.file.sync().map_err(&failed)?;
        let name = self.name.log();
        self.disk.rename(&format!("{name}{DRAFT}"), &name).map_err(&failed)?;
        self.disk.sync_folder().map_err(&failed)?;
        Ok(self.file)
    }
}

/// Reads and checks a segment's header.
///
/// # Errors
/// [`LogError::Damaged`] when it is not the header of this segment.
pub(super) fn read_header(disk: &dyn Disk, name: &SegmentName) -> Result<(Salt, u64), LogError> {
    let failed = unavailable("open a segment");
    let file = disk.open(&name.log()).map_err(&failed)?;
    let length = file.length().map_err(&failed)?;
    let damaged = |detail| damaged(disk, name, 0, detail);
    if length < HEADER {
        return Err(damaged("the segment's header is cut short"));
    }
    let mut header = [0; 48];
    file.read_at(&mut header, 0).map_err(&failed)?;
    let wrong = || damaged("the segment's header does not hold");
    let mut fields = Fields::new(&header);
    let magic = fields.u64().ok_or_else(wrong)?;
    let version = fields.u32().ok_or_else(wrong)?;
    let generation = fields.u32().ok_or_else(wrong)?;
    let first = fields.u64().ok_or_else(wrong)?;
    let last = fields.u64().ok_or_else(wrong)?;
    let salt = fields.u64().ok_or_else(wrong)?;
    let crc = fields.take(4).and_then(|_| fields.u32()).ok_or_else(wrong)?;
    if magic != MAGIC || crc != crc32c::crc32c(&header[..44]) {
        return Err(wrong());
    }
    if version != VERSION {
        return Err(damaged("the segment was written by another version of this program"));
    }
    if *name != (SegmentName { first, last, generation }) {
        return Err(damaged("the segment's header is that of another file"));
    }
    Ok((Salt(salt), length))
}

/// Says where the damage is.
pub(super) fn damaged(
    disk: &dyn Disk,
    name: &SegmentName,
    position: u64,
    detail: &'static str,
) -> LogError {
    LogError::Damaged { place: format!("{} at byte {position}", disk.place(&name.log())), detail }
}

/// Reads a whole segment.
pub(super) fn read_all(
    disk: &dyn Disk,
    name: &SegmentName,
    length: u64,
) -> Result<Vec<u8>, LogError> {
    let failed = unavailable("read a segment");
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let file = disk.open(&name.log()).map_err(&failed)?;
    file.read_at(&mut bytes, 0).map_err(&failed)?;
    Ok(bytes)
}

/// How far a scan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// End of the last good frame.
    pub(super) end: u64,
    /// Whether that frame is a seal.
    pub(super) sealed: bool,
    /// What is wrong after it; `None` at the end of the file.
    pub(super) fault: Option<&'static str>,
}

/// Takes a frame and the bytes it begins.
pub(super) type Visit<'a> = dyn FnMut(&Frame, &[u8]) -> Result<(), &'static str> + 'a;

/// Goes through the frames of a segment's bytes.
///
/// # Errors
/// What `visit` returns; and [`LogError::Damaged`] when a good frame stands behind a bad one:
/// a crash tears only the last.
pub(super) fn scan(
    disk: &dyn Disk,
    name: &SegmentName,
    salt: Salt,
    bytes: &[u8],
    visit: &mut Visit<'_>,
) -> Result<Scanned, LogError> {
    let mut scanned = Scanned { end: HEADER, sealed: false, fault: None };
    let from = |position: u64| {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        bytes.get(position..).unwrap_or_default()
    };
    while scanned.end < bytes.len() as u64 {
        let rest = from(scanned.end);
        match frame::parse_frame(rest, salt, scanned.end) {
            Ok(found) => {
                visit(&found, rest).map_err(|detail| damaged(disk, name, scanned.end, detail))?;
                scanned.sealed = found.kind == FrameKind::Seal;
                scanned.end += found.length as u64;
            }
            Err(fault) => {
                let later = (scanned.end + 1..bytes.len() as u64)
                    .any(|position| frame::parse_frame(from(position), salt, position).is_ok());
                if later {
                    return Err(damaged(disk, name, scanned.end, fault));
                }
                scanned.fault = Some(fault);
                break;
            }
        }
    }
    Ok(scanned)
}

/// Adds a frame's records to an index.
pub(super) fn index_frame(
    index: &mut Index,
    frame: &Frame,
    bytes: &[u8],
) -> Result<(), &'static str> {
    for section in &frame.sections {
        let head = &section.head;
        if head.kind == SectionKind::Controls || head.count == 0 {
            continue;
        }
        let (mut last, mut newest_ms) = (head.first + u64::from(head.count - 1), head.appended_ms);
        let mut first = head.first;
        if head.kind == SectionKind::Copies {
            let body = &bytes[section.body.clone()];
            let mut records = Records::new(head);
            let mut at_first = true;
            while let Some(record) = records.next(body) {
                let record = record?;
                if at_first {
                    (first, at_first) = (record.offset, false);
                }
                (last, newest_ms) = (record.offset, record.appended_ms);
            }
        }
        let narrow = |number: u64| u32::try_from(number).ok();
        let run = || {
            let span = narrow(last.wrapping_sub(first))?;
            let position = narrow(section.position)?;
            Some(Run { first, span, position, length: narrow(section.length() as u64)? })
        };
        let run = run().ok_or("a section is too long")?;
        index.add(head.lane, run, (head.appended_ms, newest_ms));
    }
    Ok(())
}

/// Reads one section of a segment and checks it.
///
/// # Errors
/// When the disk fails, or [`LogError::Damaged`] when it does not hold.
pub(super) fn read_section(
    disk: &dyn Disk,
    (file, name, salt): (&dyn DiskFile, &SegmentName, Salt),
    run: &Run,
) -> Result<(SectionHead, Bytes), LogError> {
    let position = u64::from(run.position);
    let mut bytes = BytesMut::zeroed(run.length as usize);
    file.read_at(&mut bytes, position).map_err(unavailable("read a segment"))?;
    let section = frame::parse_section(&bytes, salt, position)
        .map_err(|detail| damaged(disk, name, position, detail))?;
    Ok((section.head, bytes.freeze().slice(section.body)))
}
