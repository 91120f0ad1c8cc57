//! Merging: neighbours that are mostly forgotten become one segment of what is still needed.
//!
//! The merged file covers the numbers of all it replaces, under a higher generation. It appears
//! whole, by rename after sync, and only then are the old ones unlinked; so a crash in between
//! leaves two files with the same records, of which opening ignores and removes the old. Every
//! record keeps its offset, its time and its log sequence number.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::forget::{Latest, floor, is_compacted};
use super::frame::{FrameKind, FrameWriter, Lane, Record, Records, SectionHead, SectionKind};
use super::index::Index;
use super::segment::{self, Draft, Listed, Segment, SegmentName};
use super::state::Shared;
use super::upkeep::replace;
use crate::{LogError, Offset};

/// Bytes of a frame of copies, about.
const FRAME_BYTES: usize = 4 << 20;
/// Forgotten bytes of a segment below which copying the rest is not worth it.
const WORTH_BYTES: u64 = 64 << 10;
/// So many small neighbours are worth joining even if nothing of them is forgotten.
const MANY: usize = 8;
/// How long a tombstone stays for readers that have yet to see it.
const TOMBSTONE_MS: i64 = 86_400_000;

/// Merges until there is nothing worth it.
pub(super) fn all(shared: &Arc<Shared>) -> Result<(), LogError> {
    while let Some(neighbours) = worthwhile(shared) {
        merge(shared, &neighbours)?;
    }
    Ok(())
}

/// Finds neighbours that are half forgotten, or many small ones, whose rest fits one segment.
fn worthwhile(shared: &Shared) -> Option<Vec<Arc<Segment>>> {
    let sealed = shared.state.read().sealed.clone();
    let limit = shared.tuning.segment_bytes.as_u64();
    let needed = |segment: &Segment| segment.lanes.values().map(|lane| lane.bytes).sum::<u64>();
    let sparse = |segment: &Segment| {
        let forgotten = segment.length.saturating_sub(needed(segment));
        forgotten >= WORTH_BYTES.max(segment.length / 2)
    };
    let mut first = 0;
    while first < sealed.len() {
        let mut bytes = 0;
        let fits = |segment: &&Arc<Segment>| {
            bytes += needed(segment);
            (sparse(segment) || segment.length <= limit / 8) && bytes <= limit
        };
        let neighbours: Vec<_> = sealed[first..].iter().take_while(fits).cloned().collect();
        if neighbours.len() >= MANY || neighbours.iter().any(|segment| sparse(segment)) {
            return Some(neighbours);
        }
        first += neighbours.len().max(1);
    }
    None
}

fn merge(shared: &Arc<Shared>, old: &[Arc<Segment>]) -> Result<(), LogError> {
    let names: Vec<_> = old.iter().map(|segment| segment.name).collect();
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(()) };
    let generation = names.iter().map(|name| name.generation).max().unwrap_or(0) + 1;
    let name = SegmentName { first: first.first, last: last.last, generation };
    let mut copier = Copier::begin(shared, name)?;
    let lanes: BTreeSet<Lane> = old.iter().flat_map(|one| one.lanes.keys().copied()).collect();
    for lane in lanes {
        let wanted = wanted(shared, old, lane)?;
        for segment in old {
            copier.copy(segment, lane, &wanted)?;
        }
    }
    let new = copier.finish()?;
    let (before, after) = (old.iter().map(|one| one.length).sum::<u64>(), new.length);
    replace(shared, &names, Some(new));
    for segment in old {
        segment.remove(&*shared.disk)?;
    }
    shared.sync_folder()?;
    tracing::info!(segments = names.len(), before, after, "merged segments of the local log");
    Ok(())
}

/// Which records of a partition go along.
enum Wanted {
    All,
    /// Offsets from the floor on, and the latest of each key below it.
    Latest {
        floor: Offset,
        offsets: HashSet<Offset>,
        no_tombstones_before_ms: i64,
    },
}

fn wanted(shared: &Shared, old: &[Arc<Segment>], lane: Lane) -> Result<Wanted, LogError> {
    let (newer, floor, from_oldest) = {
        let state = shared.state.read();
        if !is_compacted(&state.catalog, lane) {
            return Ok(Wanted::All);
        }
        let last = old.last().map_or(0, |segment| segment.name.last);
        let newer: Vec<_> =
            state.sealed.iter().filter(|segment| segment.name.first > last).cloned().collect();
        let oldest = state.sealed.first().map(|segment| segment.name);
        let from_oldest = oldest == old.first().map(|segment| segment.name);
        (newer, floor(&state.catalog, lane), from_oldest)
    };
    let mut latest = Latest::of_active(shared, lane)?;
    for segment in newer.iter().rev() {
        latest.walk(shared, segment, lane, &mut |_, _, _| {})?;
    }
    let mut offsets = HashSet::new();
    for segment in old.iter().rev() {
        latest.walk(shared, segment, lane, &mut |_, _, live| offsets.extend(live))?;
    }
    // An older record of the key may stand in a segment before these: then its tombstone stays.
    let now_ms = (shared.clock)();
    let no_tombstones_before_ms =
        if from_oldest { now_ms.saturating_sub(TOMBSTONE_MS) } else { i64::MIN };
    Ok(Wanted::Latest { floor, offsets, no_tombstones_before_ms })
}

impl Wanted {
    fn takes(&self, record: &Record<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Latest { floor, offsets, no_tombstones_before_ms } => {
                let outlived =
                    record.value.is_none() && record.appended_ms < *no_tombstones_before_ms;
                record.offset >= *floor || (offsets.contains(&record.offset) && !outlived)
            }
        }
    }
}

/// Writes a merged segment.
struct Copier<'a> {
    shared: &'a Shared,
    draft: Draft<'a>,
    frame: FrameWriter,
    index: Index,
}

impl<'a> Copier<'a> {
    fn begin(shared: &'a Arc<Shared>, name: SegmentName) -> Result<Self, LogError> {
        let draft = Draft::create(&*shared.disk, name)?;
        let frame = FrameWriter::new(shared.tuning.compression);
        let mut copier = Self { shared, draft, frame, index: Index::default() };
        copier.begin_frame(FrameKind::Copies);
        Ok(copier)
    }

    fn begin_frame(&mut self, kind: FrameKind) {
        self.frame.begin(self.draft.salt, self.draft.position, kind, 0, 0);
    }

    /// Copies the wanted records of a partition from one segment.
    fn copy(
        &mut self,
        segment: &Arc<Segment>,
        lane: Lane,
        wanted: &Wanted,
    ) -> Result<(), LogError> {
        let disk = &*self.shared.disk;
        let runs = self.shared.runs(segment, lane)?;
        if runs.is_empty() {
            return Ok(());
        }
        let file = segment::open(disk, &segment.name)?;
        let mut begun = false;
        for run in &*runs {
            let place = (&*file, &segment.name, segment.salt);
            let (head, body) = segment::read_section(disk, place, lane, run)?;
            let mut records = Records::new(&head);
            while let Some(record) = records.next(&body) {
                let record = record.map_err(|detail| {
                    segment::damaged(disk, &segment.name, u64::from(run.position), detail)
                })?;
                if !wanted.takes(&record) {
                    continue;
                }
                if self.frame.length() >= FRAME_BYTES {
                    self.end_frame()?;
                    begun = false;
                }
                if !begun {
                    self.begin_section(lane, &record);
                    begun = true;
                }
                self.frame.copy(&record);
            }
        }
        self.frame.end_section();
        Ok(())
    }

    fn begin_section(&mut self, lane: Lane, first: &Record<'_>) {
        let kind = SectionKind::Copies;
        let Record { offset: first, lsn, appended_ms, .. } = *first;
        self.frame.begin_section(SectionHead { kind, lane, count: 0, first, lsn, appended_ms });
    }

    fn end_frame(&mut self) -> Result<(), LogError> {
        self.frame.finish();
        if !self.frame.placed().is_empty() {
            self.draft.append(self.frame.finished())?;
            for placed in self.frame.placed() {
                let times = (placed.oldest_ms, placed.newest_ms);
                self.index.add(placed.lane, placed.run, times);
            }
        }
        self.begin_frame(FrameKind::Copies);
        Ok(())
    }

    /// Seals the file and gives it its name and its sidecar.
    fn finish(mut self) -> Result<Segment, LogError> {
        self.end_frame()?;
        self.begin_frame(FrameKind::Seal);
        self.draft.append(self.frame.finish())?;
        let (name, salt, length) = (self.draft.name, self.draft.salt, self.draft.position);
        self.draft.publish()?;
        let disk = &*self.shared.disk;
        let listed = Listed::Memory(Arc::default(), 0);
        let segment = Segment { name, salt, length, lanes: BTreeMap::new(), listed };
        segment.relist(disk, &self.index)
    }
}
