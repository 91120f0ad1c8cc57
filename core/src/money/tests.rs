use super::*;
use crate::decode::Decoder;

fn effect_of(kind: &str, more: &str) -> MoneyEffect {
    let text = format!(
        r#"{{"store":"1","terminal":"2","event_id":"3","kind":"{kind}","occurred_at":"2026-11-27T08:15:30Z",
        "business_date":"2026-11-27","currency":"EUR","reference":{{"sequence":1}},"order":{{"id":"o"}},{more}}}"#
    );
    effect(&Decoder::new().decode(text.as_bytes()).unwrap())
}

fn line(line_type: &str, class: &str, amount: &str) -> String {
    format!(
        r#""lines":[{{"line":1,"type":"{line_type}","sku":"a","quantity":"1","class":"{class}","amount":"{amount}"}}]"#
    )
}

#[test]
fn only_merchandise_and_services_are_sales() {
    let none = MoneyEffect::default();
    let cases = [
        ("merchandise", MoneyEffect { sales: 500, ..none }),
        ("service", MoneyEffect { sales: 500, ..none }),
        ("deposit", MoneyEffect { liabilities_issued: 500, ..none }),
        ("gift_card", MoneyEffect { liabilities_issued: 500, ..none }),
        ("payment_on_account", MoneyEffect { liabilities_issued: 500, ..none }),
        ("fee", MoneyEffect { pass_through: 500, ..none }),
        ("donation", MoneyEffect { pass_through: 500, ..none }),
        ("tip", MoneyEffect { tips: 500, ..none }),
    ];
    for (class, expected) in cases {
        let sold = line("service", class, "5");
        for kind in ["sale", "exchange", "order_handed_over", "layaway_handed_over", "correction"] {
            assert_eq!(effect_of(kind, &sold), expected, "{kind} {class}");
        }
        let MoneyEffect { sales, liabilities_issued, pass_through, tips, .. } = expected;
        let reversed = MoneyEffect {
            sales: -sales,
            liabilities_issued: -liabilities_issued,
            pass_through: -pass_through,
            tips: -tips,
            ..none
        };
        assert_eq!(effect_of("post_void", &sold), reversed, "{class}");
        for kind in ["order_placed", "order_paid", "order_cancelled", "layaway_paid"] {
            let advance = MoneyEffect { sales: 0, ..expected };
            assert_eq!(effect_of(kind, &sold), advance, "{kind} {class}");
        }
        for kind in ["void", "training", "suspend", "x-own"] {
            assert_eq!(effect_of(kind, &sold), none, "{kind} {class}");
        }
        let given_back = MoneyEffect {
            returns: sales,
            liabilities_redeemed: liabilities_issued,
            pass_through: -pass_through,
            tips: -tips,
            ..none
        };
        assert_eq!(effect_of("return", &line("return", class, "5")), given_back, "{class}");
    }
}

#[test]
fn stored_value_redeems_where_it_pays_and_issues_where_it_is_paid_out() {
    let none = MoneyEffect::default();
    let tender = |tender_type: &str, amount: &str, more: &str| {
        let tenders =
            format!(r#""tenders":[{{"type":"{tender_type}","amount":"{amount}"{more}}}]"#);
        format!(r#""lines":[{{"line":1,"type":"sale","sku":"a","quantity":"1"}}],{tenders}"#)
    };
    let redeemed = |minor| MoneyEffect { liabilities_redeemed: minor, ..none };
    let issued = |minor| MoneyEffect { liabilities_issued: minor, ..none };
    for tender_type in REDEEMING_TENDERS {
        assert_eq!(effect_of("sale", &tender(tender_type, "5", "")), redeemed(500));
        assert_eq!(effect_of("sale", &tender(tender_type, "-5", "")), issued(500));
        assert_eq!(effect_of("post_void", &tender(tender_type, "-5", "")), redeemed(-500));
        assert_eq!(effect_of("post_void", &tender(tender_type, "5", "")), issued(-500));
    }
    let account = r#","stored_value":{"account":"tok"}"#;
    assert_eq!(effect_of("sale", &tender("wallet", "5", account)), redeemed(500));
    assert_eq!(effect_of("sale", &tender("cash", "5", "")), none);
    assert_eq!(effect_of("training", &tender("gift_card", "5", "")), none);
}

#[test]
fn rounding_says_the_same_as_a_tender_and_in_the_totals() {
    let rounded = MoneyEffect { rounding: 2, ..MoneyEffect::default() };
    let lines = r#""lines":[{"line":1,"type":"sale","sku":"a","quantity":"1"}]"#;
    let as_tender =
        r#""tenders":[{"type":"cash","amount":"10"},{"type":"rounding","amount":"-0.02"}]"#;
    assert_eq!(effect_of("sale", &format!("{lines},{as_tender}")), rounded);
    let in_totals = r#""tenders":[{"type":"cash","amount":"10"}],"totals":{"rounding":"0.02"}"#;
    assert_eq!(effect_of("sale", &format!("{lines},{in_totals}")), rounded);
}

#[test]
fn tips_come_as_lines_in_the_totals_or_later() {
    let lines = line("service", "tip", "2");
    let with_both = format!(r#"{lines},"totals":{{"tip":"3"}}"#);
    assert_eq!(effect_of("sale", &with_both), MoneyEffect { tips: 500, ..MoneyEffect::default() });
    let changed = effect_of("tip_adjustment", r#""amount":"-1.50""#);
    assert_eq!(changed, MoneyEffect { tips: -150, ..MoneyEffect::default() });
    assert_eq!(effect_of("paid_in", r#""amount":"9""#), MoneyEffect::default());
}

#[test]
fn a_kind_counts_if_a_row_names_it() {
    for kind in Kind::ALL {
        let is_named = TABLE.iter().any(|rule| rule.kinds.contains(&kind));
        assert_eq!(sign(kind) != 0, is_named || kind == Kind::TipAdjustment, "{kind:?}");
        assert_eq!(Kind::ALL[kind as usize], kind, "the table is indexed by the kind");
    }
    for class in LineClass::ALL {
        assert_eq!(LineClass::ALL[class as usize], class);
    }
    for (index, rule) in TABLE.iter().enumerate() {
        for other in &TABLE[..index] {
            let is_same = other.class == rule.class;
            assert!(!is_same || !other.kinds.iter().any(|kind| rule.kinds.contains(kind)));
        }
    }
}
