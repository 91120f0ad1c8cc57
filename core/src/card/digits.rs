//! Runs of digits in text, and the numbers they could be.

use std::ops::Range;

use super::digit_string::DigitString;
use super::{MAX_DIGITS, MIN_DIGITS};
use crate::text::is_gtin;

/// Longest group of digits that is searched for a number with a suffix, or padded with zeros.
const MAX_PIECE: usize = 64;

/// How the groups of a run may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// By single spaces or dashes anywhere.
    Any,
    /// Only as cards are printed: in fours, or 4-6-4 and 4-6-5. In ids, dashes join numbers that are
    /// unrelated: store, date, sequence.
    Printed,
}

/// Digits in a text that could be a card number.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The number, zeros before it, and digits appended to it.
    pub(super) range: Range<usize>,
    /// The number alone.
    pub(super) number: DigitString,
    /// All of the digits, if they are no more than a card number has.
    pub(super) whole: Option<DigitString>,
}

/// Calls `visit` for each 12 to 19 digits that begin and end at the bounds of digit groups, and for numbers within one
/// long group: after zeros, or before an expiry date or security code.
///
/// A group of 12 or 13 digits that is a GTIN is none: `docs/CARD_DATA.md` has the figures.
pub(super) fn for_each_candidate(
    text: &[u8],
    grouping: Grouping,
    mut visit: impl FnMut(&Candidate),
) {
    let mut at = 0;
    while let Some(first) = group_from(text, at) {
        at = first.end;
        let mut sizes = GroupSizes::default();
        let mut number = DigitString::default();
        let piece = text.get(first.clone()).unwrap_or_default();
        for_each_in_piece(piece, |number, whole| {
            visit(&Candidate { range: first.clone(), number, whole });
        });
        let mut group = Some(first.clone());
        while let Some(last) = group {
            let Some(longer) = number.join(text.get(last.clone()).unwrap_or_default()) else {
                break;
            };
            number = longer;
            sizes.push(last.len());
            let long_enough = number.digits as usize >= MIN_DIGITS;
            let range = first.start..last.end;
            let is_barcode = || last == first && piece.len() <= 13 && is_gtin(piece);
            if long_enough && (grouping == Grouping::Any || sizes.are_printed()) && !is_barcode() {
                visit(&Candidate { range, number, whole: Some(number) });
            }
            group = joined_group(text, last.end);
        }
    }
}

/// Calls `visit` for numbers that are a part of one group of digits, with the group as a number where it is one.
fn for_each_in_piece(piece: &[u8], mut visit: impl FnMut(DigitString, Option<DigitString>)) {
    if !(MIN_DIGITS + 3..=MAX_PIECE).contains(&piece.len()) {
        return;
    }
    let whole = DigitString::default().join(piece);
    let zeros = piece.iter().take_while(|&&digit| digit == b'0').count();
    let (number, rest) = piece.split_at(zeros);
    // Fixed-width fields are as long as the longest number (ISO 8583, field 2).
    if zeros > 0 && piece.len() >= MAX_DIGITS {
        DigitString::default().join(rest).into_iter().for_each(|number| visit(number, whole));
    }
    if !number.is_empty() {
        return;
    }
    for digits in LENGTHS_WITH_SUFFIX {
        if let Some((number, suffix)) = piece.split_at_checked(digits)
            && is_expiry_or_code(number, suffix)
            && let Some(number) = DigitString::default().join(number)
        {
            visit(number, whole);
        }
    }
}

/// Lengths of numbers that can have an expiry date or a code appended: those that cards are printed with.
const LENGTHS_WITH_SUFFIX: [usize; 4] = [14, 15, 16, 19];

/// Tells whether digits are an expiry date, a security code, or the one and then the other. Of numbers of 15 digits those of
/// American Express count alone, whose codes have four digits: nanoseconds since 1970 begin as JCB's did.
fn is_expiry_or_code(number: &[u8], suffix: &[u8]) -> bool {
    let is_express = matches!(number, [b'3', b'4' | b'7', ..]);
    match (number.len(), suffix.len()) {
        (15, 4) => is_express,
        (15, 8) => is_express && is_expiry(suffix),
        (15, _) => false,
        (_, 3) => true,
        (_, 4 | 7) => is_expiry(suffix),
        _ => false,
    }
}

/// Tells whether digits begin with a month and a year of a card's life, in either order.
fn is_expiry(digits: &[u8]) -> bool {
    let pair = |at: usize| match digits.get(at..at + 2) {
        Some([tens, ones]) => 10 * (tens - b'0') + (ones - b'0'),
        _ => 0,
    };
    let is_date = |month, year| (1..=12).contains(&month) && (20..=49).contains(&year);
    is_date(pair(0), pair(2)) || is_date(pair(2), pair(0))
}

/// Sizes of the groups of a run.
#[derive(Debug, Default)]
struct GroupSizes {
    sizes: [usize; MAX_DIGITS],
    count: usize,
}

impl GroupSizes {
    fn push(&mut self, size: usize) {
        if let Some(slot) = self.sizes.get_mut(self.count) {
            *slot = size;
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
