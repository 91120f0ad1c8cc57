//! Where the members of an event stand in its text: what the scan fills and the rules read.
//!
//! One list of numbers holds a frame for each object: first a head, then a slot for each field.

use super::Missed;
use crate::decode::Code;
use crate::decode::members::{Element, Members, Word, WrongType};
use crate::decode::place::Place;
use crate::decode::unknown::Walk;

/// Most slots. A text that needs more is none that a terminal sends.
const MOST_SLOTS: usize = 1 << 17;

/// Slots that stand behind the beginning of each frame: a power of two, and more than any frame has.
pub(super) const FRAME: usize = 32;
/// Slots of a frame but the event's: a head, and as many as a line has fields.
pub(super) const INNER_FRAME: u32 = 16;

/// The frames of one event, that of the event first.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    slots: Vec<u64>,
}

impl Sheet {
    /// Returns the slots that a text of a length can need. They hold what they held: heads say which count.
    #[inline]
    pub(super) fn slots(&mut self, bytes: usize) -> &mut [u64] {
        // The most for its length needs a line, sixteen for `{"line":1},`.
        let most = (2 * FRAME + bytes + bytes / 2).min(MOST_SLOTS);
        if self.slots.len() < most {
            self.slots.resize(most.next_power_of_two(), 0);
        }
        &mut self.slots
    }

    /// Returns the event's frame, with the text that it speaks of and the copy of that.
    pub(super) fn event<'s, 'd, const HASHED: bool>(
        &'s self,
        text: &'d str,
        copy: &'s [u8],
    ) -> Frame<'s, 'd, HASHED> {
        Frame { slots: &self.slots, at: 0, text, copy }
    }
}

/// Packs two numbers into a slot; a text is too short for either to be large.
#[inline]
pub(super) fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[inline]
fn unpair(slot: u64) -> (usize, usize) {
    ((slot & 0xffff_ffff) as usize, (slot >> 32) as usize)
}

/// One object of an event, whose content is to be hashed or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'s, 'd, const HASHED: bool> {
    slots: &'s [u64],
    at: usize,
    text: &'d str,
    /// The same text, with room behind it.
    copy: &'s [u8],
}

/// One object of an event, and its members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened<'s, 'd, const N: usize, const HASHED: bool> {
    frame: Frame<'s, 'd, HASHED>,
    /// The fields that are there, a bit for each.
    present: u64,
    slots: &'s [u64; N],
}

impl<const N: usize, const HASHED: bool> Opened<'_, '_, N, HASHED> {
    #[inline]
    fn slot(&self, field: usize) -> Option<u64> {
        if self.present >> field & 1 == 0 {
            return None;
        }
        self.slots.get(field).copied()
    }

    /// Returns the length of a text, 0 where there is none.
    #[inline]
    pub(super) fn length(&self, field: usize) -> u64 {
        self.slot(field).map_or(0, |slot| slot >> 32)
    }
}

impl<'s, 'd, const HASHED: bool> Element<'d> for Frame<'s, 'd, HASHED> {
    const HASHED: bool = HASHED;
    type Fault = Missed;
    type Members<const N: usize> = Opened<'s, 'd, N, HASHED>;

    #[inline]
    fn open<const N: usize>(
        self,
        _names: &'static [&'static str; N],
        _place: &Place<'_>,
    ) -> Result<Opened<'s, 'd, N, HASHED>, Missed> {
        let (present, slots) =
            self.slots.get(self.at..).and_then(<[u64]>::split_first).ok_or(Missed)?;
        let slots = slots.first_chunk().ok_or(Missed)?;
        Ok(Opened { frame: self, present: *present, slots })
    }

    #[inline]
    fn fault(_code: Code, _place: &Place<'_>) -> Missed {
        Missed
    }
}

/// The scan found each member to be of its type, and to be known.
impl<'s, 'd, const N: usize, const HASHED: bool> Members<'d> for Opened<'s, 'd, N, HASHED> {
    type Element = Frame<'s, 'd, HASHED>;
    type List = Frames<'s, 'd, HASHED>;

    #[inline]
    fn has(&self, field: usize) -> bool {
        self.slot(field).is_some()
    }

    #[inline]
    fn word(&self, field: usize) -> Result<Option<Word<'d>>, WrongType> {
        let Some(slot) = self.slot(field) else { return Ok(None) };
        let (from, length) = unpair(slot);
        let head = self.frame.copy.get(from..from + 16).and_then(<[u8]>::first_chunk);
        Ok(Some(Word::new(self.frame.text, from, length, *head.ok_or(WrongType)?)))
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
    fn list(&self, field: usize) -> Result<Option<Self::List>, WrongType> {
        Ok(self.slot(field).map(|slot| {
            let (first, left) = unpair(slot);
            Frames { next: Frame { at: first, ..self.frame }, left }
        }))
    }

    #[inline]
    fn object(&self, field: usize) -> Result<Option<Self::Element>, WrongType> {
        Ok(self.slot(field).map(|slot| Frame { at: unpair(slot).0, ..self.frame }))
    }

    #[inline]
    fn add_unknown(&self, _walk: &mut Walk<'_>, _place: &Place<'_>) -> Result<(), Missed> {
        Ok(())
    }
}

/// The objects of a list, in order.
#[derive(Debug)]
pub(super) struct Frames<'s, 'd, const HASHED: bool> {
    next: Frame<'s, 'd, HASHED>,
    left: usize,
}

impl<'s, 'd, const HASHED: bool> Iterator for Frames<'s, 'd, HASHED> {
    type Item = Frame<'s, 'd, HASHED>;

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

impl<const HASHED: bool> ExactSizeIterator for Frames<'_, '_, HASHED> {}
