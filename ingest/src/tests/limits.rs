//! Limits: rates, floods, caps on names, the memory budget.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::*;
use super::log::LogBehavior;

#[tokio::test]
async fn a_rate_is_held_and_let_go() {
    for who in ["tenant", "store", "key"] {
        let limits = json!({"limits": {who: {"events_per_second": 2, "events_burst": 3}}});
        let bench = start_with(|_| {}, limits).await;
        let answer = bench.post_lines(KEY, lines(0..5)).await;
        answer.assert_problem(429, "rate_limited");
        answer.assert_batch(429, [3, 0, 0, 2], Some(3));
        bench.post(KEY, event("7", 3)).await.assert_problem(429, "rate_limited");
        bench.assert_neighbour_unharmed().await;
        bench.pass_ms(1_000);
        bench.post_lines(KEY, lines(3..5)).await.assert_batch(202, [2, 0, 0, 0], None);
        let other_store = bench.post(KEY, event("8", 9)).await.status;
        assert_eq!(other_store, if who == "store" { 202 } else { 429 }, "{who}");
        let other_key = bench.post(NARROW_KEY, event("7", 10)).await.status;
        assert_eq!(other_key, if who == "key" { 202 } else { 429 }, "{who}");
    }
}

#[tokio::test]
async fn bytes_are_limited_and_refused_events_are_charged_too() {
    let limits = json!({"limits": {"key": {"bytes_per_second": "1KiB", "bytes_burst": "256KiB"}}});
    let bench = start_with(|_| {}, limits).await;
    let bulky = format!("{{\"note\":\"{}\"}}", "x".repeat(100_000));
    for status in [422, 422, 429] {
        assert_eq!(bench.post(KEY, &bulky).await.status, status);
    }
    let wait: u64 = {
        let answer = bench.post(KEY, &bulky).await;
        answer.header("retry-after").unwrap().parse().unwrap()
    };
    // 37 or 38 seconds for 38 KB, and up to half as much again and one more.
    assert!((37..=58).contains(&wait), "{wait} s for the 38 KB that are missing");
}

/// Burst of 256 KiB and next to no refill.
fn scarce_bytes() -> serde_json::Value {
    json!({"limits": {"key": {"bytes_per_second": "1KiB", "bytes_burst": "256KiB"}}})
}

#[tokio::test]
async fn a_known_duplicate_pays_a_quarter_of_its_bytes() {
    let bench = start_with(|_| {}, scarce_bytes()).await;
    let bulky = event("7", 1).replacen('{', &format!("{{\"note\":\"{}\",", "x".repeat(99_800)), 1);
    // 256 KiB hold one of 100 kB, and as many quarters as leave room for a whole one.
    let mut answers = Vec::new();
    for _ in 0..5 {
        let answer = bench.post(KEY, &bulky).await;
        answers.push(answer.json()["outcome"].as_str().unwrap_or("limited").to_owned());
    }
    assert_eq!(answers, ["accepted", "duplicate", "duplicate", "duplicate", "limited"]);
}

#[tokio::test]
async fn text_is_paid_for_whatever_it_holds() {
    for (name, body) in [
        ("blank lines", "\n".repeat(2_000_000)),
        ("blanks in an array", format!("[{}", " ".repeat(2_000_000))),
        ("an event over the limit", format!("[\"{}\"]", "x".repeat(2_000_000))),
    ] {
        let bench = start_with(|s| s.max_expansion = 10_000, scarce_bytes()).await;
        let json = if body.starts_with('[') { JSON } else { NDJSON };
        let headers = [KeyOf(KEY).header(), json, ("Content-Encoding", "gzip")];
        let body = gzip(body.as_bytes()).await;
        let answer = bench.raw(with_length(&head("/v1/events:batch", &headers), &body)).await;
        answer.assert_problem(429, "rate_limited");
        assert_eq!(answer.json()["accepted"], 0, "{name}: {answer:?}");
        let read = bench.metric("tillrace_ingest_text_bytes_total").unwrap();
        assert!(read < 600_000, "{name}: {read} bytes were read for 256 KiB");
        bench.assert_neighbour_unharmed().await;
    }
}

#[tokio::test]
async fn nothing_is_read_of_who_has_nothing_left() {
    let limits = json!({"limits": {"key": {"events_per_second": 1, "events_burst": 1}}});
    let bench = start_with(|_| {}, limits).await;
    assert_eq!(bench.post(KEY, event("7", 1)).await.status, 202);
    let read = bench.metric("tillrace_ingest_body_bytes_total");
    let answer = bench.post_lines(KEY, lines(0..100)).await;
    answer.assert_problem(429, "rate_limited");
    assert_eq!(answer.json()["resume_from"], json!(null));
    assert_eq!(bench.metric("tillrace_ingest_body_bytes_total"), read);
}

#[tokio::test]
async fn what_is_put_off_is_given_back() {
    let limits = json!({"limits": {
        "tenant": {"events_per_second": 1, "events_burst": 10},
        "store": {"events_per_second": 1, "events_burst": 3},
    }});
    let bench = start_with(|_| {}, limits).await;
    bench.post_lines(KEY, lines(0..10)).await.assert_batch(429, [3, 0, 0, 7], Some(3));
    bench.post_lines(KEY, lines(0..3)).await.assert_batch(202, [0, 3, 0, 0], None);
    let others: String = (10..20).map(|store| event(&store.to_string(), 1) + "\n").collect();
    bench.post_lines(KEY, others).await.assert_batch(429, [7, 0, 0, 3], Some(7));
}

/// A body that is all there would hold the thread to its end; here there is but one.
#[test]
fn a_long_body_gives_way_to_other_requests() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().event_interval(1).build().unwrap();
    runtime.block_on(async {
        let bench = start(|s| s.max_expansion = 10_000).await;
        let headers = [KeyOf(KEY).header(), NDJSON, ("Content-Encoding", "gzip")];
        let blank = gzip(&vec![b'\n'; 8 * 1024 * 1024]).await;
        let request = with_length(&head("/v1/events:batch", &headers), &blank);
        let batch = bench.raw(request);
        tokio::pin!(batch);
        let mut answered = 0;
        let batch = loop {
            tokio::select! {
                biased;
                answer = &mut batch => break answer,
                health = bench.get("/healthz") => answered += u32::from(health.status == 200),
            }
        };
        batch.assert_batch(202, [0, 0, 0, 0], None);
        assert!(answered >= 10, "{answered} answers while 128 times 64 KiB were read");
    });
}

#[tokio::test]
async fn names_past_the_caps_are_put_off_and_known_ones_go_on() {
    let bench = start_with(|_| {}, json!({"max_stores": 2, "max_terminals": 2})).await;
    let of = |store, terminal| event(store, 1).replace("\"3\"", &format!("\"{terminal}\""));
    for (store, status, code) in
        [("1", 202, None), ("2", 202, None), ("3", 429, Some("too_many_stores")), ("1", 202, None)]
    {
        let answer = bench.post(KEY, of(store, "3")).await;
        assert_eq!((answer.status, code), (status, answer.json()["code"].as_str()), "{answer:?}");
    }
    bench.post(KEY, of("1", "4")).await.assert_problem(429, "too_many_terminals");
    // One event without a place for its name keeps no other from being taken.
    let batch = [of("1", "3"), of("1", "4"), event("2", 2), event("1", 2)].join("\n");
    let answer = bench.post_lines(KEY, batch).await;
    answer.assert_problem(429, "too_many_terminals");
    answer.assert_batch(429, [2, 1, 0, 1], Some(1));
    assert_eq!(answer.json()["exceptions"][0]["code"], "too_many_terminals");
    assert_eq!(bench.log.written("pos.events.v1").len(), 4, "no markers for unknown names");
    assert_eq!(bench.log.written("pos.rejected.v1").len(), 0, "nothing is refused");
    let standing = bench.gateway.health(0).unwrap().readiness().conditions;
    let told: Vec<_> = standing.iter().map(|it| it.condition.subject.as_str()).collect();
    assert_eq!(told, ["tenant acme, max_stores", "tenant acme, max_terminals"]);
    assert_eq!(bench.metric("tillrace_ingest_backpressure_total{reason=\"names\"}"), Some(3));
}

/// Terminals by the hundred, all made up, and none of their events taken.
#[tokio::test]
async fn what_is_refused_takes_no_place() {
    let bench = start_with(|_| {}, json!({"max_terminals": 40})).await;
    let made_up: String = (0..500)
        .map(|n| {
            event("7", 1).replace("\"3\"", &format!("\"t{n}\"")).replace("no_sale", "x") + "\n"
        })
        .collect();
    bench.post_lines(NARROW_KEY, made_up).await.assert_batch(202, [0, 0, 500, 0], None);
    assert_eq!(bench.log.written("pos.events.v1").len(), 1, "a marker for the guest of a key");
    for number in 0..20 {
        let text = event("7", 1).replace("\"3\"", &format!("\"new-{number}\""));
        assert_eq!(bench.post(NARROW_KEY, text).await.status, 202, "{number}");
    }
}

#[tokio::test]
async fn clocks_ahead_are_flagged_only() {
    let bench = start(|_| {}).await;
    assert_eq!(bench.post(KEY, event_at("7", 1, "2026-11-27T08:15:00Z")).await.status, 202);
    assert_eq!(bench.post(KEY, event_at("7", 2, "2026-11-27T08:15:01Z")).await.status, 202);
    let stored = bench.log.values("pos.events.v1");
    assert_eq!(stored[0]["flags"], json!(null));
    assert_eq!(stored[1]["flags"], "clock_skew");
    assert_eq!(bench.metric("tillrace_ingest_clocks_ahead_total"), Some(1));
}

#[tokio::test]
async fn floods_wait_when_it_is_tight_and_live_events_go_on() {
    let bench = start(|s| s.queue_wait = Duration::ZERO).await;
    let old = |sequence| event_at("7", sequence, "2026-11-27T07:49:59Z");
    assert_eq!(bench.post(KEY, old(1)).await.status, 202);
    let stored = bench.log.values("pos.events.v1");
    assert_eq!(stored[0]["admission"], "flood");

    bench.log.set(LogBehavior::IsFull);
    bench.post(KEY, event("7", 2)).await.assert_problem(503, "unavailable");
    bench.log.set(LogBehavior::Writes);
    bench.post(KEY, old(3)).await.assert_problem(429, "rate_limited");
    let answer = bench.post(KEY, event("7", 4)).await;
    assert_eq!(answer.status, 202);
    assert_eq!(bench.log.values("pos.events.v1")[1]["admission"], "live");
    bench.pass_ms(1_000);
    assert_eq!(bench.post(KEY, old(3)).await.status, 202);
}

/// Sends the head of a chunked batch and the beginning of its body, and keeps it open.
async fn begin_chunked(bench: &Bench, key: &str, beginning: &str) -> TcpStream {
    let headers = [KeyOf(key).header(), NDJSON, ("Transfer-Encoding", "chunked")];
    begin(bench, &headers, beginning.as_bytes()).await
}

async fn begin(bench: &Bench, headers: &[(&str, &str)], beginning: &[u8]) -> TcpStream {
    let mut stream = bench.connect().await;
    let request_head = head("/v1/events:batch", headers) + "\r\n";
    stream.write_all(request_head.as_bytes()).await.unwrap();
    if !beginning.is_empty() {
        let size = format!("{:x}\r\n", beginning.len());
        stream.write_all(&[size.as_bytes(), beginning, b"\r\n"].concat()).await.unwrap();
    }
    stream
}

fn small(s: &mut crate::GatewaySettings) {
    s.in_flight = bytesize::ByteSize::mib(48);
    s.admission_wait = Duration::from_millis(20);
}

const IN_FLIGHT: &str = "tillrace_ingest_in_flight_bytes";

/// A key that may send for one store only, and as many bodies with next to nothing in them as HTTP/2 has streams for.
#[tokio::test]
async fn bodies_that_are_nearly_empty_hold_nearly_nothing() {
    let bench = start(small).await;
    let mut held = Vec::new();
    for _ in 0..128 {
        held.push(begin_chunked(&bench, NARROW_KEY, "{").await);
    }
    eventually("all are under way", || bench.metric(IN_FLIGHT) >= Some(128 * 16 * 1_024)).await;
    assert_eq!(bench.metric(IN_FLIGHT), Some(128 * 16 * 1_024));
    for number in 0..16 {
        assert_eq!(bench.post(KEY, event("8", number)).await.status, 202);
        assert_eq!(bench.post(NARROW_KEY, event("7", number)).await.status, 202);
        bench.assert_neighbour_unharmed().await;
    }
    drop(held);
    eventually("all is given back", || bench.metric(IN_FLIGHT) == Some(0)).await;
}

/// Each asks for a window of 8 MiB, and has sent a little of its text.
#[tokio::test]
async fn slow_zstd_bodies_hold_what_they_have_sent() {
    let bench = start(|s| s.admission_wait = Duration::from_millis(20)).await;
    let body = zstd_with_window(lines(0..2_000).as_bytes(), 23).await;
    let headers = [
        KeyOf(NARROW_KEY).header(),
        NDJSON,
        ("Content-Encoding", "zstd"),
        ("Transfer-Encoding", "chunked"),
    ];
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(begin(&bench, &headers, &body[..body.len() / 2]).await);
    }
    let taken = || bench.metric(IN_FLIGHT) >= Some(30 * 300 * 1_024);
    eventually("all are under way", taken).await;
    for number in 0..16 {
        assert_eq!(bench.post(KEY, event("8", number)).await.status, 202);
        assert_eq!(bench.post(NARROW_KEY, event("7", number)).await.status, 202);
        bench.assert_neighbour_unharmed().await;
    }
    assert!(bench.metric(IN_FLIGHT) < Some(30 * 1_024 * 1_024), "{:?}", bench.metric(IN_FLIGHT));
}

/// Bodies that are full of text hold all that their key may hold, and not more, however many they are.
#[tokio::test]
async fn one_key_full_of_text_leaves_room_for_the_others() {
    let bench = start(small).await;
    bench.log.set(LogBehavior::Holds);
    let unfinished = "x".repeat(200_000);
    let mut held = Vec::new();
    for number in 0..80 {
        let text = lines(number * 1_000..number * 1_000 + 50) + &unfinished;
        held.push(begin_chunked(&bench, NARROW_KEY, &text).await);
    }
    let is_refused = || bench.metric("tillrace_ingest_backpressure_total{reason=\"memory\"}");
    eventually("the key's part is used up", || is_refused().is_some()).await;
    assert!(bench.metric(IN_FLIGHT) <= Some(12 * 1_024 * 1_024), "a quarter of 48 MiB");
    bench.log.set(LogBehavior::Writes);
    for number in 0..16 {
        assert_eq!(bench.post(KEY, event("8", number)).await.status, 202);
        bench.assert_neighbour_unharmed().await;
    }
}

#[tokio::test]
async fn pressure_turns_the_senders_floods_away_and_nobody_elses() {
    let bench = start(small).await;
    let headers = [
        KeyOf(NARROW_KEY).header(),
        NDJSON,
        ("Content-Encoding", "zstd"),
        ("Transfer-Encoding", "chunked"),
    ];
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(begin(&bench, &headers, b"").await);
    }
    let half = 6 * 1_024 * 1_024;
    eventually("all are under way", || bench.metric(IN_FLIGHT) > Some(half)).await;
    let old = |store, sequence| event_at(store, sequence, "2026-11-27T07:49:59Z");
    bench.post(NARROW_KEY, old("7", 1)).await.assert_problem(429, "rate_limited");
    assert_eq!(bench.post(NARROW_KEY, event("7", 2)).await.status, 202);
    assert_eq!(bench.post(KEY, old("8", 1)).await.status, 202);
    for _ in 0..60 {
        held.push(begin(&bench, &headers, b"").await);
    }
    let last = held.last_mut().unwrap();
    read_answer(last).await.unwrap().assert_problem(503, "unavailable");
    bench.assert_neighbour_unharmed().await;
}
