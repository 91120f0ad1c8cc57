//! From a body's bytes to the log's queue, nothing is allocated for an event once the gateway is warm: what is
//! allocated goes with a request and with a chunk of some hundred events.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap has failed the test")]
#![expect(unsafe_code, reason = "an allocator that counts can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::registry::Registry;
use tillrace_benches::tick_log::TickLog;
use tillrace_core::topics::Topics;
use tillrace_ingest::{Gateway, GatewaySettings, Tenants, hash_key};
use tillrace_log::health::Health;

const KEY: &str = "allocations";

/// Allocations of the whole process, the gateway's and the log's threads included.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting neither allocates
// nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the system allocator's own.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from the system allocator.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above; the memory came from the system allocator.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A request with so many sales of 40 stores with 5 terminals each, none of which was sent before.
fn request(numbers: Range<u64>) -> Vec<u8> {
    let mut body = String::new();
    for number in numbers {
        let (store, terminal) = (number % 40, number / 40 % 5);
        writeln!(
            body,
            r#"{{"store":"{store:04}","terminal":"{terminal:02}","sequence":{number},"event_id":"e{number}","kind":"sale","occurred_at":"2026-11-27T08:15:{:02}.250+01:00","business_date":"2026-11-27","currency":"EUR","operator_id":"op-7","lines":[{{"line":1,"type":"sale","sku":"{}","quantity":"2","unit_price":"1.25","amount":"2.50"}},{{"line":2,"type":"sale","sku":"4711","quantity":"1","unit_price":"22.00","amount":"22.00"}}],"tenders":[{{"type":"cash","amount":"24.50"}}],"totals":{{"total":"24.50","line_count":2}}}}"#,
            number % 60,
            1_000_000 + number * 7_919 % 50_000,
        )
        .unwrap();
    }
    let mut request = format!(
        "POST /v1/events:batch HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    request.push_str(&body);
    request.into_bytes()
}

/// Sends a request and returns how many allocations that took, until all of it was accepted.
fn allocations(stream: &mut TcpStream, request: &[u8], events: u64) -> u64 {
    let expected = format!("{{\"accepted\":{events},");
    let mut answer = vec![0; 64 * 1_024];
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    stream.write_all(request).unwrap();
    let mut length = 0;
    while !answer[..length].ends_with(b"}") {
        length += stream.read(&mut answer[length..]).unwrap();
    }
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    let answer = str::from_utf8(&answer[..length]).unwrap();
    assert!(answer.contains(&expected), "{answer}");
    after - before
}

fn measure(address: SocketAddr) -> [u64; 2] {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut sent = 0;
    let mut post = |events: u64| {
        let request = request(sent..sent + events);
        sent += events;
        allocations(&mut stream, &request, events)
    };
    for _ in 0..4 {
        post(4_000);
    }
    // How many chunks a body is cut into depends on how its bytes happen to arrive, and each has some allocations of its own. One
    // for each event would show in every round.
    let rounds: [_; 5] = std::array::from_fn(|_| [post(1_000), post(4_000)]);
    rounds.into_iter().min_by_key(|[few, many]| many - few).unwrap()
}

#[test]
fn three_thousand_more_events_allocate_a_few_hundred_times() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings =
        GatewaySettings { listen: "127.0.0.1:0".parse().unwrap(), ..GatewaySettings::default() };
    let tenant = serde_json::from_value(serde_json::json!({
        "id": "demo",
        "keys": [{ "name": "only", "hash": hash_key(KEY), "stores": ["*"] }],
    }));
    let tenants = Tenants::new(vec![tenant.unwrap()]).unwrap();
    let log = Arc::new(TickLog::start(8).unwrap());
    let mut registry = Registry::default();
    let _entered = runtime.enter();
    let gateway =
        Gateway::start(settings, log, Topics::new(""), tenants, Health::default(), &mut registry);
    let gateway = gateway.unwrap();
    let [few, many] = measure(gateway.local_addr());
    assert!(many - few < 3_000 / 5, "{few} allocations for 1,000 events, {many} for 4,000");
}
