//! Compaction: superseded records leave the sidecars, then segments that are mostly unlisted are merged.
//!
//! On a compacted topic a record is needed while no later one has its key, or a registered group has yet
//! to commit past it. “Later” is by log sequence number. A tombstone stays listed while an older record
//! of its key may still stand in a file; only a merge that begins at the oldest segment may drop it.
//!
//! A merged file covers the numbers of all it replaces, under a higher generation. It appears
//! whole, by rename after sync, and only then are the old ones unlinked; so a crash in between
//! leaves two files with the same records, of which opening ignores and removes the old. Every
//! record keeps its offset, its time and its log sequence number.

mod latest_by_key;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use self::latest_by_key::LatestByKey;
use super::catalog::Catalog;
use super::frame::{FrameKind, FrameWriter, Lane, Record, Records, SectionHead, SectionKind};
use super::index::Index;
use super::retention::floor;
use super::segment::{self, Draft, RunListing, Segment, SegmentName};
use super::state::{Shared, State};
use crate::{Cleanup, LogError, Offset};

/// Compacted bytes below which looking for superseded records is not worth the reading.
const SUPERSEDED_WORTH_BYTES: u64 = 8 << 20;
/// Bytes of a frame of copies, about.
const FRAME_BYTES: usize = 4 << 20;
/// Unlisted bytes of a segment below which copying the rest is not worth it.
const WORTH_BYTES: u64 = 64 << 10;
/// So many small neighbours are worth joining even if all of them is listed.
const MANY: usize = 8;
/// How long a tombstone stays for readers that have yet to see it.
const TOMBSTONE_MS: i64 = 86_400_000;

/// Unlists runs of compacted topics where every record has a later one of its key.
///
/// It looks when there is twice as much to look at as was left the last time.
pub(super) fn unlist_superseded(shared: &Shared, left_bytes: &mut u64) -> Result<(), LogError> {
    let bytes = compacted_bytes(&shared.state.read());
    if bytes
        < left_bytes
            .saturating_mul(2)
            .max(SUPERSEDED_WORTH_BYTES.min(shared.tuning.segment_bytes.as_u64()))
    {
        return Ok(());
    }
    let (sealed, floors) = {
        let state = shared.state.read();
        let lanes = state.sealed.iter().flat_map(|segment| segment.lanes.keys());
        let floors: HashMap<_, _> = lanes
            .filter(|lane| is_compacted(&state.catalog, **lane))
            .map(|lane| (*lane, floor(&state.catalog, *lane)))
            .collect();
        (state.sealed.clone(), floors)
    };
    let mut dead: HashMap<SegmentName, HashMap<Lane, Vec<Offset>>> = HashMap::new();
    for (lane, floor) in floors {
        for (segment, first, last) in dead_runs(shared, &sealed, lane)? {
            if last < floor {
                dead.entry(segment).or_default().entry(lane).or_default().push(first);
            }
        }
    }
    for segment in &sealed {
        let Some(dead) = dead.get(&segment.name) else { continue };
        shared.relist(segment, |lane, runs| {
            let dead = dead.get(&lane).map(Vec::as_slice).unwrap_or_default();
            let live = runs.runs.iter().filter(|run| !dead.contains(&run.first));
            live.copied().collect()
        })?;
    }
    *left_bytes = compacted_bytes(&shared.state.read());
    Ok(())
}

fn is_compacted(catalog: &Catalog, lane: Lane) -> bool {
    catalog.topic(lane.topic).is_some_and(|topic| topic.cleanup == Cleanup::Compact)
}

fn compacted_bytes(state: &State) -> u64 {
    let lanes = state.sealed.iter().flat_map(|segment| &segment.lanes);
    lanes
        .filter(|(lane, _)| is_compacted(&state.catalog, **lane))
        .map(|(_, summary)| summary.bytes)
        .sum()
}

/// Runs of a partition, whole, that later records supersede: segment, first and last offset. (Several
/// runs of it may stand in one block.)
fn dead_runs(
    shared: &Shared,
    sealed: &[Arc<Segment>],
    lane: Lane,
) -> Result<Vec<(SegmentName, Offset, Offset)>, LogError> {
    let mut latest = LatestByKey::of_active(shared, lane)?;
    let mut dead = Vec::new();
    for segment in sealed.iter().rev() {
        latest.walk(shared, segment, lane, &mut |run, _, live| {
            if live.is_empty() {
                dead.push((segment.name, run.first, run.last()));
            }
        })?;
    }
    Ok(dead)
}

/// Merges until no merge is worth it.
pub(super) fn merge_all(shared: &Arc<Shared>) -> Result<(), LogError> {
    while let Some(neighbours) = worthwhile(shared) {
        merge(shared, &neighbours)?;
    }
    Ok(())
}

/// Finds neighbours of which half is unlisted, or many small ones, whose rest fits one segment.
fn worthwhile(shared: &Shared) -> Option<Vec<Arc<Segment>>> {
    let sealed = shared.state.read().sealed.clone();
    let limit = shared.tuning.segment_bytes.as_u64();
    let needed = |segment: &Segment| segment.lanes.values().map(|lane| lane.bytes).sum::<u64>();
    let sparse = |segment: &Segment| {
        let unlisted = segment.length.saturating_sub(needed(segment));
        unlisted >= WORTH_BYTES.max(segment.length / 2)
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
    let mut copier = SegmentCopier::begin(shared, name)?;
    let lanes: BTreeSet<Lane> = old.iter().flat_map(|one| one.lanes.keys().copied()).collect();
    for lane in lanes {
        let filter = record_filter(shared, old, lane)?;
        for segment in old {
            copier.copy(segment, lane, &filter)?;
        }
    }
    let new = copier.finish()?;
    let (before, after) = (old.iter().map(|one| one.length).sum::<u64>(), new.length);
    shared.replace(&names, Some(new));
    for segment in old {
        segment.remove(&*shared.disk)?;
    }
    shared.sync_folder()?;
    tracing::info!(segments = names.len(), before, after, "merged segments of the local log");
    Ok(())
}

/// Which records of a partition are copied.
enum RecordFilter {
    All,
    /// Offsets from the floor on, and the latest of each key below it.
    Latest {
        floor: Offset,
        offsets: HashSet<Offset>,
        no_tombstones_before_ms: i64,
    },
}

fn record_filter(
    shared: &Shared,
    old: &[Arc<Segment>],
    lane: Lane,
) -> Result<RecordFilter, LogError> {
    let (newer, floor, from_oldest) = {
        let state = shared.state.read();
        if !is_compacted(&state.catalog, lane) {
            return Ok(RecordFilter::All);
        }
        let last = old.last().map_or(0, |segment| segment.name.last);
        let newer: Vec<_> =
            state.sealed.iter().filter(|segment| segment.name.first > last).cloned().collect();
        let oldest = state.sealed.first().map(|segment| segment.name);
        let from_oldest = oldest == old.first().map(|segment| segment.name);
        (newer, floor(&state.catalog, lane), from_oldest)
    };
    let mut latest = LatestByKey::of_active(shared, lane)?;
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
    Ok(RecordFilter::Latest { floor, offsets, no_tombstones_before_ms })
}

impl RecordFilter {
    fn keeps(&self, record: &Record<'_>) -> bool {
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
struct SegmentCopier<'a> {
    shared: &'a Shared,
    draft: Draft<'a>,
    frame: FrameWriter,
    index: Index,
}

impl<'a> SegmentCopier<'a> {
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
        filter: &RecordFilter,
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
                if !filter.keeps(&record) {
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
        let listed = RunListing::Memory(Arc::default(), 0);
        let segment = Segment { name, salt, length, lanes: BTreeMap::new(), listed };
        segment.relist(disk, &self.index)
    }
}
