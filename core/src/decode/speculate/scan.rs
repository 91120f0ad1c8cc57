//! One pass over a text, from value to value.
//!
//! Wherever the text is not what RFC 8259 and the schema's types allow, or merely unusual, the scan
//! gives up; it never says what is wrong. Depth is that of the schema.

use super::block::{SPAN, block};
use super::grammar::START;
use super::levels::Levels;
use super::paths::{Paths, Step, Then};
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
    let mut spot = Spot { at: 0, state: usize::from(START), met: 0 };
    let mut frame = slots.first_chunk_mut::<FRAME>()?;
    loop {
        foreseen::<PLAIN>(copy, frame, paths, &mut spot, &mut oddities)?;
        let step = if let Some(step) = paths.step(spot.state, copy, spot.at) {
            step
        } else if let Some(step) = paths.second_step(spot.state, copy, spot.at) {
            step
        } else if let Some(step) = paths.other_step(spot.state, copy, spot.at) {
            step
        } else {
            learn(copy, &spot, &levels, paths)?;
            continue;
        };
        let from = spot.at + u32::from(step.length);
        let mut then = step.then;
        if then == Then::Turn {
            levels.top.met = spot.met;
            if step.turn.is_only_next() {
                levels.next(slots)?;
            } else {
                levels.turn(step.turn, slots)?;
            }
            spot.met = levels.top.met;
            frame = slots.get_mut(levels.top.frame as usize..)?.first_chunk_mut()?;
            then = step.turn.then;
        }
        if spot.met & step.bit != 0 {
            return None;
        }
        let (value, at) = match then {
            Then::Text => text::<PLAIN>(copy, from, &mut oddities)?,
            Then::Integer => {
                if let Some(integer) = integer(copy, from) {
                    integer
                } else {
                    // A null perhaps, or another blank: it is learned to be seen before this way the next time.
                    let (then, length) = (step.then, step.length);
                    let learned = learn(copy, &spot, &levels, paths)?;
                    if then != Then::Integer || learned <= length || usize::from(learned) > SPAN {
                        return None;
                    }
                    continue;
                }
            }
            Then::True => (1, from),
            Then::False => (0, from),
            Then::Nothing => {
                levels.top.nothing |= step.bit;
                (0, from)
            }
            Then::End | Then::Turn => {
                let mut rest = copy.get((from as usize).min(length)..length)?.iter();
                let is_blank = rest.all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
                return is_blank.then_some(oddities);
            }
        };
        spot.fill(frame, step, value, at);
    }
}

/// Where the scan is.
#[derive(Debug)]
struct Spot {
    at: u32,
    state: usize,
    /// Members of the object that were met, a bit for each.
    met: u32,
}

impl Spot {
    /// Fills the slot of a member, and moves behind its value.
    #[inline]
    fn fill(&mut self, frame: &mut [u64; FRAME], step: &Step, value: u64, at: u32) {
        frame[usize::from(step.slot) % FRAME] = value;
        *self = Self { at, state: usize::from(step.state), met: self.met | step.bit };
    }
}

/// Takes steps as long as they are those of the time before, and lead to texts or single digits of the same object, as most
/// do. It calls nothing, so that all that it needs is kept in registers.
#[expect(clippy::inline_always, reason = "what it needs is in the scan's registers")]
#[inline(always)]
fn foreseen<const PLAIN: bool>(
    copy: &mut [u8],
    frame: &mut [u64; FRAME],
    paths: &Paths,
    spot: &mut Spot,
    oddities: &mut Oddities,
) -> Option<()> {
    while let Some(step) = paths.step(spot.state, copy, spot.at) {
        if spot.met & step.bit != 0 {
            break;
        }
        let from = spot.at + u32::from(step.length);
        let (value, at) = if step.then == Then::Text {
            text::<PLAIN>(copy, from, oddities)?
        } else if step.then == Then::Integer
            && let Some(digit) = single_digit(copy, from)
        {
            digit
        } else {
            break;
        };
        spot.fill(frame, step, value, at);
    }
    Some(())
}

/// Reads a text; returns where it stands, and where the quotation mark behind it does.
#[expect(clippy::inline_always, reason = "most values are texts")]
#[inline(always)]
fn text<const PLAIN: bool>(
    copy: &mut [u8],
    from: u32,
    oddities: &mut Oddities,
) -> Option<(u64, u32)> {
    let (end, quote) = strings::end::<PLAIN>(copy, from, oddities)?;
    Some((u64::from(from) | u64::from(end - from) << 32, quote))
}

/// Reads what stands between two values, and learns it; returns its length.
#[cold]
#[inline(never)]
fn learn(copy: &[u8], spot: &Spot, levels: &Levels, paths: &mut Paths) -> Option<u8> {
    let step = read::step(copy, spot.at, spot.state, levels)?;
    let stretch = copy.get(spot.at as usize..)?.get(..usize::from(step.length))?;
    paths.learn(spot.state, stretch, step);
    Some(step.length)
}

/// Reads an integer of one digit; returns it and where it ends.
#[inline]
fn single_digit(copy: &[u8], from: u32) -> Option<(u64, u32)> {
    let [first, second, ..] = block(copy, from)?;
    let is_single = first.is_ascii_digit() && !second.is_ascii_digit();
    is_single.then(|| (u64::from(first - b'0'), from + 1))
}

/// Reads an integer that no JSON reader would take for another number; returns it and where it ends.
#[inline]
fn integer(copy: &[u8], from: u32) -> Option<(u64, u32)> {
    single_digit(copy, from).or_else(|| long_integer(copy, from))
}

/// The same for one of several digits. It is called cold so that others keep the registers.
#[cold]
#[inline(never)]
fn long_integer(copy: &[u8], from: u32) -> Option<(u64, u32)> {
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
    Some((value, from + u32::try_from(digits).ok()?))
}
