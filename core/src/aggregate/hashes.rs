//! A short content hash for each number of a terminal, until the conflict horizon.
//!
//! The hashes are in blocks of [`BLOCK_NUMBERS`] consecutive numbers, and a flush writes each block that a number was added
//! to. A block expires as a whole, a horizon after the last number was added to it, by append time. It makes no difference
//! whether an expired block is removed early or late, because every access checks its age first.
//!
//! Blocks are in a sorted list: a terminal counts upwards, so that a new one goes to its end, and most terminals have very few.

use bytes::BufMut;

/// Numbers of one block, a bit for each in a presence mask.
const BLOCK_NUMBERS: usize = 32;
/// Most blocks of a terminal, 131,072 numbers; past that the lowest expires early.
const BLOCKS: usize = 4_096;
const VERSION: u8 = 1;

/// The leading 32 bits of a content hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortHash(pub(super) u32);

impl ShortHash {
    pub(super) fn of(hash: u128) -> Self {
        Self((hash >> 96) as u32)
    }
}

/// The hashes of one terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ContentHashes {
    /// By number, rising; boxed, so that inserting a late one moves little.
    blocks: Vec<(u64, Box<HashBlock>)>,
    /// Blocks that the state does not have as they are, or still has although they are gone.
    changed: Vec<u64>,
}

/// The hashes of consecutive numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HashBlock {
    newest_ms: i64,
    present: u32,
    hashes: [u32; BLOCK_NUMBERS],
    /// Is in `changed`.
    marked: bool,
}

impl ContentHashes {
    /// Adds the hash of a number.
    pub(super) fn insert(&mut self, number: u64, hash: ShortHash, now_ms: i64, horizon_ms: i64) {
        let (index, bit) = locate(number);
        let slot = self.slot(index).unwrap_or_else(|slot| {
            self.blocks.insert(slot, (index, Box::new(HashBlock::empty())));
            slot
        });
        let Some((_, block)) = self.blocks.get_mut(slot) else { return };
        if block.newest_ms.saturating_add(horizon_ms) < now_ms {
            **block = HashBlock { marked: block.marked, ..HashBlock::empty() };
        }
        block.newest_ms = now_ms;
        block.present |= 1 << bit;
        block.hashes[bit] = hash.0;
        if !std::mem::replace(&mut block.marked, true) {
            self.changed.push(index);
        }
        if self.blocks.len() > BLOCKS {
            let (lowest, gone) = self.blocks.remove(0);
            if !gone.marked {
                self.changed.push(lowest);
            }
        }
    }

    /// Returns the hash of a number, if it has not expired.
    pub(super) fn get(&self, number: u64, now_ms: i64, horizon_ms: i64) -> Option<ShortHash> {
        let (index, bit) = locate(number);
        let block = self.block(index)?;
        let kept = block.newest_ms.saturating_add(horizon_ms) >= now_ms;
        (kept && block.present & (1 << bit) != 0).then(|| ShortHash(block.hashes[bit]))
    }

    /// Removes up to `most` blocks past the horizon; returns how many.
    pub(super) fn expire(&mut self, now_ms: i64, horizon_ms: i64, most: usize) -> usize {
        let old = |block: &HashBlock| block.newest_ms.saturating_add(horizon_ms) < now_ms;
        let mut gone = 0;
        let changed = &mut self.changed;
        self.blocks.retain(|(index, block)| {
            let goes = gone < most && old(block);
            if goes && !block.marked {
                changed.push(*index);
            }
            gone += usize::from(goes);
            !goes
        });
        gone
    }

    /// Returns the numbers of its blocks, for tombstones when the terminal goes.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.iter().map(|&(index, _)| index)
    }

    /// Passes on each changed block, `None` where it is gone, and marks it as unchanged.
    pub(super) fn take_changed(&mut self, mut each: impl FnMut(u64, Option<&HashBlock>)) {
        let mut changed = std::mem::take(&mut self.changed);
        for index in changed.drain(..) {
            let block = self.slot(index).ok().and_then(|slot| self.blocks.get_mut(slot));
            let block = block.map(|(_, block)| {
                block.marked = false;
                &**block
            });
            each(index, block);
        }
        self.changed = changed;
    }

    /// Returns how many blocks the next flush writes.
    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// Restores a block that [`HashBlock::encode`] wrote; `None` if the bytes are no block.
    pub(super) fn restore(&mut self, index: u64, bytes: &[u8]) -> Option<()> {
        let block = Box::new(HashBlock::decode(bytes)?);
        match self.slot(index) {
            Ok(slot) => self.blocks[slot].1 = block,
            Err(slot) => self.blocks.insert(slot, (index, block)),
        }
        Some(())
    }

    fn block(&self, index: u64) -> Option<&HashBlock> {
        self.slot(index).ok().and_then(|slot| self.blocks.get(slot)).map(|(_, block)| &**block)
    }

    /// Finds the slot of a block, or where to insert it. Most look-ups are for the last block.
    fn slot(&self, index: u64) -> Result<usize, usize> {
        match self.blocks.last() {
            Some(&(last, _)) if last == index => Ok(self.blocks.len() - 1),
            Some(&(last, _)) if last > index => {
                self.blocks.binary_search_by_key(&index, |&(index, _)| index)
            }
            _ => Err(self.blocks.len()),
        }
    }
}

impl HashBlock {
    fn empty() -> Self {
        Self { newest_ms: i64::MIN / 2, present: 0, hashes: [0; BLOCK_NUMBERS], marked: false }
    }

    /// Writes version, newest append time, presence mask, then the hashes present; little-endian.
    pub(super) fn encode(&self, bytes: &mut impl BufMut) {
        bytes.put_u8(VERSION);
        bytes.put_i64_le(self.newest_ms);
        bytes.put_u32_le(self.present);
        for (bit, hash) in self.hashes.iter().enumerate() {
            if self.present & (1 << bit) != 0 {
                bytes.put_u32_le(*hash);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(&[VERSION])?;
        let (newest, bytes) = bytes.split_first_chunk::<8>()?;
        let (present, mut bytes) = bytes.split_first_chunk::<4>()?;
        let mut block = Self::empty();
        block.newest_ms = i64::from_le_bytes(*newest);
        block.present = u32::from_le_bytes(*present);
        for (bit, hash) in block.hashes.iter_mut().enumerate() {
            if block.present & (1 << bit) != 0 {
                let (head, rest) = bytes.split_first_chunk::<4>()?;
                *hash = u32::from_le_bytes(*head);
                bytes = rest;
            }
        }
        bytes.is_empty().then_some(block)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 32")]
fn locate(number: u64) -> (u64, usize) {
    let sequences = BLOCK_NUMBERS as u64;
    (number / sequences, (number % sequences) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: i64 = 1_000;

    fn encoded(block: &HashBlock) -> Vec<u8> {
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_hash_is_kept_for_the_horizon_after_its_block_was_last_added_to() {
        let mut hashes = ContentHashes::default();
        hashes.insert(64, ShortHash(7), 0, HORIZON);
        hashes.insert(65, ShortHash(8), 600, HORIZON);
        assert_eq!(hashes.get(64, 1_600, HORIZON), Some(ShortHash(7)));
        assert_eq!(hashes.get(64, 1_601, HORIZON), None);
        assert_eq!(hashes.get(66, 600, HORIZON), None);
        hashes.insert(66, ShortHash(9), 1_601, HORIZON);
        assert_eq!(hashes.get(64, 1_601, HORIZON), None, "what had expired stays forgotten");
        assert_eq!(hashes.get(66, 1_601, HORIZON), Some(ShortHash(9)));
    }

    #[test]
    fn expiring_early_or_late_gives_the_same_answers() {
        let (mut swept, mut lazy) = (ContentHashes::default(), ContentHashes::default());
        for step in 0..200_i64 {
            let number = (step.unsigned_abs() * 37) % 400;
            assert_eq!(
                swept.get(number, step * 50, HORIZON),
                lazy.get(number, step * 50, HORIZON),
                "{step}"
            );
            swept.insert(number, ShortHash(1), step * 50, HORIZON);
            lazy.insert(number, ShortHash(1), step * 50, HORIZON);
            swept.expire(step * 50, HORIZON, usize::MAX);
        }
    }

    #[test]
    fn changed_blocks_are_written_once_and_read_back() {
        let mut hashes = ContentHashes::default();
        for number in [1, 2, 31, 32, 5_000] {
            hashes.insert(number, ShortHash(7), 10, HORIZON);
        }
        assert_eq!(hashes.changed(), 3);
        let mut restored = ContentHashes::default();
        hashes.take_changed(|index, block| {
            restored.restore(index, &encoded(block.unwrap())).unwrap();
        });
        assert_eq!(restored, hashes);
        assert_eq!(hashes.expire(2_000, HORIZON, 2), 2);
        let mut gone = Vec::new();
        hashes.take_changed(|index, block| gone.push((index, block.cloned())));
        assert_eq!(gone, [(0, None), (1, None)]);
    }

    #[test]
    fn memory_is_bounded_and_the_lowest_numbers_go_first() {
        let mut hashes = ContentHashes::default();
        for block in 0..=4_096 {
            hashes.insert(block * 32, ShortHash(1), 0, HORIZON);
        }
        assert_eq!(hashes.blocks.len(), BLOCKS);
        assert_eq!(hashes.get(0, 0, HORIZON), None);
        assert_eq!(hashes.get(32, 0, HORIZON), Some(ShortHash(1)));
    }

    #[test]
    fn bytes_that_are_no_block_are_refused() {
        let mut hashes = ContentHashes::default();
        hashes.insert(3, ShortHash(5), 1, HORIZON);
        let mut bytes = encoded(&hashes.blocks[0].1);
        assert!(HashBlock::decode(&bytes).is_some());
        bytes.push(0);
        assert!(HashBlock::decode(&bytes).is_none());
        assert!(HashBlock::decode(&bytes[..12]).is_none());
        bytes[0] = 2;
        assert!(HashBlock::decode(&bytes).is_none());
    }
}
