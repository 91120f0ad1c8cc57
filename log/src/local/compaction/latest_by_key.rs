//! The latest record of each key, which decides what compaction keeps.

use std::collections::HashMap;
use std::sync::Arc;

use crate::local::frame::{Lane, Records};
use crate::local::run::Run;
use crate::local::segment::{self, Segment};
use crate::local::state::Shared;
use crate::{LogError, Offset};

/// The latest record of each key of one partition, gathered from the newest back.
#[derive(Default)]
pub(super) struct LatestByKey {
    by_key: HashMap<Box<[u8]>, u64>,
}

/// Takes a run, its records' times and those offsets of it that are the latest of their key.
pub(super) type RunVisitor<'a> = dyn FnMut(&Run, i64, Vec<Offset>) + 'a;

impl LatestByKey {
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
        walked: &mut RunVisitor<'_>,
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
