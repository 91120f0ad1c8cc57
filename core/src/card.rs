//! Card data, which is never stored: detection, rejection and masking.
//!
//! A card number is a run of 12 to 19 digits, single spaces or dashes inside allowed, that passes the
//! Luhn check *and* whose first digits and length belong to an issuer range that the networks
//! published; or such a run after zeros, or before its expiry date or security code. Luhn alone would reject every tenth
//! barcode. Exempt are GTINs, UUIDs, times, and ranges that a tenant declares; `docs/CARD_DATA.md` has the figures.
//!
//! It has four users: [`mask`] runs before the decoder, for tenants that mask; [`CardRules`] within
//! [`Decoder::admit`](crate::decode::Decoder::admit), which rejects all card data that is left, whatever the policy; `blind`
//! before an event is hashed; [`redact`] before an original is stored for people or logged.
//!
//! It does not search for card numbers in other digits than ASCII's, nor in spelled-out text.

mod blind;
mod digit_string;
mod digits;
mod issuer;
mod mask;
mod redact;
mod rules;

pub(crate) use blind::{blind, blind_double, blind_integer};
pub use mask::mask;
pub use redact::redact;
pub use rules::{CardPolicy, CardRules, ExemptRange, ExemptRangeError};
pub(crate) use rules::{TextClass, is_authentication_name, is_identity_name};

/// Tells whether a text has as many digits, masked ones included, as a card number; otherwise it contains no card data, and
/// never did.
#[inline]
pub(crate) fn may_hold_card(text: &str) -> bool {
    text.len() >= MIN_DIGITS && has_many_digits(text.as_bytes())
}

/// Tells whether there is card data in a text that is stored beside an event, such as a header; nothing is exempt in it.
pub fn holds_card_data(text: &str) -> bool {
    may_hold_card(text) && CardRules::default().finding(text, TextClass::Free).is_some()
}

fn has_many_digits(text: &[u8]) -> bool {
    text.iter().map(|&byte| usize::from(byte.is_ascii_digit() || byte == MASKED)).sum::<usize>()
        >= MIN_DIGITS
}

/// The byte that replaces a masked digit.
const MASKED: u8 = b'*';
/// Fewest digits of a card number.
pub(crate) const MIN_DIGITS: usize = 12;
/// The least integer with as many digits.
pub(crate) const MIN_INTEGER: i64 = 100_000_000_000;
/// Most digits of a card number.
const MAX_DIGITS: usize = 19;

#[cfg(test)]
mod tests;
