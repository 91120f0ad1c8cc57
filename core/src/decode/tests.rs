use super::*;
use crate::event::{Disposition, Kind, LineType};
use crate::text::Decimal;

const SALE: &str = r#"{"store":"0042","terminal":"03","sequence":1042,"event_id":"e-1","kind":"sale",
"occurred_at":"2026-11-27T08:15:30.250+01:00","business_date":"2026-11-27","currency":"EUR",
"lines":[
 {"line":1,"type":"sale","sku":"100001","gtin":"4006381333931","quantity":"2","unit_price":"9.995",
  "amount":"19.99","discounts":[{"reason":"promo","amount":"1.50"},{"reason":"coupon","amount":"0.5"}],
  "taxes":[{"code":"A","rate":"19","amount":"2.87","inclusive":true},{"code":"eco","amount":"0.10"}]},
 {"line":2,"type":"return","sku":"7","quantity":"0.355","unit":"KGM","pieces":"1","amount":"3"}],
"tenders":[{"type":"card","amount":"15.09","token":"tok_1","last_four":"1111"}],
"totals":{"total":"15.09","line_count":2}}"#;

fn decode(text: &str) -> Result<u128, (Code, String)> {
    Decoder::new()
        .admit(text.as_bytes(), &CardRules::default())
        .map(|event| event.hash)
        .map_err(|refusal| (refusal.code, refusal.pointer))
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
    let spare = first.into_spare();
    decoder.reuse(spare);
    let second = decoder.decode(SALE.as_bytes()).unwrap();
    assert_eq!(
        (second.lines.as_ptr() as usize, second.tenders.as_ptr() as usize),
        (lines, tenders)
    );
}

#[test]
fn each_refusal_names_its_place() {
    let cases = [
        ("\"store\":\"0042\"", "\"store\":42", Code::WrongType, "/store"),
        ("\"store\":\"0042\",", "", Code::MissingField, "/store"),
        ("\"sequence\":1042", "\"sequence\":-1", Code::InvalidSequence, "/sequence"),
        ("\"sequence\":1042", "\"sequence\":9007199254740992", Code::InvalidSequence, "/sequence"),
        ("\"kind\":\"sale\"", "\"kind\":\"sail\"", Code::UnknownKind, "/kind"),
        ("\"kind\":\"sale\"", "\"kind\":\"post_void\"", Code::ReferenceRequired, "/reference"),
        ("\"kind\":\"sale\"", "\"kind\":\"open\"", Code::LinesNotAllowed, "/lines"),
        ("\"currency\":\"EUR\",", "", Code::MissingField, "/currency"),
        ("\"3\"", "\"3.001\"", Code::InvalidMoney, "/lines/1/amount"),
        ("\"3\"", "3", Code::WrongType, "/lines/1/amount"),
        ("\"line\":2", "\"line\":1", Code::DuplicateLine, "/lines/1/line"),
        ("\"9.995\"", "\"9.9950001\"", Code::InvalidMoney, "/lines/0/unit_price"),
        ("1333931", "1333932", Code::InvalidGtin, "/lines/0/gtin"),
        ("\"0.355\"", "\"-0.355\"", Code::QuantitySign, "/lines/1/quantity"),
        ("\"reason\":\"promo\",", "", Code::MissingField, "/lines/0/discounts/0/reason"),
        ("\"1111\"", "\"111\"", Code::InvalidLastFour, "/tenders/0/last_four"),
        ("\"tok_1\"", "\"4111111111111111\"", Code::CardData, "/tenders/0/token"),
        ("\"line_count\"", "\"CVV\"", Code::AuthenticationData, "/totals/CVV"),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":{\"y\":[1,{\"z\":1,\"z\":2}]}",
            Code::DuplicateMember,
            "/x/y/1/z",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"store\":null",
            Code::DuplicateMember,
            "/store",
        ),
        (
            "\"event_id\":\"e-1\"",
            "\"event_id\":\"e-1\",\"x\":18446744073709551616",
            Code::NumberOutOfRange,
            "",
        ),
        ("\"event_id\":\"e-1\"", "\"event_id\":\"e-1\",\"x\":1e999", Code::NumberOutOfRange, ""),
        ("\"event_id\":\"e-1\"", "\"event_id\":\"e-1\",\"x\":\"\\ud800\"", Code::InvalidJson, ""),
        ("\"event_id\":\"e-1\"", "\"event_id\":\"e-1\",\"x\":01", Code::InvalidJson, ""),
        ("}}", "}}x", Code::InvalidJson, ""),
        ("}}", "}", Code::InvalidJson, ""),
    ];
    for (from, to, code, pointer) in cases {
        assert!(SALE.contains(from), "{from}");
        let text = SALE.replacen(from, to, 1);
        assert_eq!(decode(&text), Err((code, pointer.to_owned())), "{from} -> {to}");
    }
    assert_eq!(decode("[]"), Err((Code::NotAnObject, String::new())));
    assert_eq!(decode("\u{feff}{}"), Err((Code::InvalidJson, String::new())));
    assert_eq!(decode(&SALE.replace("tok_1", "4111-1111-1111-1112")).is_ok(), true);
}
