//! The objects that the scan is in, from the event down.

use super::grammar::{DEEPEST, EVENT, Grammar};
use super::paths::Turn;
use super::sheet::pair;

/// An object that the scan is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) grammar: &'static Grammar,
    /// The field of the object around that this one is in.
    field: u8,
    /// Where its frame begins.
    pub(super) frame: usize,
    /// Fields that were met, a bit for each.
    pub(super) met: u32,
    /// Those of them that hold nothing.
    pub(super) nothing: u32,
}

/// The objects that the scan is in.
#[derive(Debug)]
pub(super) struct Levels {
    pub(super) top: Level,
    around: [Level; DEEPEST],
    depth: usize,
    /// Slots that frames have taken.
    used: usize,
}

impl Levels {
    /// Begins with the event, whose frame is the first.
    pub(super) fn new() -> Self {
        let top = Level { grammar: &EVENT, field: 0, frame: 0, met: 0, nothing: 0 };
        Self { top, around: [top; DEEPEST], depth: 0, used: 1 + usize::from(EVENT.fields()) }
    }

    /// Returns the objects around, the nearest first, each with the field that is entered.
    pub(super) fn around(&self) -> impl Iterator<Item = (&'static Grammar, u8)> + '_ {
        let outer = self.around.get(..self.depth).unwrap_or_default();
        let fields = std::iter::once(&self.top).chain(outer.iter().rev()).map(|level| level.field);
        outer.iter().rev().map(|level| level.grammar).zip(fields)
    }

    /// Ends and begins objects. `None`: a member twice, or more objects than there is room for.
    ///
    /// It is called cold as most steps do without, so that those keep the registers.
    #[cold]
    #[inline(never)]
    pub(super) fn turn(&mut self, turn: Turn, slots: &mut [u64]) -> Option<()> {
        let mut ended = self.top;
        for _ in 0..turn.ends {
            ended = self.top;
            *slots.get_mut(ended.frame)? = u64::from(ended.met & !ended.nothing);
            if let Some(depth) = self.depth.checked_sub(1) {
                self.depth = depth;
                self.top = *self.around.get(depth)?;
            }
        }
        if turn.is_next {
            let list = slots.get_mut(self.top.frame + 1 + usize::from(ended.field))?;
            *list += pair(0, 1);
            *slots.get_mut(ended.frame)? |= pair(0, self.used);
            self.begin(ended.grammar, ended.field)?;
        }
        for field in turn.fields.into_iter().take(turn.begins.into()) {
            let bit = 1 << field;
            if self.top.met & bit != 0 {
                return None;
            }
            self.top.met |= bit;
            *slots.get_mut(self.top.frame + 1 + usize::from(field))? = pair(self.used, 1);
            self.begin(self.top.grammar.inner(field)?, field)?;
        }
        Some(())
    }

    /// Ends an object, and begins the next of the same list.
    #[inline]
    pub(super) fn next(&mut self, slots: &mut [u64]) -> Option<()> {
        let Level { grammar, field, frame, met, nothing } = self.top;
        *slots.get_mut(frame)? = u64::from(met & !nothing) | pair(0, self.used);
        let around = self.around.get(self.depth.checked_sub(1)?)?;
        *slots.get_mut(around.frame + 1 + usize::from(field))? += pair(0, 1);
        self.top = Level { grammar, field, frame: self.used, met: 0, nothing: 0 };
        self.used += 1 + usize::from(grammar.fields());
        Some(())
    }

    fn begin(&mut self, grammar: &'static Grammar, field: u8) -> Option<()> {
        *self.around.get_mut(self.depth)? = self.top;
        self.depth += 1;
        self.top = Level { grammar, field, frame: self.used, met: 0, nothing: 0 };
        self.used += 1 + usize::from(grammar.fields());
        Some(())
    }
}
