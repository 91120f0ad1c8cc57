//! Blinding for the content hash: it depends on the presence of digits that could be a card number, not on their values.
//!
//! Which numbers are masked depends on the issuer table and the tenant's ranges at the time. If the hash covered the stored
//! text, a retry after either has changed would be another event under the same number. So the hash covers texts in which
//! *every* run that some table could mask is masked.

use super::digit_string::DigitString;
use super::digits::{Grouping, for_each_candidate};
use super::rules::{TextClass, is_exempt, whole_double};
use super::{MASKED, MIN_DIGITS, MIN_INTEGER};

/// Masks every run of digits in which a number with a valid check digit stands, and every run that was masked in part.
pub(crate) fn blind(text: &mut [u8], class: TextClass) {
    if is_exempt(text, class) {
        return;
    }
    let mut at = 0;
    while let Some(found) =
        text.get(at..).and_then(|rest| rest.iter().position(|&byte| is_digit(byte)))
    {
        let start = at + found;
        at = start + run_length(text.get(start..).unwrap_or_default());
        let run = text.get_mut(start..at).unwrap_or_default();
        if is_suspect(run) {
            run.iter_mut().filter(|byte| is_digit(**byte)).for_each(|byte| *byte = MASKED);
        }
    }
}

/// Returns 0, as a masked integer has it, for an integer that some table could mask; and others as they are.
pub(crate) fn blind_integer(value: i128) -> i128 {
    if value.unsigned_abs() < u128::from(MIN_INTEGER.unsigned_abs()) {
        return value;
    }
    let is_suspect = is_suspect(itoa::Buffer::new().format(value.unsigned_abs()).as_bytes());
    if is_suspect { 0 } else { value }
}

/// Returns 0 for a double that is an integer which some table could mask.
pub(crate) fn blind_double(value: f64) -> Option<i128> {
    (whole_double(value).map(blind_integer) == Some(0)).then_some(0)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == MASKED
}

/// Returns how long the run is that a text begins with: digits, joined by single spaces or dashes.
fn run_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += text.get(at..).unwrap_or_default().iter().take_while(|&&byte| is_digit(byte)).count();
        match text.get(at..) {
            Some([b' ' | b'-', next, ..]) if is_digit(*next) => at += 1,
            _ => return at,
        }
    }
}

fn is_suspect(run: &[u8]) -> bool {
    if run.iter().map(|&byte| usize::from(byte == MASKED)).sum::<usize>() >= MIN_DIGITS {
        return true;
    }
    let mut is_suspect = false;
    for_each_candidate(run, Grouping::Any, |candidate| {
        is_suspect |= DigitString::has_check_digit(candidate.number);
    });
    is_suspect
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blinded(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        blind(&mut bytes, TextClass::Free);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_run_with_a_valid_check_digit_is_masked_whatever_its_issuer() {
        for (text, expected) in [
            ("paid 4111111111111111.", "paid ****************."),
            ("9999 9999 9999 9995-1", "**** **** **** ****-*"),
            ("4111111111111112", "4111111111111112"),
            ("41111111111111111227", "********************"),
            ("12345678901", "12345678901"),
            ("**** **** **** 1111 12", "**** **** **** **** **"),
            ("4006381333931", "4006381333931"),
        ] {
            assert_eq!(blinded(text), expected, "{text}");
        }
        assert_eq!(blind_integer(4_111_111_111_111_111), 0);
        assert_eq!(blind_integer(-4_111_111_111_111_111), 0);
        assert_eq!(blind_integer(4_111_111_111_111_112), 4_111_111_111_111_112);
        assert_eq!(blind_integer(79_927_398_713), 79_927_398_713);
    }

    proptest! {
        /// A table is a choice of candidates; whatever it is, what it masked is seen as what it did not.
        #[test]
        fn what_any_table_masks_is_seen_as_what_it_leaves(
            text in "[0-9]{0,4}([ -]?[0-9]{1,9}){1,5}[a-z ]{0,3}[0-9]{0,40}",
            choices in any::<u64>(),
        ) {
            for grouping in [Grouping::Any, Grouping::Printed] {
                let mut masked = text.clone().into_bytes();
                let mut count = 0;
                for_each_candidate(text.as_bytes(), grouping, |candidate| {
                    if candidate.number.has_check_digit() && choices >> (count % 64) & 1 == 1 {
                        masked[candidate.range.clone()].iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = MASKED);
                    }
                    count += 1;
                });
                let masked = String::from_utf8(masked).unwrap();
                prop_assert_eq!(blinded(&masked), blinded(&text), "{}", masked);
            }
        }
    }
}
