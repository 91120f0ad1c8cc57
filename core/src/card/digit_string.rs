//! A number of up to 19 digits, and its check digit.

use super::{MAX_DIGITS, MIN_DIGITS};

/// Up to 19 digits, which a `u64` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DigitString {
    pub(super) value: u64,
    /// How many, leading zeros included.
    pub(super) digits: u32,
    /// The sums of the check of ISO/IEC 7812-1, annex B: with every other digit doubled but not the last one, and with the last
    /// one too. Both are kept, because the next digit swaps them.
    sums: [u32; 2],
}

impl DigitString {
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

    /// Returns the first digits as a number; 0 if it has fewer.
    pub(super) fn prefix(self, digits: u32) -> u64 {
        self.digits.checked_sub(digits).map_or(0, |rest| self.value / 10_u64.pow(rest))
    }

    /// Tells whether it is as long as a card number and has a valid check digit, which one number in ten has.
    pub(super) fn has_check_digit(self) -> bool {
        let [sum, _] = self.sums;
        (MIN_DIGITS..=MAX_DIGITS).contains(&(self.digits as usize)) && sum.is_multiple_of(10)
    }
}
