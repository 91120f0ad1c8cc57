//! One pass over a text, from value to value.
//!
//! The scan gives up where the text is not what RFC 8259 and the schema's types allow, or merely unusual; it never says what
//! is wrong. It is no deeper than the schema.

use super::block::{COMPARE_BYTES, block};
use super::field_table::FRAME;
use super::grammar::START;
use super::object_stack::ObjectStack;
use super::parse;
use super::shape_cache::{NextValue, ShapeCache, Transition};
use super::strings::{self, TextTraits};
use crate::text::leading_digits;

/// Most digits of an integer of the schema.
const MAX_DIGITS: usize = 16;

/// Scans a text as one event: writes the offsets of its members into the slots.
///
/// `copy` is the text, of `length` bytes and in UTF-8, with blanks behind it. `PLAIN` says that all of it is printable ASCII
/// without a backslash.
#[inline(never)]
pub(super) fn scan<const PLAIN: bool>(
    copy: &mut [u8],
    length: usize,
    slots: &mut [u64],
    shapes: &mut ShapeCache,
) -> Option<TextTraits> {
    let (mut stack, mut traits) = (ObjectStack::new(), TextTraits::default());
    let mut position = ScanPosition { at: 0, state: usize::from(START), seen: 0 };
    let mut frame = slots.first_chunk_mut::<FRAME>()?;
    loop {
        follow_cached::<PLAIN>(copy, frame, shapes, &mut position, &mut traits)?;
        let transition = if let Some(transition) = shapes.first(position.state, copy, position.at) {
            transition
        } else if let Some(transition) = shapes.second(position.state, copy, position.at) {
            transition
        } else if let Some(transition) = shapes.other(position.state, copy, position.at) {
            transition
        } else {
            learn(copy, &position, &stack, shapes)?;
            continue;
        };
        let from = position.at + u32::from(transition.length);
        let mut next = transition.next;
        if next == NextValue::OtherObject {
            stack.top.seen = position.seen;
            if transition.nesting.is_only_next_element() {
                stack.next_element(slots)?;
            } else {
                stack.apply(transition.nesting, slots)?;
            }
            position.seen = stack.top.seen;
            frame = slots.get_mut(stack.top.frame as usize..)?.first_chunk_mut()?;
            next = transition.nesting.next;
        }
        if position.seen & transition.bit != 0 {
            return None;
        }
        let (value, at) = match next {
            NextValue::Text => text::<PLAIN>(copy, from, &mut traits)?,
            NextValue::Integer => {
                if let Some(integer) = integer(copy, from) {
                    integer
                } else {
                    // It may be a null or one blank more. A longer stretch is learned and stands before this one the next time;
                    // otherwise the scan would come here again without end.
                    let (next, length) = (transition.next, transition.length);
                    let learned = learn(copy, &position, &stack, shapes)?;
                    if next != NextValue::Integer
                        || learned <= length
                        || usize::from(learned) > COMPARE_BYTES
                    {
                        return None;
                    }
                    continue;
                }
            }
            NextValue::True => (1, from),
            NextValue::False => (0, from),
            NextValue::Absent => {
                stack.top.absent |= transition.bit;
                (0, from)
            }
            NextValue::End | NextValue::OtherObject => {
                let mut rest = copy.get((from as usize).min(length)..length)?.iter();
                let is_blank = rest.all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
                return is_blank.then_some(traits);
            }
        };
        position.fill(frame, transition, value, at);
    }
}

/// How far the scan is.
#[derive(Debug)]
struct ScanPosition {
    at: u32,
    state: usize,
    /// Members of the innermost object that were read, a bit for each.
    seen: u32,
}

impl ScanPosition {
    /// Fills the slot of a member, and moves to the end of its value.
    #[inline]
    fn fill(&mut self, frame: &mut [u64; FRAME], transition: &Transition, value: u64, at: u32) {
        frame[usize::from(transition.slot) % FRAME] = value;
        *self = Self { at, state: usize::from(transition.state), seen: self.seen | transition.bit };
    }
}

/// Follows transitions as long as each is the first of its state and leads to a text or a single digit in the same object,
/// as most do. Calls no function, so that everything it needs stays in registers.
#[expect(clippy::inline_always, reason = "it shares the registers of the scan")]
#[inline(always)]
fn follow_cached<const PLAIN: bool>(
    copy: &mut [u8],
    frame: &mut [u64; FRAME],
    shapes: &ShapeCache,
    position: &mut ScanPosition,
    traits: &mut TextTraits,
) -> Option<()> {
    while let Some(transition) = shapes.first(position.state, copy, position.at) {
        if position.seen & transition.bit != 0 {
            break;
        }
        let from = position.at + u32::from(transition.length);
        let (value, at) = if transition.next == NextValue::Text {
            text::<PLAIN>(copy, from, traits)?
        } else if transition.next == NextValue::Integer
            && let Some(digit) = single_digit(copy, from)
        {
            digit
        } else {
            break;
        };
        position.fill(frame, transition, value, at);
    }
    Some(())
}

/// Finds the end of a text; returns its slot (offset and length), and the offset of the quotation mark behind it.
#[expect(clippy::inline_always, reason = "most values are texts")]
#[inline(always)]
fn text<const PLAIN: bool>(
    copy: &mut [u8],
    from: u32,
    traits: &mut TextTraits,
) -> Option<(u64, u32)> {
    let (end, quote) = strings::end::<PLAIN>(copy, from, traits)?;
    Some((u64::from(from) | u64::from(end - from) << 32, quote))
}

/// Parses the bytes between two values, and learns the transition; returns its length.
#[cold]
#[inline(never)]
fn learn(
    copy: &[u8],
    position: &ScanPosition,
    stack: &ObjectStack,
    shapes: &mut ShapeCache,
) -> Option<u8> {
    let transition = parse::transition(copy, position.at, position.state, stack)?;
    let stretch = copy.get(position.at as usize..)?.get(..usize::from(transition.length))?;
    shapes.learn(position.state, stretch, transition);
    Some(transition.length)
}

/// Reads an integer of one digit; returns it and its end.
#[inline]
fn single_digit(copy: &[u8], from: u32) -> Option<(u64, u32)> {
    let [first, second, ..] = block(copy, from)?;
    let is_single = first.is_ascii_digit() && !second.is_ascii_digit();
    is_single.then(|| (u64::from(first - b'0'), from + 1))
}

/// Reads an integer that every JSON reader keeps exactly; returns it and its end.
#[inline]
fn integer(copy: &[u8], from: u32) -> Option<(u64, u32)> {
    single_digit(copy, from).or_else(|| long_integer(copy, from))
}

/// The same for several digits. Marked as cold, so that its registers are not taken from single digits.
#[cold]
#[inline(never)]
fn long_integer(copy: &[u8], from: u32) -> Option<(u64, u32)> {
    let first: &[u8; 8] = block(copy, from)?.first_chunk()?;
    let (mut value, mut digits) = leading_digits(u64::from_le_bytes(*first));
    if digits == first.len() {
        let rest = copy.get(from as usize + digits..)?;
        let more = rest.iter().take_while(|byte| byte.is_ascii_digit());
        for digit in more.take(MAX_DIGITS) {
            value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            digits += 1;
        }
    }
    if digits == 0 || digits > MAX_DIGITS || (digits > 1 && first[0] == b'0') {
        return None;
    }
    Some((value, from + u32::try_from(digits).ok()?))
}
