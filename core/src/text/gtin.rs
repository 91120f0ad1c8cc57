//! GS1 trade item numbers.

/// Tells whether a text is a GTIN-8, -12, -13 or -14 with a valid check digit
/// (GS1 General Specifications, section 7.9).
pub fn is_gtin(text: &[u8]) -> bool {
    matches!(text.len(), 8 | 12 | 13 | 14)
        && text.iter().all(u8::is_ascii_digit)
        && text
            .iter()
            .rev()
            .enumerate()
            .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 1 } else { 3 })
            .sum::<u32>()
            .is_multiple_of(10)
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
