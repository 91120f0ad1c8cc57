//! Sidecars while the log is open: written anew with fewer runs, and rebuilt where they cannot be read.
//!
//! Whatever is wrong with the file, the segment beside it tells the same by a scan. Until maintenance
//! has written the new sidecar the runs stay in memory. The scan lists records again that had been
//! unlisted between those that were listed: older ones, never wrong ones.

use std::sync::Arc;

use super::frame::Lane;
use super::index::{Index, LaneRuns};
use super::lines;
use super::run::Run;
use super::scan;
use super::segment::{RunListing, Segment};
use super::state::Shared;
use crate::LogError;

impl Shared {
    /// Writes a segment's sidecar anew with the runs that `keep` returns for each partition.
    pub(super) fn relist(
        &self,
        segment: &Arc<Segment>,
        keep: impl Fn(Lane, &LaneRuns) -> Vec<Run>,
    ) -> Result<(), LogError> {
        let mut index = Index::default();
        for (lane, summary) in &segment.lanes {
            let runs = self.runs(segment, *lane)?.to_vec();
            let listed = LaneRuns { summary: *summary, runs };
            for run in keep(*lane, &listed) {
                index.add(*lane, run, (summary.oldest_ms, summary.newest_ms));
            }
        }
        let relisted = segment.relist(&*self.disk, &index)?;
        self.replace(&[segment.name], Some(relisted));
        segment.remove_sidecar(&*self.disk)
    }

    /// Returns the runs of one partition of a closed segment.
    ///
    /// # Errors
    /// When the segment itself does not hold or the disk fails, and when maintenance replaced the
    /// segment meanwhile.
    pub(super) fn runs(&self, segment: &Arc<Segment>, lane: Lane) -> Result<Arc<[Run]>, LogError> {
        match segment.runs(&*self.disk, lane) {
            Err(error) => self.rebuild(segment, &error)?.runs(&*self.disk, lane),
            runs => runs,
        }
    }

    /// Scans a segment whose sidecar cannot be read.
    fn rebuild(&self, segment: &Arc<Segment>, cause: &LogError) -> Result<Arc<Segment>, LogError> {
        let _one_at_a_time = self.rebuilding.lock();
        let listed = {
            let state = self.state.read();
            state.sealed.iter().find(|listed| listed.name == segment.name).cloned()
        };
        match listed {
            None => return Err(cause.clone()),
            Some(other) if !Arc::ptr_eq(&other, segment) => return Ok(other),
            Some(_) => {}
        }
        let Segment { name, salt, length, .. } = **segment;
        let listing = match segment.listed {
            RunListing::Memory(_, listing) => listing,
            RunListing::Sidecar(listing) => listing + 1,
        };
        let file = self.disk.place(&name.index(listing.saturating_sub(1)));
        tracing::warn!(
            code = lines::INDEX_UNREADABLE.code,
            file,
            error = %cause,
            "a segment's index cannot be read; it is made anew by a scan of the segment"
        );
        let scanned = scan::index_of(&*self.disk, &name, salt, length)?;
        let index = still_listed(&scanned, segment);
        let lanes = index.summaries();
        let listed = RunListing::Memory(Arc::new(index), listing);
        let rebuilt = Arc::new(Segment { name, salt, length, lanes, listed });
        {
            let mut state = self.state.write();
            let place = state.sealed.iter_mut().find(|listed| Arc::ptr_eq(listed, segment));
            if let Some(place) = place {
                *place = Arc::clone(&rebuilt);
            }
        }
        // Maintenance writes the sidecar.
        self.maintenance.notify();
        Ok(rebuilt)
    }
}

/// Leaves out what the segment no longer lists at its ends.
fn still_listed(scanned: &Index, segment: &Segment) -> Index {
    let mut index = Index::default();
    for (lane, runs) in &scanned.lanes {
        let Some(summary) = segment.lanes.get(lane) else { continue };
        let listed =
            runs.runs.iter().filter(|run| summary.first <= run.first && run.last() <= summary.last);
        for run in listed {
            index.add(*lane, *run, (summary.oldest_ms, summary.newest_ms));
        }
    }
    index
}
