//! GS1 trade item numbers.

use super::short::{are_digits, short};

/// Tells whether a text is a GTIN-8, -12, -13 or -14 with a valid check digit
/// (GS1 General Specifications, section 7.9).
pub fn is_gtin(text: &[u8]) -> bool {
    text.len() <= 16 && is_short_gtin(short(text), text.len())
}

/// The same for a text of at most sixteen bytes, as a little-endian number.
#[inline]
pub(crate) fn is_short_gtin(text: u128, length: usize) -> bool {
    if !matches!(length, 8 | 12 | 13 | 14) {
        return false;
    }
    // Zeros before a number change neither its digits' places nor their sum.
    let zeros = 8 * (16 - length);
    let digits = text << zeros | u128::from_le_bytes([b'0'; 16]) & ((1 << zeros) - 1);
    #[expect(clippy::cast_possible_truncation, reason = "each half is wanted by itself")]
    let (low, high) = (digits as u64, (digits >> 64) as u64);
    are_digits(low) && are_digits(high) && (weighed(low) + weighed(high)).is_multiple_of(10)
}

/// Adds up eight digits, each first of two three times.
#[inline]
fn weighed(digits: u64) -> u64 {
    const FIRSTS: u64 = 0x000f_000f_000f_000f;
    let pairs = 3 * (digits & FIRSTS) + (digits >> 8 & FIRSTS);
    pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_counts() {
        for gtin in ["40063812", "036000291452", "4006381333931", "10614141000415"] {
            let (body, check) = gtin.split_at(gtin.len() - 1);
            let valid = (0..=9).filter(|digit| is_gtin(format!("{body}{digit}").as_bytes()));
            assert_eq!(valid.count(), 1, "{gtin}");
            assert_eq!(is_gtin(gtin.as_bytes()), !gtin.ends_with('2') || check == "2", "{gtin}");
        }
        assert!(is_gtin(b"4006381333931"));
        assert!(!is_gtin(b"4006381333932"));
    }

    #[test]
    fn only_digits_in_the_lengths_of_the_standard_count() {
        for text in
            ["", "0", "400638133393", "40063813339310", "400638133393a", "00000000000000000"]
        {
            assert!(!is_gtin(text.as_bytes()), "{text}");
        }
    }
}
