//! `POST /v1/events:batch`.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::harness::*;
use super::log::LogBehavior;

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let headers = [KeyOf(KEY).header(), NDJSON, ("Content-Encoding", encoding)];
    with_length(&head("/v1/events:batch", &headers), body)
}

#[tokio::test]
async fn lines_and_arrays_are_taken_and_every_event_is_answered_for() {
    let bench = start(|_| {}).await;
    let body = format!("{}\n\n{{}}\n{}\r\n", event("7", 1), event("7", 2));
    let answer = bench.post_lines(KEY, body).await;
    answer.assert_batch(202, [2, 0, 1, 0], None);
    assert_eq!(
        answer.json()["exceptions"],
        json!([{"index": 1, "code": "missing_field", "pointer": "/store"}])
    );
    let array = format!("[{}, {},1]", event("7", 3), event("8", 1));
    let headers = [KeyOf(KEY).header(), JSON];
    let answer =
        bench.raw(with_length(&head("/v1/events:batch", &headers), array.as_bytes())).await;
    answer.assert_batch(202, [2, 0, 1, 0], None);
    assert_eq!(answer.json()["exceptions"][0]["code"], "not_an_object");
    bench.post_lines(KEY, "").await.assert_batch(202, [0, 0, 0, 0], None);
}

#[tokio::test]
async fn rows_of_a_store_keep_their_order_and_stand_in_its_partition() {
    let bench = start(|_| {}).await;
    let body: String = (0..900_u64).map(|n| event(&(n % 9).to_string(), n / 9) + "\n").collect();
    bench.post_lines(KEY, body).await.assert_batch(202, [900, 0, 0, 0], None);
    let rows = bench.log.values("pos.events.v1");
    for store in (0..9).map(|store: u64| store.to_string()) {
        let of_store = rows.iter().filter(|row| row["store"].as_str() == Some(&store));
        let sequences: Vec<u64> =
            of_store.map(|row| row["sequence"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(sequences, (0..100).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let bench = start(|_| {}).await;
    let answer = bench.raw(encoded("gzip", &gzip(lines(0..500).as_bytes()).await)).await;
    answer.assert_batch(202, [500, 0, 0, 0], None);
    let answer = bench.raw(encoded("zstd", &zstd(lines(500..1_000).as_bytes()).await)).await;
    answer.assert_batch(202, [500, 0, 0, 0], None);
    let two_members =
        [gzip(lines(1_000..1_001).as_bytes()).await, gzip(lines(1_001..1_002).as_bytes()).await];
    let answer = bench.raw(encoded("gzip", &two_members.concat())).await;
    answer.assert_batch(202, [2, 0, 0, 0], None);
}

#[tokio::test]
async fn a_cut_or_false_encoding_is_a_problem_after_what_stood_before() {
    let bench = start(|_| {}).await;
    let whole = gzip(lines(0..2_000).as_bytes()).await;
    let answer = bench.raw(encoded("gzip", &whole[..whole.len() - 20])).await;
    answer.assert_problem(400, "malformed_encoding");
    let body = answer.json();
    assert_eq!((&body["rejected"], &body["retry"]), (&json!(0), &json!(0)));
    assert_eq!(body["accepted"], body["resume_from"]);
    assert_eq!(body["accepted"].as_u64().unwrap(), bench.log.written("pos.events.v1").len() as u64);
    for encoding in ["gzip", "zstd"] {
        let answer = bench.raw(encoded(encoding, b"this is no such thing")).await;
        answer.assert_problem(400, "malformed_encoding");
        answer.assert_batch(400, [0, 0, 0, 0], Some(0));
    }
}

#[tokio::test]
async fn a_malformed_array_is_a_problem_after_what_stood_before() {
    let bench = start(|_| {}).await;
    let array = format!("[{},{} {}]", event("7", 1), event("7", 2), event("7", 3));
    let headers = [KeyOf(KEY).header(), JSON];
    let answer =
        bench.raw(with_length(&head("/v1/events:batch", &headers), array.as_bytes())).await;
    answer.assert_problem(400, "malformed_batch");
    answer.assert_batch(400, [2, 0, 0, 0], Some(2));
}

#[tokio::test]
async fn a_failure_to_publish_ends_the_reading_and_says_where_to_resume() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::WritesOnly(700));
    let answer = bench.post_lines(KEY, lines(0..20_000)).await;
    answer.assert_problem(503, "unavailable");
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["resume_from"]), (&json!(700), &json!(700)));
    assert!(body["retry"].as_u64().unwrap() < 4_000, "reading stopped: {}", body["retry"]);
    assert_eq!(body["exceptions"][0], json!({"index": 700, "code": "unavailable", "pointer": ""}));

    bench.log.set(LogBehavior::Writes);
    bench.post_lines(KEY, lines(700..20_000)).await.assert_batch(202, [19_300, 0, 0, 0], None);
    let answer = bench.post_lines(KEY, lines(0..20_000)).await;
    answer.assert_batch(202, [0, 20_000, 0, 0], None);
    assert_eq!(bench.log.written("pos.events.v1").len(), 20_000);
}

#[tokio::test]
async fn a_full_queue_is_waited_for_and_then_answered_503() {
    let bench = start(|s| s.queue_wait = std::time::Duration::from_millis(20)).await;
    bench.log.set(LogBehavior::IsFull);
    let answer = bench.post_lines(KEY, lines(0..3)).await;
    answer.assert_problem(503, "unavailable");
    answer.assert_batch(503, [0, 0, 0, 3], Some(0));
    bench.log.set(LogBehavior::Writes);
    bench.post_lines(KEY, lines(0..3)).await.assert_batch(202, [3, 0, 0, 0], None);
}

#[tokio::test]
async fn a_thousand_exceptions_are_listed() {
    let bench = start(|_| {}).await;
    let answer = bench.post_lines(KEY, "{}\n".repeat(1_500)).await;
    answer.assert_batch(202, [0, 0, 1_500, 0], None);
    let body = answer.json();
    assert_eq!(body["exceptions"].as_array().unwrap().len(), 1_000);
    assert_eq!(body["exceptions_truncated"], true);
    assert_eq!(bench.log.written("pos.rejected.v1").len(), 1_500);
}

#[tokio::test]
async fn a_line_over_the_limit_is_refused_alone() {
    let bench = start(|_| {}).await;
    let long = event("7", 2).replace("e-2", &"x".repeat(300_000));
    let body = format!("{}\n{long}\n{}\n", event("7", 1), event("7", 3));
    let answer = bench.post_lines(KEY, body).await;
    answer.assert_batch(202, [2, 0, 1, 0], None);
    assert_eq!(
        answer.json()["exceptions"],
        json!([{"index": 1, "code": "event_too_large", "pointer": ""}])
    );
    bench.post(KEY, long).await.assert_problem(413, "event_too_large");
}

/// While the log holds back, no more of a long body is read than the window.
#[tokio::test]
async fn a_long_body_is_paced_by_the_log() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Holds);
    let body = lines(0..40_000);
    let mut stream = bench.connect().await;
    let head = head("/v1/events:batch", &[KeyOf(KEY).header(), NDJSON]);
    let request = with_length(&head, body.as_bytes());
    let (mut read, mut write) = stream.split();
    let log = bench.log.clone();
    let sender = async { write.write_all(&request).await };
    let watcher = async {
        let text_read = "tillrace_ingest_text_bytes_total";
        eventually("all chunks that may be in flight are held", || log.held() >= 4).await;
        let before = bench.metric(text_read).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(bench.metric(text_read).unwrap(), before, "nothing more is judged");
        assert!(before <= 1_048_576, "{before}");
        log.release(LogBehavior::Writes);
    };
    let (sent, ()) = tokio::join!(sender, watcher);
    sent.unwrap();
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("exceptions_truncated") {
        tokio::io::AsyncReadExt::read_buf(&mut read, &mut bytes).await.unwrap();
    }
    assert!(String::from_utf8_lossy(&bytes).contains(r#""accepted":40000"#));
}
