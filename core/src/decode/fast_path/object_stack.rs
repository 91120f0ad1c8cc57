//! The stack of objects that the scan is inside of, the event at its bottom.

use super::field_table::{INNER_FRAME, pack};
use super::grammar::{EVENT, Grammar, SCHEMA_DEPTH};
use super::shape_cache::NestingChange;

/// An object that the scan is inside of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectLevel {
    /// Index of the first slot of its frame.
    pub(super) frame: u32,
    /// Fields that were read, a bit for each.
    pub(super) seen: u32,
    /// Those of them that are null or an empty list.
    pub(super) absent: u32,
    /// The field of the outer object that holds this one.
    field: u32,
}

/// The objects that the scan is inside of.
#[derive(Debug)]
pub(super) struct ObjectStack {
    pub(super) top: ObjectLevel,
    outer: [ObjectLevel; SCHEMA_DEPTH],
    depth: usize,
    /// Slots that frames have taken.
    used: u32,
}

impl ObjectLevel {
    /// Returns the index of a field's slot.
    #[inline]
    fn slot(&self, field: u32) -> usize {
        (self.frame + 1 + field) as usize
    }
}

impl ObjectStack {
    /// Makes a stack of the event alone, whose frame is the first.
    pub(super) fn new() -> Self {
        let top = ObjectLevel { frame: 0, seen: 0, absent: 0, field: 0 };
        Self { top, outer: [top; SCHEMA_DEPTH], depth: 0, used: 1 + u32::from(EVENT.fields()) }
    }

    /// Returns the objects from the innermost to the event, each with the field of the outer one that holds it.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&'static Grammar, u8)> + use<> {
        let mut objects = [(&EVENT, 0); 1 + SCHEMA_DEPTH];
        let outer = self.outer.iter().skip(1).take(self.depth.saturating_sub(1));
        for (index, level) in outer.chain([&self.top]).take(self.depth).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "it came as such")]
            let field = level.field as u8;
            let (grammar, _field) = objects[index];
            objects[index + 1] = (grammar.inner(field).unwrap_or(grammar), field);
        }
        objects.into_iter().take(1 + self.depth).rev()
    }

    /// Ends and begins objects. `None`: a member occurs twice, or the slots or the stack are full.
    ///
    /// Marked as cold, because most transitions stay inside one object, and those keep the registers.
    #[cold]
    #[inline(never)]
    pub(super) fn apply(&mut self, nesting: NestingChange, slots: &mut [u64]) -> Option<()> {
        for _ in u8::from(nesting.is_next_element)..nesting.ends {
            let ended = self.top;
            *slots.get_mut(ended.frame as usize)? = u64::from(ended.seen & !ended.absent);
            if let Some(depth) = self.depth.checked_sub(1) {
                self.depth = depth;
                self.top = *self.outer.get(depth)?;
            }
        }
        if nesting.is_next_element {
            self.next_element(slots)?;
        }
        for field in nesting.fields.into_iter().take(nesting.begins.into()) {
            let (field, bit) = (u32::from(field), 1 << field);
            if self.top.seen & bit != 0 {
                return None;
            }
            self.top.seen |= bit;
            // The slot of a list: its first frame, and how many there are.
            *slots.get_mut(self.top.slot(field))? = pack(self.used, 1);
            *self.outer.get_mut(self.depth)? = self.top;
            self.depth += 1;
            self.begin(field);
        }
        Some(())
    }

    /// Ends an object, and begins the next of the same list.
    #[inline]
    pub(super) fn next_element(&mut self, slots: &mut [u64]) -> Option<()> {
        let ObjectLevel { field, frame, seen, absent } = self.top;
        // The header of an element links to the next one, because inner objects have their frames between the two.
        *slots.get_mut(frame as usize)? = u64::from(seen & !absent) | pack(0, self.used);
        let outer = self.outer.get(self.depth.checked_sub(1)?)?;
        *slots.get_mut(outer.slot(field))? += pack(0, 1);
        self.begin(field);
        Some(())
    }

    #[inline]
    fn begin(&mut self, field: u32) {
        self.top = ObjectLevel { frame: self.used, seen: 0, absent: 0, field };
        self.used += INNER_FRAME;
    }
}
