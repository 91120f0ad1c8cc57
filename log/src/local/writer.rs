//! The one thread that writes: a group of submissions, one frame, one sync, then the index, then
//! the acknowledgements.
//!
//! While a frame is being synced the next group gathers in the queue. There is never more than one
//! unsynced frame, which is what recovery rests on. The first write or sync that fails poisons the
//! log: nothing is tried again, everyone who waits is told. A file that cannot be opened, for want
//! of descriptors, harms nothing: those who wait are asked to come again. So they are when the disk
//! has less left than the reserve, see [`super::space`].
//!
//! Callbacks run on a thread of their own, so that a slow one delays acknowledgements, not the
//! disk; when it is slow for long, the bounded channel between the two holds the writer back.

mod segment_roll;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender};

pub(super) use self::segment_roll::{controls_head, write_snapshot};
use super::catalog::Control;
use super::disk::DiskFile;
use super::errors::{FileError, LocalFault};
use super::frame::{FRAME_OVERHEAD, FrameKind, FrameWriter, Lane, Salt, SectionHead, SectionKind};
use super::queue::{Done, Submission, Work, cost_of};
use super::segment::SegmentName;
use super::space;
use super::state::Shared;
use crate::{LogError, Offset, OnDurable, ProducerRecord, Topic};

/// Bytes gathered into one frame when no single submission is larger.
const GROUP_BYTES: usize = 4 << 20;

/// The place where the next frame goes.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) name: SegmentName,
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) position: u64,
    /// Whether the last frame is a seal.
    pub(super) sealed: bool,
    pub(super) next_lsn: u64,
    /// Append times never fall, whatever the clock does.
    pub(super) last_ms: i64,
}

/// An outcome on its way to who waits for it.
pub(super) enum Acknowledgement {
    Rows(OnDurable, Vec<Result<Offset, LogError>>),
    Whole(Sender<Result<(), LogError>>, Result<(), LogError>),
}

/// Calls back until the writer is gone.
pub(super) fn acknowledge(outcomes: &Receiver<Acknowledgement>) {
    for outcome in outcomes {
        match outcome {
            Acknowledgement::Rows(done, outcomes) => done(outcomes),
            Acknowledgement::Whole(caller, outcome) => {
                // The caller waits for this; it is gone only if its thread died.
                drop(caller.send(outcome));
            }
        }
    }
}

/// The writer's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    acknowledged: Sender<Acknowledgement>,
    tail: Tail,
    frame: FrameWriter,
    /// The topic last looked up: rows come in runs of one topic.
    recent: Option<(Topic, u32)>,
}

/// What goes into the next frame.
#[derive(Default)]
struct Group {
    picks: Vec<Pick>,
    controls: Vec<(usize, Control)>,
    cost: usize,
}

/// A row of the batch and the partition it goes to.
#[derive(Clone, Copy)]
struct Pick {
    lane: Lane,
    submission: usize,
    row: usize,
}

type Outcomes = Vec<Vec<Result<Offset, LogError>>>;

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        acknowledged: Sender<Acknowledgement>,
        tail: Tail,
    ) -> Self {
        let frame = FrameWriter::new(shared.tuning.compression);
        Self { shared, acknowledged, tail, frame, recent: None }
    }

    /// Writes until the queue is closed and empty, then seals.
    pub(super) fn run(mut self) {
        let limit = self.shared.tuning.frame_limit().min(GROUP_BYTES);
        loop {
            let idle = (!self.tail.sealed).then(|| Instant::now() + self.shared.tuning.seal_after);
            match self.shared.queue.take(limit, idle) {
                Work::Batch(batch) => self.write_batch(batch),
                Work::Idle => self.seal(),
                Work::Closed => break,
            }
        }
        if !self.tail.sealed {
            self.seal();
        }
    }

    fn write_batch(&mut self, batch: Vec<Submission>) {
        let limit = self.shared.tuning.frame_limit() - FRAME_OVERHEAD;
        let mut outcomes: Outcomes = batch.iter().map(|_| Vec::new()).collect();
        let mut refused: HashMap<usize, LogError> = HashMap::new();
        let mut group = Group::default();
        let room = space::look(&self.shared);
        for (at, submission) in batch.iter().enumerate() {
            if let Some(error) = room.refusal(&self.shared, submission) {
                outcomes[at].extend(submission.rows.iter().map(|_| Err(error.clone())));
                refused.insert(at, error);
                continue;
            }
            let before = group.picks.len();
            for (row_at, row) in submission.rows.iter().enumerate() {
                match self.admit(row) {
                    Ok(lane) => {
                        let cost = cost_of(row);
                        if group.cost + cost > limit && matches!(submission.done, Done::Rows(_)) {
                            self.commit(&mut group, &batch, &mut outcomes, &mut refused);
                        }
                        group.picks.push(Pick { lane, submission: at, row: row_at });
                        group.cost += cost;
                        outcomes[at].push(Ok(0));
                    }
                    Err(error) if matches!(submission.done, Done::Whole(_)) => {
                        group.picks.truncate(before);
                        refused.insert(at, error);
                        break;
                    }
                    Err(error) => outcomes[at].push(Err(error)),
                }
            }
            if !refused.contains_key(&at) {
                let controls = submission.controls.iter().map(|control| (at, control.clone()));
                group.controls.extend(controls);
            }
        }
        self.commit(&mut group, &batch, &mut outcomes, &mut refused);
        for (at, (submission, outcomes)) in batch.into_iter().zip(outcomes).enumerate() {
            let acknowledgement = match submission.done {
                Done::Rows(done) => Acknowledgement::Rows(done, outcomes),
                Done::Whole(caller) => {
                    Acknowledgement::Whole(caller, refused.remove(&at).map_or(Ok(()), Err))
                }
            };
            // The receiver lives as long as this sender.
            drop(self.acknowledged.send(acknowledgement));
        }
    }

    /// Finds the partition of a row that the log can take.
    fn admit(&mut self, row: &ProducerRecord) -> Result<Lane, LogError> {
        let bytes = row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
        let limit = self.shared.tuning.record_limit();
        if bytes > limit {
            return Err(LogError::TooLarge { bytes, limit });
        }
        match &self.recent {
            Some((topic, id)) if *topic == row.topic && row.partition < self.shared.partitions => {
                Ok(Lane { topic: *id, partition: row.partition })
            }
            _ => {
                let lane = self.shared.lane(&row.topic, row.partition)?;
                self.recent = Some((row.topic.clone(), lane.topic));
                Ok(lane)
            }
        }
    }

    /// Writes the group as one frame and empties it. What fails is told to all of it.
    fn commit(
        &mut self,
        group: &mut Group,
        batch: &[Submission],
        outcomes: &mut Outcomes,
        refused: &mut HashMap<usize, LogError>,
    ) {
        let mut group = std::mem::take(group);
        if group.picks.is_empty() && group.controls.is_empty() {
            return;
        }
        group.picks.sort_by_key(|pick| pick.lane);
        if let Err(error) = self.try_commit(&mut group, batch, outcomes) {
            for pick in &group.picks {
                outcomes[pick.submission][pick.row] = Err(error.clone());
            }
            let touched = group.picks.iter().map(|pick| pick.submission);
            for at in touched.chain(group.controls.iter().map(|(at, _)| *at)) {
                refused.insert(at, error.clone());
            }
        }
    }

    fn try_commit(
        &mut self,
        group: &mut Group,
        batch: &[Submission],
        outcomes: &mut Outcomes,
    ) -> Result<(), LogError> {
        self.refuse_if_poisoned()?;
        if self.tail.position >= self.shared.tuning.segment_bytes.as_u64() {
            self.rotate()?;
        }
        let now_ms = (self.shared.clock)().max(self.tail.last_ms);
        let (salt, position) = (self.tail.salt, self.tail.position);
        self.frame.begin(salt, position, FrameKind::Commit, self.tail.next_lsn, now_ms);
        let mut lsn = self.tail.next_lsn;
        for picks in group.picks.chunk_by(|one, other| one.lane == other.lane) {
            self.encode_lane(picks, batch, outcomes, &mut lsn, now_ms);
        }
        self.encode_controls(&mut group.controls, &mut lsn, now_ms);
        let length = self.frame.finish().len() as u64;
        let file = &self.tail.file;
        let began = Instant::now();
        let written = file.write_at(self.frame.finished(), position).and_then(|()| file.sync());
        written.map_err(|error| self.poison(error))?;
        let metrics = &self.shared.metrics;
        metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        metrics.frames.inc();
        metrics.records.inc_by(group.picks.len() as u64);
        metrics.bytes.inc_by(length);
        self.tail.position += length;
        self.tail.next_lsn = lsn;
        self.tail.last_ms = now_ms;
        self.tail.sealed = false;
        self.publish(&group.controls);
        Ok(())
    }

    /// Encodes the rows of one partition as one section and gives them their offsets.
    fn encode_lane(
        &mut self,
        picks: &[Pick],
        batch: &[Submission],
        outcomes: &mut Outcomes,
        lsn: &mut u64,
        appended_ms: i64,
    ) {
        let lane = picks[0].lane;
        let first = self.shared.state.read().catalog.end(lane).unwrap_or(0);
        let kind = SectionKind::Records;
        let head = SectionHead { kind, lane, count: 0, first, lsn: *lsn, appended_ms };
        self.frame.begin_section(head);
        let mut offset = first;
        for pick in picks {
            let row = &batch[pick.submission].rows[pick.row];
            self.frame.record(&row.key, row.value.as_deref());
            outcomes[pick.submission][pick.row] = Ok(offset);
            offset += 1;
        }
        *lsn += offset - first;
        self.frame.end_section();
    }

    fn encode_controls(
        &mut self,
        controls: &mut [(usize, Control)],
        lsn: &mut u64,
        appended_ms: i64,
    ) {
        if controls.is_empty() {
            return;
        }
        self.frame.begin_section(controls_head(*lsn, appended_ms));
        for (_, control) in controls {
            if let Control::Commit { lsn: number, .. } = control {
                *number = *lsn;
            }
            self.frame.control(|out| control.encode(out));
            *lsn += 1;
        }
        self.frame.end_section();
    }

    /// Shows what is durable to the readers.
    fn publish(&self, controls: &[(usize, Control)]) {
        let placed = self.frame.placed();
        let mut signals = Vec::new();
        {
            let mut state = self.shared.state.write();
            for one in placed {
                state.active.index.add(one.lane, one.run, (one.oldest_ms, one.newest_ms));
                state.catalog.set_end(one.lane, one.run.last() + 1);
            }
            for (_, control) in controls {
                state.catalog.apply(control);
            }
            for one in placed {
                if let Some(topic) = state.catalog.topic(one.lane.topic)
                    && !signals.iter().any(|signal| Arc::ptr_eq(signal, &topic.signal))
                {
                    signals.push(Arc::clone(&topic.signal));
                }
            }
        }
        for signal in signals {
            signal.notify();
        }
    }

    fn refuse_if_poisoned(&self) -> Result<(), LogError> {
        match self.shared.poison.get() {
            Some(fault) => Err(fault.clone().refusing("write")),
            None => Ok(()),
        }
    }

    /// Takes note that a write or a sync of the tail failed.
    fn poison(&self, error: std::io::Error) -> LogError {
        self.poison_with(self.shared.disk.place(&self.tail.name.log()), error)
    }

    /// The same for the beginning of a segment, whose errors know their file.
    fn poison_by(&self, error: &LogError) -> LogError {
        if let LogError::Unavailable { cause, .. } = error
            && let Some(FileError { place, error }) = cause.downcast_ref()
        {
            let again = error.raw_os_error().map(std::io::Error::from_raw_os_error);
            return self.poison_with(place.clone(), again.unwrap_or_else(|| error.kind().into()));
        }
        self.poison(std::io::Error::other(error.to_string()))
    }

    fn poison_with(&self, place: String, error: std::io::Error) -> LogError {
        let fault = LocalFault::Poisoned { place, detail: Arc::new(error) };
        // Only the first failure counts; there is no second write that could fail.
        drop(self.shared.poison.set(fault.clone()));
        self.shared.metrics.stopped.set(1);
        // Maintenance tells the health.
        self.shared.maintenance.notify();
        fault.refusing("write")
    }
}
