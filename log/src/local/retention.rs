//! Retention: records past their age, or past the log's bound in bytes, leave the sidecars; no data moves.
//!
//! A record on a topic that keeps records by time is needed until it is old enough, or until the log is
//! larger than its bound and this is the oldest. It stays while a registered group has yet to commit
//! past it. Topics that keep the latest of each key are the work of [`super::compaction`].
//!
//! Retention works on whole partitions of a segment. If a sidecar is lost, its rebuilt successor
//! lists everything again: old records reappear, never wrong ones.

use bytesize::ByteSize;

use super::catalog::Catalog;
use super::frame::Lane;
use super::segment::Segment;
use super::space::RETENTION_EXCEEDED;
use super::state::{Shared, State};
use super::{groups, space};
use crate::health::Impact;
use crate::{Cleanup, LogError, Offset};

/// The lowest offset that a registered group has yet to commit past.
pub(super) fn floor(catalog: &Catalog, lane: Lane) -> Offset {
    let groups = catalog.groups.values().filter_map(|topics| topics.get(&lane.topic));
    groups
        .map(|places| places.get(&lane.partition).map_or(0, |place| place.committed.offset))
        .min()
        .unwrap_or(Offset::MAX)
}

/// Unlists partitions of segments where all their records are past retention.
pub(super) fn unlist_expired(shared: &Shared) -> Result<(), LogError> {
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
            shared.relist(segment, |lane, runs| {
                if expired.contains(&lane) { Vec::new() } else { runs.runs.clone() }
            })?;
        }
    }
    Ok(())
}

/// Unlists the records of bounded topics in the oldest segments, until the bound in bytes is kept.
///
/// A segment loses all of it at once, and none before those that are older, so that the journal never
/// holds a record longer than what was made of it: a recount needs nothing but what is left. It ends at
/// the first segment in which a group has yet to commit past a record. Compacted topics stay, and those
/// kept by age: where all these exceed the bound, a condition says so.
pub(super) fn unlist_over_bound(shared: &Shared) -> Result<(), LogError> {
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
            shared.relist(segment, |lane, runs| {
                if chosen.iter().any(|(gone, _)| *gone == lane) {
                    Vec::new()
                } else {
                    runs.runs.clone()
                }
            })?;
        }
    }
    let left = listed.saturating_sub(freed);
    // The segment that is written stays listed, so a log that keeps its bound may exceed it by one.
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
    lanes.map(|lane| lane.bytes).sum::<u64>() + state.active_bytes()
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
