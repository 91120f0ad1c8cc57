//! A tenant's policy on card data, and its check of a text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digit_string::DigitString;
use super::digits::{Candidate, Grouping, for_each_candidate};
use super::issuer::is_card;
use super::{MAX_DIGITS, MIN_DIGITS, MIN_INTEGER};
use crate::reject_code::RejectCode;

/// The action for an event that contains a card number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CardPolicy {
    /// It is rejected.
    #[default]
    Refuse,
    /// Its digits are replaced before anything is stored; the event is accepted and flagged. Card
    /// authentication data, and a card number in the event's own identity, are rejected all the same.
    Mask,
}

/// A tenant's rules about card data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CardRules {
    /// The action for an event that contains a card number.
    pub policy: CardPolicy,
    /// Numbers of the tenant that look like card numbers and are none: loyalty, gift cards.
    pub exempt: Vec<ExemptRange>,
}

/// Numbers of one length, from and to, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "ExemptRangeText")]
#[schemars(!try_from, with = "ExemptRangeText")]
pub struct ExemptRange {
    digits: u32,
    from: u64,
    to: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExemptRangeText {
    /// The first number, 13 to 19 digits.
    from: String,
    /// The last number, of as many digits.
    to: String,
}

/// A range of exempt numbers is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an exempt range has two numbers, quoted, of the same 12 to 19 digits, `from` not above `to`"
)]
pub struct ExemptRangeError;

impl ExemptRange {
    /// Makes a range of two numbers in digits.
    ///
    /// # Errors
    /// [`ExemptRangeError`] unless both have the same 12 to 19 digits and are in order.
    pub fn new(from: &str, to: &str) -> Result<Self, ExemptRangeError> {
        let number = |text: &str| {
            let is_number = (MIN_DIGITS..=MAX_DIGITS).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { DigitString::default().join(text.as_bytes()) } else { None }
        };
        let (from, to) =
            (number(from).ok_or(ExemptRangeError)?, number(to).ok_or(ExemptRangeError)?);
        if from.digits != to.digits || from.value > to.value {
            return Err(ExemptRangeError);
        }
        Ok(Self { digits: from.digits, from: from.value, to: to.value })
    }

    fn contains(&self, number: DigitString) -> bool {
        number.digits == self.digits && (self.from..=self.to).contains(&number.value)
    }
}

impl TryFrom<ExemptRangeText> for ExemptRange {
    type Error = ExemptRangeError;

    fn try_from(text: ExemptRangeText) -> Result<Self, Self::Error> {
        Self::new(&text.from, &text.to)
    }
}

/// The kind of text of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextClass {
    /// Anything people or programs write.
    Free,
    /// An id: its dashes join unrelated numbers.
    Id,
    /// An article's number: a GTIN is exempt, of 14 digits too.
    Barcode,
}

impl TextClass {
    /// Returns the class of a member by its name, at any depth.
    pub(crate) fn of(name: &str) -> Self {
        const IDS: [&str; 11] = [
            "tenant",
            "store",
            "terminal",
            "epoch",
            "event_id",
            "operator_id",
            "loyalty_id",
            "transfer_id",
            "type",
            "reason",
            "code",
        ];
        match name {
            "gtin" | "sku" | "barcode" | "ean" | "upc" | "gtin14" => Self::Barcode,
            name if IDS.contains(&name) => Self::Id,
            _ => Self::Free,
        }
    }
}

impl CardRules {
    /// Returns the code for card data in a text; authentication data before card numbers.
    pub(crate) fn finding(&self, text: &str, class: TextClass) -> Option<RejectCode> {
        let mut worst = None;
        if text.len() >= MIN_DIGITS {
            self.for_each_finding(text.as_bytes(), class, |code, _| worst = worst.max(Some(code)));
        }
        worst
    }

    /// Tells whether an integer is a card number.
    pub(crate) fn is_card_integer(&self, value: i128) -> bool {
        let value = value.unsigned_abs();
        let mut is_card = false;
        if value >= u128::from(MIN_INTEGER.unsigned_abs()) {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(value).as_bytes();
            for_each_candidate(digits, Grouping::Any, |candidate| {
                is_card |= self.is_card(candidate);
            });
        }
        is_card
    }

    /// Tells whether a JSON number that is no integer is a card number.
    pub(crate) fn is_card_double(&self, value: f64) -> bool {
        whole_double(value).is_some_and(|value| self.is_card_integer(value))
    }

    /// The same of a number in its text.
    pub(super) fn is_card_literal(&self, number: &str) -> bool {
        match number.parse::<i128>() {
            Ok(value) => self.is_card_integer(value),
            Err(_not_an_integer) => {
                number.parse::<f64>().is_ok_and(|value| self.is_card_double(value))
            }
        }
    }

    /// Calls `visit` for every piece of card data in a text.
    pub(super) fn for_each_finding(
        &self,
        text: &[u8],
        class: TextClass,
        mut visit: impl FnMut(RejectCode, &Candidate),
    ) {
        if is_exempt(text, class) {
            return;
        }
        let grouping = if class == TextClass::Free { Grouping::Any } else { Grouping::Printed };
        for_each_candidate(text, grouping, |candidate| {
            let track = Track::around(text, candidate);
            if track.is_certain || (track.is_likely && is_card(candidate.number)) {
                visit(RejectCode::AuthenticationData, candidate);
            } else if self.is_card(candidate) {
                visit(RejectCode::CardData, candidate);
            }
        });
    }

    fn is_card(&self, candidate: &Candidate) -> bool {
        let Candidate { number, whole, .. } = candidate;
        let is_exempt = |range: &ExemptRange| {
            range.contains(*number) || whole.is_some_and(|whole| range.contains(whole))
        };
        is_card(*number) && !self.exempt.iter().any(is_exempt)
    }
}

/// Whether a number is part of the data of a magnetic stripe (ISO/IEC 7813).
struct Track {
    /// Both sentinel and separator are there, so that the number need not be a known issuer's.
    is_certain: bool,
    /// The separator and, on track 2, an expiry date follow.
    is_likely: bool,
}

impl Track {
    fn around(text: &[u8], candidate: &Candidate) -> Self {
        let before = text.get(..candidate.range.start).unwrap_or_default();
        let (first, second) = match text.get(candidate.range.end..).unwrap_or_default() {
            [b'^', ..] => (true, false),
            [b'=' | b'D', expiry @ ..] => {
                let expiry = expiry.get(..4).unwrap_or_default();
                (false, expiry.len() == 4 && expiry.iter().all(u8::is_ascii_digit))
            }
            _ => (false, false),
        };
        Self {
            is_certain: (first && matches!(before, [.., b'%', b'B' | b'b']))
                || (second && before.ends_with(b";")),
            is_likely: first || second,
        }
    }
}

/// Returns a double that is an integer of as many digits as a card number at most.
#[expect(clippy::cast_possible_truncation, reason = "whole and below 10^19, so exact")]
pub(super) fn whole_double(value: f64) -> Option<i128> {
    const MOST: f64 = 1e19;
    (value.fract() == 0.0 && value.abs() < MOST).then_some(value as i128)
}

/// Tells whether a member's name says that its value authenticates a card's holder.
pub(crate) fn is_authentication_name(name: &str) -> bool {
    const NAMES: [&str; 10] =
        ["cvv", "cvv2", "cvc", "cvc2", "cid", "track1", "track2", "track_data", "pin", "pin_block"];
    name.len() <= 10 && NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Tells whether a member of the event itself is part of what says which event it is. Such a member is never masked, as two
/// events would become one.
pub(crate) fn is_identity_name(name: &str) -> bool {
    matches!(name, "store" | "terminal" | "epoch" | "event_id" | "sequence")
}

/// Tells whether there is no card number in a text whatever the tenant's settings and the issuer table say.
pub(super) fn is_exempt(text: &[u8], class: TextClass) -> bool {
    is_uuid(text) || (class == TextClass::Barcode && crate::text::is_gtin(text))
}

/// Tells whether a text is written as RFC 9562 writes a UUID.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
