//! Where the members of an event stand in its text: what the scan fills and the rules read.
//!
//! One list of numbers holds a frame for each object: first a head, then a slot for each field.

use crate::decode::Refusal;
use crate::decode::members::{Element, Members, WrongType};
use crate::decode::place::Place;
use crate::decode::unknown::Walk;

/// Most slots. A text that needs more is none that a terminal sends.
const MOST_SLOTS: usize = 1 << 16;

/// The frames of one event.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    slots: Vec<u64>,
    used: usize,
}

impl Sheet {
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Adds a frame and returns its place. Its slots hold what they held: the head says which count.
    #[inline]
    pub(super) fn add(&mut self, fields: usize) -> Option<usize> {
        let frame = self.used;
        self.used += fields + 1;
        if self.used > self.slots.len() {
            self.grow()?;
        }
        Some(frame)
    }

    #[cold]
    fn grow(&mut self) -> Option<()> {
        if self.used > MOST_SLOTS {
            return None;
        }
        self.slots.resize(self.used.next_power_of_two(), 0);
        Some(())
    }

    /// Fills the slot of a field with one number or two.
    #[inline]
    pub(super) fn fill(&mut self, frame: usize, field: usize, value: u64) {
        if let Some(slot) = self.slots.get_mut(frame + 1 + field) {
            *slot = value;
        }
    }

    /// Says which fields of a frame are there.
    #[inline]
    pub(super) fn close(&mut self, frame: usize, fields: u32) {
        if let Some(head) = self.slots.get_mut(frame) {
            *head = pair(fields as usize, 0);
        }
    }

    /// Says which frame follows another one in their list.
    #[inline]
    pub(super) fn link(&mut self, frame: usize, next: usize) {
        if let Some(head) = self.slots.get_mut(frame) {
            *head |= pair(0, next);
        }
    }

    /// Returns a frame to be read, with the text that it speaks of.
    pub(super) fn frame<'s, 'd>(&'s self, at: usize, text: &'d str) -> Frame<'s, 'd> {
        Frame { slots: &self.slots, at, text }
    }
}

/// Packs two numbers into a slot; a text is too short for either to be large.
#[inline]
pub(super) fn pair(low: usize, high: usize) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline]
fn unpair(slot: u64) -> (usize, usize) {
    ((slot & 0xffff_ffff) as usize, (slot >> 32) as usize)
}

/// One object of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'s, 'd> {
    slots: &'s [u64],
    at: usize,
    text: &'d str,
}

impl Frame<'_, '_> {
    #[inline]
    fn slot(&self, field: usize) -> Option<u64> {
        let head = *self.slots.get(self.at)?;
        if head >> field & 1 == 0 {
            return None;
        }
        self.slots.get(self.at + 1 + field).copied()
    }
}

impl<'d> Element<'d> for Frame<'_, 'd> {
    type Members<const N: usize> = Self;

    #[inline]
    fn open<const N: usize>(
        self,
        _names: &'static [&'static str; N],
        _place: &Place<'_>,
    ) -> Result<Self, Refusal> {
        Ok(self)
    }
}

/// The scan found each member to be of its type, and to be known.
impl<'s, 'd> Members<'d> for Frame<'s, 'd> {
    type Element = Self;
    type List = Frames<'s, 'd>;

    #[inline]
    fn has(&self, field: usize) -> bool {
        self.slot(field).is_some()
    }

    #[inline]
    fn text(&self, field: usize) -> Result<Option<&'d str>, WrongType> {
        let Some(slot) = self.slot(field) else { return Ok(None) };
        let (from, to) = unpair(slot);
        self.text.get(from..to).map(Some).ok_or(WrongType)
    }

    #[inline]
    fn bytes(&self, field: usize) -> Result<Option<&'d [u8]>, WrongType> {
        let Some(slot) = self.slot(field) else { return Ok(None) };
        let (from, to) = unpair(slot);
        self.text.as_bytes().get(from..to).map(Some).ok_or(WrongType)
    }

    #[inline]
    fn integer(&self, field: usize) -> Result<Option<i64>, WrongType> {
        Ok(self.slot(field).map(u64::cast_signed))
    }

    #[inline]
    fn flag(&self, field: usize) -> Result<Option<bool>, WrongType> {
        Ok(self.slot(field).map(|slot| slot != 0))
    }

    #[inline]
    fn list(&self, field: usize) -> Result<Option<Frames<'s, 'd>>, WrongType> {
        Ok(self.slot(field).map(|slot| {
            let (first, left) = unpair(slot);
            Frames { next: Self { at: first, ..*self }, left }
        }))
    }

    #[inline]
    fn object(&self, field: usize) -> Result<Option<Self>, WrongType> {
        Ok(self.slot(field).map(|slot| Self { at: unpair(slot).0, ..*self }))
    }

    #[inline]
    fn add_unknown(&self, _walk: &mut Walk<'_>, _place: &Place<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

/// The objects of a list, in order.
#[derive(Debug)]
pub(super) struct Frames<'s, 'd> {
    next: Frame<'s, 'd>,
    left: usize,
}

impl<'s, 'd> Iterator for Frames<'s, 'd> {
    type Item = Frame<'s, 'd>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let frame = self.next;
        let head = frame.slots.get(frame.at).copied().unwrap_or_default();
        self.next.at = unpair(head).1;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Frames<'_, '_> {}
