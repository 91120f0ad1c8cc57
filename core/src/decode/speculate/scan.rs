//! One pass over a text, from value to value.
//!
//! Wherever the text is not what RFC 8259 and the schema's types allow, or merely unusual, the scan
//! gives up; it never says what is wrong. Depth is that of the schema.

use std::num::NonZeroU32;

use super::block::{SPAN, block};
use super::grammar::START;
use super::levels::Levels;
use super::paths::{Paths, Then};
use super::read;
use super::sheet::FRAME;
use super::strings::{self, Oddities};
use crate::text::leading_digits;

/// Most digits of an integer of the schema.
const MOST_DIGITS: usize = 16;

/// Reads a text as one event: says in the slots where its members stand.
///
/// The copy holds the text, of `length` bytes, and blanks behind it. It is UTF-8. `PLAIN` says that it is all printable
/// ASCII without a backslash.
#[inline(never)]
pub(super) fn scan<const PLAIN: bool>(
    copy: &mut [u8],
    length: usize,
    slots: &mut [u64],
    paths: &mut Paths,
) -> Option<Oddities> {
    let (mut levels, mut oddities) = (Levels::new(), Oddities::default());
    let (mut at, mut state) = (0, usize::from(START));
    let (mut met, mut frame) = (0_u32, slots.first_chunk_mut::<FRAME>()?);
    loop {
        // Most values are texts, and most steps are those of the time before. No call stands in here, so that all that
        // this needs is kept in registers.
        while let Some(step) = paths.step(state, copy, at) {
            if met & step.bit != 0 {
                break;
            }
            let from = at + u32::from(step.length);
            let value = if step.then == Then::Text {
                let Some((end, quote)) = strings::end::<PLAIN>(copy, from, &mut oddities) else {
                    return None;
                };
                at = quote;
                u64::from(from) | u64::from(end - from) << 32
            } else if step.then == Then::Integer
                && let Some(digit) = single_digit(copy, from)
            {
                at = from + 1;
                digit
            } else {
                break;
            };
            frame[usize::from(step.slot) % FRAME] = value;
            met |= step.bit;
            state = usize::from(step.state);
        }
        let step = match paths.step(state, copy, at) {
            Some(step) => step,
            None => match paths.other_step(state, copy, at) {
                Some(step) => step,
                None => {
                    learn(copy, at, state, &levels, paths)?;
                    continue;
                }
            },
        };
        let from = at + u32::from(step.length);
        let mut then = step.then;
        if then == Then::Turn {
            levels.top.met = met;
            if step.turn.is_only_next() {
                levels.next(slots)?;
            } else {
                levels.turn(&step.turn, slots)?;
            }
            met = levels.top.met;
            frame = slots.get_mut(levels.top.frame..)?.first_chunk_mut()?;
            then = step.turn.then;
        }
        if met & step.bit != 0 {
            return None;
        }
        let value = if then == Then::Text {
            let (end, quote) = strings::end::<PLAIN>(copy, from, &mut oddities)?;
            at = quote;
            u64::from(from) | u64::from(end - from) << 32
        } else if then == Then::Integer {
            if let Some(digit) = single_digit(copy, from) {
                at = from + 1;
                digit
            } else if let Some((value, end)) = integer(copy, from) {
                at = end.get();
                value
            } else if step.then == Then::Integer {
                // A null perhaps, or another blank: it is learned to be seen before this way the next time.
                let length = step.length;
                let learned = learn(copy, at, state, &levels, paths)?;
                if learned <= length || usize::from(learned) > SPAN {
                    return None;
                }
                continue;
            } else {
                return None;
            }
        } else {
            at = from;
            if then == Then::End {
                break;
            }
            levels.top.nothing |= if then == Then::Nothing { step.bit } else { 0 };
            u64::from(then == Then::True)
        };
        frame[usize::from(step.slot) % FRAME] = value;
        met |= step.bit;
        state = usize::from(step.state);
    }
    let mut rest = copy.get((at as usize).min(length)..length)?.iter();
    rest.all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).then_some(oddities)
}

/// Reads what stands between two values, and learns it; returns its length.
#[cold]
#[inline(never)]
fn learn(copy: &[u8], at: u32, state: usize, levels: &Levels, paths: &mut Paths) -> Option<u8> {
    let step = read::step(copy, at, state, levels)?;
    let stretch = copy.get(at as usize..)?.get(..usize::from(step.length))?;
    paths.learn(state, stretch, step);
    Some(step.length)
}

/// Reads an integer of one digit.
#[inline]
fn single_digit(copy: &[u8], from: u32) -> Option<u64> {
    let [first, second, ..] = block(copy, from)?;
    (first.is_ascii_digit() && !second.is_ascii_digit()).then(|| u64::from(first - b'0'))
}

/// Reads an integer that no JSON reader would take for another number; returns it and where it ends.
#[cold]
#[inline(never)]
fn integer(copy: &[u8], from: u32) -> Option<(u64, NonZeroU32)> {
    let first: &[u8; 8] = block(copy, from)?.first_chunk()?;
    let (mut value, mut digits) = leading_digits(u64::from_le_bytes(*first));
    if digits == first.len() {
        let rest = copy.get(from as usize + digits..)?;
        let more = rest.iter().take_while(|byte| byte.is_ascii_digit());
        for digit in more.take(MOST_DIGITS) {
            value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            digits += 1;
        }
    }
    if digits == 0 || digits > MOST_DIGITS || (digits > 1 && first[0] == b'0') {
        return None;
    }
    Some((value, NonZeroU32::new(from + u32::try_from(digits).ok()?)?))
}
