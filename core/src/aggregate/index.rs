//! From a hash to a slot: open addressing with linear probing over eight-byte cells.
//!
//! It holds no keys: whoever owns the slots says whether one is the one sought. So a lookup by
//! borrowed parts allocates nothing, and clearing keeps the memory for the next flush. It never
//! removes a single entry.

const EMPTY: u32 = u32::MAX;
const SMALLEST: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Cell {
    hash: u32,
    slot: u32,
}

/// An index over slots numbered from 0.
#[derive(Debug, Clone)]
pub(super) struct Index {
    cells: Vec<Cell>,
    used: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { cells: vec![Cell { hash: 0, slot: EMPTY }; SMALLEST], used: 0 }
    }

    /// Returns the slot for which `same` holds among those of this hash.
    pub(super) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let cell = self.cells[self.probe(short(hash), same)];
        (cell.slot != EMPTY).then_some(cell.slot)
    }

    /// As [`Index::find`], and enters `next` where nothing was found. Returns the slot and whether
    /// it is new.
    pub(super) fn find_or_enter(
        &mut self,
        hash: u64,
        next: u32,
        same: impl Fn(u32) -> bool,
    ) -> (u32, bool) {
        let hash = short(hash);
        let index = self.probe(hash, same);
        if self.cells[index].slot != EMPTY {
            return (self.cells[index].slot, false);
        }
        self.cells[index] = Cell { hash, slot: next };
        self.used += 1;
        if self.used * 2 > self.cells.len() {
            self.grow();
        }
        (next, true)
    }

    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.cells.fill(Cell { hash: 0, slot: EMPTY });
        self.used = 0;
    }

    /// The cell that holds the slot sought, or the empty one where it would go.
    fn probe(&self, hash: u32, same: impl Fn(u32) -> bool) -> usize {
        let mask = self.cells.len() - 1;
        let mut index = hash as usize & mask;
        loop {
            let cell = self.cells[index];
            if cell.slot == EMPTY || (cell.hash == hash && same(cell.slot)) {
                return index;
            }
            index = (index + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let larger = vec![Cell { hash: 0, slot: EMPTY }; self.cells.len() * 2];
        for cell in std::mem::replace(&mut self.cells, larger) {
            if cell.slot != EMPTY {
                let index = self.probe(cell.hash, |_| false);
                self.cells[index] = cell;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
fn short(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(index: &mut Index, names: &mut Vec<u64>, name: u64, hash: u64) -> u32 {
        let next = u32::try_from(names.len()).unwrap();
        let (slot, new) = index.find_or_enter(hash, next, |slot| names[slot as usize] == name);
        if new {
            names.push(name);
        }
        slot
    }

    #[test]
    fn names_with_one_hash_are_told_apart_and_found_again_after_growing() {
        let (mut index, mut names) = (Index::new(), Vec::new());
        for name in 0..1_000 {
            assert_eq!(u64::from(enter(&mut index, &mut names, name, name % 3)), name);
        }
        for name in 0..1_000 {
            assert_eq!(u64::from(enter(&mut index, &mut names, name, name % 3)), name);
        }
        assert_eq!(index.find(7, |_| true), None);
        index.clear();
        assert_eq!(index.find(1, |_| true), None);
    }
}
