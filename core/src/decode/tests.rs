mod oracle;

use oracle::Reading;
use proptest::prelude::*;

use super::*;
use crate::event::{Disposition, Kind, LineType};
use crate::text::{Date, Decimal};

pub(super) const SALE: &str = r#"{"store":"0042","terminal":"03","sequence":1042,"event_id":"e-1","kind":"sale",
"occurred_at":"2026-11-27T08:15:30.250+01:00","business_date":"2026-11-27","currency":"EUR",
"lines":[
 {"line":1,"type":"sale","sku":"100001","gtin":"4006381333931","quantity":"2","unit_price":"9.995",
  "amount":"19.99","discounts":[{"reason":"promo","amount":"1.50"},{"reason":"coupon","amount":"0.5"}],
  "taxes":[{"code":"A","rate":"19","amount":"2.87","inclusive":true},{"code":"eco","amount":"0.10"}]},
 {"line":2,"type":"return","sku":"7","quantity":"0.355","unit":"KGM","pieces":"1","amount":"3"}],
"tenders":[{"type":"card","amount":"15.09","token":"tok_1","last_four":"1111"}],
"totals":{"total":"15.09","line_count":2}}"#;

fn decode(text: &str) -> Result<u128, (RejectCode, String)> {
    Decoder::new()
        .admit(text.as_bytes(), &CardRules::default())
        .map(|event| event.hash)
        .map_err(|rejection| (rejection.code, rejection.pointer))
}

#[test]
fn a_sale_is_read_to_the_last_field() {
    let mut decoder = Decoder::new();
    let event = decoder.decode(SALE.as_bytes()).unwrap();
    assert_eq!((event.store, event.terminal, event.sequence), ("0042", "03", Some(1042)));
    assert_eq!((event.kind, event.event_id, event.tenant), (Kind::Sale, "e-1", None));
    assert_eq!(event.occurred_at.to_string(), "2026-11-27T08:15:30.250+01:00");
    assert_eq!(event.business_date.to_string(), "2026-11-27");
    let line = &event.lines[0];
    assert_eq!((line.line, line.line_type, line.sku), (1, LineType::Sale, "100001"));
    assert_eq!(
        (line.gtin, line.quantity, line.unit),
        (Some("4006381333931"), Decimal(2_000_000), "C62")
    );
    assert_eq!((line.unit_price, line.amount, line.discount), (Some(9_995_000), Some(1_999), 200));
    assert_eq!((line.tax_inclusive, line.tax_exclusive), (287, 10));
    assert_eq!((line.disposition, line.void), (Disposition::None, false));
    let weighed = &event.lines[1];
    assert_eq!((weighed.quantity, weighed.unit), (Decimal(355_000), "KGM"));
    assert_eq!((weighed.pieces, weighed.disposition), (Some(Decimal::ONE), Disposition::Restock));
    let tender = &event.tenders[0];
    assert_eq!(
        (tender.tender_type, tender.amount, tender.last_four),
        ("card", 1_509, Some("1111"))
    );
    assert_eq!(event.totals.unwrap().total, Some(1_509));
    assert_eq!(event.totals.unwrap().line_count, Some(2));
}

#[test]
fn the_lists_of_one_event_serve_the_next() {
    let mut decoder = Decoder::new();
    let first = decoder.decode(SALE.as_bytes()).unwrap();
    let (lines, tenders) = (first.lines.as_ptr() as usize, first.tenders.as_ptr() as usize);
    let event_buffers = first.into_buffers();
    decoder.reuse(event_buffers);
    let second = decoder.decode(SALE.as_bytes()).unwrap();
    assert_eq!(
        (second.lines.as_ptr() as usize, second.tenders.as_ptr() as usize),
        (lines, tenders)
    );
}

#[test]
fn each_rejection_has_a_pointer() {
    let cases = [
        ("\"store\":\"0042\"", "\"store\":42", RejectCode::WrongType, "/store"),
        ("\"store\":\"0042\",", "", RejectCode::MissingField, "/store"),
        ("\"sequence\":1042", "\"sequence\":-1", RejectCode::InvalidSequence, "/sequence"),
        (
            "\"sequence\":1042",
            "\"sequence\":9007199254740992",
            RejectCode::InvalidSequence,
            "/sequence",
        ),
        ("\"kind\":\"sale\"", "\"kind\":\"sail\"", RejectCode::UnknownKind, "/kind"),
        (
            "\"kind\":\"sale\"",
            "\"kind\":\"post_void\"",
            RejectCode::ReferenceRequired,
            "/reference",
        ),
        ("\"kind\":\"sale\"", "\"kind\":\"open\"", RejectCode::LinesNotAllowed, "/lines"),
        ("\"currency\":\"EUR\",", "", RejectCode::MissingField, "/currency"),
        ("\"3\"", "\"3.001\"", RejectCode::InvalidMoney, "/lines/1/amount"),
        ("\"3\"", "3", RejectCode::WrongType, "/lines/1/amount"),
        ("\"line\":2", "\"line\":1", RejectCode::DuplicateLine, "/lines/1/line"),
        ("\"9.995\"", "\"9.9950001\"", RejectCode::InvalidMoney, "/lines/0/unit_price"),
        ("1333931", "1333932", RejectCode::InvalidGtin, "/lines/0/gtin"),
        ("\"0.355\"", "\"-0.355\"", RejectCode::QuantitySign, "/lines/1/quantity"),
        ("\"reason\":\"promo\",", "", RejectCode::MissingField, "/lines/0/discounts/0/reason"),
        ("\"1111\"", "\"111\"", RejectCode::InvalidLastFour, "/tenders/0/last_four"),
        ("\"tok_1\"", "\"4111111111111111\"", RejectCode::CardData, "/tenders/0/token"),
        ("\"line_count\"", "\"CVV\"", RejectCode::AuthenticationData, "/totals/CVV"),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":{\"y\":[1,{\"z\":1,\"z\":2}]}",
            RejectCode::DuplicateMember,
            "/x/y/1/z",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"store\":null",
            RejectCode::DuplicateMember,
            "/store",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":18446744073709551616",
            RejectCode::NumberOutOfRange,
            "",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":1e999",
            RejectCode::NumberOutOfRange,
            "",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":\"\\ud800\"",
            RejectCode::InvalidJson,
            "",
        ),
        ("\"event_id\":\"e-1\"", "\"event_id\":\"e-1\",\"x\":01", RejectCode::InvalidJson, ""),
        ("}}", "}}x", RejectCode::InvalidJson, ""),
        ("}}", "}", RejectCode::InvalidJson, ""),
    ];
    for (from, to, code, pointer) in cases {
        assert!(SALE.contains(from), "{from}");
        let text = SALE.replacen(from, to, 1);
        assert_eq!(decode(&text), Err((code, pointer.to_owned())), "{from} -> {to}");
    }
    assert!(decode(&SALE.replace("tok_1", "4111-1111-1111-1112")).is_ok());
}

#[test]
fn a_text_that_is_no_object_is_rejected_as_a_whole() {
    assert_eq!(decode("[]"), Err((RejectCode::NotAnObject, String::new())));
    assert_eq!(decode("\u{feff}{}"), Err((RejectCode::InvalidJson, String::new())));
}

const SAMPLES: [&str; 4] = [
    include_str!("../../../docs/samples/sale.json"),
    include_str!("../../../docs/samples/sale-with-unknown-members.json"),
    include_str!("../../../docs/samples/sale-jpy.json"),
    include_str!("../../../docs/samples/transfer-in.json"),
];

/// Stretches of text that make JSON wrong, or right in unusual ways.
const TOKENS: [&[u8]; 28] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83c\\udf59",
    b"\\n",
    b"\\x",
    b"1e999",
    b"-",
    b"0",
    b"01",
    b"1.",
    b".5",
    b"-0",
    b"1E+2",
    b"null",
    b"tru",
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"18446744073709551616",
    b"\"x\":{\"a\":1,\"a\":2},",
];

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Delete { from: proptest::sample::Index, length: usize },
    Insert { at: proptest::sample::Index, token: usize },
    Repeat { from: proptest::sample::Index, length: usize },
    Set { at: proptest::sample::Index, byte: u8 },
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let pointer = any::<proptest::sample::Index>;
    prop_oneof![
        (pointer(), 1..20_usize).prop_map(|(from, length)| Edit::Delete { from, length }),
        (pointer(), 0..TOKENS.len()).prop_map(|(at, token)| Edit::Insert { at, token }),
        (pointer(), 1..80_usize).prop_map(|(from, length)| Edit::Repeat { from, length }),
        (pointer(), any::<u8>()).prop_map(|(at, byte)| Edit::Set { at, byte }),
    ]
}

pub(super) fn edited(text: &str, edits: &[Edit]) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for edit in edits {
        match edit {
            Edit::Delete { from, length } => {
                let from = from.index(text.len());
                text.drain(from..text.len().min(from + length));
            }
            Edit::Insert { at, token } => {
                let at = at.index(text.len());
                text.splice(at..at, TOKENS[*token].iter().copied());
            }
            Edit::Repeat { from, length } => {
                let from = from.index(text.len());
                let stretch = text[from..text.len().min(from + length)].to_vec();
                text.splice(from..from, stretch);
            }
            Edit::Set { at, byte } => {
                let at = at.index(text.len());
                text[at] = *byte;
            }
        }
        if text.is_empty() {
            text.push(b' ');
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn json_is_what_another_parser_says_it_is(
        sample in 0..SAMPLES.len(), edits in proptest::collection::vec(edit(), 1..4),
    ) {
        let text = edited(SAMPLES[sample], &edits);
        let code = Decoder::new().decode(&text).map(drop).map_err(|rejection| rejection.code);
        let reading = oracle::read(&text);
        let agrees = match code {
            Ok(()) => reading == Reading::Object,
            Err(RejectCode::InvalidUtf8) => std::str::from_utf8(&text).is_err(),
            Err(RejectCode::InvalidJson) => reading == Reading::Malformed,
            Err(RejectCode::TooDeep) => reading == Reading::TooDeep,
            Err(RejectCode::DuplicateMember) => reading == Reading::Repeated,
            Err(RejectCode::NotAnObject) => matches!(reading, Reading::Other | Reading::Repeated),
            // serde_json makes a double of an integer that is too large.
            Err(RejectCode::NumberOutOfRange) => true,
            Err(_) => matches!(reading, Reading::Object | Reading::Repeated),
        };
        prop_assert!(agrees, "{code:?} but {reading:?}: {}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Decoder::new().decode(&bytes).is_err());
    }

    #[test]
    fn what_was_decoded_before_leaves_no_trace(
        one in 0..SAMPLES.len(), other in 0..SAMPLES.len(), edits in proptest::collection::vec(edit(), 0..3),
    ) {
        let mut decoder = Decoder::new();
        if let Ok(event) = decoder.decode(&edited(SAMPLES[one], &edits)) {
            let event_buffers = event.into_buffers();
            decoder.reuse(event_buffers);
        }
        let mut fresh = Decoder::new();
        prop_assert_eq!(decoder.decode(SAMPLES[other].as_bytes()), fresh.decode(SAMPLES[other].as_bytes()));
    }
}

fn with_member(member: &str) -> String {
    SALE.replacen('{', &format!("{{{member},"), 1)
}

#[test]
fn nesting_is_allowed_to_the_limit_and_no_further() {
    for (depth, code) in [
        (MAX_DEPTH - 1, None),
        (MAX_DEPTH, Some(RejectCode::TooDeep)),
        (100_000, Some(RejectCode::TooDeep)),
    ] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inside = if open == "[" { "" } else { "1" };
            let nested = format!("{}{inside}{}", open.repeat(depth), close.repeat(depth));
            if nested.len() > MAX_EVENT_BYTES / 2 {
                continue;
            }
            let result = decode(&with_member(&format!("\"x\":{nested}")));
            assert_eq!(result.err().map(|(code, _)| code), code, "{depth}");
        }
    }
    assert_eq!(decode(&"[".repeat(200_000)), Err((RejectCode::TooDeep, String::new())));
}

#[test]
fn a_repeated_name_is_found_among_very_many() {
    let mut names: Vec<String> = (0..20_000).map(|name| format!("\"{name}\":0")).collect();
    let object = |names: &[String]| with_member(&format!("\"x\":{{{}}}", names.join(",")));
    assert!(decode(&object(&names)).is_ok());
    names.push("\"7\":1".to_owned());
    assert_eq!(decode(&object(&names)), Err((RejectCode::DuplicateMember, "/x/7".to_owned())));
    assert_eq!(
        decode(&with_member(&names.join(","))),
        Err((RejectCode::DuplicateMember, "/7".to_owned()))
    );
}

#[test]
fn names_are_compared_as_they_are_read() {
    let repeated = with_member(r#""x":{"a\/b":1,"\u0061/b":2}"#);
    assert_eq!(decode(&repeated), Err((RejectCode::DuplicateMember, "/x/a~1b".to_owned())));
    let repeated = with_member(r#""\u0073tore":"1""#);
    assert_eq!(decode(&repeated), Err((RejectCode::DuplicateMember, "/store".to_owned())));
}

#[test]
fn a_rejection_has_the_identity_of_its_event() {
    let refused = |text: &str| Decoder::new().decode(text.as_bytes()).unwrap_err().identity;
    let identity = refused(&SALE.replace("\"3\"", "3")).unwrap();
    assert_eq!(identity.store.as_deref(), Some("0042"));
    assert_eq!(identity.terminal.as_deref(), Some("03"));
    assert_eq!((identity.sequence, identity.event_id.as_deref()), (Some(1_042), Some("e-1")));
    assert_eq!((identity.epoch, identity.business_date), (None, Date::parse(b"2026-11-27")));
    let identity = refused(&SALE.replace("\"0042\"", "\"\"").replace("1042", "1e3")).unwrap();
    assert_eq!((identity.store, identity.sequence), (None, None));
    assert_eq!(refused("{"), None);
    assert_eq!(refused(&with_member("\"store\":\"9\"")), None, "which of two stores, nobody knows");
}

#[test]
fn amounts_keep_every_unit() {
    let amount = |currency: &str, amount: &str| {
        let text = format!(
            r#"{{"store":"1","terminal":"2","event_id":"3","kind":"paid_in","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27","currency":"{currency}","amount":"{amount}"}}"#
        );
        Decoder::new().decode(text.as_bytes()).map(|event| event.amount.unwrap()).ok()
    };
    assert_eq!(amount("EUR", "10000000000000.00"), Some(1_000_000_000_000_000));
    assert_eq!(amount("EUR", "-9999999999999.99"), Some(-999_999_999_999_999));
    assert_eq!(amount("EUR", "10000000000000.01"), None);
    assert_eq!(amount("JPY", "1000000000000000"), Some(1_000_000_000_000_000));
    assert_eq!(amount("JPY", "1.0"), None);
    assert_eq!(amount("KWD", "0.355"), Some(355));
    assert_eq!(amount("CLF", "0.0001"), Some(1));
    assert_eq!(amount("EUR", "0.001"), None);
    assert_eq!(amount("EUR", "99999999999999999999"), None);
}
