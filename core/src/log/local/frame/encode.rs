//! Building frames, byte by byte, in one buffer that is used again.

use super::{
    CRC_IN_SECTION, FRAME_HEADER, FrameKind, Record, SECTION_HEADER, Salt, SectionHead, frame_crc,
    section_crc,
};
use crate::log::Offset;
use crate::log::local::wire::put_varint;

/// Builds one frame after the other in one buffer.
#[derive(Debug)]
pub(in crate::log::local) struct FrameWriter {
    bytes: Vec<u8>,
    salt: Salt,
    position: u64,
    sections: u32,
    sums: Vec<u8>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    start: usize,
    head: SectionHead,
    previous: (Offset, u64, i64),
}

impl FrameWriter {
    pub(in crate::log::local) fn new() -> Self {
        let (bytes, sums) = (Vec::new(), Vec::new());
        Self { bytes, salt: Salt(0), position: 0, sections: 0, sums, open: None }
    }

    /// Begins a frame that will stand at `position` of a segment with this salt.
    pub(in crate::log::local) fn begin(
        &mut self,
        salt: Salt,
        position: u64,
        kind: FrameKind,
        lsn: u64,
        appended_ms: i64,
    ) {
        (self.salt, self.position, self.sections) = (salt, position, 0);
        self.bytes.clear();
        self.sums.clear();
        self.bytes.resize(FRAME_HEADER, 0);
        self.bytes[0..8].copy_from_slice(&salt.magic(position).to_le_bytes());
        self.bytes[16..24].copy_from_slice(&lsn.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&appended_ms.to_le_bytes());
        self.bytes[36] = kind as u8;
    }

    /// Begins a section; `count` of the head is counted as records are added.
    pub(in crate::log::local) fn begin_section(&mut self, head: SectionHead) {
        let start = self.bytes.len();
        self.bytes.resize(start + SECTION_HEADER, 0);
        let previous = (head.first, head.lsn, head.appended_ms);
        self.open = Some(Open { start, head: SectionHead { count: 0, ..head }, previous });
    }

    /// Adds a record to a section of kind `Records`.
    pub(in crate::log::local) fn record(&mut self, key: &[u8], value: Option<&[u8]>) {
        put_varint(&mut self.bytes, key.len() as u64);
        put_varint(&mut self.bytes, value.map_or(0, |value| value.len() as u64 + 1));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        if let Some(open) = &mut self.open {
            open.head.count += 1;
        }
    }

    /// Adds a record to a section of kind `Copies`; all three numbers must not fall.
    pub(in crate::log::local) fn copy(&mut self, record: &Record<'_>) {
        if let Some(open) = &mut self.open {
            let (offset, lsn, appended_ms) = open.previous;
            put_varint(&mut self.bytes, record.offset.wrapping_sub(offset));
            put_varint(&mut self.bytes, record.lsn.wrapping_sub(lsn));
            let later = record.appended_ms.wrapping_sub(appended_ms);
            put_varint(&mut self.bytes, later.cast_unsigned());
            open.previous = (record.offset, record.lsn, record.appended_ms);
        }
        self.record(record.key, record.value);
    }

    /// Gives the buffer to an encoder of controls.
    pub(in crate::log::local) fn control(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        if let Some(open) = &mut self.open {
            open.head.count += 1;
        }
    }

    /// Adds a body that is already encoded, with its count.
    pub(in crate::log::local) fn raw(&mut self, body: &[u8], count: u32) {
        self.bytes.extend_from_slice(body);
        if let Some(open) = &mut self.open {
            open.head.count = count;
        }
    }

    /// Ends the section and tells where it stands: position in the file, and length.
    pub(in crate::log::local) fn end_section(&mut self) -> (u64, usize) {
        let Some(Open { start, head, .. }) = self.open.take() else { return (0, 0) };
        let position = self.position + start as u64;
        let body_length = u32_of(self.bytes.len() - start - SECTION_HEADER);
        let section = &mut self.bytes[start..];
        section[0] = head.kind as u8;
        section[4..8].copy_from_slice(&head.lane.topic.to_le_bytes());
        section[8..12].copy_from_slice(&head.lane.partition.to_le_bytes());
        section[12..16].copy_from_slice(&head.count.to_le_bytes());
        section[16..24].copy_from_slice(&head.first.to_le_bytes());
        section[24..32].copy_from_slice(&head.lsn.to_le_bytes());
        section[32..40].copy_from_slice(&head.appended_ms.to_le_bytes());
        section[40..44].copy_from_slice(&body_length.to_le_bytes());
        let crc = section_crc(self.salt, position, section).to_le_bytes();
        section[CRC_IN_SECTION].copy_from_slice(&crc);
        self.sums.extend_from_slice(&crc);
        self.sections += 1;
        (position, self.bytes.len() - start)
    }

    /// Bytes of the frame so far.
    pub(in crate::log::local) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the frame.
    pub(in crate::log::local) fn finish(&mut self) -> &[u8] {
        let length = u32_of(self.bytes.len());
        self.bytes[8..12].copy_from_slice(&length.to_le_bytes());
        self.bytes[32..36].copy_from_slice(&self.sections.to_le_bytes());
        let crc = frame_crc(self.salt, self.position, &self.bytes, &self.sums);
        self.bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

/// Frames are capped far below 4 GiB by the settings.
fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
