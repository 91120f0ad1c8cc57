//! Points by the rule, bodies by their schema, and a simulated CRM that loses replies.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tillrace_core::text::Currency;

use super::body;
use super::{CrmPoints, PointsRule, PointsSettings};
use crate::connector::Connector as _;
use crate::engine::SinkSpec;
use crate::filter::Filter;
use crate::fixture::{Fixture, assert_valid, envelope, until};
use crate::http::BackendSettings;
use crate::record::{Record, SourceTopic};
use crate::settings::{FlowSettings, RetrySettings};
use crate::simulate::{Faults, SimulatedBackend};

const ONE_FOR_ONE: PointsRule = PointsRule { points: 1, per_major_units: 1 };

fn posted(kind: &str, data: &str, rule: PointsRule) -> Value {
    let record = Record::new(5, 0, "acme/1", envelope("1", kind, 7, data));
    let (id, body) = body::points(&record, 0, rule).unwrap();
    assert_eq!(id, "/acme/1/1#7");
    assert_valid("crm-points.v1", &body);
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn points_are_integers_by_the_exponent_of_the_currency() {
    let rule = PointsRule { points: 3, per_major_units: 2 };
    let points = |minor, code: &str| rule.points(minor, Currency::parse(code.as_bytes()).unwrap());
    assert_eq!(points(1_999, "EUR"), Some(29), "19.99 / 2 × 3 = 29.985");
    assert_eq!(points(-1_999, "EUR"), Some(-29), "a return takes back what the sale gave");
    assert_eq!(points(1_999, "JPY"), Some(2_998));
    assert_eq!(points(1_999, "KWD"), Some(2));
    assert_eq!(points(i64::MAX, "JPY"), None, "nothing is made up");
}

#[test]
fn goods_count_after_discounts_and_services_do_not() {
    let sale = r#"{"loyalty_id":"L1","currency":"EUR","lines":[
        {"type":"sale","amount":"10.00","discounts":[{"reason":"x","amount":"1.50"},{"reason":"y","amount":"0.50"}]},
        {"type":"service","amount":"100.00"},
        {"type":"sale","amount":"50.00","void":true},
        {"type":"return","amount":"3.00","discounts":null}]}"#;
    let body = posted("sale", sale, ONE_FOR_ONE);
    assert_eq!((body["points"].clone(), body["amount"].clone()), (5.into(), "5.00".into()));
    assert_eq!(posted("post_void", sale, ONE_FOR_ONE)["points"], -5);
}

#[test]
fn a_return_subtracts() {
    let data =
        r#"{"loyalty_id":"L1","currency":"EUR","lines":[{"type":"return","amount":"8.99"}]}"#;
    let body = posted("return", data, ONE_FOR_ONE);
    assert_eq!((body["points"].clone(), body["amount"].clone()), ((-8).into(), "-8.99".into()));
}

#[test]
fn without_amounts_on_lines_the_printed_total_counts_and_without_that_nothing() {
    let data = r#"{"loyalty_id":"L1","currency":"JPY","lines":[{"type":"sale"}],"totals":{"total":"1200"}}"#;
    assert_eq!(posted("sale", data, ONE_FOR_ONE)["points"], 1_200);
    let data = r#"{"loyalty_id":"L1","lines":[{"type":"sale"}]}"#;
    let body = posted("sale", data, ONE_FOR_ONE);
    assert_eq!(body["points"], 0);
    assert!(body.get("amount").is_none());
}

#[test]
fn only_purchases_with_an_account_concern_a_crm() {
    let backend = BackendSettings::new("http://127.0.0.1:1/");
    let crm = CrmPoints::new(&PointsSettings { backend, rule: ONE_FOR_ONE }).unwrap();
    for (kind, data, accepted) in [
        ("sale", r#"{"loyalty_id":"L1"}"#, true),
        ("sale", r#"{"loyalty_id":null}"#, false),
        ("sale", "{}", false),
        ("no_sale", r#"{"loyalty_id":"L1"}"#, false),
    ] {
        let record = Record::new(0, 0, "acme/1", envelope("1", kind, 1, data));
        assert_eq!(crm.accepts(&record).unwrap(), accepted, "{kind} {data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_have_each_purchase_once_whatever_replies_are_lost() {
    let fixture = Fixture::new(1, &["crm"]);
    let faults = Faults { lost_replies: 0.3, server_errors: 0.1, ..Faults::default() };
    let backend = SimulatedBackend::start(faults).await.unwrap();
    for number in 0..100 {
        let data = format!(
            r#"{{"loyalty_id":"L{}","currency":"EUR","lines":[{{"type":"sale","amount":"10.00"}}]}}"#,
            number % 3
        );
        fixture.transaction(&(number % 10).to_string(), "sale", &data);
        fixture.transaction("1", "sale", r#"{"lines":[]}"#);
    }
    let settings =
        PointsSettings { backend: BackendSettings::new(&backend.points_url()), rule: ONE_FOR_ONE };
    let retry = RetrySettings {
        initial: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        attempts: Some(1_000),
    };
    let spec = SinkSpec {
        name: "crm".into(),
        source: SourceTopic::Transactions,
        filter: Filter::default(),
        flow: FlowSettings {
            retry,
            commit_every: Duration::from_millis(5),
            ..FlowSettings::default()
        },
        connector: Arc::new(CrmPoints::new(&settings).unwrap()),
    };
    let delivery = fixture.start(&spec).await;
    let topic = &fixture.topics.transactions;
    until("all is committed", || fixture.committed("crm", topic) == 200).await;
    delivery.drain().await;
    backend.read(|books| {
        assert_eq!(books.points["L0"], 340);
        assert_eq!(books.points["L1"], 330);
        assert_eq!(books.points["L2"], 330);
        assert!(books.duplicates > 0, "the simulation lost no reply: the test shows nothing");
    });
    assert_eq!(fixture.audited("filtered").len(), 100);
}
