//! Baskets as real ones are, of which none may be refused; and card numbers, of which none may pass.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::{Decoder, RejectCode, Rejection};

/// First digits and length of cards that the networks issue, independent of the table under test.
const ISSUED: [(&str, usize); 47] = [
    ("4", 13),
    ("4", 16),
    ("4", 19),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("300", 14),
    ("305", 16),
    ("3095", 14),
    ("36", 14),
    ("36", 19),
    ("39", 16),
    ("6011", 16),
    ("6011", 19),
    ("622126", 16),
    ("644", 16),
    ("65", 17),
    ("3528", 16),
    ("3589", 19),
    ("2131", 15),
    ("62", 18),
    ("81", 16),
    ("5018", 13),
    ("6304", 19),
    ("6763", 16),
    ("2200", 16),
    ("2204", 19),
    ("508", 16),
    ("60", 16),
    ("9792", 16),
    ("9704", 19),
    ("56", 16),
    ("57", 12),
    ("58", 19),
    ("6390", 12),
    ("6390", 16),
    ("6759", 12),
    ("6703", 16),
    ("6703", 17),
    ("507803", 16),
    ("968201", 16),
    ("588845", 16),
    ("9051", 16),
    ("9112", 16),
];

fn luhn_digit(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    (10 - sum % 10) % 10
}

fn gs1_digit(body: &str) -> u32 {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    (10 - sum % 10) % 10
}

fn sale() -> Value {
    json!({
        "store": "0042", "terminal": "03", "sequence": 1, "event_id": "e1", "kind": "sale",
        "occurred_at": "2026-11-27T08:15:30Z", "business_date": "2026-11-27", "currency": "EUR",
        "lines": [{"line": 1, "type": "sale", "sku": "100001", "quantity": "1", "amount": "1.29"}],
        "tenders": [{"type": "card", "amount": "1.29"}]
    })
}

fn admit(text: &[u8], rules: &CardRules) -> Result<(), Rejection> {
    Decoder::new().admit(text, rules).map(drop)
}

fn masking() -> CardRules {
    CardRules { policy: CardPolicy::Mask, ..CardRules::default() }
}

/// Numbers without a pattern, the same in every run.
struct TestRng(u64);

impl TestRng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn digits(&mut self, prefix: &str, length: usize) -> String {
        let mut digits = prefix.to_owned();
        while digits.len() < length {
            digits.push(char::from(b'0' + u8::try_from(self.below(10)).unwrap()));
        }
        digits
    }

    fn barcode(&mut self, prefix: &str, length: usize) -> String {
        let body = self.digits(prefix, length - 1);
        format!("{body}{}", gs1_digit(&body))
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn basket(&mut self) -> Value {
        let mut event = sale();
        let nanos = 1_795_000_000_000_000_000 + self.below(10_000_000_000_000_000);
        let date = 20_261_101 + self.below(30);
        event["sequence"] = json!(2_026_110_100_000_000 + self.below(29_000_000_000));
        event["event_id"] = match self.below(3) {
            0 => json!(format!("4012-{}-{date}-{:06}", self.below(9), self.below(1_000_000))),
            1 => json!(format!("0042.{}.{nanos}", self.below(9))),
            _ => json!(format!(
                "{:08}-{:04}-4{:03}-8{:03}-{:012}",
                self.below(99_999_999),
                self.below(9_999),
                self.below(999),
                self.below(999),
                self.below(999_999_999_999)
            )),
        };
        event["occurred_at"] =
            json!(format!("2026-11-27T08:15:30.{:09}+01:00", self.below(1_000_000_000)));
        let programme = self.pick(&["982630", "634004", "308342", "2990", "970010", "7710"]);
        event["loyalty_id"] = json!(self.digits(programme, 19));
        event["timing"] = json!({"ns": nanos, "us": nanos / 1_000, "text": nanos.to_string(), "weight": f64::from(u32::try_from(self.below(1 << 32)).unwrap()) / 4e9});
        let lines = (1..=1 + self.below(8)).map(|line| {
            let country = self.pick(&[
                "400", "409", "45", "49", "50", "54", "30", "37", "60", "690", "978", "000", "20",
            ]);
            let (gtin, sku) = match self.below(4) {
                0 => (self.barcode("0", 12), self.barcode(country, 13)),
                1 => (self.barcode("4", 14), self.barcode("3", 14)),
                2 => (self.barcode(country, 13), self.digits("", 8)),
                _ => (
                    self.barcode("4", 8),
                    format!("{}-{}", self.digits("4", 6), self.digits("", 7)),
                ),
            };
            json!({"line": line, "type": "sale", "sku": sku, "gtin": gtin, "quantity": "1",
                   "description": format!("EAN {gtin} x", gtin = self.barcode(country, 13)),
                   "ean": self.barcode(country, 13), "upc": self.barcode("5", 12)})
        });
        event["lines"] = lines.collect();
        event
    }
}

/// Asserts that none of so many baskets is refused or masked.
fn assert_none_refused(baskets: u32) {
    let (mut rng, mut decoder) = (TestRng(0x5eed), Decoder::new());
    let (refusing, masking) = (CardRules::default(), masking());
    for _ in 0..baskets {
        let text = rng.basket().to_string();
        match decoder.admit(text.as_bytes(), &refusing) {
            Err(rejection) => panic!("{rejection}: {text}"),
            Ok(event) => {
                let buffers = event.into_buffers();
                decoder.reuse(buffers);
            }
        }
        let masked = mask(text.as_bytes(), &masking);
        assert!(matches!(masked, std::borrow::Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn no_real_basket_is_refused() {
    assert_none_refused(5_000);
}

#[test]
#[ignore = "takes minutes without optimisation; loadtest/acceptance runs it"]
fn none_of_a_million_real_baskets_is_refused() {
    assert_none_refused(1_000_000);
}

/// Card numbers that are no GTIN, which one of 12 or 13 digits in ten is.
fn card_number() -> impl Strategy<Value = String> {
    let number = (0..ISSUED.len(), "[0-9]{19}").prop_map(|(issuer, random)| {
        let (prefix, length) = ISSUED[issuer];
        let body = format!("{prefix}{}", &random[..length - 1 - prefix.len()]);
        format!("{body}{}", luhn_digit(&body))
    });
    number.prop_filter("a barcode", |number| {
        number.len() > 13 || !crate::text::is_gtin(number.as_bytes())
    })
}

/// The digits with single spaces or dashes between some of them.
fn joined(number: &str, joints: &[u8]) -> String {
    let mut text = String::new();
    for (place, digit) in number.chars().enumerate() {
        match joints.get(place) {
            Some(0) if place > 0 => text.push(' '),
            Some(1) if place > 0 => text.push('-'),
            _ => {}
        }
        text.push(digit);
    }
    text
}

/// Puts a value at one of the places where a card number was met before.
fn planted(place: usize, text: &str, number: &str) -> Value {
    let mut event = sale();
    match place {
        0 => event["lines"][0]["description"] = json!(format!("paid by {text}.")),
        1 => event["tenders"][0]["token"] = json!(text),
        2 => event["note"] = json!([{"deep": [null, text]}]),
        3 => event["note"] = json!({text: 1}),
        4 => event["note"] = json!(number.parse::<u64>().unwrap()),
        5 => {
            // One range of 19 digits is beyond what an i64 holds.
            let unsigned = json!(number.parse::<u64>().unwrap());
            let negative = number.parse::<i64>().map_or(unsigned, |number| json!(-number));
            event["lines"][0]["x"] = json!([negative]);
        }
        6 => event["operator_id"] = json!(number),
        7 => event["lines"][0]["sku"] = json!(format!("x{number}")),
        8 => event["tenders"][0]["type"] = json!(number),
        9 => event["note"] = json!(format!("{number:0>19}")),
        10 if matches!(number.len(), 14 | 16 | 19) => {
            event["note"] = json!(format!("{number}1227"));
        }
        11 if matches!(number.len(), 14 | 16 | 19) => event["note"] = json!(format!("{number}123")),
        12 if number.starts_with("34") || number.starts_with("37") => {
            event["note"] = json!(format!("{number}2712"));
        }
        _ => event["note"] = json!(format!("{text}-1227 and 12-{text}")),
    }
    event
}

const PLACES: usize = 14;

fn escaped(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '0'..='9' => format!("\\u{:04x}", u32::from(letter)),
            other => other.to_string(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_planted_card_number_is_caught_and_masked(
        number in card_number(),
        joints in proptest::collection::vec(0..12_u8, 19),
        place in 0..PLACES,
        escape: bool,
    ) {
        let text = joined(&number, &joints);
        let mut event = planted(place, &text, &number).to_string();
        if escape && !matches!(place, 4 | 5) {
            event = event.replace(&text, &escaped(&text));
        }
        let rejection = admit(event.as_bytes(), &CardRules::default()).unwrap_err();
        prop_assert_eq!(rejection.code, RejectCode::CardData, "{}", event);
        prop_assert!(!rejection.pointer.contains(&number[..6]), "{}", rejection.pointer);

        let rules = masking();
        let masked = mask(event.as_bytes(), &rules).into_owned();
        let shown = String::from_utf8(masked.clone()).unwrap();
        prop_assert!(admit(&masked, &rules).is_ok(), "{} -> {}", event, shown);
        prop_assert!(!shown.contains(&number) && !shown.contains(&text));

        let redacted = redact(event.as_bytes());
        prop_assert!(!redacted.contains(&text) && !redacted.contains(&number));
        prop_assert!(!redacted.contains(&escaped(&text)));
    }

    #[test]
    fn masking_changes_digits_of_card_numbers_and_nothing_else(
        number in card_number(), before in "[a-z ,.]{0,20}", after in "[a-z,.]{0,20}",
    ) {
        let mut event = sale();
        event["note"] = json!(format!("{before}{number}{after}"));
        let masked = mask(event.to_string().as_bytes(), &masking()).into_owned();
        event["note"] = json!(format!("{before}{}{after}", "*".repeat(number.len())));
        prop_assert_eq!(serde_json::from_slice::<Value>(&masked).unwrap(), event);
    }

    #[test]
    fn a_card_number_in_the_identity_is_refused_under_either_policy(
        number in card_number(), member in 0..5_usize,
    ) {
        let mut event = sale();
        let integer = number.parse::<u64>().unwrap();
        match ["store", "terminal", "epoch", "event_id"].get(member) {
            Some(name) => event[name] = json!(number),
            None if integer < 1 << 53 => event["sequence"] = json!(integer),
            None => return Ok(()),
        }
        let text = event.to_string();
        let rules = masking();
        let masked = mask(text.as_bytes(), &rules);
        let rejection = admit(&masked, &rules).unwrap_err();
        prop_assert_eq!(rejection.code, RejectCode::CardData);
        let identity = rejection.identity.unwrap();
        let kept = [identity.store, identity.terminal, identity.epoch, identity.event_id];
        prop_assert!(kept.iter().flatten().all(|id| !id.contains(&number)));
        prop_assert_ne!(identity.sequence, Some(integer));
    }

    #[test]
    fn no_bytes_make_masking_or_redaction_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        mask(&bytes, &masking());
        redact(&bytes);
    }

    #[test]
    fn no_text_around_a_card_number_shows_it_redacted(
        number in card_number(), before in proptest::collection::vec(any::<u8>(), 0..40), after in "\\PC{0,20}",
    ) {
        let bytes = [&before, b"x".as_slice(), number.as_bytes(), b"x", after.as_bytes()].concat();
        prop_assert!(!redact(&bytes).contains(&number));
    }
}

#[test]
fn the_networks_own_test_numbers_are_known() {
    for number in [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "30569309025904",
        "38520000023237",
        "6011111111111117",
        "3530111333300000",
        "6304000000000000",
        "6200000000000005",
        "2200000000000053",
    ] {
        let rules = CardRules::default();
        assert_eq!(rules.finding(number, TextClass::Free), Some(RejectCode::CardData), "{number}");
        assert_eq!(rules.finding(number, TextClass::Id), Some(RejectCode::CardData), "{number}");
    }
}

#[test]
fn numbers_written_as_doubles_are_found() {
    for number in [
        "4111111111111111.0",
        "4.111111111111111e15",
        "-411111111111111.1E1",
        "41111111111111110e-1",
    ] {
        let text = sale().to_string().replacen('{', &format!("{{\"x\":{number},"), 1);
        assert_eq!(
            admit(text.as_bytes(), &CardRules::default()).unwrap_err().code,
            RejectCode::CardData
        );
        let masked = mask(text.as_bytes(), &masking()).into_owned();
        assert!(masked.starts_with(b"{\"x\":0,"));
        assert_eq!(admit(&masked, &masking()), Ok(()));
    }
}

#[test]
fn what_only_looks_like_a_card_number_passes() {
    let rules = CardRules::default();
    for text in [
        "4111111111111112",
        "41111111111111110000",
        "4111  1111 1111 1111",
        "4111.1111.1111.1111",
        "1111111111111117",
        "0000000000000000",
        "2026-11-27T08:15:30.123456789-09:30",
        "411111111111",
        "EAN 4006381333931",
        "00000000004111111111111112",
        "41111111111111119959",
        "1795000000000000000",
    ] {
        assert_eq!(rules.finding(text, TextClass::Free), None, "{text}");
    }
    assert_eq!(rules.finding("30614141000412", TextClass::Barcode), None);
    assert_eq!(rules.finding("4012-3-2026-1127-000129", TextClass::Id), None);
}

#[test]
fn printed_groups_are_found_in_ids() {
    let rules = CardRules::default();
    for text in
        ["4111-1111-1111-1111", "x 3782-822463-10005", "3056 930902 5904", "4111 1111 1111 1111"]
    {
        assert_eq!(rules.finding(text, TextClass::Id), Some(RejectCode::CardData), "{text}");
    }
}

#[test]
fn track_data_is_authentication_data_under_either_policy() {
    for track in [
        "%B4111111111111111^DOE/JANE^29121011000012345678?",
        ";4111111111111111=29121011000012345678?",
        "4111111111111111=2912",
        "4111111111111111D2912101",
        ";6035710412345678901=4912?",
        "4111111111111111 then ;5555555555554444=2912",
    ] {
        let mut event = sale();
        event["swipe"] = json!(track);
        let text = event.to_string();
        let masked = mask(text.as_bytes(), &masking());
        for rules in [CardRules::default(), masking()] {
            assert_eq!(
                admit(&masked, &rules).unwrap_err().code,
                RejectCode::AuthenticationData,
                "{track}"
            );
        }
        let redacted = redact(track.as_bytes());
        assert!(
            !redacted.contains("2912") && !redacted.contains("4912") && !redacted.contains("DOE"),
            "{redacted}"
        );
    }
}

#[test]
fn members_that_authenticate_are_refused_at_any_depth_unless_null() {
    for name in
        ["cvv", "CVV2", "Cvc", "cvc2", "cid", "track1", "Track2", "track_data", "PIN", "pin_block"]
    {
        for value in [json!("123"), json!(123), json!(true), json!({"a": 1}), json!(["1"])] {
            let mut event = sale();
            event["tenders"][0]["x"] = json!([{name: value}]);
            let text = event.to_string();
            for rules in [CardRules::default(), masking()] {
                let rejection = admit(&mask(text.as_bytes(), &rules), &rules).unwrap_err();
                assert_eq!(rejection.code, RejectCode::AuthenticationData, "{text}");
                assert_eq!(rejection.pointer, format!("/tenders/0/x/0/{name}"));
            }
            assert!(!redact(text.as_bytes()).contains("123"));
        }
        let mut event = sale();
        event["tenders"][0][name] = Value::Null;
        assert_eq!(admit(event.to_string().as_bytes(), &CardRules::default()), Ok(()));
    }
}

#[test]
fn a_tenants_own_ranges_are_exempt() {
    let range = ExemptRange::new("6011000000000000", "6011999999999999").unwrap();
    let rules = CardRules { exempt: vec![range], ..CardRules::default() };
    assert_eq!(rules.finding("6011111111111117", TextClass::Free), None);
    assert!(!rules.is_card_integer(6_011_111_111_111_117));
    assert_eq!(rules.finding("4111111111111111", TextClass::Free), Some(RejectCode::CardData));
    for (from, to) in [
        ("1", "2"),
        ("6011999999999999", "6011000000000000"),
        ("6011000000000000", "60110000000000000"),
        ("601100000000000x", "6011000000000009"),
    ] {
        assert_eq!(ExemptRange::new(from, to), Err(ExemptRangeError));
    }
}

#[test]
fn rules_read_from_configuration() {
    let rules: CardRules = serde_json::from_value(json!({
        "policy": "mask", "exempt": [{"from": "6035710000000000000", "to": "6035719999999999999"}]
    }))
    .unwrap();
    assert_eq!(rules.policy, CardPolicy::Mask);
    assert_eq!(rules.finding("6035710412345678903", TextClass::Free), None);
    for wrong in [
        json!({"policy": "hide"}),
        json!({"exempt": [{"from": "1", "to": "2"}]}),
        json!({"exempts": []}),
    ] {
        assert!(serde_json::from_value::<CardRules>(wrong).is_err());
    }
}

#[test]
fn redaction_hides_in_broken_text_too() {
    let cases = [
        (r#"{"cvv":"12"#, r#"{"cvv":"***""#),
        (r#"" {"cvv" : 123, "a":1"#, r#"" {"cvv" : "***", "a":1"#),
        (r#"{"c\u0076v":{"x":["1",2]},"b":3}"#, r#"{"c\u0076v":"***","b":3}"#),
        (r#"{"pin":null,"b":"\"1"}"#, r#"{"pin":null,"b":"\"1"}"#),
        (r#"{"pin":"1\"2","b":1}"#, r#"{"pin":"***","b":1}"#),
        ("4222222222222", "*************"),
        (r"c:\4222222222222", r"c:\*************"),
        (r"\\u00341111111,\u00341111111111", r"\\u00341111111,\u00341111111111"),
        ("1234 5678 9012 3", "**** **** **** *"),
        ("1234  5678 9012 3", "1234  5678 9012 3"),
        ("12345678901", "12345678901"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(redact(b"caf\xe9"), "caf\u{fffd}");
}

#[test]
fn redaction_reads_an_escape_as_the_one_character_it_stands_for() {
    let digits = "42424242424";
    let shown = [
        format!(r"\u0020{digits}"),
        format!(r"4242\u0020-{digits}"),
        format!(r"\u002d{}\u0039", &digits[1..]),
    ];
    for text in shown {
        assert_eq!(redact(text.as_bytes()), text, "eleven digits at most, and no card number");
    }
    let hidden = format!(r"\u0034\u002d{digits}");
    assert_eq!(redact(hidden.as_bytes()), format!(r"*\u002d{}", "*".repeat(11)));
}

#[test]
fn a_card_number_keyed_in_as_an_amount_is_refused() {
    for (currency, place, number) in [
        ("EUR", "/tenders/0/amount", "4222222222222"),
        ("JPY", "/tenders/0/amount", "378282246310005"),
        ("JPY", "/lines/0/unit_price", "4111111111111111.00"),
    ] {
        let mut event = sale();
        event["currency"] = json!(currency);
        event["lines"][0]["unit_price"] = json!("1");
        event["lines"][0]["amount"] = json!("1");
        *event.pointer_mut(place).unwrap() = json!(number);
        let text = event.to_string();
        let rejection = admit(text.as_bytes(), &CardRules::default()).unwrap_err();
        assert_eq!(
            (rejection.code, rejection.pointer.as_str()),
            (RejectCode::CardData, place),
            "{text}"
        );
        assert!(admit(&mask(text.as_bytes(), &masking()), &masking()).is_err(), "{text}");
    }
}
