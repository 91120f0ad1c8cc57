//! A mock gateway for tests, in memory: accepts events over HTTP by the contract, keeps topics, and
//! injects the faults of a real network on demand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::source::{Movement, ONE};
use crate::topics::{Positions, ReadError, Record, TopicReader};
use crate::verify::DayRecordWriter;

/// Injected faults, by number of requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Every so many requests only half the batch is taken, and 503 says so.
    pub(crate) half_every: u64,
    /// Every so many requests all is taken but the reply is lost.
    pub(crate) lose_reply_every: u64,
    /// Every so many requests a proxy answers 502 and nothing is taken.
    pub(crate) proxy_every: u64,
    /// Every request is answered 401.
    pub(crate) wrong_key: bool,
    /// Every request is answered 503.
    pub(crate) away: bool,
}

/// The mock gateway.
#[derive(Debug, Default)]
pub(crate) struct MockGateway {
    pub(crate) faults: Faults,
    pub(crate) requests: u64,
    pub(crate) keys: HashSet<String>,
    /// Values by topic, all of one partition.
    pub(crate) topics: BTreeMap<&'static str, Vec<(String, String)>>,
    known: HashSet<String>,
    days: BTreeMap<String, DayRecordWriter>,
    high_waters: HashMap<String, HashSet<u64>>,
}

pub(crate) type Handle = Arc<Mutex<MockGateway>>;

/// Serves a mock gateway on a free port.
pub(crate) async fn serve(faults: Faults) -> (SocketAddr, Handle) {
    let handle = Arc::new(Mutex::new(MockGateway { faults, ..MockGateway::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shared = Arc::clone(&handle);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handle = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&handle), request));
                let _closed = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (addr, handle)
}

async fn answer(
    handle: Handle,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let batch = request.uri().path() == "/v1/events:batch";
    let key = request.headers()["authorization"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut gateway = handle.lock();
    gateway.requests += 1;
    gateway.keys.insert(key);
    let Faults { half_every, lose_reply_every, proxy_every, wrong_key, away } = gateway.faults;
    let number = gateway.requests;
    let hits = |every: u64| every > 0 && number.is_multiple_of(every);
    if wrong_key {
        return Ok(reply(StatusCode::UNAUTHORIZED, &json!({"code": "unauthorized"})));
    }
    if away {
        return Ok(reply(StatusCode::SERVICE_UNAVAILABLE, &json!({"code": "unavailable"})));
    }
    if hits(proxy_every) {
        return Ok(Response::builder().status(502).body(Full::from("<html>")).unwrap());
    }
    let mut response = if batch {
        gateway.take_batch(&body, hits(half_every))
    } else {
        match gateway.take(&body) {
            Ok(outcome) => reply(StatusCode::ACCEPTED, &json!({"outcome": outcome})),
            Err(code) if PARKED.contains(&code) => {
                reply(StatusCode::ACCEPTED, &json!({"outcome": "parked", "code": code}))
            }
            Err(code) => reply(StatusCode::UNPROCESSABLE_ENTITY, &json!({"code": code})),
        }
    };
    if hits(lose_reply_every) {
        // A length that is never met: the client sees the connection break within the reply.
        response.headers_mut().insert("content-length", "100000".parse().unwrap());
    }
    Ok(response)
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(body.to_string())).unwrap()
}

/// The codes for which events are parked.
const PARKED: [&str; 3] = ["unknown_kind", "unknown_line_type", "missing_field"];

/// Returns the rule that an event breaks, if it is one that parks it.
fn broken_rule(text: &str) -> Option<&'static str> {
    let unknown = [
        (r#""kind":"sail""#, PARKED[0]),
        (r#""kind":"drone_delivery""#, PARKED[0]),
        (r#""type":"locker_sale""#, PARKED[1]),
        (r#""currency_code":"#, PARKED[2]),
    ];
    unknown.into_iter().find(|(words, _)| text.contains(words)).map(|(_, code)| code)
}

impl MockGateway {
    fn take_batch(&mut self, body: &[u8], half: bool) -> Response<Full<Bytes>> {
        let lines: Vec<&[u8]> = body.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
        let taken = if half { lines.len() / 2 } else { lines.len() };
        let (mut accepted, mut duplicate) = (0, 0);
        let (mut exceptions, mut parked) = (Vec::new(), Vec::new());
        for (index, line) in lines[..taken].iter().enumerate() {
            match self.take(line) {
                Ok("duplicate") => duplicate += 1,
                Ok(_) => accepted += 1,
                Err(code) => {
                    let listed = if PARKED.contains(&code) { &mut parked } else { &mut exceptions };
                    listed.push(json!({"index": index, "code": code, "pointer": ""}));
                }
            }
        }
        let status = if half { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED };
        let mut response = reply(
            status,
            &json!({
                "accepted": accepted, "duplicate": duplicate, "rejected": exceptions.len(),
                "retry": lines.len() - taken, "resume_from": half.then_some(taken),
                "exceptions": exceptions, "exceptions_truncated": false, "parked": parked.len(),
                "parked_events": parked,
            }),
        );
        if half {
            response.headers_mut().insert("retry-after", "0".parse().unwrap());
        }
        response
    }

    /// Takes one event: refuses what it cannot read or does not know, counts the rest once.
    fn take(&mut self, text: &[u8]) -> Result<&'static str, &'static str> {
        let raw = std::str::from_utf8(text).map_err(|_error| "invalid_utf8")?;
        let event: Value = serde_json::from_str(raw).map_err(|_error| "invalid_json")?;
        let text_of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (store, terminal) = (text_of("store"), text_of("terminal"));
        let sequence = event["sequence"].as_u64().unwrap();
        let epoch = event["epoch"].as_str().map_or(String::new(), |e| format!(r#""epoch":"{e}","#));
        let broken = broken_rule(raw);
        let kind = broken.map_or_else(|| text_of("kind"), |_| "parked".to_owned());
        let envelope = format!(
            r#"{{"type":"tillrace.pos.{kind}","tenant":"demo","store":"{store}","terminal":"{terminal}",{epoch}"sequence":"{sequence}","data":{raw}}}"#
        );
        if let Some(code) = broken {
            self.append("pos.events.v1", format!("demo/{store}"), envelope.clone());
            self.append("pos.parked.v1", format!("demo/{store}/{terminal}/{sequence}"), envelope);
            self.hold_number(&event);
            return Err(code);
        }
        self.append("pos.events.v1", format!("demo/{store}"), envelope.clone());
        if !self.known.insert(format!("{store}/{terminal}/{epoch}/{sequence}")) {
            return Ok("duplicate");
        }
        self.append("pos.transactions.v1", format!("demo/{store}"), envelope);
        self.count(&store, &event, raw);
        self.hold_number(&event);
        Ok("accepted")
    }

    /// Takes an event's number into its terminal's ledger.
    fn hold_number(&mut self, event: &Value) {
        let text_of = |name: &str| event[name].as_str().unwrap_or_default();
        let [store, terminal, epoch] = ["store", "terminal", "epoch"].map(text_of);
        let key = format!("demo/{store}/{terminal}/{epoch}");
        let numbers = self.high_waters.entry(key.clone()).or_default();
        numbers.insert(event["sequence"].as_u64().unwrap());
        let (low, high) = (*numbers.iter().min().unwrap(), *numbers.iter().max().unwrap());
        let missing: Vec<u64> = (low..high).filter(|number| !numbers.contains(number)).collect();
        let ranges: Vec<(u64, u64)> =
            missing.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0], run[run.len() - 1])).collect();
        let ledger = json!({
            "tenant": "demo", "store": store, "terminal": terminal, "epoch": event["epoch"],
            "missing": ranges,
        });
        self.append("terminal.ledger.v1", key, ledger.to_string());
    }

    /// Counts an event: its store-day and its deltas.
    pub(crate) fn count(&mut self, store: &str, event: &Value, text: &str) {
        let date = event["business_date"].as_str().unwrap();
        let key = format!("demo/{store}/{date}");
        let day = self.days.entry(key.clone()).or_default();
        day.add(text);
        let record = day.record("demo", store, date);
        self.append("store.days.v1", key, record);
        for line in event["lines"].as_array().into_iter().flatten() {
            let quantity = crate::verify::micro(line["quantity"].as_str().unwrap()).unwrap();
            if event["kind"] == "stock_move" {
                let moved = |quantity| Movement {
                    net: quantity,
                    adjusted: quantity,
                    ..Movement::default()
                };
                self.append_delta(store, line, &line["location"], moved(-quantity));
                self.append_delta(store, line, &line["to_location"], moved(quantity));
                continue;
            }
            self.append_delta(store, line, &line["location"], movement(event, line, quantity));
        }
    }

    fn append_delta(&mut self, store: &str, line: &Value, location: &Value, movement: Movement) {
        if !movement.is_zero() {
            let text = |value: i64| {
                let sign = if value < 0 { "-" } else { "" };
                let (one, value) = (ONE.unsigned_abs(), value.unsigned_abs());
                format!("{sign}{}.{:06}", value / one, value % one)
            };
            let delta = json!({
                "tenant": "demo", "store": store, "sku": line["sku"],
                "unit": line["unit"].as_str().unwrap_or("C62"),
                "reason": line["reason"], "location": location,
                "net": text(movement.net), "sold": text(movement.sold),
                "returned": text(movement.returned), "adjusted": text(movement.adjusted),
            });
            self.append("inventory.deltas.v1", format!("demo/{store}"), delta.to_string());
        }
    }

    fn append(&mut self, topic: &'static str, key: String, value: String) {
        self.topics.entry(topic).or_default().push((key, value));
    }
}

/// The stock table of the contract.
fn movement(event: &Value, line: &Value, quantity: i64) -> Movement {
    let restock = line.get("disposition").is_none_or(|value| value == "restock");
    let back = if restock { quantity } else { 0 };
    let (net, sold, returned, adjusted) =
        match (event["kind"].as_str().unwrap(), line["type"].as_str().unwrap()) {
            _ if line["void"] == true => (0, 0, 0, 0),
            (
                "sale"
                | "return"
                | "exchange"
                | "correction"
                | "order_handed_over"
                | "layaway_handed_over",
                what @ ("sale" | "return"),
            ) => {
                if what == "sale" {
                    (-quantity, quantity, 0, 0)
                } else {
                    (back, 0, quantity, 0)
                }
            }
            ("post_void", "sale") => (quantity, -quantity, 0, 0),
            ("post_void", "return") => (-back, 0, -quantity, 0),
            ("inventory_adjustment" | "transfer_in" | "goods_receipt", _)
            | ("correction", "adjustment") => (quantity, 0, 0, quantity),
            ("transfer_out" | "vendor_return", _) => (-quantity, 0, 0, -quantity),
            _ => (0, 0, 0, 0),
        };
    Movement { net, sold, returned, adjusted }
}

/// Reads the mock gateway's topics.
#[derive(Debug)]
pub(crate) struct MemoryReader(pub(crate) Handle);

impl TopicReader for MemoryReader {
    fn read(
        &mut self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError> {
        let gateway = self.0.lock();
        let records = gateway.topics.get(topic).map_or(&[][..], Vec::as_slice);
        let next = positions.entry(0).or_insert(0);
        let from = usize::try_from(*next).unwrap();
        for (offset, (key, value)) in records.iter().enumerate().skip(from) {
            *next = i64::try_from(offset).unwrap() + 1;
            let (key, value) = (key.as_bytes(), value.as_bytes());
            each(&Record { partition: 0, offset: *next - 1, key, value });
        }
        Ok(())
    }
}
