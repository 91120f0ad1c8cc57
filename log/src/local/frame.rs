//! The frame: what one group commit writes, whole or not at all.
//!
//! A frame is a header and blocks. A block is a table of sections and their bodies, compressed
//! together; a section holds records of one topic's partition, or controls (definitions, consumer
//! offsets). The bodies of a block are cut off at [`BLOCK_BYTES`], so that a reader that wants one
//! partition of a large transaction unpacks little else. The table is not compressed: finding out
//! what a segment holds unpacks nothing but controls.
//!
//! A reader fetches single blocks, so each carries its own checksum; the frame's covers its header
//! and the blocks' checksums, so that every stored byte is summed once.
//!
//! Magic and checksums are salted with a random number of the segment and the position in the
//! file: bytes that a client sent can never pass for a frame, and a frame at the wrong place is
//! none. CRC-32C is that of RFC 3720, appendix B.4.
//!
//! All integers are little-endian.
//! ```text
//! frame    0 magic u64 | 8 length u32 | 12 crc u32 | 16 lsn u64 | 24 time i64 | 32 blocks u32 | 36 kind u8 | 37 zero
//! block    0 length u32 | 4 crc u32 | 8 bodies' length u32 | 12 sections u32 | 16 table | bodies: as they are
//!          where that length says so, else a Zstandard frame (RFC 8878)
//! table    sections x (kind | topic | partition | count | first | lsn | time | body length)   (varints)
//! record   key length | value length + 1, or 0 for a tombstone | key | value                  (varints)
//! copy     offset, lsn and time, each less the previous one's (first: the section's) | record
//! ```

mod encode;

use std::ops::Range;

use bytes::Bytes;

pub(super) use self::encode::FrameWriter;
use super::compression;
use super::wire::{Fields, varint_length};
use crate::{Offset, Partition};

const FRAME_HEADER: usize = 40;
const BLOCK_HEADER: usize = 16;
const CRC_IN_BLOCK: Range<usize> = 4..8;
/// Longest entry of a block's table: a byte, four varints of 32 bits and three of 64.
const TABLE_ENTRY: usize = 1 + 4 * 5 + 3 * 10;
/// Bodies of a block at most, unless one record alone is longer.
pub(super) const BLOCK_BYTES: usize = 128 << 10;
/// No frame is longer, see [`super::settings::LocalTuning::validate`].
const MOST_BYTES: usize = 2 << 30;

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) topic: u32,
    pub(super) partition: Partition,
}

/// The random number of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u64);

impl Salt {
    /// Draws a new one.
    pub(super) fn random() -> Self {
        let [high, low] =
            [uuid::Uuid::new_v4().as_u64_pair().0, uuid::Uuid::new_v4().as_u64_pair().1];
        Self(high ^ low.rotate_left(17))
    }

    fn magic(self, position: u64) -> u64 {
        mix(self.0 ^ mix(position))
    }

    fn seed(self, position: u64) -> u32 {
        (mix(self.0.rotate_left(32) ^ mix(!position)) >> 32) as u32
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A group commit.
    Commit = 1,
    /// The catalog at the start of a segment.
    Snapshot = 2,
    /// All before it was synced before it was written.
    Seal = 3,
    /// Records kept by retention and compaction.
    Copies = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Commit, Self::Snapshot, Self::Seal, Self::Copies]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SectionKind {
    /// Records with consecutive offsets and log sequence numbers, of one time.
    Records = 1,
    /// Records that carry offset, log sequence number and time each.
    Copies = 2,
    /// Controls, see [`super::catalog::Control`].
    Controls = 3,
}

impl SectionKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Records, Self::Copies, Self::Controls].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The fixed part of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SectionHead {
    pub(super) kind: SectionKind,
    pub(super) lane: Lane,
    pub(super) count: u32,
    pub(super) first: Offset,
    pub(super) lsn: u64,
    pub(super) appended_ms: i64,
}

/// A section and the place of its body among the bodies of its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) head: SectionHead,
    pub(super) body: Range<usize>,
}

/// A block whose checksum holds, not unpacked.
#[derive(Debug)]
pub(super) struct Block {
    /// Position of its header in the file.
    pub(super) position: u64,
    /// Bytes it takes in the file.
    pub(super) length: usize,
    pub(super) sections: Vec<Section>,
    /// Where it stands within the bytes parsed.
    stored: Range<usize>,
    /// The stored bodies within the bytes parsed.
    bodies: Range<usize>,
    unpacked_length: usize,
}

/// A block whose bodies can be read.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) sections: Vec<Section>,
    pub(super) bodies: Bytes,
}

impl Block {
    /// Unpacks the bodies; `bytes` are those it was parsed from.
    pub(super) fn unpack(self, bytes: &[u8]) -> Result<Unpacked, &'static str> {
        let bodies = self.bodies(bytes)?;
        Ok(Unpacked { sections: self.sections, bodies })
    }

    /// Returns the unpacked bodies; `bytes` are those it was parsed from.
    pub(super) fn bodies(&self, bytes: &[u8]) -> Result<Bytes, &'static str> {
        let stored = bytes.get(self.bodies.clone()).ok_or("a block is cut short")?;
        if stored.len() == self.unpacked_length {
            return Ok(Bytes::copy_from_slice(stored));
        }
        let bodies = compression::decompress(stored, self.unpacked_length);
        bodies.map(Bytes::from).ok_or("a block cannot be decompressed")
    }

    /// Returns the unpacked bodies if any of them has more to tell than its entry in the table:
    /// controls and copies; else nothing.
    pub(super) fn telling_bodies(&self, bytes: &[u8]) -> Result<Bytes, &'static str> {
        let telling = |section: &Section| section.head.kind != SectionKind::Records;
        if self.sections.iter().any(telling) { self.bodies(bytes) } else { Ok(Bytes::new()) }
    }

    /// Bytes that a section takes of the file: its share, by length, of what the block takes.
    pub(super) fn share(&self, section: &Section) -> u64 {
        share(self.length, section.body.len(), self.unpacked_length)
    }
}

fn share(stored: usize, body: usize, bodies: usize) -> u64 {
    (stored as u64 * body as u64 / (bodies as u64).max(1)).max(1)
}

impl Unpacked {
    /// Finds the section of a partition that begins at an offset.
    pub(super) fn find(&self, lane: Lane, first: Offset) -> Option<(SectionHead, Bytes)> {
        let found = |section: &&Section| {
            let head = &section.head;
            head.kind != SectionKind::Controls && head.lane == lane && head.first == first
        };
        let section = self.sections.iter().find(found)?;
        Some((section.head, self.bodies.slice(section.body.clone())))
    }
}

/// A frame whose checksums hold.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) lsn: u64,
    pub(super) appended_ms: i64,
    pub(super) length: usize,
    pub(super) blocks: Vec<Block>,
}

fn block_crc(salt: Salt, position: u64, block: &[u8]) -> u32 {
    let length = crc32c::crc32c_append(salt.seed(position), &block[..CRC_IN_BLOCK.start]);
    crc32c::crc32c_append(length, &block[CRC_IN_BLOCK.end..])
}

fn frame_crc(salt: Salt, position: u64, frame: &[u8], sums: &[u8]) -> u32 {
    let length = crc32c::crc32c_append(salt.seed(position), &frame[8..12]);
    let header = crc32c::crc32c_append(length, &frame[16..FRAME_HEADER]);
    crc32c::crc32c_append(header, sums)
}

/// Bytes a row takes in a frame at most, its share of a new block and section included.
pub(super) fn row_cost(key: usize, value: Option<usize>) -> usize {
    let lengths = varint_length(key as u64) + varint_length(value.map_or(0, |v| v as u64 + 1));
    BLOCK_HEADER + TABLE_ENTRY + lengths + key + value.unwrap_or(0)
}

/// Bytes of a frame with one section that are not body, at most.
pub(super) const FRAME_OVERHEAD: usize = FRAME_HEADER + BLOCK_HEADER + TABLE_ENTRY;

/// Parses the frame at the start of `bytes`, which stands at `position` of its segment.
///
/// `Err` says what is wrong with it.
pub(super) fn parse_frame(bytes: &[u8], salt: Salt, position: u64) -> Result<Frame, &'static str> {
    let head = bytes.get(..FRAME_HEADER).ok_or("the frame's header is cut short")?;
    let mut fields = Fields::new(head);
    if fields.u64() != Some(salt.magic(position)) {
        return Err("no frame begins here");
    }
    let short = "the frame is cut short";
    let length = fields.u32().ok_or(short)? as usize;
    let crc = fields.u32().ok_or(short)?;
    let lsn = fields.u64().ok_or(short)?;
    let appended_ms = fields.i64().ok_or(short)?;
    let count = fields.u32().ok_or(short)?;
    let kind = fields.u8().and_then(FrameKind::from_byte).ok_or("the frame's kind is unknown")?;
    let frame = bytes.get(..length).ok_or(short)?;
    let (mut blocks, mut sums) = (Vec::new(), Vec::new());
    let mut at = FRAME_HEADER;
    for _ in 0..count {
        let rest = frame.get(at..).ok_or("a block is cut short")?;
        let mut block = parse_block(rest, salt, position + at as u64)?;
        sums.extend_from_slice(&rest[CRC_IN_BLOCK]);
        block.stored = block.stored.start + at..block.stored.end + at;
        block.bodies = block.bodies.start + at..block.bodies.end + at;
        at += block.length;
        blocks.push(block);
    }
    if at != length || crc != frame_crc(salt, position, frame, &sums) {
        return Err("the frame's checksum does not hold");
    }
    Ok(Frame { kind, lsn, appended_ms, length, blocks })
}

/// Parses the block at the start of `bytes`, which stands at `position` of its segment.
pub(super) fn parse_block(bytes: &[u8], salt: Salt, position: u64) -> Result<Block, &'static str> {
    let short = "a block is cut short";
    let mut fields = Fields::new(bytes);
    let length = fields.u32().ok_or(short)? as usize;
    let block = bytes.get(..length.max(BLOCK_HEADER)).ok_or(short)?;
    let crc = fields.u32().ok_or(short)?;
    if crc != block_crc(salt, position, block) {
        return Err("a block's checksum does not hold");
    }
    let wrong = "a block's table makes no sense";
    let unpacked_length = fields.u32().ok_or(short)? as usize;
    let count = fields.u32().ok_or(short)?;
    let mut sections = Vec::new();
    let mut at = 0_usize;
    for _ in 0..count {
        let (head, length) = table_entry(&mut fields).ok_or(wrong)?;
        let end = at.checked_add(length).ok_or(wrong)?;
        sections.push(Section { head, body: at..end });
        at = end;
    }
    let bodies = fields.position()..length;
    if at != unpacked_length || bodies.start > bodies.end || at > MOST_BYTES {
        return Err(wrong);
    }
    Ok(Block { position, length, sections, stored: 0..length, bodies, unpacked_length })
}

fn table_entry(fields: &mut Fields<'_>) -> Option<(SectionHead, usize)> {
    let head = SectionHead {
        kind: SectionKind::from_byte(fields.u8()?)?,
        lane: Lane { topic: fields.varint_u32()?, partition: fields.varint_u32()? },
        count: fields.varint_u32()?,
        first: fields.varint()?,
        lsn: fields.varint()?,
        appended_ms: fields.varint()?.cast_signed(),
    };
    Some((head, fields.length()?))
}

/// A record as it stands in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) offset: Offset,
    pub(super) lsn: u64,
    pub(super) appended_ms: i64,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
}

/// Goes through the records of a section; owns its place, so that a reader can rest in between.
#[derive(Debug, Clone)]
pub(super) struct Records {
    at: usize,
    copies: bool,
    left: u32,
    next: (Offset, u64, i64),
}

impl Records {
    /// Stands before the first record of a section of kind `Records` or `Copies`.
    pub(super) fn new(head: &SectionHead) -> Self {
        Self {
            at: 0,
            copies: head.kind == SectionKind::Copies,
            left: head.count,
            next: (head.first, head.lsn, head.appended_ms),
        }
    }

    /// Returns the next record of the body, `None` after the last.
    pub(super) fn next<'a>(&mut self, body: &'a [u8]) -> Option<Result<Record<'a>, &'static str>> {
        self.left = self.left.checked_sub(1)?;
        let record = self.record(body).ok_or("a record is cut short");
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }

    fn record<'a>(&mut self, body: &'a [u8]) -> Option<Record<'a>> {
        let mut fields = Fields::new(body.get(self.at..)?);
        let (mut offset, mut lsn, mut appended_ms) = self.next;
        if self.copies {
            offset = offset.wrapping_add(fields.varint()?);
            lsn = lsn.wrapping_add(fields.varint()?);
            appended_ms = appended_ms.wrapping_add(fields.varint()?.cast_signed());
            self.next = (offset, lsn, appended_ms);
        } else {
            self.next = (offset.wrapping_add(1), lsn.wrapping_add(1), appended_ms);
        }
        let key_length = fields.length()?;
        let value_length = fields.length()?;
        let key = fields.take(key_length)?;
        let value = match value_length {
            0 => None,
            more => Some(fields.take(more - 1)?),
        };
        self.at += fields.position();
        Some(Record { offset, lsn, appended_ms, key, value })
    }
}

#[cfg(test)]
mod tests;
