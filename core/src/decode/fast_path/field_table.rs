//! The table of an event's members and their offsets in the text, which the scan fills and the rules read.
//!
//! One list of numbers has a frame for each object: a header, then a slot for each field. The header has a bit for each field
//! that is present, and in its upper half the index of the list's next frame.

use super::Miss;
use crate::decode::RejectCode;
use crate::decode::json_pointer::JsonPointer;
use crate::decode::members::{Element, Members, TextValue, WrongType};
use crate::decode::unknown_members::DecodeContext;

/// Most slots. No terminal sends a text that needs more.
const MAX_SLOTS: usize = 1 << 18;

/// Slots that can be read from the beginning of each frame: more than any frame has, and a power of two, so that a mask
/// stands for the check of bounds.
pub(super) const FRAME: usize = 32;
/// Slots of a frame other than the event's: a header, and as many as a line has fields.
pub(super) const INNER_FRAME: u32 = 32;

/// The frames of one event, beginning with that of the event itself.
#[derive(Debug, Default)]
pub(super) struct FieldTable {
    slots: Vec<u64>,
}

impl FieldTable {
    /// Returns as many slots as a text of a length can need. They are not cleared: headers say which ones count.
    #[inline]
    pub(super) fn slots(&mut self, bytes: usize) -> &mut [u64] {
        // A line of one member needs the most for its length: thirty-two for `{"line":1},`.
        let most = (2 * FRAME + 3 * bytes).min(MAX_SLOTS);
        if self.slots.len() < most {
            self.slots.resize(most.next_power_of_two(), 0);
        }
        &mut self.slots
    }

    /// Returns the event's frame, with the text that its offsets refer to and the padded copy of that.
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
pub(super) fn pack(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[inline]
fn unpack(slot: u64) -> (usize, usize) {
    ((slot & 0xffff_ffff) as usize, (slot >> 32) as usize)
}

/// One object of an event. `HASHED` says whether the content hash is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'s, 'd, const HASHED: bool> {
    slots: &'s [u64],
    at: usize,
    text: &'d str,
    /// The same text, with padding behind it.
    copy: &'s [u8],
}

/// The fields of one object.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameFields<'s, 'd, const N: usize, const HASHED: bool> {
    frame: Frame<'s, 'd, HASHED>,
    /// The fields that are present, a bit for each.
    present: u64,
    slots: &'s [u64; N],
}

impl<const N: usize, const HASHED: bool> FrameFields<'_, '_, N, HASHED> {
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
    type Error = Miss;
    type Members<const N: usize> = FrameFields<'s, 'd, N, HASHED>;

    #[inline]
    fn open<const N: usize>(
        self,
        _names: &'static [&'static str; N],
        _pointer: &JsonPointer<'_>,
    ) -> Result<FrameFields<'s, 'd, N, HASHED>, Miss> {
        let (present, slots) =
            self.slots.get(self.at..).and_then(<[u64]>::split_first).ok_or(Miss)?;
        let slots = slots.first_chunk().ok_or(Miss)?;
        Ok(FrameFields { frame: self, present: *present, slots })
    }

    #[inline]
    fn error(_code: RejectCode, _pointer: &JsonPointer<'_>) -> Miss {
        Miss
    }
}

/// The scan has checked that each member is known and of its type.
impl<'s, 'd, const N: usize, const HASHED: bool> Members<'d> for FrameFields<'s, 'd, N, HASHED> {
    type Element = Frame<'s, 'd, HASHED>;
    type List = Frames<'s, 'd, HASHED>;

    #[inline]
    fn has(&self, field: usize) -> bool {
        self.slot(field).is_some()
    }

    #[inline]
    fn has_from(&self, field: usize) -> bool {
        // The upper half is the index of the list's next frame.
        (self.present & 0xffff_ffff) >> field != 0
    }

    #[inline]
    fn text_value(&self, field: usize) -> Result<Option<TextValue<'d>>, WrongType> {
        let Some(slot) = self.slot(field) else { return Ok(None) };
        let (from, length) = unpack(slot);
        let head = self.frame.copy.get(from..from + 16).and_then(<[u8]>::first_chunk);
        Ok(Some(TextValue::new(self.frame.text, from, length, *head.ok_or(WrongType)?)))
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
            let (first, left) = unpack(slot);
            Frames { next: Frame { at: first, ..self.frame }, left }
        }))
    }

    #[inline]
    fn object(&self, field: usize) -> Result<Option<Self::Element>, WrongType> {
        Ok(self.slot(field).map(|slot| Frame { at: unpack(slot).0, ..self.frame }))
    }

    /// The scan gives up on such an object.
    #[inline]
    fn check_open_object(
        &self,
        _field: usize,
        _context: &mut DecodeContext<'_>,
        _pointer: &JsonPointer<'_>,
    ) -> Result<(), Miss> {
        Ok(())
    }

    #[inline]
    fn add_unknown(
        &self,
        _walk: &mut DecodeContext<'_>,
        _pointer: &JsonPointer<'_>,
    ) -> Result<(), Miss> {
        Ok(())
    }
}

/// The frames of a list, in order.
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
        self.next.at = unpack(head).1;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<const HASHED: bool> ExactSizeIterator for Frames<'_, '_, HASHED> {}
