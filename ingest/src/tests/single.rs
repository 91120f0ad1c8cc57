//! `POST /v1/events`, and what every path answers.

use serde_json::json;
use tillrace_core::envelope::Envelope;

use super::harness::*;
use super::log::LogBehavior;

#[tokio::test]
async fn an_event_is_acknowledged_when_it_is_in_the_log() {
    let bench = start(|_| {}).await;
    let text = event("7", 1);
    let answer = bench.post(KEY, format!("\u{feff} {text}\n")).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, r#"{"outcome":"accepted"}"#));
    let rows = bench.log.written("pos.events.v1");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].key.as_ref(), b"acme/7");
    assert_eq!(rows[0].partition, tillrace_core::topics::partition_of("acme", "7", 4));
    let envelope = Envelope::parse(rows[0].value.as_ref().unwrap()).unwrap();
    assert_eq!(envelope.data, text.as_bytes());
    assert_eq!((envelope.id.as_ref(), envelope.source.as_ref()), ("1", "/acme/7/3"));
    assert_eq!(envelope.event_type, "tillrace.pos.no_sale");
    assert_eq!(envelope.time.as_deref(), Some("2026-11-27T08:00:00Z"));
    assert_eq!(envelope.received_time, "2026-11-27T08:00:00Z");
    assert_eq!((envelope.gateway.as_ref(), envelope.flags), ("gw-test", None));
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_from_none_other() {
    let bench = start(|_| {}).await;
    let bearer = format!("Bearer {KEY}");
    for header in [("X-Api-Key", KEY), ("Authorization", &bearer)] {
        let request = with_length(&head("/v1/events", &[header, JSON]), event("7", 1).as_bytes());
        assert_eq!(bench.raw(request).await.status, 202);
    }
    for header in [("X-Api-Key", "wrong"), ("Authorization", KEY), ("Cookie", KEY)] {
        let request = with_length(&head("/v1/events", &[header, JSON]), event("7", 1).as_bytes());
        let answer = bench.raw(request).await;
        answer.assert_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn a_key_sends_for_its_own_stores_and_tenant_only() {
    let bench = start(|_| {}).await;
    assert_eq!(bench.post(NARROW_KEY, event("7", 1)).await.status, 202);
    bench.post(NARROW_KEY, event("8", 2)).await.assert_problem(403, "store_not_allowed");
    let mut foreign: serde_json::Value = serde_json::from_str(&event("7", 3)).unwrap();
    foreign["tenant"] = json!("neighbour");
    bench.post(KEY, foreign.to_string()).await.assert_problem(422, "tenant_mismatch");
    assert_eq!(bench.log.written("pos.events.v1").len(), 1, "neither leaves a marker");
    let rejected = bench.log.values("pos.rejected.v1");
    assert_eq!(rejected[0]["code"], "store_not_allowed");
    assert_eq!(rejected[1]["tenant"], "acme", "kept for the tenant of the key");
}

#[tokio::test]
async fn what_cannot_be_taken_has_its_documented_answer() {
    let bench = start(|_| {}).await;
    let post = |path: &'static str, headers: Vec<(&'static str, &'static str)>| {
        with_length(&head(path, &headers), event("7", 1).as_bytes())
    };
    let key = ("X-Api-Key", KEY);
    for (request, status, code) in [
        (post("/v1/nothing", vec![key, JSON]), 404, "not_found"),
        (post("/healthz", vec![key, JSON]), 405, "method_not_allowed"),
        (post("/v1/events", vec![key]), 415, "unsupported_media_type"),
        (post("/v1/events", vec![key, NDJSON]), 415, "unsupported_media_type"),
        (
            post("/v1/events", vec![key, JSON, ("Content-Encoding", "br")]),
            415,
            "unsupported_encoding",
        ),
    ] {
        bench.raw(request).await.assert_problem(status, code);
    }
    let answer = bench.get("/v1/events").await;
    answer.assert_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_refusal_is_answered_when_its_record_and_marker_are_in_the_log() {
    let bench = start(|_| {}).await;
    let text = event("7", 5).replace("no_sale", "sale");
    let answer = bench.post(KEY, &text).await;
    answer.assert_problem(422, "missing_field");
    assert_eq!(answer.json()["pointer"], "/lines");
    let markers = bench.log.values("pos.events.v1");
    assert_eq!(markers[0]["type"], "tillrace.pos.refused");
    assert_eq!((&markers[0]["id"], &markers[0]["sequence"]), (&json!("5"), &json!("5")));
    assert_eq!(markers[0]["data"], json!({"code": "missing_field", "pointer": "/lines"}));
    let rejected = bench.log.values("pos.rejected.v1");
    assert_eq!(rejected[0]["original"], text);
    assert_eq!(rejected[0]["sequence"], 5);
    bench.log.set(LogBehavior::WritesOnly(1));
    bench.post(KEY, &text).await.assert_problem(503, "unavailable");
}

#[tokio::test]
async fn a_card_number_is_stored_nowhere() {
    let bench = start(|_| {}).await;
    let text = event("7", 5).replace("\"no_sale\"", "\"no_sale\",\"note\":\"4111 1111 1111 1111\"");
    bench.post(KEY, &text).await.assert_problem(422, "card_data");
    let rejected = bench.log.values("pos.rejected.v1");
    assert!(rejected[0]["original"].as_str().unwrap().contains("**** **** **** ****"));
    for topic in ["pos.events.v1", "pos.rejected.v1"] {
        for row in bench.log.written(topic) {
            assert!(!String::from_utf8_lossy(&row.value.unwrap()).contains("1111"));
        }
    }
}

#[tokio::test]
async fn a_tenant_may_have_cards_masked_and_loyalty_ids_hashed() {
    let settings = json!({"cards": {"policy": "mask"}, "loyalty_secret": "sixteen bytes or more"});
    let bench = start_with(|_| {}, settings).await;
    let text = event("7", 5).replace(
        "\"no_sale\"",
        "\"no_sale\",\"note\":\"4111 1111 1111 1111\",\"loyalty_id\":\"L-77\"",
    );
    assert_eq!(bench.post(KEY, &text).await.status, 202);
    assert_eq!(bench.post(KEY, &text).await.body, r#"{"outcome":"duplicate"}"#);
    let stored = bench.log.values("pos.events.v1");
    assert_eq!(stored[0]["flags"], "card_masked");
    assert!(stored[0]["data"]["loyalty_id"].as_str().unwrap().starts_with("lh1-"));
    assert!(!stored[0].to_string().contains("4111"));
    bench.post(KEY, text.replace("acme", "x").replace("no_sale", "sale")).await;
    assert_eq!(bench.log.values("pos.rejected.v1")[0]["original"], "");
}

#[tokio::test]
async fn a_hash_in_which_a_card_number_stands_by_chance_is_no_card_data() {
    let bench = start_with(|_| {}, json!({"loyalty_secret": "sixteen bytes or more"})).await;
    let text = event("7", 5).replace("\"no_sale\"", "\"no_sale\",\"loyalty_id\":\"L-6033\"");
    assert_eq!(bench.post(KEY, &text).await.status, 202);
    let stored = bench.log.values("pos.events.v1");
    assert_eq!(stored[0]["data"]["loyalty_id"], "lh1-6536335238624068af2048df5e5312da");
}

#[tokio::test]
async fn a_refused_event_whose_epoch_is_lost_leaves_no_marker_in_another_ledger() {
    let bench = start(|_| {}).await;
    for (epoch, code) in [("7", "wrong_type"), ("\"4111 1111 1111 1111\"", "card_data")] {
        let text = event("7", 5).replace('{', &format!("{{\"epoch\":{epoch},"));
        bench.post(KEY, &text).await.assert_problem(422, code);
    }
    let text = event("7", 6).replace('{', "{\"epoch\":null,").replace("no_sale", "sale");
    bench.post(KEY, &text).await.assert_problem(422, "missing_field");
    let markers = bench.log.values("pos.events.v1");
    assert_eq!(markers.iter().map(|marker| &marker["id"]).collect::<Vec<_>>(), ["6"]);
}

/// The clock of the tests stands on 2026-11-27.
#[tokio::test]
async fn a_refusal_of_a_date_whose_ledger_is_gone_or_far_ahead_leaves_no_marker() {
    let bench = start_with(|_| {}, json!({"sequence_scope": "business_date"})).await;
    let dates = ["2026-10-01", "2026-10-28", "2026-11-28", "2026-11-29"];
    for (sequence, date) in (1..).zip(dates) {
        let text = event("7", sequence)
            .replace("no_sale", "sale")
            .replace("2026-11-27\"", &format!("{date}\""));
        bench.post(KEY, &text).await.assert_problem(422, "missing_field");
    }
    let markers = bench.log.values("pos.events.v1");
    assert_eq!(markers.iter().map(|marker| &marker["id"]).collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(bench.log.written("pos.rejected.v1").len(), dates.len());
}

#[tokio::test]
async fn health_readiness_and_metrics_are_told() {
    let bench = start(|_| {}).await;
    assert_eq!(bench.get("/healthz").await.json(), json!({"status": "alive"}));
    let ready = bench.get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready", "conditions": []})));
    bench
        .gateway
        .health(0)
        .unwrap()
        .note_weaknesses(vec!["replication is 1, promised are 3".to_owned()]);
    let weak = bench.get("/readyz").await;
    assert_eq!((weak.status, &weak.json()["status"]), (503, &json!("not_ready")));
    let condition = &weak.json()["conditions"][0];
    assert_eq!(condition["code"], "weak_settings");
    assert_eq!(condition["cause"], "replication is 1, promised are 3");
    assert_eq!((bench.gateway.readiness())(), bench.gateway.health(0).unwrap().readiness());
    // Metrics are the status listener's, where a flood of connections does not reach them.
    bench.get("/metrics").await.assert_problem(404, "not_found");
    bench.post(KEY, event("7", 1)).await;
    let accepted = r#"tillrace_ingest_events_total{tenant="acme",outcome="accepted"}"#;
    assert_eq!(bench.metric(accepted), Some(1));
    let answered = r#"tillrace_ingest_requests_total{route="/v1/events",status="202"}"#;
    assert_eq!(bench.metric(answered), Some(1));
    assert_eq!(bench.metric("tillrace_ingest_in_flight_bytes"), Some(0));
}
