//! Draining, and the protocols it has to be polite in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use tillrace_core::topics::Topics;
use tillrace_log::Log;
use tillrace_log::health::{Health, ReadinessStatus};
use tillrace_log::local::{LocalLog, LocalSettings};
use tokio::io::AsyncWriteExt;

use super::harness::*;
use super::log::LogBehavior;
use crate::{Gateway, GatewaySettings, TenantSettings, Tenants, hash_key};

#[tokio::test]
async fn a_drain_finishes_what_is_in_progress_and_takes_nothing_new() {
    let bench = start(|_| {}).await;
    bench.log.set(LogBehavior::Holds);
    let address = bench.gateway.local_addr();
    let mut busy = bench.connect().await;
    let mut idle = bench.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(read_answer(&mut idle).await.unwrap().status, 200);
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    busy.write_all(&with_length(&head, event("7", 1).as_bytes())).await.unwrap();
    eventually("the event is with the log", || bench.log.held() == 1).await;
    let (log, process) = (bench.log.clone(), bench.process.clone());
    let drain = tokio::spawn(bench.gateway.drain());
    assert!(read_answer(&mut idle).await.is_none(), "an idle connection is closed");
    assert!(!drain.is_finished());
    assert_eq!(process.readiness().status, ReadinessStatus::Draining);
    log.release(LogBehavior::Writes);
    let answer = read_answer(&mut busy).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("connection"), Some("close"));
    drain.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(log.written("pos.events.v1").len(), 1);
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_clients_wait_for() {
    let bench = start(|s| s.drain_timeout = Duration::from_millis(50)).await;
    bench.log.set(LogBehavior::Holds);
    let mut busy = bench.connect().await;
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    busy.write_all(&with_length(&head, event("7", 1).as_bytes())).await.unwrap();
    eventually("the event is with the log", || bench.log.held() == 1).await;
    let _never_reads = never_reading(&bench).await;
    let cut = bench.gateway.drain().await.unwrap();
    // Where the one that never reads is between two replies, it is closed and need not be cut.
    assert!((1..=2).contains(&cut), "{cut}");
    assert!(read_answer(&mut busy).await.is_none(), "cut: nothing was acknowledged");
}

#[tokio::test]
async fn a_drain_is_announced_while_all_is_still_taken() {
    let bench = start(|s| s.drain_delay = Duration::from_mins(10)).await;
    let announced = bench.gateway.announce_drain();
    let seen = async {
        let ready = bench.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["status"]), (503, &"draining".into()));
        assert_eq!(bench.post(KEY, event("7", 1)).await.status, 202);
    };
    tokio::select! {
        () = announced => panic!("it goes on for drain_delay"),
        () = seen => {}
    }
}

#[tokio::test]
async fn connections_are_kept_and_pipelines_answered_in_order() {
    let bench = start(|_| {}).await;
    let mut stream = bench.connect().await;
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    let requests: Vec<u8> =
        (0..3).flat_map(|n| with_length(&head, event("7", n % 2).as_bytes())).collect();
    stream.write_all(&requests).await.unwrap();
    let mut text = String::new();
    while text.matches("outcome").count() < 3 {
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_buf(&mut stream, &mut bytes).await.unwrap();
        text.push_str(&String::from_utf8(bytes).unwrap());
    }
    let outcomes: Vec<_> =
        text.match_indices("outcome\":\"").map(|(at, _)| &text[at + 10..at + 13]).collect();
    assert_eq!(outcomes, ["acc", "acc", "dup"]);
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let bench = start(|_| {}).await;
    let stream = TokioIo::new(bench.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str, media: &str, body: String| {
        http::Request::post(format!("http://x{path}"))
            .header("x-api-key", KEY)
            .header("content-type", media)
            .body(Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}))
            .unwrap()
    };
    let single = request("/v1/events", "application/json", event("7", 0));
    let batch = request("/v1/events:batch", "application/x-ndjson", lines(1..3_000));
    let mut second = client.clone();
    let (single, batch) = tokio::join!(client.send_request(single), second.send_request(batch));
    assert_eq!(single.unwrap().status(), 202);
    let batch = batch.unwrap();
    assert_eq!(
        (batch.status(), batch.version()),
        (http::StatusCode::ACCEPTED, http::Version::HTTP_2)
    );
    let body = batch.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(br#"{"accepted":2999,"#), "{body:?}");
    bench.gateway.drain().await.unwrap();
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_http_2_connection_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let bench = start(|settings| settings.header_timeout = Duration::from_millis(50)).await;
    let stream = TokioIo::new(bench.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post("http://x/v1/events")
        .header("x-api-key", KEY)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(event("7", 0))))
        .unwrap();
    bench.log.set(LogBehavior::Holds);
    let answer = client.send_request(request);
    let release = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        bench.log.release(LogBehavior::Writes);
    };
    let (answer, ()) = tokio::join!(answer, release);
    assert_eq!(answer.unwrap().status(), 202);
    // The client keeps its end open.
    let closed = tokio::time::timeout(Duration::from_secs(20), connection).await;
    drop(closed.expect("the gateway closes it").unwrap());
    assert!(client.ready().await.is_err());
}

/// The real log, from socket to disk and back after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_in_the_local_log() {
    let folder = tempfile::tempdir().unwrap();
    let topics = Topics::new("");
    let tenant = serde_json::json!({
        "id": "acme",
        "keys": [{"name": "all", "hash": hash_key(KEY), "stores": ["*"]}],
    });
    let tenant: TenantSettings = serde_json::from_value(tenant).unwrap();
    let open = || LocalLog::open(LocalSettings::new(folder.path(), 4)).unwrap();
    let log = open();
    log.ensure_topics(&topics.specs(&[], 7)).unwrap();
    let settings =
        GatewaySettings { listen: "127.0.0.1:0".parse().unwrap(), ..GatewaySettings::default() };
    let gateway = Gateway::start(
        settings,
        Arc::clone(&log) as Arc<dyn Log>,
        topics.clone(),
        Tenants::new(vec![tenant]).unwrap(),
        Health::default(),
        &mut Registry::default(),
    )
    .unwrap();
    let mut stream = tokio::net::TcpStream::connect(gateway.local_addr()).await.unwrap();
    let head = head("/v1/events:batch", &[KeyOf(KEY).header(), NDJSON]);
    let body: String = (0..1_000).map(|n| event(&(n % 10).to_string(), n / 10) + "\n").collect();
    stream.write_all(&with_length(&head, body.as_bytes())).await.unwrap();
    read_answer(&mut stream).await.unwrap().assert_batch(202, [1_000, 0, 0, 0], None);
    gateway.drain().await.unwrap();
    drop(log);
    let log = open();
    let mut found = 0;
    for partition in 0..4 {
        let mut reader =
            tillrace_log::LogView::reader(&*log, &topics.events, partition, 0).unwrap();
        loop {
            let entries = reader.read(500, Duration::ZERO).unwrap();
            if entries.is_empty() {
                break;
            }
            found += entries.len();
        }
    }
    assert_eq!(found, 1_000);
}

#[tokio::test]
async fn a_task_of_the_gateway_that_ends_unasked_is_missed() {
    let bench = start(|_| {}).await;
    assert!(!bench.gateway.has_stopped());
    bench.gateway.end_watching();
    eventually("the gateway says so", || bench.gateway.has_stopped()).await;
}
