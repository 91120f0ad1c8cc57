//! The objects that the scan is in, from the event down.

use super::grammar::{DEEPEST, EVENT, Grammar};
use super::paths::Turn;
use super::sheet::{INNER_FRAME, pair};

/// An object that the scan is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    /// Where its frame begins.
    pub(super) frame: u32,
    /// Fields that were met, a bit for each.
    pub(super) met: u32,
    /// Those of them that hold nothing.
    pub(super) nothing: u32,
    /// The field of the object around that this one is in.
    field: u32,
}

/// The objects that the scan is in.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) top: Level,
    around: [Level; DEEPEST],
    depth: usize,
    /// Slots that frames have taken.
    used: u32,
}

impl Level {
    /// Returns where the slot of a field is.
    #[inline]
    fn slot(&self, field: u32) -> usize {
        (self.frame + 1 + field) as usize
    }
}

impl Levels {
    /// Begins with the event, whose frame is the first.
    pub(super) fn new() -> Self {
        let top = Level { frame: 0, met: 0, nothing: 0, field: 0 };
        Self { top, around: [top; DEEPEST], depth: 0, used: 1 + u32::from(EVENT.fields()) }
    }

    /// Returns the objects that the scan is in, the innermost first, each with the field around that it is in.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&'static Grammar, u8)> + use<> {
        let mut objects = [(&EVENT, 0); 1 + DEEPEST];
        let outer = self.around.iter().skip(1).take(self.depth.saturating_sub(1));
        for (place, level) in outer.chain([&self.top]).take(self.depth).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "it came as such")]
            let field = level.field as u8;
            let (grammar, _field) = objects[place];
            objects[place + 1] = (grammar.inner(field).unwrap_or(grammar), field);
        }
        objects.into_iter().take(1 + self.depth).rev()
    }

    /// Ends and begins objects. `None`: a member twice, or more objects than there is room for.
    ///
    /// It is called cold as most steps do without, so that those keep the registers.
    #[cold]
    #[inline(never)]
    pub(super) fn turn(&mut self, turn: Turn, slots: &mut [u64]) -> Option<()> {
        for _ in u8::from(turn.is_next)..turn.ends {
            let ended = self.top;
            *slots.get_mut(ended.frame as usize)? = u64::from(ended.met & !ended.nothing);
            if let Some(depth) = self.depth.checked_sub(1) {
                self.depth = depth;
                self.top = *self.around.get(depth)?;
            }
        }
        if turn.is_next {
            self.next(slots)?;
        }
        for field in turn.fields.into_iter().take(turn.begins.into()) {
            let (field, bit) = (u32::from(field), 1 << field);
            if self.top.met & bit != 0 {
                return None;
            }
            self.top.met |= bit;
            *slots.get_mut(self.top.slot(field))? = pair(self.used, 1);
            *self.around.get_mut(self.depth)? = self.top;
            self.depth += 1;
            self.begin(field);
        }
        Some(())
    }

    /// Ends an object, and begins the next of the same list.
    #[inline]
    pub(super) fn next(&mut self, slots: &mut [u64]) -> Option<()> {
        let Level { field, frame, met, nothing } = self.top;
        *slots.get_mut(frame as usize)? = u64::from(met & !nothing) | pair(0, self.used);
        let around = self.around.get(self.depth.checked_sub(1)?)?;
        *slots.get_mut(around.slot(field))? += pair(0, 1);
        self.begin(field);
        Some(())
    }

    #[inline]
    fn begin(&mut self, field: u32) {
        self.top = Level { frame: self.used, met: 0, nothing: 0, field };
        self.used += INNER_FRAME;
    }
}
