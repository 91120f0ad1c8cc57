//! Who may do what, on every route: a matrix made from the table of routes, and rights that change under a connection.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::harness::*;
use crate::metrics::Route;
use crate::route::{Access, access};
use crate::{DirectoryChange, hash_key};

const READER_KEY: &str = "key-that-may-only-read";
const EXPIRED_KEY: &str = "key-whose-time-is-over";
const REVOKED_KEY: &str = "key-that-was-revoked";
const REMOTE_KEY: &str = "key-taken-elsewhere-only";
const TILL_KEY: &str = "key-of-till-3-in-store-7";

fn client(name: &str, key: &str, more: &Value) -> Value {
    let mut client = json!({"name": name, "keys": [{"hash": hash_key(key)}], "stores": ["*"]});
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client
}

fn clients() -> Value {
    let expired = json!([{"hash": hash_key(EXPIRED_KEY), "expires_at": "2026-11-27T08:00:00Z"}]);
    json!({"clients": [
        client("reader", READER_KEY, &json!({"scopes": ["query:read", "admin"]})),
        client("expired", EXPIRED_KEY, &json!({"keys": expired})),
        client("revoked", REVOKED_KEY, &json!({})),
        client("remote", REMOTE_KEY, &json!({"addresses": {"allow": ["192.0.2.0/24"]}})),
        client("till", TILL_KEY, &json!({"stores": ["7"], "terminals": ["7/3"]})),
    ]})
}

async fn bench() -> Bench {
    let bench = start_with(|_| {}, clients()).await;
    revoke(&bench, REVOKED_KEY);
    bench
}

fn revoke(bench: &Bench, key: &str) {
    let key: crate::ClientKey = serde_json::from_value(json!({"hash": hash_key(key)})).unwrap();
    let revoked = DirectoryChange::RevokeKey(key.digest().unwrap());
    bench.tenants.apply(0, vec![revoked]).unwrap();
}

/// Events that are in the log, and markers.
fn kept(bench: &Bench) -> usize {
    bench.log.written("pos.events.v1").len()
}

/// A request of any route, with an event in it where the route takes one.
fn request(route: Route, access: Access, key: Option<&str>, event: &str) -> Vec<u8> {
    let kind = if route == Route::Batch { NDJSON } else { JSON };
    let headers: Vec<_> = key.map(|key| KeyOf(key).header()).into_iter().chain([kind]).collect();
    match access {
        Access::Public => format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", route.name()).into_bytes(),
        Access::Scoped(_) => with_length(&head(route.name(), &headers), event.as_bytes()),
    }
}

#[tokio::test]
async fn every_route_refuses_whoever_may_not() {
    let bench = bench().await;
    let mut scoped = 0;
    for route in Route::ALL.into_iter().filter(|route| *route != Route::Other) {
        let demanded = access(route);
        let ask = async |key, event: String| bench.raw(request(route, demanded, key, &event)).await;
        if demanded == Access::Public {
            let status = ask(None, String::new()).await.status;
            assert!(matches!(status, 200 | 503), "{route:?}: {status}");
            continue;
        }
        scoped += 1;
        for (key, status, code) in [
            (None, 401, "unauthorized"),
            (Some("key-of-nobody"), 401, "unauthorized"),
            (Some(""), 401, "unauthorized"),
            (Some(REVOKED_KEY), 401, "unauthorized"),
            (Some(EXPIRED_KEY), 401, "key_expired"),
            (Some(READER_KEY), 403, "scope_missing"),
            (Some(REMOTE_KEY), 403, "address_refused_by_key"),
        ] {
            let answer = ask(key, event("7", scoped)).await;
            answer.assert_problem(status, code);
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{answer:?}");
        }
        let answer = ask(Some(TILL_KEY), event("7", scoped)).await;
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
    }
    assert_eq!(scoped, 2, "routes that demand a scope");
    assert_eq!(kept(&bench), 2, "nothing of what was refused");
}

#[tokio::test]
async fn every_route_with_events_holds_tenant_store_and_terminal() {
    let bench = bench().await;
    let changed = |field: &str, value: &str| {
        let mut event: Value = serde_json::from_str(&event("7", 5)).unwrap();
        event[field] = json!(value);
        event.to_string()
    };
    let cases = [
        (changed("tenant", "neighbour"), "tenant_mismatch"),
        (changed("store", "8"), "store_not_allowed"),
        (changed("terminal", "4"), "terminal_not_allowed"),
    ];
    for route in [Route::Single, Route::Batch] {
        for (event, code) in &cases {
            let answer = bench.raw(request(route, access(route), Some(TILL_KEY), event)).await;
            assert!(answer.body.contains(&format!("\"{code}\"")), "{route:?} {code}: {answer:?}");
        }
    }
    assert_eq!(kept(&bench), 0, "neither an event nor a marker");
}

#[tokio::test]
async fn a_key_that_is_revoked_stops_on_open_connections() {
    let bench = bench().await;
    let mut stream = bench.connect().await;
    let send = async |stream: &mut tokio::net::TcpStream, sequence| {
        let request =
            request(Route::Single, access(Route::Single), Some(TILL_KEY), &event("7", sequence));
        stream.write_all(&request).await.unwrap();
        read_answer(stream).await.unwrap()
    };
    assert_eq!(send(&mut stream, 1).await.status, 202);
    revoke(&bench, TILL_KEY);
    send(&mut stream, 2).await.assert_problem(401, "unauthorized");
}

/// A long upload: what was read before the key was taken away is kept, and the answer says where to go on from.
#[tokio::test]
async fn a_key_that_is_revoked_stops_within_a_long_upload() {
    let bench = bench().await;
    let mut stream = bench.connect().await;
    let head = head("/v1/events:batch", &[KeyOf(TILL_KEY).header(), NDJSON]);
    let chunked = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let first = chunked(&lines(1..1_001));
    stream
        .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n{first}").as_bytes())
        .await
        .unwrap();
    eventually("a chunk is in the log", || kept(&bench) >= 512).await;
    let before = kept(&bench);
    revoke(&bench, TILL_KEY);
    let rest = chunked(&lines(1_001..3_001)) + "0\r\n\r\n";
    stream.write_all(rest.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    let body = answer.json();
    assert_eq!(body["type"], "urn:tillrace:problem:unauthorized", "{answer:?}");
    assert_eq!((&body["accepted"], &body["resume_from"]), (&json!(before), &json!(before)));
    assert_eq!(kept(&bench), before);
}
