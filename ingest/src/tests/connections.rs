//! Connections: caps, clients that never read or never finish, and what HTTP asks of every request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;

const ASK: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A connection that is served: it got an answer.
async fn served(bench: &Bench) -> TcpStream {
    let mut stream = bench.connect().await;
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    stream
}

fn refused(bench: &Bench, cap: &str) -> Option<u64> {
    let line = format!("tillrace_ingest_refused_connections_total{{reason=\"{cap}\"}}");
    bench.metric(&line)
}

#[tokio::test]
async fn a_full_house_answers_health_checks_and_turns_all_else_away_at_once() {
    let bench = start(|settings| {
        settings.max_connections = 2;
        settings.address_share_percent = 100;
    })
    .await;
    let _open = (served(&bench).await, served(&bench).await);
    let health = bench.get("/healthz").await;
    assert_eq!((health.status, health.header("connection")), (200, Some("close")));
    assert_eq!(bench.get("/readyz").await.status, 200);
    let sale = bench.post(KEY, event("7", 1)).await;
    sale.assert_problem(503, "unavailable");
    assert_eq!(sale.header("connection"), Some("close"));
    assert_eq!(refused(&bench, "max_connections"), Some(3));
}

#[tokio::test]
async fn http_2_past_a_cap_is_told_so_too() {
    let bench = start(|settings| settings.max_connections = 1).await;
    let _open = served(&bench).await;
    let stream = TokioIo::new(bench.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |request: http::request::Builder| {
        client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap().status()
    };
    assert_eq!(ask(http::Request::get("http://x/healthz")).await, 200);
    assert_eq!(ask(http::Request::post("http://x/v1/events")).await, 503);
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_no_more() {
    let bench = start(|settings| {
        settings.max_connections = 4;
        settings.address_share_percent = 50;
    })
    .await;
    let _open = (served(&bench).await, served(&bench).await);
    bench.post(KEY, event("7", 1)).await.assert_problem(503, "unavailable");
    assert_eq!(refused(&bench, "address_share"), Some(1));
    let mut elsewhere = connect_from(&bench, "127.0.0.2").await;
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    elsewhere.write_all(&with_length(&head, event("7", 1).as_bytes())).await.unwrap();
    assert_eq!(read_answer(&mut elsewhere).await.unwrap().status, 202);
}

/// A thousand silent connections, of which the reserve hears a few: the rest is closed, and none is left waiting.
#[tokio::test]
async fn past_the_reserve_connections_are_closed_at_once() {
    let bench = start(|settings| settings.max_connections = 2).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(bench.connect().await);
    }
    // The share of one address is one served, and sixteen of the reserve.
    for stream in silent.iter_mut().skip(1 + 16) {
        assert_eq!(read_answer(stream).await.unwrap().status, 503);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    let mut elsewhere = connect_from(&bench, "127.0.0.2").await;
    elsewhere.write_all(ASK.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut elsewhere).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut() {
    let bench = start(|settings| settings.write_timeout = Duration::from_millis(100)).await;
    let _never_reads = never_reading(&bench).await;
    eventually("it is cut", || bench.metric("tillrace_ingest_timed_out_writes_total") == Some(1))
        .await;
    eventually("its place is free", || bench.metric("tillrace_ingest_connections") == Some(0))
        .await;
}

#[tokio::test]
async fn an_http_2_client_with_a_window_of_zero_is_cut() {
    let bench = start(|settings| {
        settings.write_timeout = Duration::from_millis(100);
        settings.header_timeout = Duration::from_hours(1);
    })
    .await;
    let stream = TokioIo::new(bench.connect().await);
    let (client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..128 {
        let mut client = client.clone();
        let request = http::Request::get("http://x/readyz").body(Full::<Bytes>::default()).unwrap();
        tokio::spawn(async move {
            let reply = client.send_request(request).await;
            // Dropping it would reset its stream.
            std::future::pending::<()>().await;
            drop(reply);
        });
    }
    drop(connection.await.unwrap());
    eventually("its place is free", || bench.metric("tillrace_ingest_connections") == Some(0))
        .await;
    assert_eq!(bench.metric("tillrace_ingest_timed_out_writes_total"), Some(1));
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_its_answer() {
    let bench = start(|_| {}).await;
    for request in [
        with_length(&head("/v1/events", &[KeyOf(KEY).header(), JSON]), event("7", 1).as_bytes()),
        with_length(
            &head("/v1/events:batch", &[KeyOf(KEY).header(), NDJSON]),
            lines(2..2_000).as_bytes(),
        ),
        ASK.as_bytes().to_vec(),
    ] {
        let mut stream = bench.connect().await;
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_answer(&mut stream).await.expect("an answer");
        assert!(answer.status < 300, "{answer:?}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "and then it is closed");
    }
}

#[tokio::test]
async fn a_head_has_eight_kilobytes() {
    let bench = start(|_| {}).await;
    let of = |bytes: usize| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "y".repeat(bytes))
    };
    assert_eq!(bench.raw(of(8_000)).await.status, 200);
    assert_eq!(bench.raw(of(9_000)).await.status, 431);
}

#[tokio::test]
async fn a_head_that_others_might_read_otherwise_is_refused_and_the_connection_closed() {
    let bench = start(|_| {}).await;
    for (lines, status, code) in [
        ("", 400, "malformed_head"),
        ("Host: a\r\nHost: a\r\n", 400, "malformed_head"),
        ("Host: a@b\r\n", 400, "malformed_head"),
        ("Host: x\r\nTransfer-Encoding: chunked, chunked\r\n", 400, "malformed_head"),
        ("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501, "unsupported_transfer_encoding"),
    ] {
        let mut stream = bench.connect().await;
        let request = format!("POST /v1/events HTTP/1.1\r\nX-Api-Key: {KEY}\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await.expect(lines);
        answer.assert_problem(status, code);
        assert_eq!(answer.header("connection"), Some("close"), "{lines:?}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0, "{lines:?}");
    }
    assert_eq!(bench.raw("GET /healthz HTTP/1.0\r\n\r\n").await.status, 200);
}
