//! Building frames, byte by byte, in buffers that are used again.

use super::{
    BLOCK_BYTES, BLOCK_HEADER, Block, CRC_IN_BLOCK, FRAME_HEADER, FrameKind, Lane, Record, Salt,
    SectionHead, SectionKind, block_crc, frame_crc, share,
};
use crate::Offset;
use crate::local::compression::{Compression, Compressor};
use crate::local::run::Run;
use crate::local::wire::put_varint;

/// Most that a record or copy has beside key and value: five varints.
const RECORD_NUMBERS: usize = 50;

/// Where a section of records went: its partition, its place and the times of its records.
#[derive(Debug, Clone, Copy)]
pub(in crate::local) struct Placed {
    pub(in crate::local) lane: Lane,
    pub(in crate::local) run: Run,
    pub(in crate::local) oldest_ms: i64,
    pub(in crate::local) newest_ms: i64,
}

/// Builds one frame after the other.
#[derive(Debug)]
pub(in crate::local) struct FrameWriter {
    /// The frame as far as its blocks are closed.
    bytes: Vec<u8>,
    salt: Salt,
    position: u64,
    blocks: u32,
    sums: Vec<u8>,
    compressor: Compressor,
    /// The bodies of the open block.
    bodies: Vec<u8>,
    /// The closed sections of the open block.
    closed: Vec<Closed>,
    open: Option<Open>,
    placed: Vec<Placed>,
}

#[derive(Debug)]
struct Open {
    start: usize,
    head: SectionHead,
    previous: (Offset, u64, i64),
}

#[derive(Debug)]
struct Closed {
    head: SectionHead,
    length: usize,
    last: Offset,
    newest_ms: i64,
}

impl FrameWriter {
    pub(in crate::local) fn new(compression: Compression) -> Self {
        Self {
            bytes: Vec::new(),
            salt: Salt(0),
            position: 0,
            blocks: 0,
            sums: Vec::new(),
            compressor: Compressor::new(compression),
            bodies: Vec::new(),
            closed: Vec::new(),
            open: None,
            placed: Vec::new(),
        }
    }

    /// Begins a frame that will stand at `position` of a segment with this salt.
    pub(in crate::local) fn begin(
        &mut self,
        salt: Salt,
        position: u64,
        kind: FrameKind,
        lsn: u64,
        appended_ms: i64,
    ) {
        (self.salt, self.position, self.blocks, self.open) = (salt, position, 0, None);
        self.bytes.clear();
        self.sums.clear();
        self.bodies.clear();
        self.closed.clear();
        self.placed.clear();
        self.bytes.resize(FRAME_HEADER, 0);
        self.bytes[0..8].copy_from_slice(&salt.magic(position).to_le_bytes());
        self.bytes[16..24].copy_from_slice(&lsn.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&appended_ms.to_le_bytes());
        self.bytes[36] = kind as u8;
    }

    /// Begins a section; `count` of the head is counted as records are added.
    pub(in crate::local) fn begin_section(&mut self, head: SectionHead) {
        let start = self.bodies.len();
        let previous = (head.first, head.lsn, head.appended_ms);
        self.open = Some(Open { start, head: SectionHead { count: 0, ..head }, previous });
    }

    /// Adds a record to a section of kind `Records`.
    pub(in crate::local) fn record(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.is_full(key.len() + value.map_or(0, <[u8]>::len))
            && let Some(SectionHead { kind, lane, count, first, lsn, appended_ms }) =
                self.open.as_ref().map(|open| open.head)
        {
            let (first, lsn) = (first + u64::from(count), lsn + u64::from(count));
            self.split(SectionHead { kind, lane, count: 0, first, lsn, appended_ms });
        }
        self.put_record(key, value);
    }

    /// Adds a record to a section of kind `Copies`; all three numbers must not fall.
    pub(in crate::local) fn copy(&mut self, record: &Record<'_>) {
        let full = self.is_full(record.key.len() + record.value.map_or(0, <[u8]>::len));
        if let Some(head) = self.open.as_ref().map(|open| open.head)
            // The index has 32 bits for the span of a section.
            && (full || record.offset.wrapping_sub(head.first) > Offset::from(u32::MAX))
        {
            let Record { offset: first, lsn, appended_ms, .. } = *record;
            self.split(SectionHead { first, lsn, appended_ms, ..head });
        }
        if let Some(open) = &mut self.open {
            let (offset, lsn, appended_ms) = open.previous;
            put_varint(&mut self.bodies, record.offset.wrapping_sub(offset));
            put_varint(&mut self.bodies, record.lsn.wrapping_sub(lsn));
            let later = record.appended_ms.wrapping_sub(appended_ms);
            put_varint(&mut self.bodies, later.cast_unsigned());
            open.previous = (record.offset, record.lsn, record.appended_ms);
        }
        self.put_record(record.key, record.value);
    }

    /// Gives the buffer to an encoder of one control.
    pub(in crate::local) fn control(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.is_full(0)
            && let Some(head) = self.open.as_ref().map(|open| open.head)
        {
            self.split(head);
        }
        encode(&mut self.bodies);
        if let Some(open) = &mut self.open {
            open.head.count += 1;
        }
    }

    /// Adds a block of another frame as it is stored; `bytes` are those it was parsed from.
    pub(in crate::local) fn stored_block(&mut self, block: &Block, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes.get(block.stored.clone()).unwrap_or_default());
        self.sum_block(start);
    }

    /// Ends the section; one without records leaves nothing.
    pub(in crate::local) fn end_section(&mut self) {
        let Some(Open { start, head, previous }) = self.open.take() else { return };
        if head.count == 0 {
            return;
        }
        let (last, newest_ms) = match head.kind {
            SectionKind::Copies => (previous.0, previous.2),
            _ => (head.first + u64::from(head.count - 1), head.appended_ms),
        };
        self.closed.push(Closed { head, length: self.bodies.len() - start, last, newest_ms });
    }

    /// Bytes of the frame so far, not all of them compressed yet.
    pub(in crate::local) fn length(&self) -> usize {
        self.bytes.len() + self.bodies.len()
    }

    /// Completes the frame.
    pub(in crate::local) fn finish(&mut self) -> &[u8] {
        self.end_section();
        self.close_block();
        let length = u32_of(self.bytes.len());
        self.bytes[8..12].copy_from_slice(&length.to_le_bytes());
        self.bytes[32..36].copy_from_slice(&self.blocks.to_le_bytes());
        let crc = frame_crc(self.salt, self.position, &self.bytes, &self.sums);
        self.bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }

    /// Returns the bytes of the finished frame.
    pub(in crate::local) fn finished(&self) -> &[u8] {
        &self.bytes
    }

    /// Tells where the sections of the finished frame stand, controls left out.
    pub(in crate::local) fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// Tells whether a record has to go into the next block.
    fn is_full(&self, bytes: usize) -> bool {
        !self.bodies.is_empty() && self.bodies.len() + bytes + RECORD_NUMBERS > BLOCK_BYTES
    }

    /// Goes on with another section in another block.
    fn split(&mut self, head: SectionHead) {
        self.end_section();
        self.close_block();
        self.begin_section(head);
    }

    fn put_record(&mut self, key: &[u8], value: Option<&[u8]>) {
        put_varint(&mut self.bodies, key.len() as u64);
        put_varint(&mut self.bodies, value.map_or(0, |value| value.len() as u64 + 1));
        self.bodies.extend_from_slice(key);
        self.bodies.extend_from_slice(value.unwrap_or_default());
        if let Some(open) = &mut self.open {
            open.head.count += 1;
        }
    }

    fn close_block(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        let start = self.bytes.len();
        self.bytes.resize(start + BLOCK_HEADER, 0);
        for Closed { head, length, .. } in &self.closed {
            self.bytes.push(head.kind as u8);
            put_varint(&mut self.bytes, u64::from(head.lane.topic));
            put_varint(&mut self.bytes, u64::from(head.lane.partition));
            put_varint(&mut self.bytes, u64::from(head.count));
            put_varint(&mut self.bytes, head.first);
            put_varint(&mut self.bytes, head.lsn);
            put_varint(&mut self.bytes, head.appended_ms.cast_unsigned());
            put_varint(&mut self.bytes, *length as u64);
        }
        self.compressor.append(&self.bodies, &mut self.bytes);
        let (bodies, sections) = (u32_of(self.bodies.len()), u32_of(self.closed.len()));
        let length = self.bytes.len() - start;
        let block = &mut self.bytes[start..];
        block[0..4].copy_from_slice(&u32_of(length).to_le_bytes());
        block[8..12].copy_from_slice(&bodies.to_le_bytes());
        block[12..16].copy_from_slice(&sections.to_le_bytes());
        self.sum_block(start);
        let position = u32::try_from(self.position + start as u64).unwrap_or(u32::MAX);
        let placed =
            self.closed.drain(..).filter_map(|Closed { head, length: body, last, newest_ms }| {
                let run = Run {
                    first: head.first,
                    span: u32::try_from(last - head.first).unwrap_or(u32::MAX),
                    position,
                    length: u32_of(length),
                    share: u32::try_from(share(length, body, self.bodies.len()))
                        .unwrap_or(u32::MAX),
                };
                let oldest_ms = head.appended_ms;
                (head.kind != SectionKind::Controls).then_some(Placed {
                    lane: head.lane,
                    run,
                    oldest_ms,
                    newest_ms,
                })
            });
        self.placed.extend(placed);
        self.bodies.clear();
    }

    fn sum_block(&mut self, start: usize) {
        let position = self.position + start as u64;
        let crc = block_crc(self.salt, position, &self.bytes[start..]).to_le_bytes();
        self.bytes[start..][CRC_IN_BLOCK].copy_from_slice(&crc);
        self.sums.extend_from_slice(&crc);
        self.blocks += 1;
    }
}

/// Frames are capped far below 4 GiB by the settings.
fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
