//! Signatures by the standard's own example, secrets, and a receiver that fails in between.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tillrace_log::setting::{Inspection, Secret};

use super::signature::SigningKey;
use super::*;
use crate::connector::{CallError, Connector as _, DeliveryBatch, RecordOutcome};
use crate::engine::SinkSpec;
use crate::filter::Filter;
use crate::fixture::{Fixture, envelope, until};
use crate::http::BackendSettings;
use crate::record::{Record, SourceTopic};
use crate::settings::{FlowSettings, RetrySettings};
use crate::simulate::{RawReply, RawRequest, RawServer};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn settings(url: &str, secret: &str, previous: Option<&str>) -> WebhookSettings {
    let resolved = |text: &str| {
        let mut secret = Secret::new(text);
        secret.resolve(&|_| None).unwrap();
        secret
    };
    WebhookSettings {
        source: SourceTopic::Transactions,
        backend: BackendSettings::new(url),
        secret: resolved(secret),
        previous_secret: previous.map(resolved),
    }
}

fn header<'a>(request: &'a RawRequest, name: &str) -> &'a str {
    let lines = request.head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(header, _)| *header == name).unwrap().1
}

fn batch() -> DeliveryBatch {
    let record = Record::new(5, 1_000, "acme/1", envelope("1", "sale", 7, r#"{"kind":"sale"}"#));
    DeliveryBatch { partition: 3, delivered_to: 0, records: vec![record] }
}

#[test]
fn the_example_of_the_standard_is_signed_as_it_says() {
    let key = SigningKey::parse(SECRET).unwrap();
    let signed =
        key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(format!("{key:?}"), "SigningKey(***)");
}

#[test]
fn a_secret_that_cannot_sign_is_found_before_the_start() {
    let faults = |secret| {
        let mut found = Inspection::default();
        settings("https://example.com/", secret, None).inspect_settings(&mut found);
        found.errors().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(faults(SECRET).is_empty());
    for wrong in ["s3cr3t", "whsec_c2hvcnQ=", "whsec_no base64 at all, not at all"] {
        let found = faults(wrong);
        assert!(found.len() == 1 && found[0].contains("24 to 64 bytes"), "{found:?}");
        assert!(!found[0].contains(wrong), "a secret is never shown");
    }
}

#[tokio::test]
async fn both_secrets_sign_while_they_change_and_the_id_stays() {
    let server = RawServer::start(vec![RawReply::new("204 No Content", "", "")]).await.unwrap();
    let settings = settings(&server.url(), NEW_SECRET, Some(SECRET));
    let hook = Webhook::new(&settings, "pos.transactions.v1").unwrap();
    for _ in 0..2 {
        let reply = hook.deliver(&batch()).await.unwrap();
        assert_eq!(reply.outcomes, [RecordOutcome::Delivered]);
    }
    let requests = server.requests();
    let [first, second] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(first.body, second.body, "a body is the same whenever it is sent");
    let id = header(first, "webhook-id");
    assert_eq!(id, header(second, "webhook-id"));
    assert_eq!(id, header(first, "idempotency-key"));
    let timestamp = header(first, "webhook-timestamp").parse().unwrap();
    let expected: Vec<String> = [NEW_SECRET, SECRET]
        .map(|secret| SigningKey::parse(secret).unwrap().sign(id, timestamp, &first.body))
        .into();
    assert_eq!(header(first, "webhook-signature"), expected.join(" "));
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body["type"], "pos.sale");
    assert_eq!(body["id"], "/acme/1/1#7");
    assert_eq!((body["partition"].as_u64(), body["offset"].as_u64()), (Some(3), Some(5)));
    assert_eq!(body["data"]["data"], serde_json::json!({"kind": "sale"}));
}

#[tokio::test]
async fn a_page_of_a_proxy_is_an_outage_and_no_delivery() {
    let page = RawReply::new("200 OK", "content-type: text/html\r\n", "<html>sign in</html>");
    let server = RawServer::start(vec![page]).await.unwrap();
    let hook = Webhook::new(&settings(&server.url(), SECRET, None), "t").unwrap();
    let error = hook.deliver(&batch()).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_in_between_has_each_record_in_order() {
    let fixture = Fixture::new(1, &["hook"]);
    let sales = fixture.sales("1", 5);
    let ok = RawReply::new("200 OK", "", "");
    let failed = RawReply::new("500 Internal Server Error", "", "");
    let lost = RawReply::default();
    let replies = vec![ok.clone(), failed.clone(), ok.clone(), lost, failed, ok];
    let server = RawServer::start(replies).await.unwrap();
    let hook = Webhook::new(&settings(&server.url(), SECRET, None), "t").unwrap();
    let millis = Duration::from_millis;
    let retry = RetrySettings { initial: millis(1), longest: millis(4), attempts: None };
    let delivery = fixture
        .start(&SinkSpec {
            name: "hook".into(),
            source: SourceTopic::Transactions,
            filter: Filter::default(),
            flow: FlowSettings { retry, commit_every: millis(5), ..FlowSettings::default() },
            connector: Arc::new(hook),
        })
        .await;
    let topic = fixture.topics.transactions.clone();
    let end = sales.last().unwrap() + 1;
    until("all is delivered", || fixture.committed("hook", &topic) == end).await;
    delivery.drain().await;
    let offset = |request: &RawRequest| {
        serde_json::from_slice::<Value>(&request.body).unwrap()["offset"].as_u64().unwrap()
    };
    let mut offsets: Vec<u64> = server.requests().iter().map(offset).collect();
    assert_eq!(offsets.len(), 8, "three calls were repeated");
    assert!(offsets.is_sorted());
    offsets.dedup();
    assert_eq!(offsets, sales);
    fixture.assert_verified("hook", &topic);
}
