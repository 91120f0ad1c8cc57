//! A long upload through a real gateway on a real log, in a process of its own so that its memory
//! can be told.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tillrace_core::topics::Topics;
use tillrace_ingest::{Gateway, GatewaySettings, TenantSettings, Tenants, hash_key};
use tillrace_log::Log;
use tillrace_log::health::Health;
use tillrace_log::local::{LocalLog, LocalSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UPLOAD_BYTES: usize = 200_000_000;
const MAX_GROWTH_BYTES: u64 = 48 * 1024 * 1024;

fn gateway(log: Arc<LocalLog>) -> Gateway {
    let tenant = serde_json::json!({
        "id": "acme",
        "keys": [{"name": "all", "hash": hash_key("k"), "stores": ["*"]}],
    });
    let tenant: TenantSettings = serde_json::from_value(tenant).unwrap();
    let settings =
        GatewaySettings { listen: "127.0.0.1:0".parse().unwrap(), ..GatewaySettings::default() };
    let tenants = Tenants::new(vec![tenant]).unwrap();
    let mut registry = Registry::default();
    let health = Health::register(&mut registry);
    Gateway::start(settings, log, Topics::new(""), tenants, health, &mut registry).unwrap()
}

/// Ten good events of ten thousand bytes, then one line of two million that is too long.
fn block(first_sequence: u64) -> String {
    let good: String =
        (first_sequence..first_sequence + 10).fold(String::new(), |text, sequence| {
            let event = serde_json::json!({
                "store": "7", "terminal": "3", "sequence": sequence, "event_id": "e",
                "kind": "no_sale", "occurred_at": "2026-11-27T08:00:00Z",
                "business_date": "2026-11-27", "note": "n".repeat(10_000),
            });
            text + &event.to_string() + "\n"
        });
    good + &"x".repeat(2_000_000) + "\n"
}

/// Most memory that this process ever had, bytes (`VmHWM` of proc(5)).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn two_hundred_megabytes_leave_no_mark_on_memory() {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open(LocalSettings::new(folder.path(), 4)).unwrap();
    log.ensure_topics(&Topics::new("").specs(&[], 7)).unwrap();
    let gateway = gateway(Arc::clone(&log));
    let blocks = UPLOAD_BYTES / block(0).len();
    let mut stream = TcpStream::connect(gateway.local_addr()).await.unwrap();
    let head = "POST /v1/events:batch HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\n\
                Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut peak_after_first = 0;
    for number in 0..blocks {
        let block = block(number as u64 * 10);
        stream.write_all(format!("{:x}\r\n{block}\r\n", block.len()).as_bytes()).await.unwrap();
        if number == 1 {
            peak_after_first = peak_bytes();
        }
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    let counts =
        format!(r#"{{"accepted":{},"duplicate":0,"parked":0,"rejected":{blocks},"#, blocks * 10);
    assert!(answer.starts_with("HTTP/1.1 202 ") && answer.contains(&counts), "{answer}");
    let growth = peak_bytes() - peak_after_first;
    assert!(growth < MAX_GROWTH_BYTES, "{growth} bytes more than after the first block");
    gateway.drain().await.unwrap();
}
