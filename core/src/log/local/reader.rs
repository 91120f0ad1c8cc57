//! Sequential reading of one partition.
//!
//! A reader follows the runs of its partition through closed segments and the active one. It reads
//! blocks of neighbouring sections, checks each section's checksum, and hands out records as
//! slices of the block: an [`Entry`] that is kept keeps its block (128 KiB, or one section where
//! that is larger) in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::disk::DiskFile;
use super::frame::{Lane, Records, Salt, parse_section};
use super::index::Run;
use super::keeper::Keeper;
use super::segment::Segment;
use super::settings::unavailable;
use super::signal::Signal;
use super::state::Located;
use crate::log::{Entry, LogError, Offset, Reader, Topic};

/// Bytes read at a time.
const BLOCK_BYTES: u64 = 128 << 10;
/// Foreign bytes between two sections that are cheaper to read than to skip.
const GAP_BYTES: u64 = 16 << 10;
/// Bytes of keys and values after which a read returns, however few the records are.
const READ_BYTES: usize = 8 << 20;

/// A reader of one partition.
pub(super) struct LocalReader {
    keeper: Arc<Keeper>,
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
    place: String,
    salt: Salt,
    runs: Arc<[Run]>,
    next: usize,
    block: Bytes,
    block_at: u64,
}

/// A section whose records are being handed out.
struct OpenSection {
    records: Records,
    body: Bytes,
    position: u64,
}

impl LocalReader {
    pub(super) fn open(
        keeper: &Arc<Keeper>,
        topic: &Topic,
        lane: Lane,
        from: Offset,
    ) -> Result<Self, LogError> {
        let (bounds, signal) = {
            let state = keeper.shared.state.read();
            let signal = state.catalog.topic(lane.topic).map(|topic| Arc::clone(&topic.signal));
            (state.bounds(lane), signal)
        };
        if from < bounds.start || from > bounds.end {
            return Err(out_of_range(topic, lane, from, (bounds.start, bounds.end)));
        }
        Ok(Self {
            keeper: Arc::clone(keeper),
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
        entries: &mut Vec<Entry>,
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
        entries: &mut Vec<Entry>,
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
            entries.push(Entry {
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
        let Some(source) = &mut self.source else { return Ok(false) };
        let block_end = source.block_at + source.block.len() as u64;
        let position = u64::from(run.position);
        if position < source.block_at || run.end() > block_end {
            source.read_block()?;
        }
        let from = usize::try_from(position - source.block_at).unwrap_or(usize::MAX);
        let parsed = parse_section(&source.block[from..], source.salt, position);
        let section = match parsed {
            Ok(section) => section,
            Err(detail) => return Err(self.damaged(position, detail)),
        };
        if section.head.lane != self.lane {
            return Err(self.damaged(position, "the section is of another partition"));
        }
        let body = source.block.slice(from + section.body.start..from + section.body.end);
        let records = Records::new(&section.head);
        self.section = Some(OpenSection { records, body, position });
        Ok(true)
    }

    /// Finds the segment with the next records; `false` at the end.
    fn next_source(&mut self) -> Result<bool, LogError> {
        self.source = None;
        loop {
            let located = {
                let state = self.keeper.shared.state.read();
                let start = state.bounds(self.lane).start;
                if self.position < start {
                    let range = (start, state.bounds(self.lane).end);
                    return Err(out_of_range(&self.topic, self.lane, self.position, range));
                }
                state.locate(self.lane, self.position)
            };
            let source = match located {
                Located::End(end) => {
                    self.position = self.position.max(end);
                    return Ok(false);
                }
                Located::Active { name, salt, file, runs } => {
                    let place = self.keeper.shared.disk.place(&name.log());
                    Source { file, place, salt, runs, next: 0, block: Bytes::new(), block_at: 0 }
                }
                Located::Sealed(segment) => {
                    let name = segment.name.log();
                    let opened =
                        segment.runs(&*self.keeper.shared.disk, self.lane).and_then(|runs| {
                            let failed = unavailable("open a segment");
                            Ok((runs, self.keeper.shared.disk.open(&name).map_err(failed)?))
                        });
                    if opened.is_err() && !self.still_listed(&segment) {
                        // Upkeep replaced the segment since it was located.
                        continue;
                    }
                    let (runs, file) = opened?;
                    let next = runs.partition_point(|run| run.last() < self.position);
                    let place = self.keeper.shared.disk.place(&name);
                    let salt = segment.salt;
                    Source { file, place, salt, runs, next, block: Bytes::new(), block_at: 0 }
                }
            };
            self.source = Some(source);
            return Ok(true);
        }
    }

    fn still_listed(&self, segment: &Arc<Segment>) -> bool {
        let state = self.keeper.shared.state.read();
        state.sealed.iter().any(|listed| Arc::ptr_eq(listed, segment))
    }

    fn damaged(&self, position: u64, detail: &'static str) -> LogError {
        let file = self.source.as_ref().map_or("", |source| source.place.as_str());
        LogError::Damaged { place: format!("{file} at byte {position}"), detail }
    }
}

impl Source {
    /// Reads the next run and as many of its neighbours as fit a block.
    fn read_block(&mut self) -> Result<(), LogError> {
        let runs = &self.runs[self.next..];
        let start = u64::from(runs[0].position);
        let mut end = runs[0].end();
        for run in &runs[1..] {
            let near = u64::from(run.position) <= end + GAP_BYTES;
            if !near || run.end() - start > BLOCK_BYTES {
                break;
            }
            end = run.end();
        }
        let mut block = BytesMut::zeroed(usize::try_from(end - start).unwrap_or(usize::MAX));
        self.file.read_at(&mut block, start).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                let place = format!("{} at byte {start}", self.place);
                return LogError::Damaged { place, detail: "the segment is cut short" };
            }
            unavailable("read a segment")(error)
        })?;
        (self.block, self.block_at) = (block.freeze(), start);
        Ok(())
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
    fn read(&mut self, max_records: usize, wait: Duration) -> Result<Vec<Entry>, LogError> {
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
