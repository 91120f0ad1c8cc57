//! Any bytes: masking makes no event acceptable that broke another rule, and redaction leaves no
//! run of thirteen digits, as whoever reads the text as JSON sees them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_core::card::{CardPolicy, CardRules, mask, redact};
use tillrace_core::decode::{RejectCode, Decoder};

fuzz_target!(|text: &[u8]| {
    let rules = CardRules { policy: CardPolicy::Mask, ..CardRules::default() };
    let masked = mask(text, &rules);
    let mut decoder = Decoder::new();
    let before = decoder.admit(text, &rules).map(drop).map_err(|rejection| rejection.code);
    let after = decoder.admit(&masked, &rules).map(drop).map_err(|rejection| rejection.code);
    if after.is_ok() {
        assert!(matches!(before, Ok(()) | Err(RejectCode::CardData)), "{before:?}");
        assert_eq!(mask(&masked, &rules), masked, "masked twice");
    }
    assert!(longest_run(redact(text).as_bytes()) < 13);
});

/// Returns the most digits in a row, single spaces and dashes between them allowed.
fn longest_run(mut text: &[u8]) -> usize {
    let (mut longest, mut digits, mut joints) = (0, 0, 0);
    while let Some((character, rest)) = next(text) {
        text = rest;
        match character {
            b'0'..=b'9' => {
                digits += 1;
                joints = 0;
            }
            b' ' | b'-' if joints == 0 => joints = 1,
            _ => (digits, joints) = (0, 0),
        }
        longest = longest.max(digits);
    }
    longest
}

/// Takes the first character, which may be written as an escape: the digits in `\u0031` are one
/// digit, and those in `\u0041` none. What is not ASCII comes as NUL.
fn next(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'\\', b'\\', rest @ ..] => Some((b'\\', rest)),
        [b'\\', b'u', a, b, c, d, rest @ ..]
            if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
        {
            let code = [a, b, c, d].iter().fold(0, |code, digit| {
                code * 16 + char::from(**digit).to_digit(16).unwrap_or_default()
            });
            Some((u8::try_from(code).unwrap_or_default(), rest))
        }
        [first, rest @ ..] => Some((*first, rest)),
        [] => None,
    }
}
