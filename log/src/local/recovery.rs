//! Opening a log: what a crash left, made whole before anything is served.
//!
//! Only the newest segment is scanned; the others are opened by the table of their sidecar. The
//! newest begins with a snapshot of the catalog, so it tells everything that is not a record.
//!
//! - A bad frame with a good one behind it is damage: an error that says where. A bad frame at the
//!   end is what a crash tore: it is cut, and logged.
//! - The tail is trusted when a seal ends it; otherwise its bytes may be in the page cache only,
//!   and the segment is written anew, with a new salt, and synced. Even a seal is written again,
//!   so that it is durable before anything follows it.
//!
//! Opening after a crash needs room for one more segment: on a full disk it fails, changing nothing.
//!
//! **Limit.** The newest unsealed frame is the one place where damage and tearing look alike: bits
//! that flip there after a crash and before the next opening cut that frame, acknowledged or not.
//! A newest segment cut short at a frame's border, by hand, cannot be told from an older state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Catalog, Control};
use super::compression::Compression;
use super::disk::Disk;
use super::errors::unavailable;
use super::frame::{
    Frame, FrameKind, FrameWriter, Records, Salt, SectionHead, SectionKind, parse_frame,
};
use super::index::{self, Index};
use super::lines;
use super::scan::{self, Scanned};
use super::segment::{self, Draft, RunListing, Segment, SegmentName};
use super::state::{Active, State};
use super::wire::Fields;
use super::writer::{Tail, write_snapshot};
use crate::explain::code_of;
use crate::{LogError, Partition};

/// What opening found.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) tail: Tail,
}

/// Opens what is in a folder, or begins a log there.
///
/// # Errors
/// [`LogError::Damaged`] when what was acknowledged is missing or does not hold;
/// [`LogError::PartitionCount`] when topics have another number of partitions.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    partitions: Option<Partition>,
) -> Result<Recovered, LogError> {
    let mut files = clean(&**disk)?;
    let Some((newest, listing)) = files.pop_last() else { return begin(&**disk) };
    if listing.is_some() {
        // A sidecar is written only when the next segment stands.
        return Err(segment::damaged(&**disk, &newest, 0, "the newest segment is missing"));
    }
    let scanned = ScannedTail::read(&**disk, newest)?;
    let beginning = scanned.catalog.beginning;
    let sealed = open_sealed(&**disk, &files, beginning, newest)?;
    if let Some(expected) = partitions
        && let Some(topic) =
            scanned.catalog.topics.iter().find(|topic| topic.ends.len() != expected as usize)
    {
        return Err(LogError::PartitionCount {
            topic: topic.name.clone(),
            found: u32::try_from(topic.ends.len()).unwrap_or(u32::MAX),
            expected,
        });
    }
    scanned.make_durable(disk, sealed)
}

/// Segments in order, each with the number of its newest sidecar.
type Files = BTreeMap<SegmentName, Option<u32>>;

/// Removes drafts, superseded segments and sidecars that belong to none; returns the rest.
fn clean(disk: &dyn Disk) -> Result<Files, LogError> {
    let failed = unavailable("list the segments of the local log", || disk.place(""));
    let files = disk.list().map_err(&failed)?;
    let mut names: Vec<_> = files.iter().filter_map(|file| SegmentName::parse(file)).collect();
    let all = names.clone();
    names.retain(|name| !all.iter().any(|other| other.supersedes(name)));
    let mut kept: Files = names.into_iter().map(|name| (name, None)).collect();
    for (name, listing) in files.iter().filter_map(|file| SegmentName::parse_index(file)) {
        if let Some(newest) = kept.get_mut(&name) {
            *newest = (*newest).max(Some(listing));
        }
    }
    for file in files {
        let stays = match (SegmentName::parse(&file), SegmentName::parse_index(&file)) {
            (Some(name), _) => kept.contains_key(&name),
            (_, Some((name, listing))) => kept.get(&name) == Some(&Some(listing)),
            _ => !file.ends_with(segment::DRAFT),
        };
        if !stays {
            segment::remove_file(disk, &file)?;
        }
    }
    Ok(kept)
}

/// Opens the closed segments: none may be missing between the beginning and the newest.
fn open_sealed(
    disk: &dyn Disk,
    files: &Files,
    beginning: u64,
    newest: SegmentName,
) -> Result<Vec<Arc<Segment>>, LogError> {
    let mut sealed = Vec::new();
    let mut expected = beginning;
    for (name, listing) in files {
        if name.last < beginning {
            // Retention had let it go and was about to unlink it.
            remove_segment(disk, name, *listing)?;
            continue;
        }
        if name.first != expected {
            return Err(segment::damaged(disk, name, 0, "a segment before this one is missing"));
        }
        expected = name.last + 1;
        sealed.push(Arc::new(open_segment(disk, *name, *listing)?));
    }
    if expected != newest.first {
        return Err(segment::damaged(disk, &newest, 0, "a segment before this one is missing"));
    }
    Ok(sealed)
}

/// Unlinks a segment and its sidecar.
fn remove_segment(
    disk: &dyn Disk,
    name: &SegmentName,
    listing: Option<u32>,
) -> Result<(), LogError> {
    if let Some(listing) = listing {
        segment::remove_file(disk, &name.index(listing))?;
    }
    segment::remove_file(disk, &name.log())
}

/// Opens a closed segment by its sidecar's table, or by a scan that writes the sidecar anew.
fn open_segment(
    disk: &dyn Disk,
    name: SegmentName,
    listing: Option<u32>,
) -> Result<Segment, LogError> {
    let (salt, length) = segment::read_header(disk, &name)?;
    if let Some(listing) = listing {
        let file = name.index(listing);
        if let Some(lanes) = index::read_table(disk, &file, salt, length) {
            return Ok(Segment { name, salt, length, lanes, listed: RunListing::Sidecar(listing) });
        }
        tracing::warn!(
            code = lines::INDEX_UNREADABLE.code,
            file = disk.place(&file),
            "a segment's index cannot be read; it is made anew by a scan of the segment"
        );
    }
    let index = scan::index_of(disk, &name, salt, length)?;
    let lanes = index.summaries();
    let next = listing.map_or(0, |listing| listing + 1);
    let listed = RunListing::Memory(Arc::new(index.clone()), next);
    let in_memory = Segment { name, salt, length, lanes, listed };
    match in_memory.relist(disk, &index) {
        Ok(relisted) => {
            in_memory.remove_sidecar(disk)?;
            Ok(relisted)
        }
        Err(error) => {
            // What is only derived is no reason not to open; maintenance tries again.
            let code = code_of(&error);
            tracing::warn!(code, %error, "could not write the index of a segment yet");
            Ok(in_memory)
        }
    }
}

/// Begins a log in an empty folder.
fn begin(disk: &dyn Disk) -> Result<Recovered, LogError> {
    let name = SegmentName { first: 1, last: 1, generation: 0 };
    let catalog = Catalog { beginning: 1, ..Catalog::default() };
    let mut draft = Draft::create(disk, name)?;
    let mut frame = FrameWriter::new(Compression::None);
    let place = (draft.salt, draft.position);
    draft.append(write_snapshot(&mut frame, place, &catalog.snapshot(), (1, 0)))?;
    let (salt, position) = (draft.salt, draft.position);
    let file = draft.publish()?;
    let active = Active { name, salt, file: Arc::clone(&file), index: Index::default() };
    let tail = Tail { name, salt, file, position, sealed: false, next_lsn: 1, last_ms: 0 };
    Ok(Recovered { state: State { catalog, sealed: Vec::new(), active }, tail })
}

/// The newest segment, as a scan found it.
struct ScannedTail {
    name: SegmentName,
    salt: Salt,
    bytes: Vec<u8>,
    scanned: Scanned,
    catalog: Catalog,
    index: Index,
    next_lsn: u64,
    last_ms: i64,
}

impl ScannedTail {
    fn read(disk: &dyn Disk, name: SegmentName) -> Result<Self, LogError> {
        let (salt, length) = segment::read_header(disk, &name)?;
        let bytes = segment::read_all(disk, &name, length)?;
        let (mut catalog, mut index) = (Catalog::default(), Index::default());
        let (mut next_lsn, mut last_ms) = (1, 0);
        let scanned = scan::scan(disk, &name, salt, &bytes, &mut |frame, bytes| {
            scan::index_frame(&mut index, frame, bytes)?;
            replay(&mut catalog, frame, bytes)?;
            let sections = frame.blocks.iter().flat_map(|block| &block.sections);
            let items: u64 = sections.map(|section| u64::from(section.head.count)).sum();
            next_lsn = next_lsn.max(frame.lsn + items);
            last_ms = last_ms.max(frame.appended_ms);
            Ok(())
        })?;
        if scanned.end == segment::HEADER {
            // A segment appears whole, with its snapshot; without one it is not what we wrote.
            let detail = scanned.fault.unwrap_or("the segment holds no frame");
            return Err(segment::damaged(disk, &name, scanned.end, detail));
        }
        Ok(Self { name, salt, bytes, scanned, catalog, index, next_lsn, last_ms })
    }

    /// Makes sure that everything served is durable, and opens the tail for writing.
    fn make_durable(
        self,
        disk: &Arc<dyn Disk>,
        sealed: Vec<Arc<Segment>>,
    ) -> Result<Recovered, LogError> {
        if let Some(fault) = self.scanned.fault {
            tracing::warn!(
                code = lines::TORN_TAIL.code,
                file = disk.place(&self.name.log()),
                position = self.scanned.end,
                cut_bytes = self.bytes.len() as u64 - self.scanned.end,
                fault,
                "cut a torn tail off the local log"
            );
        }
        let clean = self.scanned.sealed && self.scanned.fault.is_none();
        let (name, salt, file) =
            if clean { self.sync_seal(&**disk)? } else { self.rewrite(&**disk)? };
        let Self { scanned, catalog, index, next_lsn, last_ms, .. } = self;
        let active = Active { name, salt, file: Arc::clone(&file), index };
        let state = State { catalog, sealed, active };
        let (position, sealed) = (scanned.end, scanned.sealed);
        let tail = Tail { name, salt, file, position, sealed, next_lsn, last_ms };
        Ok(Recovered { state, tail })
    }

    /// Writes the seal again and syncs it.
    fn sync_seal(&self, disk: &dyn Disk) -> Result<Opened, LogError> {
        let failed = unavailable("sync the newest segment", || disk.place(&self.name.log()));
        let file = disk.open(&self.name.log()).map_err(&failed)?;
        let mut frame = FrameWriter::new(Compression::None);
        frame.begin(self.salt, 0, FrameKind::Seal, 0, 0);
        let start = self.scanned.end - frame.finish().len() as u64;
        let seal = &self.bytes[usize::try_from(start).unwrap_or(usize::MAX)..];
        file.write_at(seal, start).map_err(&failed)?;
        file.sync().map_err(&failed)?;
        Ok((self.name, self.salt, file))
    }

    /// Writes the good frames into a new file with a new salt; positions stay what they were.
    fn rewrite(&self, disk: &dyn Disk) -> Result<Opened, LogError> {
        let name = SegmentName { generation: self.name.generation + 1, ..self.name };
        let mut draft = Draft::create(disk, name)?;
        let mut writer = FrameWriter::new(Compression::None);
        while draft.position < self.scanned.end {
            let rest = &self.bytes[usize::try_from(draft.position).unwrap_or(usize::MAX)..];
            let found = parse_frame(rest, self.salt, draft.position)
                .map_err(|detail| segment::damaged(disk, &self.name, draft.position, detail))?;
            writer.begin(draft.salt, draft.position, found.kind, found.lsn, found.appended_ms);
            for block in &found.blocks {
                writer.stored_block(block, rest);
            }
            draft.append(writer.finish())?;
        }
        let salt = draft.salt;
        let file = draft.publish()?;
        segment::remove_file(disk, &self.name.log())?;
        disk.sync_folder().map_err(unavailable("sync the folder", || disk.place("")))?;
        Ok((name, salt, file))
    }
}

type Opened = (SegmentName, Salt, Arc<dyn super::disk::DiskFile>);

/// Takes a frame's controls and records into the catalog.
fn replay(catalog: &mut Catalog, frame: &Frame, bytes: &[u8]) -> Result<(), &'static str> {
    for block in &frame.blocks {
        let bodies = block.telling_bodies(bytes)?;
        for section in &block.sections {
            let body = bodies.get(section.body.clone()).unwrap_or_default();
            replay_section(catalog, &section.head, body)
                .ok_or("a frame contradicts those before it")?;
        }
    }
    Ok(())
}

fn replay_section(catalog: &mut Catalog, head: &SectionHead, body: &[u8]) -> Option<()> {
    match head.kind {
        SectionKind::Controls => {
            let mut fields = Fields::new(body);
            while !fields.is_empty() {
                catalog.apply(&Control::decode(&mut fields)?)?;
            }
        }
        SectionKind::Records => {
            catalog.set_end(head.lane, head.first + u64::from(head.count))?;
        }
        SectionKind::Copies => {
            let mut records = Records::new(head);
            while let Some(record) = records.next(body) {
                catalog.set_end(head.lane, record.ok()?.offset + 1)?;
            }
        }
    }
    Some(())
}
