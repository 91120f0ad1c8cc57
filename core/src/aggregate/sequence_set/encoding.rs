//! The records of a sequence set on the state: its JSON, and each of its bitmap blocks by itself.

use bytes::BufMut;

use super::super::json_text::{integer, write_json};
use super::{BitmapBlock, MAX_INTERVALS, SequenceSet};

impl SequenceSet {
    /// Returns the most bytes of its JSON, or of its lists on a ledger.
    pub(in crate::aggregate) fn written_bytes(&self) -> usize {
        let from_blocks = if self.blocks.is_empty() { 0 } else { 48 * MAX_INTERVALS };
        256 + 80 * self.intervals.len() + from_blocks
    }

    /// Returns how many blocks the next flush writes.
    pub(in crate::aggregate) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// Passes on each changed block, `None` where it is gone, and marks it as unchanged.
    pub(in crate::aggregate) fn take_changed(
        &mut self,
        mut each: impl FnMut(u64, Option<&BitmapBlock>),
    ) {
        for index in std::mem::take(&mut self.changed) {
            each(index, self.blocks.get(&index));
        }
    }

    /// Restores a block that [`BitmapBlock::encode`] wrote; `None` if the bytes are no block.
    pub(in crate::aggregate) fn restore(&mut self, index: u64, bytes: &[u8]) -> Option<()> {
        self.blocks.insert(index, BitmapBlock::decode(bytes)?);
        Some(())
    }

    /// Returns the numbers of its blocks, for tombstones when the terminal goes.
    pub(in crate::aggregate) fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.keys().copied()
    }

    /// Writes its JSON without its blocks. By hand, as mostly nothing is open.
    pub(in crate::aggregate) fn write(&self, text: &mut impl BufMut) {
        let members = [
            ("{\"opened", self.opened),
            (",\"baseline", self.baseline),
            (",\"high", self.high),
            (",\"floor", self.floor),
            (",\"missing", self.missing),
            (",\"refused", self.refused),
            (",\"parked", self.parked),
            (",\"dismissed", self.dismissed),
        ];
        for (name, value) in members {
            text.put_slice(name.as_bytes());
            text.put_slice(b"\":");
            integer(text, value);
        }
        text.put_slice(br#","spans":"#);
        if self.intervals.is_empty() {
            text.put_slice(b"[]");
        } else {
            write_json(text, &self.intervals);
        }
        text.put_u8(b'}');
    }
}
