//! The codes of reasons for which an event is rejected, parked or flagged, and their sentences.
//!
//! The card rule, decoding and the checks of sums give them; replies, records and documents carry them.

use std::fmt;

macro_rules! codes {
    ($($code:ident $name:literal $detail:literal,)*) => {
        /// Reasons for rejecting an event, or for flagging it. Codes are stable: receivers match on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the sentence of each says what it is")]
        pub enum RejectCode {
            $($code,)*
        }

        impl RejectCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// Returns the name that replies and records carry.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }

            /// Returns a sentence for people; it holds nothing of the event.
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$code => $detail,)*
                }
            }
        }
    };
}

codes! {
    InvalidUtf8 "invalid_utf8" "The text is not valid UTF-8.",
    InvalidJson "invalid_json" "The text is not one JSON object as RFC 8259 has it.",
    DuplicateMember "duplicate_member" "An object has two members of the same name.",
    TooDeep "too_deep" "Objects and arrays may be nested 64 deep at most.",
    EventTooLarge "event_too_large" "An event may have 262144 bytes at most.",
    NotAnObject "not_an_object" "An event is a JSON object.",
    NumberOutOfRange "number_out_of_range" "The number is outside of the range that can be kept.",
    TenantMismatch "tenant_mismatch" "The event names another tenant than the key belongs to.",
    MissingField "missing_field" "A required member is missing, null or empty.",
    WrongType "wrong_type" "The member has another JSON type than the schema says.",
    InvalidId "invalid_id" "An id has 1 to 64 bytes (a token 128) and no control characters.",
    InvalidSequence "invalid_sequence" "A sequence is an integer from 0 to 9007199254740991.",
    UnknownKind "unknown_kind" "The schema knows no event of this kind.",
    InvalidTime "invalid_time" "A time is written as RFC 3339 has it, with an offset.",
    InvalidDate "invalid_date" "A date is written YYYY-MM-DD.",
    InvalidCurrency "invalid_currency" "A currency is an upper-case code of ISO 4217.",
    InvalidMoney "invalid_money" "An amount is a decimal string with no more decimals than its currency has (a unit price four more), up to 10^15 minor units.",
    ReferenceRequired "reference_required" "This kind of event must name the transaction it refers to.",
    InvalidReference "invalid_reference" "A reference names a sequence or an event id.",
    TooManyLines "too_many_lines" "An event may have 2000 lines at most.",
    LinesNotAllowed "lines_not_allowed" "This kind of event has no lines.",
    DuplicateLine "duplicate_line" "Two lines have the same number.",
    UnknownLineType "unknown_line_type" "The schema knows no line of this type.",
    LineTypeNotAllowed "line_type_not_allowed" "This kind of event has no lines of this type.",
    InvalidGtin "invalid_gtin" "A GTIN has 8, 12, 13 or 14 digits, the last being its check digit.",
    InvalidQuantity "invalid_quantity" "A quantity is a decimal string with six decimals at most, between -1000000 and 1000000.",
    QuantitySign "quantity_sign" "A quantity is not negative; the type of the line says which way goods move.",
    InvalidUnit "invalid_unit" "A unit is a code of UN/ECE Recommendation 20: two or three of A-Z and 0-9.",
    UnknownDisposition "unknown_disposition" "The schema knows no such disposition.",
    TooManyTenders "too_many_tenders" "An event may have 100 tenders at most.",
    InvalidLastFour "invalid_last_four" "The last four of a card are four digits.",
    InvalidRate "invalid_rate" "A rate is a decimal string, a tax's in percent, with six decimals at most.",
    UnknownLineClass "unknown_line_class" "The schema knows no line of this class.",
    LineClassNotAllowed "line_class_not_allowed" "Lines of this type have no class.",
    TextTooLong "text_too_long" "The text is longer than the schema allows.",
    TooManyElements "too_many_elements" "The list is longer than the schema allows.",
    TotalsMismatch "totals_mismatch" "The total is not the sum of lines, discounts and taxes.",
    TendersMismatch "tenders_mismatch" "The tenders do not add up to the total, tips and rounding.",
    LineCountMismatch "line_count_mismatch" "The line count is not the number of lines.",
    CardData "card_data" "A card number stands where none may.",
    AuthenticationData "authentication_data" "Card authentication data (track, security code or PIN) may not be sent.",
}

impl RejectCode {
    /// Tells whether an event whose identity is known may be kept although it breaks this rule: not if its text is no JSON with
    /// unique names, is too large, is another tenant's, or holds card data.
    pub fn is_parkable(self) -> bool {
        !matches!(
            self,
            Self::InvalidUtf8
                | Self::InvalidJson
                | Self::DuplicateMember
                | Self::TooDeep
                | Self::EventTooLarge
                | Self::NotAnObject
                | Self::TenantMismatch
                | Self::CardData
                | Self::AuthenticationData
        )
    }

    /// Tells whether the text failed as JSON, before any rule of the schema was checked.
    pub fn is_malformed(self) -> bool {
        self <= Self::NumberOutOfRange
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
