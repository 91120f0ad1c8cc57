use super::*;
use crate::event::{Disposition, Line, LineClass, LineType, Tender};
use crate::text::{Decimal, Timestamp};

fn line(line_type: LineType, amount: i64, discount: i64, tax: i64) -> Line<'static> {
    Line {
        line: 1,
        line_type,
        class: LineClass::default_of(line_type),
        sku: "milk",
        gtin: None,
        quantity: Decimal::ONE,
        unit: "C62",
        pieces: None,
        regular_unit_price: None,
        unit_price: None,
        amount: Some(amount),
        discount,
        tax_exclusive: 0,
        tax_inclusive: tax,
        disposition: Disposition::None,
        void: false,
        details: None,
    }
}

fn event(kind: Kind, currency: [u8; 3], lines: Vec<Line<'static>>) -> Event<'static> {
    Event {
        tenant: None,
        store: "1",
        terminal: "1",
        epoch: None,
        sequence: Some(1),
        event_id: "e",
        kind,
        occurred_at: Timestamp::from_millis(0),
        business_date: Date(0),
        currency: Currency::parse(&currency),
        operator_id: None,
        loyalty_id: None,
        reference: None,
        blind: false,
        lines,
        tenders: vec![Tender {
            tender_type: "cash",
            amount: 500,
            token: None,
            last_four: None,
            stored_value: None,
            foreign: None,
        }],
        totals: None,
        amount: None,
        declarations: Vec::new(),
        line_details: Vec::new(),
        details: Vec::new(),
        hash: 0,
    }
}

/// What others read of control totals.
fn published(control: &ControlTotals) -> serde_json::Value {
    let mut text = bytes::BytesMut::from("{");
    control.write_published(&mut text);
    text.extend_from_slice(b"}");
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn totals_add_up_by_currency_with_returns_and_reversals_apart() {
    let mut control = ControlTotals::default();
    let basket = || vec![line(LineType::Sale, 1_000, 100, 70), line(LineType::Return, 300, 0, 20)];
    control.add(&event(Kind::Sale, *b"EUR", basket()));
    control.add(&event(Kind::Sale, *b"EUR", basket()));
    control.add(&event(Kind::PostVoid, *b"EUR", basket()));
    control.add(&event(Kind::Sale, *b"JPY", vec![line(LineType::Sale, 900, 0, 0)]));
    control.add(&event(Kind::Training, *b"EUR", basket()));
    let published = published(&control);
    assert_eq!(
        published,
        serde_json::json!({
            "transactions": {"post_void": 1, "sale": 3, "training": 1},
            "totals": {
                "EUR": {
                    "sales": "10.00", "returns": "3.00", "discounts": "1.00", "taxes": "0.50", "liabilities_issued": "0.00",
                    "liabilities_redeemed": "0.00", "pass_through": "0.00", "tips": "0.00", "rounding": "0.00",
                },
                "JPY": {
                    "sales": "900", "returns": "0", "discounts": "0", "taxes": "0", "liabilities_issued": "0",
                    "liabilities_redeemed": "0", "pass_through": "0", "tips": "0", "rounding": "0",
                },
            },
            "tenders": {"EUR": {"cash": "15.00"}, "JPY": {"cash": "500"}},
            "truncated": false,
        })
    );
}

#[test]
fn liabilities_and_rounding_stand_apart_from_sales_and_tenders() {
    let mut control = ControlTotals::default();
    let mut card = line(LineType::Service, 5_000, 500, 0);
    card.class = LineClass::GiftCard;
    let mut sale = event(Kind::Sale, *b"EUR", vec![card, line(LineType::Sale, 998, 0, 0)]);
    let tender = |tender_type, amount| Tender { tender_type, amount, ..sale.tenders[0].clone() };
    sale.tenders = vec![tender("cash", 5_500), tender("rounding", -2)];
    control.add(&sale);
    let published = published(&control);
    assert_eq!(
        published["totals"]["EUR"],
        serde_json::json!({
            "sales": "9.98", "returns": "0.00", "discounts": "5.00", "taxes": "0.00", "liabilities_issued": "50.00",
            "liabilities_redeemed": "0.00", "pass_through": "0.00", "tips": "0.00", "rounding": "0.02",
        })
    );
    assert_eq!(published["tenders"]["EUR"], serde_json::json!({"cash": "55.00"}));
}

#[test]
fn voided_lines_add_nothing() {
    let mut control = ControlTotals::default();
    let mut struck = line(LineType::Sale, 1_000, 100, 70);
    struck.void = true;
    control.add(&event(Kind::Sale, *b"EUR", vec![struck]));
    assert_eq!(control.sums[0].sales, 0);
    assert_eq!(control.sums[0].taxes, 0);
}

#[test]
fn names_are_bounded_and_a_day_says_when_it_left_amounts_out() {
    let mut control = ControlTotals::default();
    let codes = b"AEDAFNALLAMDAOAARSAUDAWGAZNBAMBBDBDTBHDBIFBMDBNDBOB";
    let (codes, _) = codes.as_chunks::<3>();
    for code in codes {
        assert!(!control.truncated);
        control.add(&event(Kind::Sale, *code, vec![line(LineType::Sale, 1, 0, 0)]));
    }
    assert!(control.truncated);
    assert_eq!((control.sums.len(), control.kinds[&Kind::Sale]), (16, 17));
}

#[test]
fn kinds_are_counted_under_their_names_on_the_wire() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn what_was_kept_in_the_order_of_arrival_is_put_in_order() {
    let sums = |code| {
        format!(
            r#"{{"currency":"{code}","exponent":2,"sales":1,"returns":0,"discounts":0,"taxes":0}}"#
        )
    };
    let tender = |code, tender| {
        format!(r#"{{"currency":"{code}","exponent":2,"tender":"{tender}","amount":1}}"#)
    };
    let kept = format!(
        r#"{{"kinds":{{"sale":1}},"sums":[{},{}],"tenders":[{},{},{}],"truncated":false}}"#,
        sums("USD"),
        sums("EUR"),
        tender("EUR", "cash"),
        tender("USD", "card"),
        tender("EUR", "card"),
    );
    let mut control: ControlTotals = serde_json::from_str(&kept).unwrap();
    control.add(&event(Kind::Sale, *b"EUR", vec![line(LineType::Sale, 9, 0, 0)]));
    let published = published(&control);
    assert_eq!(published["totals"]["EUR"]["sales"], "0.10");
    assert_eq!(
        published["tenders"],
        serde_json::json!({"EUR": {"card": "0.01", "cash": "5.01"}, "USD": {"card": "0.01"}})
    );
}

#[test]
fn sums_of_the_largest_amounts_do_not_overflow_and_read_back() {
    let mut control = ControlTotals::default();
    for _ in 0..20_000 {
        control.add(&event(Kind::Sale, *b"EUR", vec![line(LineType::Sale, i64::MAX / 4, 0, 0)]));
    }
    assert_eq!(control.sums[0].sales, i128::from(i64::MAX / 4) * 20_000);
    let text = serde_json::to_string(&control).unwrap();
    assert_eq!(serde_json::from_str::<ControlTotals>(&text).unwrap(), control);
}

#[test]
fn a_day_is_complete_when_all_closed_and_nothing_is_missing() {
    let date = Date(100);
    let of = |closed, missing, silent, today: i32| {
        let unclosed = 2 - closed;
        DaySummary { terminals: 2, closed, unclosed, missing, silent, ..DaySummary::default() }
            .status(date, Date(today))
    };
    let status = |closed, missing, today| of(closed, missing, 0, today);
    assert_eq!(of(2, 0, 1, 100), DayStatus::Open);
    assert_eq!(of(2, 0, 1, 102), DayStatus::OpenEnded);
    assert_eq!(status(1, 0, 100), DayStatus::Open);
    assert_eq!(status(2, 0, 100), DayStatus::Complete);
    assert_eq!(status(2, 1, 100), DayStatus::Open);
    assert_eq!(status(2, 1, 101), DayStatus::Open);
    assert_eq!(status(2, 1, 102), DayStatus::OpenEnded);
    assert_eq!(status(2, 0, 134), DayStatus::Complete);
    assert_eq!(status(2, 0, 135), DayStatus::Sealed);
}
