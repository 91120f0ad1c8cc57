//! Where the records of a partition stand in a segment, in memory and in the sidecar beside it.
//!
//! One [`Run`] a section: 24 bytes in memory and in the file, whatever the number of records in
//! it. The active segment's runs are in memory; those of a sealed one are read, a partition's
//! block at a time, by the reader that needs them, so that what a backlog costs in memory is a
//! [`LaneSummary`] for each partition of each sealed segment (56 bytes), not its records.
//!
//! A sidecar is derived: one that is missing or whose table is damaged is rebuilt by a scan.
//! ```text
//! sidecar  magic u64 | version u32 | lanes u32 | salt u64 | segment length u64
//!          | lanes x (topic u32, partition u32, first u64, last u64, bytes u64, oldest i64, newest i64,
//!                     position u64, runs u32, crc u32 of the block) | crc u32 of all before | blocks
//! block    runs x (first u64, span u32, position u32, length u32, share u32)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::Disk;
use super::errors::unavailable;
use super::frame::{Lane, Salt};
use super::run::Run;
use super::wire::Fields;
use crate::{LogError, Offset};

const MAGIC: u64 = u64::from_le_bytes(*b"tillidx1");
const VERSION: u32 = 2;
const HEADER: usize = 32;
const LANE_ENTRY: usize = 64;
const RUN_ENTRY: usize = 24;

/// What a segment holds of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneSummary {
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) bytes: u64,
    pub(super) oldest_ms: i64,
    pub(super) newest_ms: i64,
    block: Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Block {
    position: u64,
    runs: u32,
    crc: u32,
}

/// The runs and summary of one partition.
#[derive(Debug, Clone)]
pub(super) struct LaneRuns {
    pub(super) summary: LaneSummary,
    pub(super) runs: Vec<Run>,
}

/// All runs of a segment.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub(super) lanes: BTreeMap<Lane, LaneRuns>,
}

impl Index {
    /// Adds a section that stands behind all others.
    pub(super) fn add(&mut self, lane: Lane, run: Run, times: (i64, i64)) {
        let (oldest_ms, newest_ms) = times;
        let entry = self.lanes.entry(lane).or_insert_with(|| LaneRuns {
            summary: LaneSummary {
                first: run.first,
                last: run.last(),
                bytes: 0,
                oldest_ms,
                newest_ms,
                block: Block::default(),
            },
            runs: Vec::new(),
        });
        entry.summary.last = run.last();
        entry.summary.bytes += u64::from(run.share);
        entry.summary.newest_ms = entry.summary.newest_ms.max(newest_ms);
        entry.runs.push(run);
    }

    pub(super) fn summaries(&self) -> BTreeMap<Lane, LaneSummary> {
        self.lanes.iter().map(|(lane, runs)| (*lane, runs.summary)).collect()
    }

    /// Writes the sidecar under its final name and makes it durable; returns the summaries that
    /// know where their blocks stand.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn write_sidecar(
        &self,
        disk: &dyn Disk,
        name: &str,
        salt: Salt,
        segment_length: u64,
    ) -> Result<BTreeMap<Lane, LaneSummary>, LogError> {
        let (bytes, summaries) = self.encode(salt, segment_length);
        let draft = format!("{name}.tmp");
        let failed = unavailable("write a segment's index", || disk.place(name));
        let file = disk.create(&draft).map_err(&failed)?;
        file.write_at(&bytes, 0).map_err(&failed)?;
        file.sync().map_err(&failed)?;
        disk.rename(&draft, name).map_err(&failed)?;
        disk.sync_folder().map_err(&failed)?;
        Ok(summaries)
    }

    fn encode(&self, salt: Salt, segment_length: u64) -> (Vec<u8>, BTreeMap<Lane, LaneSummary>) {
        let mut blocks = Vec::new();
        let mut table = Vec::with_capacity(HEADER + self.lanes.len() * LANE_ENTRY + 4);
        let mut summaries = BTreeMap::new();
        let blocks_at = (HEADER + self.lanes.len() * LANE_ENTRY + 4) as u64;
        table.extend_from_slice(&MAGIC.to_le_bytes());
        table.extend_from_slice(&VERSION.to_le_bytes());
        table.extend_from_slice(&count(self.lanes.len()).to_le_bytes());
        table.extend_from_slice(&salt.0.to_le_bytes());
        table.extend_from_slice(&segment_length.to_le_bytes());
        for (lane, LaneRuns { summary, runs }) in &self.lanes {
            let start = blocks.len();
            for run in runs {
                blocks.extend_from_slice(&run.first.to_le_bytes());
                blocks.extend_from_slice(&run.span.to_le_bytes());
                blocks.extend_from_slice(&run.position.to_le_bytes());
                blocks.extend_from_slice(&run.length.to_le_bytes());
                blocks.extend_from_slice(&run.share.to_le_bytes());
            }
            let position = blocks_at + start as u64;
            let crc = crc32c::crc32c(&blocks[start..]);
            let block = Block { position, runs: count(runs.len()), crc };
            let summary = LaneSummary { block, ..*summary };
            summary.encode(*lane, &mut table);
            summaries.insert(*lane, summary);
        }
        let crc = crc32c::crc32c(&table);
        table.extend_from_slice(&crc.to_le_bytes());
        table.append(&mut blocks);
        (table, summaries)
    }
}

/// A segment has fewer sections than bytes, and fewer bytes than 4 GiB.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl LaneSummary {
    fn encode(&self, lane: Lane, out: &mut Vec<u8>) {
        out.extend_from_slice(&lane.topic.to_le_bytes());
        out.extend_from_slice(&lane.partition.to_le_bytes());
        for number in [self.first, self.last, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.oldest_ms.to_le_bytes());
        out.extend_from_slice(&self.newest_ms.to_le_bytes());
        out.extend_from_slice(&self.block.position.to_le_bytes());
        out.extend_from_slice(&self.block.runs.to_le_bytes());
        out.extend_from_slice(&self.block.crc.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Option<(Lane, Self)> {
        let lane = Lane { topic: fields.u32()?, partition: fields.u32()? };
        let summary = Self {
            first: fields.u64()?,
            last: fields.u64()?,
            bytes: fields.u64()?,
            oldest_ms: fields.i64()?,
            newest_ms: fields.i64()?,
            block: Block { position: fields.u64()?, runs: fields.u32()?, crc: fields.u32()? },
        };
        Some((lane, summary))
    }
}

/// Reads the table of a sidecar; `None` when it is missing, damaged or of another segment.
pub(super) fn read_table(
    disk: &dyn Disk,
    name: &str,
    salt: Salt,
    segment_length: u64,
) -> Option<BTreeMap<Lane, LaneSummary>> {
    let file = disk.open(name).ok()?;
    let mut header = vec![0; HEADER];
    file.read_at(&mut header, 0).ok()?;
    let mut fields = Fields::new(&header);
    let known = fields.u64()? == MAGIC && fields.u32()? == VERSION;
    let lanes = fields.u32()? as usize;
    if !known || fields.u64()? != salt.0 || fields.u64()? != segment_length {
        return None;
    }
    let length = HEADER.checked_add(lanes.checked_mul(LANE_ENTRY)?)?;
    if file.length().ok()? < length as u64 + 4 {
        return None;
    }
    let mut table = vec![0; length + 4];
    file.read_at(&mut table, 0).ok()?;
    let mut fields = Fields::new(&table);
    fields.take(HEADER)?;
    let summaries: BTreeMap<_, _> =
        (0..lanes).map(|_| LaneSummary::decode(&mut fields)).collect::<Option<_>>()?;
    let whole = fields.u32()? == crc32c::crc32c(&table[..length]);
    let stored = file.length().ok()?;
    let end = |summary: &LaneSummary| {
        summary.block.position + u64::from(summary.block.runs) * RUN_ENTRY as u64
    };
    (whole && summaries.values().all(|summary| end(summary) <= stored)).then_some(summaries)
}

/// Reads the runs of one partition from a sidecar.
///
/// # Errors
/// When the disk fails or the block is damaged, see [`super::sidecar`].
pub(super) fn read_runs(
    disk: &dyn Disk,
    name: &str,
    summary: &LaneSummary,
) -> Result<Arc<[Run]>, LogError> {
    let failed = unavailable("read a segment's index", || disk.place(name));
    let file = disk.open(name).map_err(&failed)?;
    let mut bytes = vec![0; summary.block.runs as usize * RUN_ENTRY];
    file.read_at(&mut bytes, summary.block.position).map_err(&failed)?;
    let damaged = || LogError::Damaged {
        place: format!("{} at byte {}", disk.place(name), summary.block.position),
        detail: "the index's checksum does not hold",
    };
    if crc32c::crc32c(&bytes) != summary.block.crc {
        return Err(damaged());
    }
    let mut fields = Fields::new(&bytes);
    let mut run = || {
        Some(Run {
            first: fields.u64()?,
            span: fields.u32()?,
            position: fields.u32()?,
            length: fields.u32()?,
            share: fields.u32()?,
        })
    };
    (0..summary.block.runs).map(|_| run()).collect::<Option<_>>().ok_or_else(damaged)
}
