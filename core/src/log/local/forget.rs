//! What nobody needs any more leaves the sidecars: no data moves.
//!
//! A record on a topic that forgets by time is needed until it is old enough; one on a compacted
//! topic while no later record has its key. Neither goes while a registered group has yet to
//! commit past it. “Later” is by log sequence number.
//!
//! Forgetting works on whole runs, and on whole partitions of a segment for time. If a sidecar is
//! lost, its rebuilt successor lists everything again: old records reappear, never wrong ones.
//! That is why a tombstone stays listed while an older record of its key may still stand in a file;
//! only a merge that begins at the oldest segment may let it go.

use std::collections::HashMap;
use std::sync::Arc;

use super::catalog::Catalog;
use super::frame::{Lane, Records};
use super::index::{Index, LaneRuns};
use super::segment::{self, Segment, SegmentName};
use super::settings::unavailable;
use super::state::{Shared, State};
use super::upkeep::replace;
use crate::log::{Cleanup, LogError, Offset};

/// Compacted bytes below which looking for superseded records is not worth the reading.
const WORTH_BYTES: u64 = 8 << 20;

/// The lowest offset that a registered group has yet to commit past.
pub(super) fn floor(catalog: &Catalog, lane: Lane) -> Offset {
    let groups = catalog.groups.values().filter_map(|topics| topics.get(&lane.topic));
    groups
        .map(|places| places.get(&lane.partition).map_or(0, |place| place.committed.offset))
        .min()
        .unwrap_or(Offset::MAX)
}

/// Takes partitions off segments where all their records are past retention.
pub(super) fn expired(shared: &Shared) -> Result<(), LogError> {
    let now_ms = (shared.clock)();
    let (sealed, expired) = {
        let state = shared.state.read();
        let expired = |segment: &Segment| {
            let lanes = segment.lanes.iter().filter(|(lane, summary)| {
                let Some(topic) = state.catalog.topic(lane.topic) else { return false };
                let Cleanup::Delete { retention_ms } = topic.cleanup else { return false };
                let age_ms = u64::try_from(now_ms.saturating_sub(summary.newest_ms)).unwrap_or(0);
                age_ms > retention_ms && summary.last < floor(&state.catalog, **lane)
            });
            lanes.map(|(lane, _)| *lane).collect::<Vec<_>>()
        };
        let expired: Vec<_> = state.sealed.iter().map(|segment| expired(segment)).collect();
        (state.sealed.clone(), expired)
    };
    for (segment, expired) in sealed.iter().zip(expired) {
        if !expired.is_empty() {
            relist(shared, segment, |lane, runs| {
                if expired.contains(&lane) { Vec::new() } else { runs.runs.clone() }
            })?;
        }
    }
    Ok(())
}

/// Takes runs of compacted topics off segments where every record has a later one of its key.
///
/// It looks when there is twice as much to look at as was left the last time.
pub(super) fn superseded(shared: &Shared, left_bytes: &mut u64) -> Result<(), LogError> {
    let bytes = compacted_bytes(&shared.state.read());
    if bytes
        < left_bytes.saturating_mul(2).max(WORTH_BYTES.min(shared.tuning.segment_bytes.as_u64()))
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
    let mut dead: HashMap<SegmentName, HashMap<Lane, Vec<u32>>> = HashMap::new();
    for (lane, floor) in floors {
        for (segment, position, last) in dead_runs(shared, &sealed, lane)? {
            if last < floor {
                dead.entry(segment).or_default().entry(lane).or_default().push(position);
            }
        }
    }
    for segment in &sealed {
        let Some(dead) = dead.get(&segment.name) else { continue };
        relist(shared, segment, |lane, runs| {
            let dead = dead.get(&lane).map(Vec::as_slice).unwrap_or_default();
            let live = runs.runs.iter().filter(|run| !dead.contains(&run.position));
            live.copied().collect()
        })?;
    }
    *left_bytes = compacted_bytes(&shared.state.read());
    Ok(())
}

pub(super) fn is_compacted(catalog: &Catalog, lane: Lane) -> bool {
    catalog.topic(lane.topic).is_some_and(|topic| topic.cleanup == Cleanup::Compact)
}

fn compacted_bytes(state: &State) -> u64 {
    let lanes = state.sealed.iter().flat_map(|segment| &segment.lanes);
    lanes
        .filter(|(lane, _)| is_compacted(&state.catalog, **lane))
        .map(|(_, summary)| summary.bytes)
        .sum()
}

/// Runs of a partition, whole, that later records supersede: segment, position, last offset.
fn dead_runs(
    shared: &Shared,
    sealed: &[Arc<Segment>],
    lane: Lane,
) -> Result<Vec<(SegmentName, u32, Offset)>, LogError> {
    let mut latest = Latest::of_active(shared, lane)?;
    let mut dead = Vec::new();
    for segment in sealed.iter().rev() {
        latest.walk(shared, segment, lane, &mut |run, _, live| {
            if live.is_empty() {
                dead.push((segment.name, run.position, run.last()));
            }
        })?;
    }
    Ok(dead)
}

/// The latest record of each key of one partition, gathered from the newest back.
#[derive(Default)]
pub(super) struct Latest {
    by_key: HashMap<Box<[u8]>, u64>,
}

/// Takes a run, its records' times and those offsets of it that are the latest of their key.
pub(super) type Walked<'a> = dyn FnMut(&super::index::Run, i64, Vec<Offset>) + 'a;

impl Latest {
    /// Begins with the keys of the active segment.
    pub(super) fn of_active(shared: &Shared, lane: Lane) -> Result<Self, LogError> {
        let (file, name, salt, runs) = {
            let state = shared.state.read();
            let active = &state.active;
            let runs = active.index.lanes.get(&lane).map(|runs| runs.runs.clone());
            (Arc::clone(&active.file), active.name, active.salt, runs.unwrap_or_default())
        };
        let mut latest = Self::default();
        for run in runs.iter().rev() {
            let place = (&*file, &name, salt);
            let (head, body) = segment::read_section(&*shared.disk, place, run)?;
            latest.take(&mut Records::new(&head), &body).map_err(|detail| {
                segment::damaged(&*shared.disk, &name, u64::from(run.position), detail)
            })?;
        }
        Ok(latest)
    }

    /// Goes through the runs of a segment from the newest back.
    pub(super) fn walk(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        lane: Lane,
        walked: &mut Walked<'_>,
    ) -> Result<(), LogError> {
        let runs = segment.runs(&*shared.disk, lane)?;
        if runs.is_empty() {
            return Ok(());
        }
        let opened = shared.disk.open(&segment.name.log());
        let file = opened.map_err(unavailable("open a segment"))?;
        for run in runs.iter().rev() {
            let place = (&*file, &segment.name, segment.salt);
            let (head, body) = segment::read_section(&*shared.disk, place, run)?;
            let live = self.take(&mut Records::new(&head), &body).map_err(|detail| {
                segment::damaged(&*shared.disk, &segment.name, u64::from(run.position), detail)
            })?;
            walked(run, head.appended_ms, live);
        }
        Ok(())
    }

    /// Takes a section's records in; returns the offsets that are the latest of their key.
    fn take(&mut self, records: &mut Records, body: &[u8]) -> Result<Vec<Offset>, &'static str> {
        let mut found: HashMap<&[u8], (u64, Offset)> = HashMap::new();
        while let Some(record) = records.next(body) {
            let record = record?;
            let known = self.by_key.get(record.key).copied().unwrap_or(0);
            let here = found.get(record.key).map_or(0, |(lsn, _)| *lsn);
            if record.lsn >= known.max(here) {
                found.insert(record.key, (record.lsn, record.offset));
            }
        }
        let mut live: Vec<_> = found.values().map(|(_, offset)| *offset).collect();
        live.sort_unstable();
        for (key, (lsn, _)) in found {
            self.by_key.insert(key.into(), lsn);
        }
        Ok(live)
    }
}

/// Writes a segment's sidecar with the runs that `keep` returns for each partition.
fn relist(
    shared: &Shared,
    segment: &Segment,
    keep: impl Fn(Lane, &LaneRuns) -> Vec<super::index::Run>,
) -> Result<(), LogError> {
    let mut index = Index::default();
    for (lane, summary) in &segment.lanes {
        let runs = segment.runs(&*shared.disk, *lane)?.to_vec();
        let listed = LaneRuns { summary: *summary, runs };
        for run in keep(*lane, &listed) {
            index.add(*lane, run, (summary.oldest_ms, summary.newest_ms));
        }
    }
    let relisted = segment.relist(&*shared.disk, &index)?;
    replace(shared, &[segment.name], Some(relisted));
    segment.remove_sidecar(&*shared.disk)
}
