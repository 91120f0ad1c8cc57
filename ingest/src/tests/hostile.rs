//! Hostile input gets its documented answer, and costs its neighbour nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::*;

#[tokio::test]
async fn hostile_events_get_their_documented_answers() {
    let bench = start(|_| {}).await;
    let nested = |open: &str, close: &str| {
        format!("{{\"a\":{}1{}}}", open.repeat(20_000), close.repeat(20_000))
    };
    let with = |member: &str| event("7", 1).replacen('{', &format!("{{{member},"), 1);
    for (text, status, code) in [
        (nested("[", "]").into_bytes(), 400, "too_deep"),
        (nested("{\"a\":", "}").into_bytes(), 400, "too_deep"),
        (
            with(&format!("\"a\":\"{}\"", "x".repeat(10_000_000))).into_bytes(),
            413,
            "event_too_large",
        ),
        (b"{\"a\":\"\xff\xfe\"}".to_vec(), 400, "invalid_utf8"),
        (with("\"a\":1,\"a\":2").into_bytes(), 400, "duplicate_member"),
        (with("\"a\":1e999999").into_bytes(), 400, "number_out_of_range"),
        (with("\"a\":\"\\ud800\"").into_bytes(), 400, "invalid_json"),
        (b"{\"a\":".to_vec(), 400, "invalid_json"),
        (b"{} {}".to_vec(), 400, "invalid_json"),
        (b"".to_vec(), 400, "invalid_json"),
        (b"[]".to_vec(), 400, "not_an_object"),
    ] {
        let answer = bench.post(KEY, &text).await;
        answer.assert_problem(status, code);
        bench.assert_neighbour_unharmed().await;
    }
}

#[tokio::test]
async fn a_zip_bomb_ends_at_its_ratio() {
    let bench = start(|_| {}).await;
    let bomb = gzip(&vec![b'\n'; 100_000_000]).await;
    assert!(bomb.len() < 200_000);
    let headers = [KeyOf(KEY).header(), NDJSON, ("Content-Encoding", "gzip")];
    let answer = bench.raw(with_length(&head("/v1/events:batch", &headers), &bomb)).await;
    answer.assert_problem(413, "expansion_limit");
    bench.assert_neighbour_unharmed().await;
}

#[tokio::test]
async fn a_zstd_body_may_not_ask_for_a_huge_window() {
    let bench = start(|_| {}).await;
    let body = zstd_with_window(lines(0..10).as_bytes(), 27).await;
    let headers = [KeyOf(KEY).header(), NDJSON, ("Content-Encoding", "zstd")];
    let answer = bench.raw(with_length(&head("/v1/events:batch", &headers), &body)).await;
    answer.assert_problem(400, "malformed_encoding");
}

#[tokio::test]
async fn a_slow_body_is_timed_out_and_a_slow_head_is_cut() {
    let bench = start(|s| {
        s.silence_timeout = Duration::from_millis(100);
        s.header_timeout = Duration::from_millis(100);
    })
    .await;
    let mut slow_body = bench.connect().await;
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    slow_body.write_all(format!("{head}Content-Length: 500\r\n\r\n{{").as_bytes()).await.unwrap();
    read_answer(&mut slow_body).await.unwrap().assert_problem(408, "request_timeout");
    for beginning in ["", "P", "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-A"] {
        let mut slow = bench.connect().await;
        slow.write_all(beginning.as_bytes()).await.unwrap();
        bench.assert_neighbour_unharmed().await;
        let mut rest = Vec::new();
        // However it ends, it ends.
        drop(slow.read_to_end(&mut rest).await);
    }
    eventually_closed(&bench).await;
}

async fn eventually_closed(bench: &Bench) {
    for _ in 0..1_000 {
        if bench.metric("tillrace_ingest_connections") == Some(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("connections stay open");
}

#[tokio::test]
async fn a_body_that_trickles_is_timed_out_by_its_length() {
    let bench = start(|s| s.body_timeout = Duration::from_millis(150)).await;
    let mut stream = bench.connect().await;
    let head = head("/v1/events:batch", &[KeyOf(KEY).header(), NDJSON]);
    let first = event("7", 1) + "\n";
    stream
        .write_all(format!("{head}Content-Length: 9000\r\n\r\n{first}").as_bytes())
        .await
        .unwrap();
    let (mut read, mut write) = stream.into_split();
    let trickle = tokio::spawn(async move {
        while write.write_all(b"\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("exceptions_truncated") {
        assert_ne!(read.read_buf(&mut bytes).await.unwrap(), 0);
    }
    trickle.abort();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains(r#""accepted":1,"#) && text.contains(r#""resume_from":1,"#), "{text}");
}

#[tokio::test]
async fn wrong_lengths_and_smuggled_requests_get_nowhere() {
    let bench = start(|_| {}).await;
    let key = format!("X-Api-Key: {KEY}\r\nContent-Type: application/json\r\n");
    let start_line = "POST /v1/events HTTP/1.1\r\nHost: x\r\n";
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        "Content-Length: -1\r\n\r\n{}",
        "Content-Length: 99999999999999999999\r\n\r\n{}",
        "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = bench.raw(format!("{start_line}{key}{framing}")).await;
        assert_eq!(answer.status, 400, "{framing:?}: {answer:?}");
    }
    let chunk = bench.raw(format!("{start_line}{key}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{{}}"));
    assert_eq!(chunk.await.status, 400);
    let both = format!(
        "{start_line}{key}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let mut stream = bench.connect().await;
    stream.write_all(both.as_bytes()).await.unwrap();
    let first = read_answer(&mut stream).await.unwrap();
    assert_eq!(first.status, 400, "taken as chunked, hence empty: {first:?}");
    bench.assert_neighbour_unharmed().await;
}

/// RFC 9112, section 6.3: chunked overrides a length, and a connection on which both were sent is closed.
#[tokio::test]
async fn of_a_length_and_chunks_the_chunks_count_and_the_connection_is_closed() {
    let bench = start(|_| {}).await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (sequence, lengths) in [
        format!("Content-Length: 4\r\n{chunked}"),
        format!("{chunked}Content-Length: 4\r\n"),
        format!("Content-Length: 100000\r\n{chunked}"),
        format!("Content-Length: 4\r\n{chunked}Connection: keep-alive\r\n"),
        format!("{chunked}Content-Length: none\r\n"),
        format!("{chunked}Content-Length: 4\r\nContent-Length: 5\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let sale = event("7", sequence as u64);
        let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
        let chunk = format!("{:x}\r\n{sale}\r\n0\r\n\r\n", sale.len());
        let next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut stream = bench.connect().await;
        stream.write_all(format!("{head}{lengths}\r\n{chunk}{next}").as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await.unwrap();
        assert_eq!(answer.status, 202, "{lengths:?}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{lengths:?}");
        let more = stream.read(&mut [0; 1]).await.unwrap_or(0);
        assert_eq!(more, 0, "what follows is not answered: {lengths:?}");
    }
    bench.assert_neighbour_unharmed().await;
}

#[tokio::test]
async fn a_head_of_any_size_is_bounded() {
    let bench = start(|_| {}).await;
    let many: String = (0..200).fold(String::new(), |text, n| text + &format!("X-{n}: y\r\n"));
    assert_eq!(bench.raw(format!("GET / HTTP/1.1\r\n{many}\r\n")).await.status, 431);
    let mut stream = bench.connect().await;
    let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(4_000_000));
    // The gateway may answer and close while this is being sent.
    drop(stream.write_all(long.as_bytes()).await);
    let answer = read_answer(&mut stream).await;
    assert!(answer.is_none_or(|answer| answer.status == 431));
    bench.assert_neighbour_unharmed().await;
}

/// A client that sends all before it reads still sees the answer to a request turned down early.
#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let bench = start(|_| {}).await;
    let request = with_length(&head("/v1/events", &[JSON]), &vec![b'x'; 3_000_000]);
    bench.raw(request).await.assert_problem(401, "unauthorized");
    let asks_first = head("/v1/events", &[JSON, ("Expect", "100-continue")]);
    let answer = bench.raw(format!("{asks_first}Content-Length: 10\r\n\r\n")).await;
    answer.assert_problem(401, "unauthorized");
}
