//! Segment roll: seals the segment that is written, and begins the next one.

use std::sync::Arc;

use super::{Tail, Writer};
use crate::LogError;
use crate::explain::code_of;
use crate::local::catalog::Control;
use crate::local::frame::{FrameKind, FrameWriter, Lane, Salt, SectionHead, SectionKind};
use crate::local::index::Index;
use crate::local::segment::{Draft, RunListing, Segment, SegmentName};
use crate::local::state::Active;

impl Writer {
    /// Writes a synced frame that says: all before me was synced.
    pub(super) fn seal(&mut self) {
        if self.refuse_if_poisoned().is_err() {
            // Nothing may be written; a poisoned tail stays unsealed and is rewritten on opening.
            self.tail.sealed = true;
            return;
        }
        if let Err(error) = self.write_seal() {
            let fault = self.poison(error);
            let code = code_of(&fault);
            tracing::error!(code, error = %fault, "could not seal the local log");
        }
        self.tail.sealed = true;
    }

    fn write_seal(&mut self) -> std::io::Result<()> {
        let Tail { salt, position, next_lsn, last_ms, .. } = self.tail;
        self.frame.begin(salt, position, FrameKind::Seal, next_lsn, last_ms);
        let frame = self.frame.finish();
        self.tail.file.write_at(frame, position)?;
        self.tail.file.sync()?;
        self.tail.position += frame.len() as u64;
        Ok(())
    }

    /// Closes the segment and begins the next one with a snapshot of the catalog.
    pub(super) fn rotate(&mut self) -> Result<(), LogError> {
        if !self.tail.sealed {
            self.write_seal().map_err(|error| self.poison(error))?;
            self.tail.sealed = true;
        }
        let number = self.tail.name.last + 1;
        let name = SegmentName { first: number, last: number, generation: 0 };
        let controls = self.shared.state.read().catalog.snapshot();
        // Nothing was written yet: the next commit tries again.
        let shared = Arc::clone(&self.shared);
        let mut draft = Draft::create(&*shared.disk, name)?;
        let snapshot = write_snapshot(
            &mut self.frame,
            (draft.salt, draft.position),
            &controls,
            (self.tail.next_lsn, self.tail.last_ms),
        );
        let appended = draft.append(snapshot);
        let (salt, position) = (draft.salt, draft.position);
        let published = appended.and_then(|()| draft.publish());
        let file = published.map_err(|error| self.poison_by(&error))?;
        let active = Active { name, salt, file: Arc::clone(&file), index: Index::default() };
        {
            let mut state = self.shared.state.write();
            let closed = std::mem::replace(&mut state.active, active);
            state.sealed.push(Arc::new(Segment {
                name: closed.name,
                salt: closed.salt,
                length: self.tail.position,
                lanes: closed.index.summaries(),
                listed: RunListing::Memory(Arc::new(closed.index), 0),
            }));
        }
        self.shared.maintenance.notify();
        let Tail { next_lsn, last_ms, .. } = self.tail;
        self.tail = Tail { name, salt, file, position, sealed: false, next_lsn, last_ms };
        Ok(())
    }
}

pub(in crate::local) fn controls_head(lsn: u64, appended_ms: i64) -> SectionHead {
    let lane = Lane { topic: 0, partition: 0 };
    SectionHead { kind: SectionKind::Controls, lane, count: 0, first: 0, lsn, appended_ms }
}

/// Encodes a catalog's snapshot as a frame for a place in a segment.
pub(in crate::local) fn write_snapshot<'a>(
    frame: &'a mut FrameWriter,
    (salt, position): (Salt, u64),
    controls: &[Control],
    (lsn, appended_ms): (u64, i64),
) -> &'a [u8] {
    frame.begin(salt, position, FrameKind::Snapshot, lsn, appended_ms);
    frame.begin_section(controls_head(lsn, appended_ms));
    for control in controls {
        frame.control(|out| control.encode(out));
    }
    frame.end_section();
    frame.finish()
}
