//! Runs of digits in text, and the numbers they make.

use std::ops::Range;

use super::issuer::is_issued;
use super::{MAX_DIGITS, MIN_DIGITS};

/// Up to 19 digits, which a `u64` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Number {
    pub(super) value: u64,
    /// How many, leading zeros included.
    pub(super) digits: u32,
    /// What the check of ISO/IEC 7812-1, annex B, sums up: every other digit doubled, the last one not; and the last one too.
    sums: [u32; 2],
}

impl Number {
    /// Appends digits; `None` when there are more than a card number has.
    pub(super) fn join(self, digits: &[u8]) -> Option<Self> {
        if self.digits as usize + digits.len() > MAX_DIGITS {
            return None;
        }
        Some(digits.iter().fold(self, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            let [plain, doubled] = number.sums;
            let twice = 2 * u32::from(digit) - if digit > 4 { 9 } else { 0 };
            Self {
                value: number.value * 10 + u64::from(digit),
                digits: number.digits + 1,
                sums: [doubled + u32::from(digit), plain + twice],
            }
        }))
    }

    /// Takes a number as it is written without leading zeros; `None` when it has more digits than a card number.
    pub(super) fn of(value: u64) -> Option<Self> {
        Self::default().join(itoa::Buffer::new().format(value).as_bytes())
    }

    /// Returns the first digits as a number; 0 if it has fewer.
    pub(super) fn prefix(self, digits: u32) -> u64 {
        self.digits.checked_sub(digits).map_or(0, |rest| self.value / 10_u64.pow(rest))
    }

    /// Tells whether it is a card number: with a valid check digit, which one number in ten has, and of an issuer.
    pub(super) fn is_card(self) -> bool {
        let [sum, _] = self.sums;
        (MIN_DIGITS..=MAX_DIGITS).contains(&(self.digits as usize))
            && sum.is_multiple_of(10)
            && is_issued(self)
    }
}

/// How the groups of a run may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// By single spaces or dashes anywhere.
    Any,
    /// Only as cards are printed: in fours, or 4-6-4 and 4-6-5. In ids, dashes join numbers that have
    /// nothing to do with each other: store, date, sequence.
    Printed,
}

/// Digits in a text that could be a card number.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) range: Range<usize>,
    pub(super) number: Number,
}

/// Calls `visit` for each 13 to 19 digits that begin and end at the bounds of digit groups.
pub(super) fn for_each_candidate(
    text: &[u8],
    grouping: Grouping,
    mut visit: impl FnMut(&Candidate),
) {
    let mut at = 0;
    while let Some(first) = group_from(text, at) {
        at = first.end;
        let mut sizes = Sizes::default();
        let mut number = Number::default();
        let mut group = Some(first.clone());
        while let Some(last) = group {
            let Some(longer) = number.join(text.get(last.clone()).unwrap_or_default()) else {
                break;
            };
            number = longer;
            sizes.push(last.len());
            let long_enough = number.digits as usize >= MIN_DIGITS;
            if long_enough && (grouping == Grouping::Any || sizes.are_printed()) {
                visit(&Candidate { range: first.start..last.end, number });
            }
            group = joined_group(text, last.end);
        }
    }
}

/// Sizes of the groups of a run.
#[derive(Debug, Default)]
struct Sizes {
    sizes: [usize; MAX_DIGITS],
    count: usize,
}

impl Sizes {
    fn push(&mut self, size: usize) {
        if let Some(place) = self.sizes.get_mut(self.count) {
            *place = size;
            self.count += 1;
        }
    }

    fn are_printed(&self) -> bool {
        match self.sizes.get(..self.count).unwrap_or_default() {
            [_] | [4, 6, 4 | 5] => true,
            [fours @ .., last] => fours.iter().all(|&size| size == 4) && *last <= 4,
            [] => false,
        }
    }
}

fn group_from(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    let start = from + rest.iter().position(u8::is_ascii_digit)?;
    Some(start..start + count_digits(text, start))
}

/// Returns the group that a single space or dash joins to what ends at `end`.
fn joined_group(text: &[u8], end: usize) -> Option<Range<usize>> {
    if !matches!(text.get(end)?, b' ' | b'-') {
        return None;
    }
    let count = count_digits(text, end + 1);
    (count > 0).then_some(end + 1..end + 1 + count)
}

fn count_digits(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
