//! Events that break a rule and are kept all the same.

use serde_json::{Value, json};
use tillrace_core::envelope::{Envelope, TYPE_PARKED};
use xxhash_rust::xxh3::xxh3_128;

use super::harness::*;
use super::log::LogBehavior;

async fn parking(mut more: Value) -> Bench {
    more["invalid_events"] = json!("park");
    start_with(|_| {}, more).await
}

/// An event of a kind that the schema does not know.
fn unknown(sequence: u64) -> String {
    event("7", sequence).replace("no_sale", "drone_delivery")
}

const PARKED: &str = r#"{"outcome":"parked","code":"unknown_kind","pointer":"/kind"}"#;

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_kept_whole() {
    let bench = parking(json!({})).await;
    let text = unknown(5);
    for _ in 0..2 {
        let answer = bench.post(KEY, &text).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, PARKED));
    }
    let rows = bench.log.written("pos.events.v1");
    assert_eq!(rows.len(), 1, "the same text is durable already");
    let envelope = Envelope::parse(rows[0].value.as_ref().unwrap()).unwrap();
    assert_eq!(envelope.event_type, TYPE_PARKED);
    assert_eq!((envelope.id.as_ref(), envelope.sequence), ("5", Some(5)));
    assert_eq!(envelope.event_id.as_deref(), Some("e-5"));
    assert_eq!(envelope.business_date.as_deref(), Some("2026-11-27"));
    assert_eq!((envelope.content_hash, envelope.time.as_deref()), (None, None));
    assert_eq!(envelope.data_hash, Some(xxh3_128(text.as_bytes())));
    assert_eq!(envelope.data, text.as_bytes());
    let parked = envelope.parked.unwrap();
    assert_eq!((parked.code.as_ref(), parked.pointer.as_ref()), ("unknown_kind", "/kind"));
    assert_eq!(bench.log.written("pos.rejected.v1").len(), 0);
    assert_eq!(bench.metric(r#"tillrace_ingest_parked_total{code="unknown_kind"}"#), Some(2));
}

#[tokio::test]
async fn a_batch_tells_parked_events_apart_from_those_to_act_on() {
    let bench = parking(json!({})).await;
    let body = [event("7", 1), unknown(2), "{}".to_owned(), event("7", 3)].join("\n");
    let answer = bench.post_lines(KEY, body).await;
    answer.assert_batch(202, [2, 0, 1, 0], None);
    assert_eq!(answer.json()["parked"], 1);
    assert_eq!(
        answer.json()["parked_events"],
        json!([{"index": 1, "code": "unknown_kind", "pointer": "/kind"}])
    );
    assert_eq!(answer.json()["exceptions"][0]["index"], 2);
}

#[tokio::test]
async fn what_nobody_may_keep_or_could_mend_is_refused() {
    let bench = parking(json!({})).await;
    let with = |member: &str| unknown(5).replace('{', &format!("{{{member},"));
    for (text, code) in [
        (unknown(5).replace("\"5\"", "5").replace(":5,", ":\"5\","), "wrong_type"),
        (unknown(5).replace("\"e-5\"", "null"), "missing_field"),
        (with("\"epoch\":7"), "wrong_type"),
        (with("\"note\":\"4111 1111 1111 1111\""), "unknown_kind"),
        (with("\"cvv\":\"123\""), "unknown_kind"),
        (with("\"a\":{\"b\":1,\"b\":2}"), "unknown_kind"),
        (with("\"tenant\":\"neighbour\"").replace("drone_delivery", "no_sale"), "tenant_mismatch"),
        (format!("[{}]", unknown(5)), "not_an_object"),
    ] {
        let answer = bench.post(KEY, &text).await;
        assert!((400..500).contains(&answer.status), "{text}: {answer:?}");
        assert_eq!(answer.json()["code"], code, "{text}");
    }
    let answer = bench.post(NARROW_KEY, unknown(5).replace("\"7\"", "\"8\"")).await;
    answer.assert_problem(422, "unknown_kind");
    for row in bench.log.written("pos.events.v1") {
        let text = String::from_utf8(row.value.unwrap().to_vec()).unwrap();
        assert!(!text.contains("1111") && !text.contains("drone"), "{text}");
    }
}

#[tokio::test]
async fn a_date_that_numbers_a_ledger_must_be_readable() {
    let bench = parking(json!({"sequence_scope": "business_date"})).await;
    let text = event("7", 5).replace("2026-11-27\"", "27.11.2026\"");
    bench.post(KEY, &text).await.assert_problem(422, "invalid_date");
    let bench = parking(json!({})).await;
    assert_eq!(bench.post(KEY, &text).await.json()["outcome"], "parked");
}

#[tokio::test]
async fn what_a_rule_of_the_tenant_parks_has_the_hash_of_its_content() {
    let bench = parking(json!({"rules": {"line_count": "reject"}})).await;
    let text = event("7", 5).replace('{', r#"{"totals":{"line_count":3},"#);
    let answer = bench.post(KEY, &text).await;
    assert_eq!(answer.json()["code"], "line_count_mismatch");
    let rows = bench.log.written("pos.events.v1");
    let envelope = Envelope::parse(rows[0].value.as_ref().unwrap()).unwrap();
    assert!(envelope.content_hash.is_some(), "so that the ledger knows it under any rules");
}

#[tokio::test]
async fn a_masked_card_and_a_hashed_loyalty_id_are_parked_so() {
    let settings = json!({"cards": {"policy": "mask"}, "loyalty_secret": "sixteen bytes or more"});
    let bench = parking(settings).await;
    let members = r#"{"note":"4111 1111 1111 1111","loyalty_id":"L-77","#;
    let answer = bench.post(KEY, unknown(5).replace('{', members)).await;
    assert_eq!(answer.json()["outcome"], "parked");
    let stored = &bench.log.values("pos.events.v1")[0];
    assert_eq!(
        (&stored["flags"], &stored["data"]["note"]),
        (&json!("card_masked"), &json!("**** **** **** ****"))
    );
    assert!(stored["data"]["loyalty_id"].as_str().unwrap().starts_with("lh1-"));
    let unclear = unknown(6).replace('{', r#"{"loyalty_id":77,"#);
    bench.post(KEY, unclear).await.assert_problem(422, "unknown_kind");
}

#[tokio::test]
async fn parked_events_in_flight_are_bounded_and_cost_live_trade_nothing() {
    // A tenant may hold a half of it, and parked events a quarter of that: 6 MiB, which is 25 of these.
    let change = |settings: &mut crate::GatewaySettings| {
        settings.in_flight = bytesize::ByteSize::mib(48);
    };
    let bench = start_with(change, json!({"invalid_events": "park"})).await;
    let filling = format!("{{\"note\":\"{}\",", "x".repeat(250_000));
    let large = |n: u64| unknown(n).replacen('{', &filling, 1);
    bench.log.set(LogBehavior::Holds);
    let send = |batch: u64| {
        let events: Vec<String> = (0..4).map(|n| large(10 * batch + n)).collect();
        bench.post_lines(KEY, [events.join("\n"), event("7", 10 * batch + 9)].join("\n"))
    };
    let batches = async {
        let first = tokio::join!(send(1), send(2), send(3), send(4));
        <[_; 4]>::from(first)
    };
    let more = async { <[_; 4]>::from(tokio::join!(send(5), send(6), send(7), send(8))) };
    let release = async {
        eventually("no more is taken", || bench.log.held() >= 25).await;
        bench.log.release(LogBehavior::Writes);
    };
    let (batches, more, ()) = tokio::join!(batches, more, release);
    let answers = || batches.iter().chain(&more);
    let limited: Vec<_> = answers().filter(|answer| answer.status == 429).collect();
    assert!(!limited.is_empty() && limited.len() < 8);
    assert!(limited.iter().all(|answer| answer.json()["code"] == "too_many_parked"));
    assert!(answers().all(|answer| answer.json()["accepted"] == 1), "the good event behind them");
    assert_eq!(bench.post(KEY, large(100)).await.json()["outcome"], "parked");
}
