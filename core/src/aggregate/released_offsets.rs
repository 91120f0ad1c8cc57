//! The offsets that an operator released in a store, each once.
//!
//! They are in the order of their release, in parts of [`PART`]: only the last part grows, so that only it is written again.

use std::collections::BTreeSet;

use tillrace_log::Offset;

/// Most releases of one store.
const MAX_RELEASES: usize = 65_536;
/// Releases in one part.
pub(super) const PART: usize = 512;

/// The releases of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReleasedOffsets {
    in_order: Vec<Offset>,
    known: BTreeSet<Offset>,
    /// Parts that the state does not have as they are.
    changed: BTreeSet<usize>,
}

impl ReleasedOffsets {
    /// Tells whether an offset was released before.
    pub(super) fn contains(&self, offset: Offset) -> bool {
        self.known.contains(&offset)
    }

    /// Tells whether there is no room for another.
    pub(super) fn is_full(&self) -> bool {
        self.in_order.len() >= MAX_RELEASES
    }

    /// Adds an offset that is not in it.
    pub(super) fn add(&mut self, offset: Offset) {
        self.changed.insert(self.in_order.len() / PART);
        self.in_order.push(offset);
        self.known.insert(offset);
    }

    /// The offsets of a part.
    pub(super) fn part(&self, part: usize) -> &[Offset] {
        self.in_order.chunks(PART).nth(part).unwrap_or_default()
    }

    /// The parts that the next flush writes; they then count as written.
    pub(super) fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }

    /// Restores a part; parts come in their order. `None` if one is missing before it.
    pub(super) fn restore(&mut self, part: usize, offsets: Vec<Offset>) -> Option<()> {
        if part * PART != self.in_order.len() {
            return None;
        }
        // An earlier version kept all in one record; then all parts are to be written.
        if offsets.len() > PART {
            self.changed.extend(0..=(offsets.len() - 1) / PART);
        }
        self.known.extend(&offsets);
        self.in_order.extend(offsets);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_that_grew_is_written_again() {
        let mut released = ReleasedOffsets::default();
        (0..PART as u64 + 3).rev().for_each(|offset| released.add(offset));
        assert_eq!(released.take_changed(), BTreeSet::from([0, 1]));
        assert_eq!((released.part(0).len(), released.part(1)), (PART, &[2, 1, 0][..]));
        released.add(9_999);
        assert_eq!(released.take_changed(), BTreeSet::from([1]));
        let mut read = ReleasedOffsets::default();
        for part in 0..2 {
            read.restore(part, released.part(part).to_vec()).unwrap();
        }
        assert_eq!(read.restore(9, vec![1]), None);
        assert_eq!(read, released);
    }

    #[test]
    fn what_an_earlier_version_kept_in_one_record_is_written_in_parts() {
        let mut released = ReleasedOffsets::default();
        released.restore(0, (0..=2 * PART as u64).collect()).unwrap();
        assert_eq!(released.take_changed(), BTreeSet::from([0, 1, 2]));
        assert_eq!(released.part(2), [2 * PART as u64]);
    }
}
