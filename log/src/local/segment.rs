//! Segments: their names, their making, their reading.
//!
//! A segment's name carries the numbers it covers and a generation. A file that is written anew
//! (a tail after a crash, or several segments merged by retention) gets a higher generation and
//! covers what the old ones covered; it appears whole, by rename after sync. So where two files
//! cover the same numbers the higher generation stands and the other is a leftover: a crash
//! between writing and unlinking shows nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::disk::{Disk, DiskFile};
use super::errors::{LocalFault, unavailable};
use super::frame::{self, Lane, Salt, SectionHead, Unpacked};
use super::index::{self, Index, LaneSummary};
use super::run::Run;
use super::wire::Fields;
use crate::LogError;

const MAGIC: u64 = u64::from_le_bytes(*b"tillrace");
const VERSION: u32 = 2;
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
    pub(super) listed: RunListing,
}

/// Where the runs of a closed segment are listed.
#[derive(Debug, Clone)]
pub(super) enum RunListing {
    /// In memory, until the sidecar of this number is written. One with a lower number, if there
    /// is any, could not be read.
    Memory(Arc<Index>, u32),
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
            RunListing::Memory(index, _) => {
                let runs = index.lanes.get(&lane).map(|runs| runs.runs.as_slice());
                Ok(Arc::from(runs.unwrap_or_default()))
            }
            RunListing::Sidecar(listing) => {
                index::read_runs(disk, &self.name.index(*listing), summary)
            }
        }
    }

    /// Writes another listing of the same records, or of fewer of them.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn relist(&self, disk: &dyn Disk, index: &Index) -> Result<Self, LogError> {
        let listing = match self.listed {
            RunListing::Memory(_, listing) => listing,
            RunListing::Sidecar(listing) => listing + 1,
        };
        let Self { name, salt, length, .. } = *self;
        let lanes = index.write_sidecar(disk, &name.index(listing), salt, length)?;
        Ok(Self { name, salt, length, lanes, listed: RunListing::Sidecar(listing) })
    }

    /// Unlinks the sidecar; one that is gone already is no error.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn remove_sidecar(&self, disk: &dyn Disk) -> Result<(), LogError> {
        let listing = match self.listed {
            RunListing::Memory(_, listing) => listing.checked_sub(1),
            RunListing::Sidecar(listing) => Some(listing),
        };
        listing.map_or(Ok(()), |listing| remove_file(disk, &self.name.index(listing)))
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
            Err(unavailable("remove a file", || disk.place(file))(error))
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
    /// Creates the file and writes nothing, so that a failure says no more than that it could not
    /// be opened.
    pub(super) fn create(disk: &'a dyn Disk, name: SegmentName) -> Result<Self, LogError> {
        let draft = name.log() + DRAFT;
        let failed = unavailable("create a segment", || disk.place(&draft));
        let file = disk.create(&draft).map_err(failed)?;
        Ok(Self { disk, name, salt: Salt::random(), file, position: HEADER })
    }

    /// Writes a finished frame at [`Self::position`].
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), LogError> {
        let failed = unavailable("write a segment", || self.disk.place(&(self.name.log() + DRAFT)));
        self.file.write_at(frame, self.position).map_err(failed)?;
        self.position += frame.len() as u64;
        Ok(())
    }

    /// Writes the header and makes the file durable under its own name.
    pub(super) fn publish(self) -> Result<Arc<dyn DiskFile>, LogError> {
        let name = self.name.log();
        let failed = unavailable("publish a segment", || self.disk.place(&name));
        self.file.write_at(&self.header(), 0).map_err(&failed)?;
        self.file.sync().map_err(&failed)?;
        self.disk.rename(&format!("{name}{DRAFT}"), &name).map_err(&failed)?;
        self.disk.sync_folder().map_err(&failed)?;
        Ok(self.file)
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(48);
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&self.name.generation.to_le_bytes());
        header.extend_from_slice(&self.name.first.to_le_bytes());
        header.extend_from_slice(&self.name.last.to_le_bytes());
        header.extend_from_slice(&self.salt.0.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Reads and checks a segment's header.
///
/// # Errors
/// [`LogError::Damaged`] when it is not the header of this segment.
pub(super) fn read_header(disk: &dyn Disk, name: &SegmentName) -> Result<(Salt, u64), LogError> {
    let failed = unavailable("open a segment", || disk.place(&name.log()));
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
        let place = disk.place(&name.log());
        let fault = LocalFault::Format { place, found: version, expected: VERSION };
        return Err(fault.refusing("open the local log"));
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
    let failed = unavailable("read a segment", || disk.place(&name.log()));
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let file = disk.open(&name.log()).map_err(&failed)?;
    file.read_at(&mut bytes, 0).map_err(&failed)?;
    Ok(bytes)
}

/// Says what it means that a part of a segment could not be read.
pub(super) fn read_failed(
    disk: &dyn Disk,
    name: &SegmentName,
    position: u64,
    error: std::io::Error,
) -> LogError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return damaged(disk, name, position, "the segment is cut short");
    }
    unavailable("read a segment", || disk.place(&name.log()))(error)
}

/// Opens a segment for reading.
///
/// # Errors
/// When the disk fails.
pub(super) fn open(disk: &dyn Disk, name: &SegmentName) -> Result<Arc<dyn DiskFile>, LogError> {
    let file = name.log();
    disk.open(&file).map_err(unavailable("open a segment", || disk.place(&file)))
}

/// Reads the block of a run, checks and unpacks it.
///
/// # Errors
/// When the disk fails, or [`LogError::Damaged`] when it does not hold.
pub(super) fn read_block(
    disk: &dyn Disk,
    (file, name, salt): (&dyn DiskFile, &SegmentName, Salt),
    run: &Run,
) -> Result<Unpacked, LogError> {
    let position = u64::from(run.position);
    let mut bytes = vec![0; run.length as usize];
    file.read_at(&mut bytes, position).map_err(|error| read_failed(disk, name, position, error))?;
    frame::parse_block(&bytes, salt, position)
        .and_then(|block| block.unpack(&bytes))
        .map_err(|detail| damaged(disk, name, position, detail))
}

/// Reads the section of a run and checks it.
///
/// # Errors
/// When the disk fails, or [`LogError::Damaged`] when it does not hold.
pub(super) fn read_section(
    disk: &dyn Disk,
    place: (&dyn DiskFile, &SegmentName, Salt),
    lane: Lane,
    run: &Run,
) -> Result<(SectionHead, Bytes), LogError> {
    let found = read_block(disk, place, run)?.find(lane, run.first);
    let position = u64::from(run.position);
    found.ok_or_else(|| damaged(disk, place.1, position, NOT_IN_BLOCK))
}

/// What is wrong where an index and its segment differ.
pub(super) const NOT_IN_BLOCK: &str = "the block does not hold the section that the index names";
