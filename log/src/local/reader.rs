//! Sequential reading of one partition.
//!
//! A reader follows the runs of its partition through closed segments and the active one. It reads
//! neighbouring blocks at once, checks and unpacks each, and hands out records as slices of what
//! was unpacked: an [`ConsumerRecord`] that is kept keeps its block (128 KiB, or one record where that is
//! larger) in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::disk::{Disk, DiskFile};
use super::frame::{Lane, Records, Salt, Unpacked, parse_block};
use super::open_log::OpenLog;
use super::run::Run;
use super::segment::{self, NOT_IN_BLOCK, Segment, SegmentName};
use super::signal::Signal;
use super::state::RecordLocation;
use crate::{ConsumerRecord, LogError, Offset, Reader, Topic};

/// Stored bytes read at a time.
const WINDOW_BYTES: u64 = 128 << 10;
/// Foreign bytes between two blocks that are cheaper to read than to skip.
const GAP_BYTES: u64 = 16 << 10;
/// Bytes of keys and values after which a read returns, however few the records are.
const READ_BYTES: usize = 8 << 20;

/// A reader of one partition.
pub(super) struct LocalReader {
    open_log: Arc<OpenLog>,
    topic: Topic,
    lane: Lane,
    signal: Arc<Signal>,
    position: Offset,
    source: Option<Source>,
    section: Option<OpenSection>,
}

/// A segment's file and the runs still to be read of it.
struct Source {
    file: Arc<dyn DiskFile>,
    name: SegmentName,
    salt: Salt,
    runs: Arc<[Run]>,
    next: usize,
    /// What was read of the file last, and from where on.
    window: Vec<u8>,
    window_at: u64,
}

/// A section whose records are being handed out.
struct OpenSection {
    records: Records,
    body: Bytes,
    position: u64,
}

impl LocalReader {
    pub(super) fn open(
        open_log: &Arc<OpenLog>,
        topic: &Topic,
        lane: Lane,
        from: Offset,
    ) -> Result<Self, LogError> {
        let (bounds, signal) = {
            let state = open_log.shared.state.read();
            let signal = state.catalog.topic(lane.topic).map(|topic| Arc::clone(&topic.signal));
            (state.bounds(lane), signal)
        };
        if from < bounds.start || from > bounds.end {
            return Err(out_of_range(topic, lane, from, (bounds.start, bounds.end)));
        }
        Ok(Self {
            open_log: Arc::clone(open_log),
            topic: topic.clone(),
            lane,
            signal: signal.unwrap_or_default(),
            position: from,
            source: None,
            section: None,
        })
    }

    /// Reads what is there now, until there are `max_records` entries or [`READ_BYTES`] bytes.
    ///
    /// An error leaves the entries taken before it, which are not read again, and comes again with
    /// the next read unless its cause has passed.
    pub(super) fn read_now(
        &mut self,
        max_records: usize,
        entries: &mut Vec<ConsumerRecord>,
        bytes: &mut usize,
    ) -> Result<(), LogError> {
        while entries.len() < max_records && *bytes < READ_BYTES {
            if let Some(mut section) = self.section.take() {
                if !self.take_records(&mut section, max_records, entries, bytes)? {
                    self.section = Some(section);
                } else if let Some(source) = &mut self.source {
                    // Only now: a damaged section is met again, not passed over.
                    source.next += 1;
                }
            } else if !self.next_section()? {
                break;
            }
        }
        Ok(())
    }

    /// Takes records of a section until one of the limits; tells whether it is used up.
    fn take_records(
        &mut self,
        section: &mut OpenSection,
        max_records: usize,
        entries: &mut Vec<ConsumerRecord>,
        bytes: &mut usize,
    ) -> Result<bool, LogError> {
        while entries.len() < max_records && *bytes < READ_BYTES {
            let Some(record) = section.records.next(&section.body) else { return Ok(true) };
            let record = record.map_err(|detail| self.damaged(section.position, detail))?;
            if record.offset < self.position {
                continue;
            }
            *bytes += record.key.len() + record.value.map_or(0, <[u8]>::len);
            self.position = record.offset + 1;
            entries.push(ConsumerRecord {
                topic: self.topic.clone(),
                partition: self.lane.partition,
                offset: record.offset,
                appended_ms: record.appended_ms,
                key: section.body.slice_ref(record.key),
                value: record.value.map(|value| section.body.slice_ref(value)),
            });
        }
        Ok(false)
    }

    /// Opens the next section at or behind the position; `false` at the end.
    fn next_section(&mut self) -> Result<bool, LogError> {
        let run = self.source.as_ref().and_then(|source| source.runs.get(source.next).copied());
        let Some(run) = run else { return self.next_source() };
        let position = u64::from(run.position);
        let Some((head, body)) = self.block(&run)?.find(self.lane, run.first) else {
            return Err(self.damaged(position, NOT_IN_BLOCK));
        };
        self.section = Some(OpenSection { records: Records::new(&head), body, position });
        Ok(true)
    }

    /// Returns the block of a run, unpacked.
    fn block(&mut self, run: &Run) -> Result<Arc<Unpacked>, LogError> {
        let shared = &self.open_log.shared;
        let Some(source) = &mut self.source else { return Ok(Arc::default()) };
        let key = (source.name, run.position);
        if let Some(block) = shared.blocks.get(key) {
            return Ok(block);
        }
        let position = u64::from(run.position);
        let window_end = source.window_at + source.window.len() as u64;
        if position < source.window_at || run.end() > window_end {
            source.read_window(&*shared.disk)?;
        }
        let from = usize::try_from(position - source.window_at).unwrap_or(usize::MAX);
        let bytes = source.window.get(from..).unwrap_or_default();
        let unpacked =
            parse_block(bytes, source.salt, position).and_then(|block| block.unpack(bytes));
        match unpacked {
            Ok(block) => {
                let block = Arc::new(block);
                shared.blocks.put(key, &block);
                Ok(block)
            }
            Err(detail) => Err(self.damaged(position, detail)),
        }
    }

    /// Finds the segment with the next records; `false` at the end.
    fn next_source(&mut self) -> Result<bool, LogError> {
        self.source = None;
        loop {
            let located = {
                let state = self.open_log.shared.state.read();
                let start = state.bounds(self.lane).start;
                if self.position < start {
                    let range = (start, state.bounds(self.lane).end);
                    return Err(out_of_range(&self.topic, self.lane, self.position, range));
                }
                state.locate(self.lane, self.position)
            };
            let source = match located {
                RecordLocation::End(end) => {
                    self.position = self.position.max(end);
                    return Ok(false);
                }
                RecordLocation::Active { name, salt, file, runs } => {
                    Source { file, name, salt, runs, next: 0, window: Vec::new(), window_at: 0 }
                }
                RecordLocation::Sealed(segment) => {
                    let Segment { name, salt, .. } = *segment;
                    let shared = &self.open_log.shared;
                    let opened = shared
                        .runs(&segment, self.lane)
                        .and_then(|runs| Ok((runs, segment::open(&*shared.disk, &name)?)));
                    if opened.is_err() && !self.still_listed(&segment) {
                        // Maintenance replaced the segment since it was located.
                        continue;
                    }
                    let (runs, file) = opened?;
                    let next = runs.partition_point(|run| run.last() < self.position);
                    Source { file, name, salt, runs, next, window: Vec::new(), window_at: 0 }
                }
            };
            self.source = Some(source);
            return Ok(true);
        }
    }

    fn still_listed(&self, segment: &Arc<Segment>) -> bool {
        let state = self.open_log.shared.state.read();
        state.sealed.iter().any(|listed| Arc::ptr_eq(listed, segment))
    }

    fn damaged(&self, position: u64, detail: &'static str) -> LogError {
        let disk = &*self.open_log.shared.disk;
        match &self.source {
            Some(source) => segment::damaged(disk, &source.name, position, detail),
            None => LogError::Damaged { place: disk.place(""), detail },
        }
    }
}

impl Source {
    /// Reads the block of the next run and as many of those behind it as fit a window.
    fn read_window(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        let runs = &self.runs[self.next..];
        let start = u64::from(runs[0].position);
        let mut end = runs[0].end();
        for run in &runs[1..] {
            let near = u64::from(run.position) <= end + GAP_BYTES;
            if !near || run.end() - start > WINDOW_BYTES {
                break;
            }
            end = run.end();
        }
        self.window.clear();
        self.window.resize(usize::try_from(end - start).unwrap_or(usize::MAX), 0);
        self.window_at = start;
        let read = self.file.read_at(&mut self.window, start);
        read.map_err(|error| {
            self.window.clear();
            segment::read_failed(disk, &self.name, start, error)
        })
    }
}

fn out_of_range(
    topic: &Topic,
    lane: Lane,
    offset: Offset,
    (start, end): (Offset, Offset),
) -> LogError {
    LogError::OutOfRange { topic: topic.clone(), partition: lane.partition, offset, start, end }
}

/// The moment a wait ends; a wait too long to count is a day.
pub(super) fn deadline(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_hours(24))
}

impl Reader for LocalReader {
    fn read(
        &mut self,
        max_records: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let signal = Arc::clone(&self.signal);
        let until = deadline(wait);
        loop {
            let seen = signal.count();
            let mut entries = Vec::new();
            let read = self.read_now(max_records, &mut entries, &mut 0);
            if entries.is_empty() {
                read?;
            }
            if !entries.is_empty() || max_records == 0 || !signal.wait(seen, until) {
                return Ok(entries);
            }
        }
    }

    fn position(&self) -> Offset {
        self.position
    }
}
