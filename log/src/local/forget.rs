//! What nobody needs any more leaves the sidecars: no data moves.
//!
//! A record on a topic that forgets by time is needed until it is old enough, or until the log is
//! larger than its bound and this is the oldest; one on a compacted topic while no later record has
//! its key. Neither goes while a registered group has yet to
//! commit past it. “Later” is by log sequence number.
//!
//! Forgetting works on whole runs, and on whole partitions of a segment for time. If a sidecar is
//! lost, its rebuilt successor lists everything again: old records reappear, never wrong ones.
//! That is why a tombstone stays listed while an older record of its key may still stand in a file;
//! only a merge that begins at the oldest segment may let it go.

use std::collections::HashMap;
use std::sync::Arc;

use bytesize::ByteSize;

use super::catalog::Catalog;
use super::frame::{Lane, Records};
use super::index::{Index, LaneRuns};
use super::segment::{self, Segment, SegmentName};
use super::space::RETENTION_EXCEEDED;
use super::state::{Shared, State};
use super::upkeep::{self, replace};
use super::{groups, space};
use crate::health::Impact;
use crate::{Cleanup, LogError, Offset};

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

/// Takes what the oldest segments hold of bounded topics off them, until the bound in bytes is kept.
///
/// A segment loses all of it at once, and none before those that are older, so that the journal never
/// holds a record longer than what was made of it: a recount needs nothing but what is left. It ends at
/// the first segment in which a group has yet to commit past a record. Compacted topics stay, and those
/// kept by age: where all these exceed the bound, a condition says so.
pub(super) fn over_bound(shared: &Shared) -> Result<(), LogError> {
    let Some(bound) = shared.tuning.retention_bytes else { return Ok(()) };
    let bound = bound.as_u64();
    let (sealed, listed, chosen) = {
        let state = shared.state.read();
        let listed = listed_bytes(&state);
        let chosen = past_bound(shared, &state, listed.saturating_sub(bound));
        (state.sealed.clone(), listed, chosen)
    };
    let freed: u64 = chosen.iter().flatten().map(|(_, bytes)| bytes).sum();
    for (segment, chosen) in sealed.iter().zip(&chosen) {
        if !chosen.is_empty() {
            relist(shared, segment, |lane, runs| {
                if chosen.iter().any(|(gone, _)| *gone == lane) {
                    Vec::new()
                } else {
                    runs.runs.clone()
                }
            })?;
        }
    }
    let left = listed.saturating_sub(freed);
    // The segment that is written is not forgotten, so a log that keeps its bound may exceed it by one.
    let most = bound.saturating_add(shared.tuning.segment_bytes.as_u64());
    space::tell(shared, &RETENTION_EXCEEDED, Impact::Degraded, left > most, || {
        format!(
            "{}: {} are kept, bounded are {} (log.local.retention_bytes); groups that have yet to read: {}",
            shared.disk.place(""),
            ByteSize(left),
            ByteSize(bound),
            groups::lagging(&shared.state.read()),
        )
    });
    Ok(())
}

/// Bytes of all records that are listed, in the segment that is written too.
fn listed_bytes(state: &State) -> u64 {
    let lanes = state.sealed.iter().flat_map(|segment| segment.lanes.values());
    lanes.map(|lane| lane.bytes).sum::<u64>() + upkeep::active_bytes(state)
}

/// Chooses partitions of the oldest segments until so many bytes are found, with the bytes of each.
fn past_bound(shared: &Shared, state: &State, bytes: u64) -> Vec<Vec<(Lane, u64)>> {
    let by_age = shared.keep_by_age.get();
    let is_bounded = |lane: Lane| {
        let Some(topic) = state.catalog.topic(lane.topic) else { return false };
        topic.cleanup != Cleanup::Compact
            && by_age.is_none_or(|topics| !topics.contains(&topic.name))
    };
    let (mut left, mut chosen) = (bytes, Vec::new());
    for segment in &state.sealed {
        let bounded: Vec<_> = segment.lanes.iter().filter(|(lane, _)| is_bounded(**lane)).collect();
        let unread =
            bounded.iter().any(|(lane, found)| found.last >= floor(&state.catalog, **lane));
        if left == 0 || unread {
            break;
        }
        left = left.saturating_sub(bounded.iter().map(|(_, found)| found.bytes).sum());
        chosen.push(bounded.into_iter().map(|(lane, found)| (*lane, found.bytes)).collect());
    }
    chosen
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
        relist(shared, segment, |lane, runs| {
            let dead = dead.get(&lane).map(Vec::as_slice).unwrap_or_default();
            let live = runs.runs.iter().filter(|run| !dead.contains(&run.first));
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

/// Runs of a partition, whole, that later records supersede: segment, first and last offset. (Several
/// runs of it may stand in one block.)
fn dead_runs(
    shared: &Shared,
    sealed: &[Arc<Segment>],
    lane: Lane,
) -> Result<Vec<(SegmentName, Offset, Offset)>, LogError> {
    let mut latest = Latest::of_active(shared, lane)?;
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
            let (head, body) = segment::read_section(&*shared.disk, place, lane, run)?;
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
        segment: &Arc<Segment>,
        lane: Lane,
        walked: &mut Walked<'_>,
    ) -> Result<(), LogError> {
        let runs = shared.runs(segment, lane)?;
        if runs.is_empty() {
            return Ok(());
        }
        let file = segment::open(&*shared.disk, &segment.name)?;
        for run in runs.iter().rev() {
            let place = (&*file, &segment.name, segment.salt);
            let (head, body) = segment::read_section(&*shared.disk, place, lane, run)?;
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
    segment: &Arc<Segment>,
    keep: impl Fn(Lane, &LaneRuns) -> Vec<super::index::Run>,
) -> Result<(), LogError> {
    let mut index = Index::default();
    for (lane, summary) in &segment.lanes {
        let runs = shared.runs(segment, *lane)?.to_vec();
        let listed = LaneRuns { summary: *summary, runs };
        for run in keep(*lane, &listed) {
            index.add(*lane, run, (summary.oldest_ms, summary.newest_ms));
        }
    }
    let relisted = segment.relist(&*shared.disk, &index)?;
    replace(shared, &[segment.name], Some(relisted));
    segment.remove_sidecar(&*shared.disk)
}
