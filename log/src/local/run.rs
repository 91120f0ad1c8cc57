//! A section of records, by its offsets and by where its block stands.

use crate::Offset;

/// One section of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Offset of its first record.
    pub(super) first: Offset,
    /// Offset of its last record, less the first.
    pub(super) span: u32,
    /// Position in the segment of the block that holds the section.
    pub(super) position: u32,
    /// Bytes of that block, header included.
    pub(super) length: u32,
    /// Bytes of the block that this section accounts for.
    pub(super) share: u32,
}

impl Run {
    pub(super) fn last(&self) -> Offset {
        self.first + u64::from(self.span)
    }

    pub(super) fn end(&self) -> u64 {
        u64::from(self.position) + u64::from(self.length)
    }
}
