//! The fast path decodes a text as the reference does, or leaves it to the reference, whatever it learned before.

use proptest::prelude::*;

use super::*;
use crate::decode::tests::{Edit, SALE, edit, edited};
use crate::decode::{Decoder, RejectCode, Rejection};

/// Events of all kinds, compact and not, and what real tills might send.
const SAMPLES: [&str; 14] = [
    SALE,
    include_str!("../../../../docs/samples/sale.json"),
    include_str!("../../../../docs/samples/sale-with-unknown-members.json"),
    include_str!("../../../../docs/samples/return.json"),
    include_str!("../../../../docs/samples/transfer-in.json"),
    include_str!("../../../../docs/samples/sale-exclusive-tax.json"),
    include_str!("../../../../docs/samples/paid-in.json"),
    include_str!("../../../../docs/samples/stock-move.json"),
    include_str!("../../../../docs/samples/order-handed-over.json"),
    include_str!("../../../../docs/samples/till-declaration.json"),
    include_str!("../../../../docs/samples/sale-fiscal.json"),
    include_str!("../../../../docs/samples/sale-stored-value.json"),
    r#"{"store":"Zürich","terminal":"1","epoch":null,"event_id":"e","kind":"void","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11-27","blind":false,"lines":[],"attempt":0,"sent_at":null}"#,
    r#"{"store":"a\/b","terminal":"Z\u00fcrich \ud83d\ude00","event_id":"\"e\\","kind":"s\u0061le","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11\u002d27","currency":"EUR","lines":[{"line":1,"type":"sale","sku":"caf\u00e9","description":"\u0000\u007f","quantity":"\u0031.5","amount":"1.\u0030"}]}"#,
];

/// Decodes a text by the fast path alone.
fn fast_hash(fast_path: &mut FastPath, text: &[u8]) -> Option<u128> {
    fast_path.backoff.to_skip = 0;
    let event =
        fast_path.decode::<true>(text, &mut Scratch::default(), None, &mut EventBuffers::default());
    event.map(|event| event.hash)
}

fn assert_same(decoder: &mut Decoder, text: &[u8]) {
    if let Some(fast_path) = &mut decoder.fast_path {
        fast_path.backoff.to_skip = 0;
    }
    let cards = CardRules::default();
    assert_eq!(decoder.decode(text), Decoder::reference().decode(text));
    assert_eq!(decoder.admit(text, &cards), Decoder::reference().admit(text, &cards));
    let mut reference = Decoder::reference();
    let expected = reference.decode(text).map(|event| Event { hash: 0, ..event });
    assert_eq!(decoder.decode_unhashed(text).map(|event| Event { hash: 0, ..event }), expected);
}

#[test]
fn what_a_fleet_sends_is_read_from_its_text_at_first_sight_and_again() {
    for (index, text) in SAMPLES.into_iter().enumerate() {
        let mut fast_path = FastPath::default();
        for _ in 0..2 {
            let hash = fast_hash(&mut fast_path, text.as_bytes());
            let has_unknown = index == 2;
            let expected = Decoder::reference().decode(text.as_bytes()).unwrap().hash;
            assert_eq!(hash, (!has_unknown).then_some(expected), "{text}");
        }
    }
}

#[test]
fn a_transition_learned_after_a_text_is_not_taken_after_a_null_or_a_number() {
    let mut decoder = Decoder::new();
    for text in [
        SALE.to_owned(),
        SALE.replace("\"sequence\":1042,", "\"sequence\":1042\","),
        SALE.replace("\"0042\"", "null").replace("null,", "null\","),
        SALE.replace("\"0042\",", "null,"),
        SALE.replace("\"inclusive\":true", "\"inclusive\":true\""),
        SALE.replace("\"inclusive\":true", "\"inclusive\":truely"),
        SALE.replace("1042", "01042"),
        SALE.replace("1042", "1042.0"),
        SALE.replace("1042", "9007199254740992"),
        SALE.replace("1042", "99007199254740992"),
        SALE.replace("[\n", "[]\n"),
        SALE.replace("\"quantity\":\"2\"", "\"quantity\":\"2\",\"quantity\":\"2\""),
        SALE.replace("\"quantity\":\"2\"", "\"quantity\":null,\"quantity\":\"2\""),
    ] {
        assert_same(&mut decoder, text.as_bytes());
        assert_same(&mut decoder, SALE.as_bytes());
    }
}

#[test]
fn a_null_where_a_number_stood_is_learned() {
    let mut fast_path = FastPath::default();
    let null = SALE.replace("1042", "null");
    for text in [SALE, &null, SALE, &null, &SALE.replace("1042", " 7")] {
        assert!(fast_hash(&mut fast_path, text.as_bytes()).is_some(), "{text}");
        assert_same(&mut Decoder::new(), text.as_bytes());
    }
}

#[test]
fn white_space_of_any_length_is_judged_alike() {
    let (mut decoder, mut fast_path) = (Decoder::new(), FastPath::default());
    for blanks in (0..100).chain([1_000]) {
        let text = SALE.replace(",\"", &format!(",{}\"", " \n".repeat(blanks)));
        let is_read = fast_hash(&mut fast_path, text.as_bytes()).is_some();
        assert!(is_read || blanks > 30, "{blanks}");
        assert!(!is_read || blanks < 50, "{blanks}");
        assert_same(&mut decoder, text.as_bytes());
        assert_same(&mut decoder, text.as_bytes());
        assert_same(&mut decoder, &text.as_bytes()[..text.len() - 1]);
        let text = SALE.replace("1042", &format!("{}1042", " ".repeat(blanks)));
        assert_same(&mut decoder, text.as_bytes());
        assert_same(&mut decoder, SALE.as_bytes());
    }
}

#[test]
fn a_list_is_no_object_and_an_object_no_list() {
    let mut decoder = Decoder::new();
    for (from, to) in [
        ("\"lines\":[", "\"lines\":{"),
        ("\"lines\":[\n {", "\"lines\":{"),
        ("\"totals\":{", "\"totals\":[{"),
        ("\"taxes\":[{", "\"taxes\":{"),
        ("}]},\n {", "}]},[{"),
        ("}]},\n {", "}}],\n {"),
        ("}}", "}]}"),
        ("}}", "}}}"),
        ("}}", "},\"totals\":{\"total\":\"15.09\"}}"),
        ("},\n {", "}, {\"line\":2,\"type\":\"sale\",\"sku\":\"7\",\"quantity\":\"1\"}]},{"),
    ] {
        let text = SALE.replacen(from, to, 1);
        assert_ne!(text, SALE, "{from}");
        assert_same(&mut decoder, text.as_bytes());
        assert_same(&mut decoder, SALE.as_bytes());
        assert_same(&mut decoder, text.as_bytes());
    }
}

#[test]
fn a_text_cut_anywhere_is_refused_alike() {
    let mut decoder = Decoder::new();
    for length in 0..=SALE.len() {
        assert_same(&mut decoder, &SALE.as_bytes()[..length]);
    }
}

#[test]
fn every_byte_at_every_offset_is_decoded_alike() {
    let mut decoder = Decoder::new();
    for at in 0..SALE.len() {
        for byte in [b'"', b'\\', b'\n', b',', b'}', b'0', 0, 0x7f, 0xc3] {
            let mut text = SALE.as_bytes().to_vec();
            text[at] = byte;
            assert_same(&mut decoder, &text);
        }
    }
}

#[test]
fn more_lines_than_allowed_are_refused_by_name() {
    let line = r#"{"line":1,"type":"sale","sku":"1","quantity":"1"}"#;
    let text = |lines: usize, inside: &str| {
        let lines = vec![inside; lines].join(",");
        SALE.replacen("\"lines\":[", &format!("\"lines\":[{lines},"), 1)
    };
    let mut decoder = Decoder::new();
    for text in [text(2_000, line), text(80_000, "{}"), text(2, "{}"), text(1, "1")] {
        assert_same(&mut decoder, text.as_bytes());
    }
    let rejection = decoder.decode(text(2_000, line).as_bytes()).map(drop).unwrap_err();
    assert_eq!(rejection.code, RejectCode::TooManyLines);
}

#[test]
fn an_event_of_many_lines_with_taxes_and_discounts_is_read_from_its_text() {
    let lines: Vec<String> = (1..=2_000)
        .map(|line| {
            format!(
                r#"{{"line":{line},"type":"sale","sku":"1","quantity":"1","amount":"1.00","discounts":[{{"reason":"a","amount":"0.10"}}],"taxes":[{{"code":"A","amount":"0.10"}}]}}"#
            )
        })
        .collect();
    let text = format!(
        r#"{{"store":"1","terminal":"1","sequence":1,"event_id":"e","kind":"sale","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11-27","currency":"EUR","lines":[{}]}}"#,
        lines.join(",")
    );
    assert!(fast_hash(&mut FastPath::default(), text.as_bytes()).is_some());
    assert_same(&mut Decoder::new(), text.as_bytes());
}

#[test]
fn texts_of_a_sender_that_only_misses_are_skipped_and_tried_again() {
    let mut fast_path = FastPath::default();
    let mut tried = 0;
    for _ in 0..1_000 {
        tried += u32::from(fast_path.backoff.to_skip == 0);
        let missed = fast_path.decode::<true>(
            b"{}",
            &mut Scratch::default(),
            None,
            &mut EventBuffers::default(),
        );
        assert_eq!(missed, None);
    }
    assert!((10..30).contains(&tried), "{tried}");
    assert!(fast_hash(&mut fast_path, SALE.as_bytes()).is_some());
    assert_eq!((fast_path.backoff.misses, fast_path.backoff.to_skip), (0, 0));
}

fn judged(decoder: &mut Decoder, text: &[u8]) -> Result<String, Rejection> {
    decoder.decode(text).map(|event| format!("{event:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn edited_events_are_judged_alike(
        learned in proptest::collection::vec(0..SAMPLES.len(), 0..3),
        sample in 0..SAMPLES.len(),
        edits in proptest::collection::vec(edit(), 0..4),
    ) {
        let mut decoder = Decoder::new();
        for learned in learned {
            prop_assert!(decoder.decode(SAMPLES[learned].as_bytes()).is_ok());
        }
        let text = edited(SAMPLES[sample], &edits);
        for _ in 0..2 {
            prop_assert_eq!(judged(&mut decoder, &text), judged(&mut Decoder::reference(), &text));
        }
        assert_same(&mut decoder, SAMPLES[sample].as_bytes());
    }

    #[test]
    fn one_edit_of_many_is_learned_and_then_judged_alike(
        edits in proptest::collection::vec(edit(), 1..12),
    ) {
        let mut decoder = Decoder::new();
        for edit in edits {
            let text = edited(SALE, std::slice::from_ref::<Edit>(&edit));
            assert_same(&mut decoder, &text);
        }
    }
}
