//! Events that break a rule, each with the code that the gateway must answer.
//!
//! Each breaks exactly one rule. Those which a decoder can still read an identity from are parked, unless they hold card data,
//! and use up their number, as a till's would: it is held, so that it is no gap. Those which are not JSON
//! at all, or not this terminal's, share their number with the good event that follows.

use rand::RngExt as _;

use super::FleetRng;
use super::receipt::{Header, write_money};
use crate::json;
use crate::source::ExpectedOutcome;

/// One way of being bad.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    /// Whether it is parked; refused otherwise.
    pub(super) is_parked: bool,
    /// Whether the terminal's next event has the next number.
    pub(super) uses_number: bool,
    spoil: Mutation,
    weight: u32,
}

/// Where the fault is put in.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    /// Another value for one member of an otherwise good sale.
    Replace(&'static str, &'static str),
    /// A member too many.
    Append(&'static str),
    /// A line in place of the good one.
    Line(&'static str),
    /// A second line beside the good one.
    SecondLine(&'static str),
    /// A member of the tender.
    Tender(&'static str),
    /// The text ends early.
    Cut,
    /// A byte which is no UTF-8.
    Byte,
    /// Arrays within arrays.
    Deep,
    /// More than an event may hold.
    Long,
}

const GOOD_LINE: &str = r#"{"line":1,"type":"sale","sku":"100001","quantity":"1","amount":"1"}"#;

const fn fault(code: &'static str, weight: u32, spoil: Mutation) -> Fault {
    Fault { code, is_parked: true, uses_number: true, spoil, weight }
}

const fn card(code: &'static str, weight: u32, spoil: Mutation) -> Fault {
    Fault { code, is_parked: false, uses_number: true, spoil, weight }
}

const fn unreadable(code: &'static str, weight: u32, spoil: Mutation) -> Fault {
    Fault { code, is_parked: false, uses_number: false, spoil, weight }
}

/// The faults and how often each occurs among bad events.
const FAULTS: [Fault; 20] = [
    card("card_data", 6, Mutation::Tender(r#","token":"4111111111111111""#)),
    card("card_data", 3, Mutation::Append(r#","note":"paid with 5555-5555-5555-4444""#)),
    card("authentication_data", 3, Mutation::Tender(r#","cvv":"123""#)),
    fault("unknown_kind", 4, Mutation::Replace("kind", r#""sail""#)),
    fault("invalid_time", 4, Mutation::Replace("occurred_at", r#""2026-02-30T10:00:00Z""#)),
    fault("invalid_date", 4, Mutation::Replace("business_date", r#""2026-13-01""#)),
    fault("invalid_currency", 3, Mutation::Replace("currency", r#""EURO""#)),
    fault("reference_required", 4, Mutation::Replace("kind", r#""post_void""#)),
    fault("lines_not_allowed", 3, Mutation::Replace("kind", r#""no_sale""#)),
    fault("missing_field", 4, Mutation::Replace("lines", "null")),
    fault("wrong_type", 3, Mutation::Replace("lines", r#""none""#)),
    fault(
        "invalid_gtin",
        4,
        Mutation::Line(
            r#"{"line":1,"type":"sale","sku":"1","gtin":"7612345678901","quantity":"1"}"#,
        ),
    ),
    fault(
        "quantity_sign",
        4,
        Mutation::Line(r#"{"line":1,"type":"sale","sku":"1","quantity":"-1"}"#),
    ),
    fault(
        "invalid_quantity",
        3,
        Mutation::Line(r#"{"line":1,"type":"sale","sku":"1","quantity":"1.0000001"}"#),
    ),
    fault("duplicate_line", 3, Mutation::SecondLine(GOOD_LINE)),
    unreadable("duplicate_member", 3, Mutation::Append(r#","store":"elsewhere""#)),
    unreadable("tenant_mismatch", 2, Mutation::Append(r#","tenant":"somebody.else""#)),
    unreadable("invalid_json", 4, Mutation::Cut),
    unreadable("invalid_utf8", 3, Mutation::Byte),
    unreadable("too_deep", 2, Mutation::Deep),
];

/// Kept apart, as it costs a quarter of a megabyte to send.
const TOO_LARGE: Fault = unreadable("event_too_large", 0, Mutation::Long);

/// One bad event in this many is too large.
const TOO_LARGE_ONE_IN: u32 = 500;

impl Fault {
    /// Draws a way of being bad.
    pub(super) fn draw(rng: &mut FleetRng) -> &'static Self {
        if rng.random_range(0..TOO_LARGE_ONE_IN) == 0 {
            return &TOO_LARGE;
        }
        let all: u32 = FAULTS.iter().map(|fault| fault.weight).sum();
        let mut ticket = rng.random_range(0..all);
        for fault in &FAULTS {
            if ticket < fault.weight {
                return fault;
            }
            ticket -= fault.weight;
        }
        &FAULTS[0]
    }

    /// Returns what must become of it.
    pub(super) fn expected(&self) -> ExpectedOutcome {
        if self.is_parked {
            ExpectedOutcome::Parked { code: self.code, mended: None }
        } else {
            ExpectedOutcome::Refused(self.code)
        }
    }

    /// Appends the bad event's text.
    pub(super) fn write(&self, header: &Header<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        header.write(out);
        json::member(out, "lines");
        match self.spoil {
            Mutation::Line(line) => out.extend(format!("[{line}]").bytes()),
            Mutation::SecondLine(line) => out.extend(format!("[{GOOD_LINE},{line}]").bytes()),
            _ => out.extend(format!("[{GOOD_LINE}]").bytes()),
        }
        json::member(out, "tenders");
        out.extend_from_slice(b"[{");
        json::text_member(out, "type", "card");
        write_money(out, "amount", 1, header.country);
        if let Mutation::Tender(member) = self.spoil {
            out.extend_from_slice(member.as_bytes());
        }
        out.extend_from_slice(b"}]");
        match self.spoil {
            Mutation::Replace(name, value) => replace(out, start, name, value),
            Mutation::Append(member) => out.extend_from_slice(member.as_bytes()),
            Mutation::Byte => out.extend_from_slice(b",\"note\":\"caf\xe9\""),
            Mutation::Deep => {
                out.extend_from_slice(b",\"note\":");
                out.extend(std::iter::repeat_n(b'[', 80));
                out.extend(std::iter::repeat_n(b']', 80));
            }
            Mutation::Long => {
                out.extend_from_slice(b",\"note\":\"");
                out.extend(std::iter::repeat_n(b'x', 262_144));
                out.push(b'"');
            }
            Mutation::Cut => return,
            Mutation::Line(_) | Mutation::SecondLine(_) | Mutation::Tender(_) => {}
        }
        out.push(b'}');
    }
}

/// Puts another value in place of a member's, whose own ends where the next member begins.
fn replace(out: &mut Vec<u8>, start: usize, name: &str, value: &str) {
    let text = String::from_utf8_lossy(&out[start..]).into_owned();
    let marker = format!("\"{name}\":");
    let Some(at) = text.find(&marker).map(|at| at + marker.len()) else { return };
    let end = match text.as_bytes().get(at) {
        Some(b'[') => text[at..].find(']').map(|length| at + length + 1),
        _ => text[at..].find(",\"").map(|length| at + length),
    };
    if let Some(end) = end {
        out.truncate(start);
        out.extend_from_slice(&text.as_bytes()[..at]);
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(&text.as_bytes()[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Date;
    use crate::fleet::country::Country;
    use crate::fleet::kind::Kind;

    fn header() -> Header<'static> {
        Header {
            store: "s1",
            terminal: "t1",
            epoch: None,
            sequence: 9,
            kind: Kind::Sale,
            occurred_ms: 1_790_000_000_000,
            business_date: Date(20_717),
            country: Country::of_store(0),
            currency: Country::of_store(0).currency,
            operator: 4,
        }
    }

    #[test]
    fn every_fault_spoils_the_text_in_its_own_way() {
        let mut texts = std::collections::BTreeSet::new();
        for fault in FAULTS.iter().chain([&TOO_LARGE]) {
            let mut text = b"before".to_vec();
            fault.write(&header(), &mut text);
            let text = text.strip_prefix(b"before").unwrap();
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(text);
            match fault.code {
                "invalid_json" | "invalid_utf8" => assert!(parsed.is_err(), "{}", fault.code),
                code => assert_eq!(parsed.unwrap()["sequence"], 9, "{code}"),
            }
            texts.insert(text.to_vec());
        }
        assert_eq!(texts.len(), FAULTS.len() + 1);
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let mut text = br#"{"a":"1","lines":[{"x":"y"}],"b":2}"#.to_vec();
        replace(&mut text, 0, "lines", "null");
        assert_eq!(String::from_utf8(text.clone()).unwrap(), r#"{"a":"1","lines":null,"b":2}"#);
        replace(&mut text, 0, "a", "7");
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"a":7,"lines":null,"b":2}"#);
    }
}
