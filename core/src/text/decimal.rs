//! Decimal text to scaled integers, and back.

use std::fmt;

use bytes::BufMut;

use super::ascii::{Ascii, digits};
use super::short::{all, are_digit_values, eight_digits, shorter};

/// A quantity: an integer count of millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Decimal(pub i64);

impl Decimal {
    /// Decimals kept.
    pub const SCALE: u32 = 6;
    /// One, in millionths.
    pub const ONE: Self = Self(1_000_000);

    /// Parses `-?[0-9]+(\.[0-9]{1,6})?`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_scaled(text, Self::SCALE).map(Self)
    }
}

impl Decimal {
    /// Returns what [`fmt::Display`] shows.
    pub(crate) fn ascii(self) -> Ascii {
        let ones = Self::ONE.0.unsigned_abs();
        let (whole, part) = (self.0.unsigned_abs() / ones, self.0.unsigned_abs() % ones);
        let mut ascii = Ascii::default();
        ascii.push_slice(if self.0 < 0 { b"-" } else { b"" });
        ascii.push_slice(itoa::Buffer::new().format(whole).as_bytes());
        if part != 0 {
            let decimals: [u8; 6] = digits(u32::try_from(part).unwrap_or_default());
            let kept = decimals.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            ascii.push_slice(b".");
            ascii.push_slice(&decimals[..kept]);
        }
        ascii
    }
}

/// Writes the shortest text that reads back as the same quantity.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.ascii().as_str())
    }
}

/// Parses `-?[0-9]+(\.[0-9]{1,scale})?` into an integer count of 10^-scale.
///
/// Returns `None` for any other text and for what an `i64` cannot hold. Leading zeros are allowed.
#[inline]
pub fn parse_scaled(text: &[u8], scale: u32) -> Option<i64> {
    let short = (text.len() <= 8).then(|| parse_short(shorter(text), text.len(), scale));
    short.flatten().or_else(|| parse_long(text, scale))
}

/// The same for a text of at most eight bytes without a sign, all at once. It comes as a little-endian number.
///
/// Returns `None` also for what it does not read.
#[inline(never)]
pub(crate) fn parse_short(text: u64, length: usize, scale: u32) -> Option<i64> {
    const POWERS: [i64; 11] = {
        let mut powers = [1; 11];
        let mut power = 1;
        while power < powers.len() {
            powers[power] = 10 * powers[power - 1];
            power += 1;
        }
        powers
    };
    // Most quantities have one digit.
    if length == 1 {
        let digit = text.wrapping_sub(b'0'.into());
        let power = POWERS.get(scale as usize)?;
        return (digit < 10).then(|| digit.cast_signed() * power);
    }
    if !(2..=8).contains(&length) {
        return None;
    }
    // A digit becomes its value, and a point what no digit does; zeros stand in front.
    let mut digits = (text ^ all(b'0')) << (8 * (8 - length));
    let mut decimals = 0;
    // The lowest bit that this sets is certainly that of a point.
    let without_points = digits ^ all(b'.' ^ b'0');
    let points = without_points.wrapping_sub(all(1)) & !without_points & all(0x80);
    if points != 0 {
        decimals = 7 - points.trailing_zeros() as usize / 8;
        if decimals == 0 || decimals == length - 1 {
            return None;
        }
        // What is above the point stays, what is below moves into its place.
        let upto = points ^ points.wrapping_sub(1);
        digits = digits & !upto | digits << 8 & upto;
    }
    if !are_digit_values(digits) {
        return None;
    }
    let power = POWERS.get((scale as usize).checked_sub(decimals)?)?;
    Some(eight_digits(digits).cast_signed() * power)
}

fn parse_long(text: &[u8], scale: u32) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (whole, decimals) = match digits.iter().position(|byte| *byte == b'.') {
        Some(point) => {
            let (whole, point_and_decimals) = digits.split_at_checked(point)?;
            (whole, point_and_decimals.get(1..).filter(|decimals| !decimals.is_empty())?)
        }
        None => (digits, [].as_slice()),
    };
    if whole.is_empty() {
        return None;
    }
    let missing = scale.checked_sub(u32::try_from(decimals.len()).ok()?)?;
    let value = append(append(0, whole)?, decimals)?;
    let value = value.checked_mul(10_u64.checked_pow(missing)?)?;
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Appends decimal digits to a number.
fn append(number: u64, digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(number, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Returns minor units as major units with `exponent` decimals: 1999 and 2 give `19.99`.
pub fn format_minor(minor: impl Into<i128>, exponent: u32) -> String {
    let mut text = Vec::new();
    put_minor(&mut text, minor.into(), exponent);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes the same.
pub(crate) fn put_minor(text: &mut impl BufMut, minor: i128, exponent: u32) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(minor.unsigned_abs()).as_bytes();
    let decimals = exponent as usize;
    let (whole, part) = digits.split_at(digits.len().saturating_sub(decimals));
    text.put_slice(if minor < 0 { b"-" } else { b"" });
    text.put_slice(if whole.is_empty() { b"0" } else { whole });
    if decimals > 0 {
        text.put_u8(b'.');
        text.put_bytes(b'0', decimals - part.len());
        text.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(Decimal::parse(b"0.1"), Some(Decimal(100_000)));
        assert_eq!(Decimal::parse(b"-12.000001"), Some(Decimal(-12_000_001)));
        assert_eq!(parse_scaled(b"9223372036854775807", 0), Some(i64::MAX));
        assert_eq!(parse_scaled(b"-9223372036854775808", 0), Some(i64::MIN));
        assert_eq!(parse_scaled(b"007.5", 1), Some(75));
    }

    #[test]
    fn what_is_not_a_decimal_is_refused() {
        for text in [
            "",
            "-",
            ".5",
            "1.",
            "1.2.3",
            "+1",
            "1e3",
            " 1",
            "0x1",
            "1.1234567",
            "--1",
            "9223372036854775808",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn short_texts_are_read_like_long_ones() {
        let alphabet = b"019.-a/:";
        for code in 0..8_usize.pow(6) {
            let text: Vec<u8> =
                (0..6).map(|place| alphabet[code / 8_usize.pow(place) % 8]).collect();
            for (length, scale) in [(0, 2), (1, 0), (3, 1), (4, 2), (5, 6), (6, 2), (6, 10)] {
                let text = &text[..length];
                assert_eq!(parse_scaled(text, scale), parse_long(text, scale), "{text:?}");
            }
        }
        for text in ["12345678", "1234567.", ".1234567", "1234.567", "99999.99", "-1234.56"] {
            for scale in 0..12 {
                let text = text.as_bytes();
                assert_eq!(parse_scaled(text, scale), parse_long(text, scale));
            }
        }
    }

    proptest! {
        #[test]
        fn every_quantity_survives_the_round_trip(quantity: i64, zeros in 0..7_u32) {
            let quantity = Decimal(quantity - quantity % 10_i64.pow(zeros));
            let text = quantity.to_string();
            prop_assert_eq!(Decimal::parse(text.as_bytes()), Some(quantity));
            prop_assert!(!text.contains('.') || !text.ends_with(['0', '.']), "{}", text);
        }
    }

    #[test]
    fn text_is_written_back_in_its_shortest_form() {
        for text in
            ["0", "1", "-1", "0.5", "-0.000001", "1234567.89", "10.01", "-9223372036854.775808"]
        {
            assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        assert_eq!(format_minor(-5, 2), "-0.05");
        assert_eq!(format_minor(0, 2), "0.00");
        assert_eq!(format_minor(12, 2), "0.12");
        assert_eq!(format_minor(5, 3), "0.005");
        assert_eq!(format_minor(i128::MIN, 0), i128::MIN.to_string());
        assert_eq!(format_minor(1_234_567, 3), "1234.567");
        assert_eq!(format_minor(500, 0), "500");
        assert_eq!(format_minor(i128::from(i64::MAX) + 1, 2), "92233720368547758.08");
    }
}
