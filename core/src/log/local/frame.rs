//! The frame: what one group commit writes, whole or not at all.
//!
//! A frame is a header and sections. A section holds records of one topic's partition, or
//! controls (definitions, consumer offsets). A reader fetches single sections, so each carries its
//! own checksum; the frame's checksum covers its header and the sections' checksums, so that every
//! byte is summed once.
//!
//! Magic and checksums are salted with a random number of the segment and the position in the
//! file: bytes that a client sent can never pass for a frame, and a frame at the wrong place is
//! none. CRC-32C is that of RFC 3720, appendix B.4.
//!
//! All integers are little-endian.
//! ```text
//! frame    0 magic u64 | 8 length u32 | 12 crc u32 | 16 lsn u64 | 24 time i64 | 32 sections u32 | 36 kind u8 | 37 zero
//! section  0 kind u8, zero | 4 topic u32 | 8 partition u32 | 12 count u32 | 16 first u64 | 24 lsn u64 | 32 time i64
//!          40 body length u32 | 44 crc u32 | 48 body
//! record   key length | value length + 1, or 0 for a tombstone | key | value          (varints)
//! copy     offset, lsn and time, each less the previous one's (first: the section's) | record
//! ```

mod encode;

use std::ops::Range;

pub(super) use self::encode::FrameWriter;
use super::wire::{Fields, varint_length};
use crate::log::{Offset, Partition};

const FRAME_HEADER: usize = 40;
const SECTION_HEADER: usize = 48;
const CRC_IN_SECTION: Range<usize> = 44..48;

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

/// A section in a file: the header's position and the place of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) head: SectionHead,
    /// Position of the header in the file.
    pub(super) position: u64,
    /// The body within the bytes parsed.
    pub(super) body: Range<usize>,
}

impl Section {
    /// Bytes it takes in the file, header included.
    pub(super) fn length(&self) -> usize {
        SECTION_HEADER + self.body.len()
    }
}

/// A frame whose checksums hold.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) lsn: u64,
    pub(super) appended_ms: i64,
    pub(super) length: usize,
    pub(super) sections: Vec<Section>,
}

fn section_crc(salt: Salt, position: u64, section: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(salt.seed(position), &section[..CRC_IN_SECTION.start]);
    crc32c::crc32c_append(head, &section[SECTION_HEADER..])
}

fn frame_crc(salt: Salt, position: u64, frame: &[u8], sums: &[u8]) -> u32 {
    let length = crc32c::crc32c_append(salt.seed(position), &frame[8..12]);
    let header = crc32c::crc32c_append(length, &frame[16..FRAME_HEADER]);
    crc32c::crc32c_append(header, sums)
}

/// Bytes a row takes in a frame at most, its share of a new section included.
pub(super) fn row_cost(key: usize, value: Option<usize>) -> usize {
    let lengths = varint_length(key as u64) + varint_length(value.map_or(0, |v| v as u64 + 1));
    SECTION_HEADER + lengths + key + value.unwrap_or(0)
}

/// Bytes of a frame with one section that are not body.
pub(super) const FRAME_OVERHEAD: usize = FRAME_HEADER + SECTION_HEADER;

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
    let mut sections = Vec::new();
    let mut sums = Vec::new();
    let mut at = FRAME_HEADER;
    for _ in 0..count {
        let rest = frame.get(at..).ok_or("a section is cut short")?;
        let mut section = parse_section(rest, salt, position + at as u64)?;
        sums.extend_from_slice(&rest[CRC_IN_SECTION]);
        section.body = section.body.start + at..section.body.end + at;
        at = section.body.end;
        sections.push(section);
    }
    if at != length || crc != frame_crc(salt, position, frame, &sums) {
        return Err("the frame's checksum does not hold");
    }
    Ok(Frame { kind, lsn, appended_ms, length, sections })
}

/// Parses the section at the start of `bytes`, which stands at `position` of its segment.
pub(super) fn parse_section(
    bytes: &[u8],
    salt: Salt,
    position: u64,
) -> Result<Section, &'static str> {
    let short = "a section is cut short";
    let mut fields = Fields::new(bytes.get(..SECTION_HEADER).ok_or(short)?);
    let kind = fields.u32().and_then(|kind| u8::try_from(kind).ok());
    let kind = kind.and_then(SectionKind::from_byte).ok_or("a section's kind is unknown")?;
    let lane = Lane { topic: fields.u32().ok_or(short)?, partition: fields.u32().ok_or(short)? };
    let head = SectionHead {
        kind,
        lane,
        count: fields.u32().ok_or(short)?,
        first: fields.u64().ok_or(short)?,
        lsn: fields.u64().ok_or(short)?,
        appended_ms: fields.i64().ok_or(short)?,
    };
    let body_length = fields.u32().ok_or(short)? as usize;
    let crc = fields.u32().ok_or(short)?;
    let section = bytes.get(..SECTION_HEADER + body_length).ok_or(short)?;
    if crc != section_crc(salt, position, section) {
        return Err("a section's checksum does not hold");
    }
    Ok(Section { head, position, body: SECTION_HEADER..SECTION_HEADER + body_length })
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
