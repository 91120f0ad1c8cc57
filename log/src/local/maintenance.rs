//! Maintenance: retention and compaction, on a thread of their own.
//!
//! Each round writes the sidecars of newly closed segments, then removes records in three steps, from
//! cheap to dear:
//! 1. records that nobody needs leave the sidecars, and so do those above the bound in bytes
//!    (see [`super::retention`] and [`super::compaction`]);
//! 2. the oldest segments that list nothing are dropped: first a durable control says where the
//!    log begins, then they leave the list, then they are unlinked;
//! 3. neighbours that are mostly unlisted are merged into one (see [`super::compaction`]).
//!
//! No file is touched while a lock is held. Nothing here can lose a record: a round that fails is
//! logged and tried again, and what it had drafted is removed when the log is opened.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::catalog::Control;
use super::commit::commit_whole;
use super::groups;
use super::segment::RunListing;
use super::state::Shared;
use super::{compaction, retention, space};
use crate::LogError;
use crate::explain::code_of;

/// How soon a full disk is looked at again.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// Works until the log closes.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut seen = 0;
    let mut due = Instant::now() + shared.tuning.upkeep_every;
    let mut compacted_bytes = 0;
    let mut stalled = HashSet::new();
    loop {
        // A full disk is looked at again soon: nobody writes who would notice that there is room.
        let full = shared.disk_full.load(Ordering::Relaxed);
        let wake = if full { due.min(Instant::now() + FULL_DISK_PAUSE) } else { due };
        shared.maintenance.wait(seen, wake);
        seen = shared.maintenance.count();
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let is_due = Instant::now() >= due;
        if is_due {
            due = Instant::now() + shared.tuning.upkeep_every;
        }
        space::watch(shared);
        if shared.poison.get().is_some() {
            continue;
        }
        warn(write_sidecars(shared), "write the index of a segment");
        if is_due {
            warn(round(shared, &mut compacted_bytes), "apply retention and compaction");
            groups::watch(shared, &mut stalled);
        }
        show_stored(shared);
    }
}

fn warn(outcome: Result<(), LogError>, action: &'static str) {
    if let Err(error) = outcome {
        let code = code_of(&error);
        tracing::warn!(code, %error, action, "maintenance of the local log failed; it is tried again");
    }
}

/// Shows how much is stored.
fn show_stored(shared: &Shared) {
    let state = shared.state.read();
    let sealed = state.sealed.iter().map(|segment| segment.length).sum::<u64>();
    let bytes = sealed + state.active_bytes();
    shared.metrics.segments.set(i64::try_from(state.sealed.len() + 1).unwrap_or(i64::MAX));
    shared.metrics.stored_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
}

/// Runs retention and compaction once.
pub(super) fn round(shared: &Arc<Shared>, compacted_bytes: &mut u64) -> Result<(), LogError> {
    retention::unlist_expired(shared)?;
    retention::unlist_over_bound(shared)?;
    compaction::unlist_superseded(shared, compacted_bytes)?;
    drop_oldest(shared)?;
    compaction::merge_all(shared)
}

/// Gives closed segments their sidecars and lets go of their runs in memory.
pub(super) fn write_sidecars(shared: &Shared) -> Result<(), LogError> {
    let sealed = shared.state.read().sealed.clone();
    for segment in sealed {
        let RunListing::Memory(index, _) = &segment.listed else { continue };
        let relisted = segment.relist(&*shared.disk, index)?;
        shared.replace(&[segment.name], Some(relisted));
        segment.remove_sidecar(&*shared.disk)?;
    }
    Ok(())
}

/// Drops the oldest segments that list no record.
fn drop_oldest(shared: &Arc<Shared>) -> Result<(), LogError> {
    let (dropped, beginning) = {
        let state = shared.state.read();
        let listed = state.sealed.iter().position(|segment| !segment.lanes.is_empty());
        let empty = listed.unwrap_or(state.sealed.len());
        let dropped = state.sealed[..empty].to_vec();
        let beginning = state.sealed.get(empty).map_or(state.active.name, |one| one.name).first;
        (dropped, beginning)
    };
    if dropped.is_empty() {
        return Ok(());
    }
    let control = Control::Beginning { segment: beginning };
    commit_whole(shared, Vec::new(), vec![control])?;
    let names: Vec<_> = dropped.iter().map(|segment| segment.name).collect();
    shared.replace(&names, None);
    for segment in &dropped {
        segment.remove(&*shared.disk)?;
    }
    shared.sync_folder()?;
    tracing::info!(segments = dropped.len(), beginning, "dropped old segments of the local log");
    Ok(())
}
