//! An index from hashes to slots of a list.
//!
//! It has no keys: the owner of the slots says whether one is the slot sought. A lookup by borrowed parts thus allocates
//! nothing, and clearing keeps the memory for the next flush. It never removes a single entry.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Kept, because the owner cannot give the hash again when the table grows.
    hash: u64,
    number: u32,
}

/// An index of slots numbered from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct SlotIndex {
    slots: HashTable<Slot>,
}

impl SlotIndex {
    /// Returns the slot with this hash for which `is_same` holds.
    pub(super) fn find(&self, hash: u64, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let slot = self.slots.find(hash, |slot| slot.hash == hash && is_same(slot.number));
        slot.map(|slot| slot.number)
    }

    /// Returns the slot with this hash for which `is_same` holds, or inserts `next`; tells whether the slot is new.
    pub(super) fn find_or_insert(
        &mut self,
        hash: u64,
        next: u32,
        is_same: impl Fn(u32) -> bool,
    ) -> (u32, bool) {
        let is_same = |slot: &Slot| slot.hash == hash && is_same(slot.number);
        match self.slots.entry(hash, is_same, |slot| slot.hash) {
            Entry::Occupied(slot) => (slot.get().number, false),
            Entry::Vacant(vacant) => {
                vacant.insert(Slot { hash, number: next });
                (next, true)
            }
        }
    }

    /// Removes everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(index: &mut SlotIndex, names: &mut Vec<u64>, name: u64, hash: u64) -> u32 {
        let next = u32::try_from(names.len()).unwrap();
        let (slot, is_new) = index.find_or_insert(hash, next, |slot| names[slot as usize] == name);
        if is_new {
            names.push(name);
        }
        slot
    }

    #[test]
    fn names_with_one_hash_are_told_apart_and_found_again_after_growing() {
        let (mut index, mut names) = (SlotIndex::default(), Vec::new());
        for name in 0..1_000 {
            assert_eq!(u64::from(insert(&mut index, &mut names, name, name % 3)), name);
        }
        for name in 0..1_000 {
            assert_eq!(u64::from(insert(&mut index, &mut names, name, name % 3)), name);
        }
        assert_eq!(index.find(7, |_| true), None);
        index.clear();
        assert_eq!(index.find(1, |_| true), None);
    }
}
