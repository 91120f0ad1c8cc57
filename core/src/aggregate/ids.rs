//! Event ids of a store, for events that carry no sequence number.
//!
//! An id is kept with a short content hash for the horizon and two days more: an event is only
//! judged by its id when by its own clock it is younger than the horizon, its clock may be two days
//! ahead, so any earlier copy of it was appended within that time. Older events can not be judged
//! and the caller quarantines them. Ids are in blocks in the order they came, which is how they
//! are written to the state and how they expire.

use std::collections::{HashMap, VecDeque};

use super::hashes::ShortHash;
use super::verdict::{QuarantineReason, Verdict};

/// Ids in one block.
const BLOCK_IDS: usize = 64;
const VERSION: u8 = 1;
const ENTRY_BYTES: usize = 20;

/// The event ids of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EventIds {
    blocks: VecDeque<IdBlock>,
    known: HashMap<u128, ShortHash>,
    /// Number of the first block held.
    first_block: u64,
    /// Blocks that the state has, from this number up to `first_block`, although they are gone.
    stale_from: u64,
    /// Blocks from this number on differ from those of the state.
    changed_from: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct IdBlock {
    newest_ms: i64,
    ids: Vec<(u128, ShortHash)>,
}

impl EventIds {
    /// Decides on an event by the hash of its identity. `keep_ms` is how long ids are kept, `most` how
    /// many.
    pub(super) fn decide(
        &mut self,
        id: u128,
        hash: ShortHash,
        now_ms: i64,
        keep_ms: i64,
        most: usize,
    ) -> Verdict {
        self.expire(now_ms, keep_ms);
        match self.known.get(&id) {
            Some(&known) if known == hash => Verdict::Duplicate,
            Some(&known) => Verdict::Conflict(known),
            None if self.known.len() >= most => Verdict::Quarantined(QuarantineReason::TooManyIds),
            None => {
                self.add(id, hash, now_ms);
                Verdict::First
            }
        }
    }

    /// Returns the hash of a known id, whatever its age.
    pub(super) fn get(&self, id: u128) -> Option<ShortHash> {
        self.known.get(&id).copied()
    }

    /// Returns the hash of an id that is not older than `keep_ms`.
    pub(super) fn get_kept(&self, id: u128, now_ms: i64, keep_ms: i64) -> Option<ShortHash> {
        let hash = self.get(id)?;
        let block = self.blocks.iter().find(|block| block.ids.contains(&(id, hash)))?;
        (block.newest_ms.saturating_add(keep_ms) >= now_ms).then_some(hash)
    }

    /// Removes blocks whose newest id is older than `keep_ms`; returns how many.
    pub(super) fn expire(&mut self, now_ms: i64, keep_ms: i64) -> usize {
        let mut gone = 0;
        while let Some(block) = self.blocks.front()
            && block.newest_ms.saturating_add(keep_ms) < now_ms
        {
            for (id, _) in &block.ids {
                self.known.remove(id);
            }
            self.blocks.pop_front();
            self.first_block += 1;
            gone += 1;
        }
        self.changed_from = self.changed_from.max(self.first_block);
        gone
    }

    /// Number of blocks the next flush writes.
    pub(super) fn changed(&self) -> usize {
        let changed = self.end() - self.changed_from + (self.first_block - self.stale_from);
        usize::try_from(changed).unwrap_or(usize::MAX)
    }

    /// Passes on each changed block with its bytes, `None` where it is gone, and marks it as unchanged.
    pub(super) fn take_changed(&mut self, mut each: impl FnMut(u64, Option<Vec<u8>>)) {
        (self.stale_from..self.first_block).for_each(|gone| each(gone, None));
        for number in self.changed_from..self.end() {
            let index = usize::try_from(number - self.first_block).ok();
            each(number, index.and_then(|index| self.blocks.get(index)).map(IdBlock::encode));
        }
        self.stale_from = self.first_block;
        self.changed_from = self.end();
    }

    /// Restores a block as [`EventIds::take_changed`] passed it on; blocks come in order. `None` if the bytes are
    /// no block or it is out of order.
    pub(super) fn restore(&mut self, number: u64, bytes: &[u8]) -> Option<()> {
        let block = IdBlock::decode(bytes)?;
        if self.blocks.is_empty() {
            self.first_block = number;
            self.stale_from = number;
        } else if number != self.end() {
            return None;
        }
        self.known.extend(block.ids.iter().copied());
        self.blocks.push_back(block);
        self.changed_from = self.end();
        Some(())
    }

    fn end(&self) -> u64 {
        self.first_block + self.blocks.len() as u64
    }

    fn add(&mut self, id: u128, hash: ShortHash, now_ms: i64) {
        if self.blocks.back().is_none_or(|block| block.ids.len() >= BLOCK_IDS) {
            self.blocks
                .push_back(IdBlock { newest_ms: now_ms, ids: Vec::with_capacity(BLOCK_IDS) });
        }
        self.changed_from = self.changed_from.min(self.end() - 1);
        if let Some(block) = self.blocks.back_mut() {
            block.newest_ms = now_ms;
            block.ids.push((id, hash));
        }
        self.known.insert(id, hash);
    }
}

impl IdBlock {
    /// Version, newest append time, then the ids with their hashes; little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.newest_ms.to_le_bytes());
        for (id, hash) in &self.ids {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&hash.0.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(&[VERSION])?;
        let (newest, entries) = bytes.split_first_chunk::<8>()?;
        let (entries, []) = entries.as_chunks::<ENTRY_BYTES>() else { return None };
        let ids = entries.iter().filter_map(|entry| {
            let (id, hash) = entry.split_first_chunk::<16>()?;
            Some((u128::from_le_bytes(*id), ShortHash(u32::from_le_bytes(hash.try_into().ok()?))))
        });
        Some(Self { newest_ms: i64::from_le_bytes(*newest), ids: ids.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: i64 = 1_000;

    fn decide(ids: &mut EventIds, id: u128, hash: u32, now_ms: i64) -> Verdict {
        ids.decide(id, ShortHash(hash), now_ms, KEEP, 1_000)
    }

    fn copy_through_state(
        ids: &mut EventIds,
        state: &mut std::collections::BTreeMap<u64, Vec<u8>>,
    ) {
        ids.take_changed(|number, bytes| {
            match bytes {
                Some(bytes) => state.insert(number, bytes),
                None => state.remove(&number),
            };
        });
        let mut restored = EventIds::default();
        for (&number, bytes) in state.iter() {
            restored.restore(number, bytes).unwrap();
        }
        if !state.is_empty() {
            assert_eq!(&restored, ids);
        }
    }

    #[test]
    fn an_id_counts_once_within_its_horizon() {
        let mut ids = EventIds::default();
        assert_eq!(decide(&mut ids, 1, 5, 0), Verdict::First);
        assert_eq!(decide(&mut ids, 1, 5, 1_000), Verdict::Duplicate);
        assert_eq!(decide(&mut ids, 1, 6, 1_000), Verdict::Conflict(ShortHash(5)));
        assert_eq!(decide(&mut ids, 1, 6, 1_001), Verdict::First);
    }

    #[test]
    fn memory_is_bounded() {
        let mut ids = EventIds::default();
        let full = Verdict::Quarantined(QuarantineReason::TooManyIds);
        (0..10)
            .for_each(|id| assert_eq!(ids.decide(id, ShortHash(0), 0, KEEP, 10), Verdict::First));
        assert_eq!(ids.decide(10, ShortHash(0), 0, KEEP, 10), full);
        assert_eq!(ids.decide(9, ShortHash(0), 0, KEEP, 10), Verdict::Duplicate);
    }

    #[test]
    fn only_changed_blocks_are_written_and_they_read_back() {
        let (mut ids, mut state) = (EventIds::default(), std::collections::BTreeMap::new());
        for id in 0..150_u32 {
            decide(&mut ids, id.into(), id, id.into());
        }
        assert_eq!(ids.changed(), 3);
        copy_through_state(&mut ids, &mut state);
        assert_eq!((ids.changed(), state.len()), (0, 3));
        decide(&mut ids, 1_000, 1, 150);
        assert_eq!(ids.changed(), 1);
        copy_through_state(&mut ids, &mut state);
        assert_eq!(ids.expire(1_064, KEEP), 1);
        assert_eq!(ids.changed(), 1);
        copy_through_state(&mut ids, &mut state);
        assert_eq!(state.keys().copied().collect::<Vec<_>>(), [1, 2]);
        decide(&mut ids, 2_000, 1, 9_000);
        copy_through_state(&mut ids, &mut state);
        assert_eq!(state.len(), 1);
    }

    #[test]
    fn bytes_that_are_no_block_are_refused() {
        let mut ids = EventIds::default();
        decide(&mut ids, 1, 1, 0);
        let bytes = ids.blocks[0].encode();
        assert!(IdBlock::decode(&bytes[..bytes.len() - 1]).is_none());
        assert!(EventIds::default().restore(0, &[2; 9]).is_none());
    }
}
