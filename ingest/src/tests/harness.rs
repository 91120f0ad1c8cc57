//! A gateway under test and a client that speaks HTTP/1.1 by hand, so that it can speak it badly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_compression::Level;
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tillrace_core::topics::Topics;
use tillrace_log::health::Health;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::log::MemoryLog;
use crate::clock::{Clock, MANUAL_ORIGIN_MS};
use crate::{Gateway, GatewayError, GatewaySettings, TenantSettings, Tenants, hash_key};

pub(super) const KEY: &str = "key-of-all-stores";
pub(super) const NARROW_KEY: &str = "key-of-store-7";
pub(super) const NEIGHBOUR_KEY: &str = "key-of-another-tenant";

/// A gateway under test.
pub(super) struct Bench {
    pub(super) gateway: Gateway,
    pub(super) tenants: Tenants,
    pub(super) log: MemoryLog,
    pub(super) process: Health,
    registry: Registry,
    clock: Arc<AtomicI64>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Asserts that it is a problem document with this status and code.
    #[track_caller]
    pub(super) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], code, "{self:?}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:tillrace:problem:{code}"));
        let must_wait = matches!(status, 408 | 429 | 503) || code == "body_cut";
        assert_eq!(self.header("retry-after").is_some(), must_wait, "{self:?}");
    }

    /// Asserts the counts of a batch, and where to resume from.
    #[track_caller]
    pub(super) fn assert_batch(&self, status: u16, counts: [u64; 4], resume_from: Option<u64>) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        let names = ["accepted", "duplicate", "rejected", "retry"];
        assert_eq!(names.map(|name| body[name].as_u64().unwrap()), counts, "{self:?}");
        assert_eq!(body["resume_from"], json!(resume_from), "{self:?}");
    }
}

/// Starts a gateway with default settings but for what is changed, and two tenants.
pub(super) async fn start(change: impl FnOnce(&mut GatewaySettings)) -> Bench {
    start_with(change, json!({})).await
}

/// Starts a gateway whose first tenant has more settings. It rejects invalid events unless it is told to park them.
#[expect(clippy::unused_async, reason = "it needs a runtime, which a caller that awaits has")]
pub(super) async fn start_with(change: impl FnOnce(&mut GatewaySettings), more: Value) -> Bench {
    let mut settings =
        GatewaySettings { listen: "127.0.0.1:0".parse().unwrap(), ..GatewaySettings::default() };
    settings.name = Some("gw-test".to_owned());
    change(&mut settings);
    let mut tenant = json!({
        "id": "acme",
        "invalid_events": "reject",
        "keys": [
            {"name": "all", "hash": hash_key(KEY), "stores": ["*"]},
            {"name": "narrow", "hash": hash_key(NARROW_KEY), "stores": ["7"]},
        ],
    });
    tenant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let neighbour = json!({
        "id": "neighbour",
        "keys": [{"name": "all", "hash": hash_key(NEIGHBOUR_KEY), "stores": ["*"]}],
    });
    let parse = |value| serde_json::from_value::<TenantSettings>(value).unwrap();
    let tenants = Tenants::new(vec![parse(tenant), parse(neighbour)]).unwrap();
    let log = MemoryLog::default();
    let clock = Arc::new(AtomicI64::new(MANUAL_ORIGIN_MS));
    let mut registry = Registry::default();
    let process = Health::register(&mut registry);
    let gateway = Gateway::start_at(
        settings,
        Arc::new(log.clone()),
        Topics::new(""),
        tenants.clone(),
        process.clone(),
        &mut registry,
        Clock::Manual(Arc::clone(&clock)),
    )
    .unwrap();
    Bench { gateway, tenants, log, process, registry, clock }
}

/// Starts a gateway without tenants, or says why it does not start.
pub(super) fn start_plainly(settings: GatewaySettings) -> Result<Gateway, GatewayError> {
    Gateway::start(
        settings,
        Arc::new(MemoryLog::default()),
        Topics::new(""),
        Tenants::new(Vec::new()).unwrap(),
        Health::default(),
        &mut Registry::default(),
    )
}

impl Bench {
    /// Lets time pass for buckets and ages; timeouts of sockets are the runtime's.
    pub(super) fn pass_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.local_addr()).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads one answer.
    pub(super) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_answer(&mut stream).await.expect("an answer")
    }

    pub(super) async fn post(&self, key: &str, event: impl AsRef<[u8]>) -> Answer {
        let head = head("/v1/events", &[KeyOf(key).header(), JSON]);
        self.raw(with_length(&head, event.as_ref())).await
    }

    pub(super) async fn post_lines(&self, key: &str, lines: impl AsRef<[u8]>) -> Answer {
        let head = head("/v1/events:batch", &[KeyOf(key).header(), NDJSON]);
        self.raw(with_length(&head, lines.as_ref())).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    /// Asserts that another tenant's event goes through, now.
    #[track_caller]
    pub(super) fn assert_neighbour_unharmed(&self) -> impl Future<Output = ()> {
        let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
        let event = event("1", sequence.unsigned_abs());
        async move {
            let answer = self.post(NEIGHBOUR_KEY, event).await;
            assert_eq!((answer.status, answer.body.as_str()), (202, r#"{"outcome":"accepted"}"#));
        }
    }

    /// Value of a metric.
    pub(super) fn metric(&self, line: &str) -> Option<u64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }
}

static NEXT: AtomicI64 = AtomicI64::new(1_000_000);

pub(super) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(super) const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

pub(super) struct KeyOf<'a>(pub(super) &'a str);

impl<'a> KeyOf<'a> {
    pub(super) fn header(self) -> (&'a str, &'a str) {
        ("X-Api-Key", self.0)
    }
}

/// The head of a POST, but for its last line.
pub(super) fn head(path: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers
        .iter()
        .fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}")
}

pub(super) fn with_length(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// An event of a store, with nothing in it but what is required.
pub(super) fn event(store: &str, sequence: u64) -> String {
    event_at(store, sequence, "2026-11-27T08:00:00Z")
}

pub(super) fn event_at(store: &str, sequence: u64, occurred_at: &str) -> String {
    json!({
        "store": store,
        "terminal": "3",
        "sequence": sequence,
        "event_id": format!("e-{sequence}"),
        "kind": "no_sale",
        "occurred_at": occurred_at,
        "business_date": "2026-11-27",
    })
    .to_string()
}

/// Events of store 7, one a line.
pub(super) fn lines(sequences: std::ops::Range<u64>) -> String {
    sequences.map(|sequence| event("7", sequence) + "\n").collect()
}

/// Reads one answer; `None` when the connection ends before one.
pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes) {
            return Some(answer);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status: u16 = head.get(9..12)?.parse().ok()?;
    if status == 100 {
        return parse(rest.as_bytes());
    }
    let answer = Answer { status, head: head.to_owned(), body: String::new() };
    let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    let body = rest.get(..length)?.to_owned();
    Some(Answer { body, ..answer })
}

/// Connects from another address of the loopback network.
pub(super) async fn connect_from(bench: &Bench, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    socket.connect(bench.gateway.local_addr()).await.unwrap()
}

/// A client that sends request upon request and reads no answer, until the gateway takes no more of them.
pub(super) async fn never_reading(bench: &Bench) -> TcpStream {
    let mut stream = bench.connect().await;
    let request = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let full = Duration::from_millis(300);
    while let Ok(sent) = tokio::time::timeout(full, stream.write_all(request.as_bytes())).await {
        // It may have been cut by now.
        if sent.is_err() {
            break;
        }
    }
    stream
}

/// Waits for a condition, and fails if it does not come about.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never came about: {what}");
}

pub(super) async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

pub(super) async fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd_with_window(bytes, 20).await
}

pub(super) async fn zstd_with_window(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let window = CParameter::window_log(window_log);
    let mut encoder = ZstdEncoder::with_quality_and_params(Vec::new(), Level::Fastest, &[window]);
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}
