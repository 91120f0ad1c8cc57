//! The back ends' HTTP.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::RngExt as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::ledger::Head;
use super::{Behavior, Kind, Shared};

/// Seconds that no till and no sink can wait for.
const ENDLESS_S: u64 = u64::MAX / 2;

type Reply = Result<Response<Full<Bytes>>, io::Error>;

pub(super) fn start(runtime: &Handle, shared: Arc<Shared>) -> anyhow::Result<u16> {
    let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = runtime.block_on(listen).context("start the back ends")?;
    let port = listener.local_addr().context("start the back ends")?.port();
    runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                // Connections end as clients and conduct have it.
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(port)
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let kind = match request.uri().path() {
        "/documents" => Kind::Documents,
        "/movements" => Kind::Movements,
        "/points" => Kind::Points,
        _ => return reply(StatusCode::NOT_FOUND, &Value::Null),
    };
    let key = key_of(request.headers());
    let Ok(body) = request.into_body().collect().await else {
        // The caller went away in the middle: nothing came.
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let body = body.to_bytes();
    let behavior = shared.roll();
    match behavior {
        Behavior::Hang => std::future::pending().await,
        Behavior::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        Behavior::Throttle => retry_later(StatusCode::TOO_MANY_REQUESTS, 1),
        Behavior::Html => html(),
        Behavior::EndlessRetryAfter if kind == Kind::Points => {
            retry_later(StatusCode::SERVICE_UNAVAILABLE, ENDLESS_S)
        }
        _ => shared.take(kind, behavior, &key, &body),
    }
}

impl Shared {
    fn roll(&self) -> Behavior {
        let behavior_mix = *self.behavior_mix.lock();
        let hit = self.rng.lock().random_bool(behavior_mix.share.clamp(0.0, 1.0));
        if hit { behavior_mix.behavior } else { Behavior::Honest }
    }

    fn take(&self, kind: Kind, behavior: Behavior, key: &str, body: &[u8]) -> Reply {
        let Some(records) = records(kind, body) else {
            self.ledger(kind).lock().unreadable += 1;
            return reply(
                StatusCode::BAD_REQUEST,
                &json!({"detail": "not what the contract says"}),
            );
        };
        let taken = match behavior {
            Behavior::HalfABatch => records.len().div_ceil(2),
            Behavior::EndlessRetryAfter => 0,
            _ => records.len(),
        };
        let mut ledger = self.ledger(kind).lock();
        if key.is_empty()
            || (kind == Kind::Points && records.iter().any(|(head, _)| head.id != key))
        {
            ledger.note_wrong_key(key);
        }
        let mut results = Vec::with_capacity(records.len());
        for (head, text) in &records[..taken] {
            let status = if ledger.store(head, text) { "booked" } else { "duplicate" };
            results.push(json!({"id": head.id, "status": status}));
        }
        drop(ledger);
        match behavior {
            Behavior::StoreThenFail => reply(StatusCode::INTERNAL_SERVER_ERROR, &Value::Null),
            Behavior::StoreThenReset => Err(io::ErrorKind::ConnectionReset.into()),
            Behavior::EndlessRetryAfter => {
                let wait = |(head, _): &(Head, &RawValue)| json!({"id": head.id, "status": "retry", "retry_after_seconds": ENDLESS_S});
                reply(
                    StatusCode::OK,
                    &json!({"results": records.iter().map(wait).collect::<Vec<_>>()}),
                )
            }
            _ if kind == Kind::Points => reply(StatusCode::OK, &json!({})),
            _ => reply(StatusCode::OK, &json!({"results": results})),
        }
    }
}

/// Reads the records of a call; `None` where it is not what the contract says.
fn records(kind: Kind, body: &[u8]) -> Option<Vec<(Head, &RawValue)>> {
    let member = match kind {
        Kind::Documents => "documents",
        Kind::Movements => "movements",
        Kind::Points => {
            let text: &RawValue = serde_json::from_slice(body).ok()?;
            return Some(vec![(serde_json::from_str(text.get()).ok()?, text)]);
        }
    };
    let mut members: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_slice(body).ok()?;
    let texts = members.remove(member).filter(|_| members.is_empty())?;
    texts.into_iter().map(|text| Some((serde_json::from_str(text.get()).ok()?, text))).collect()
}

fn key_of(headers: &HeaderMap) -> String {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    key.unwrap_or_default().to_owned()
}

fn reply(status: StatusCode, body: &Value) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .map_err(io::Error::other)
}

fn retry_later(status: StatusCode, seconds: u64) -> Reply {
    Response::builder()
        .status(status)
        .header("retry-after", seconds)
        .body(Full::default())
        .map_err(io::Error::other)
}

fn html() -> Reply {
    Response::builder()
        .header("content-type", "text/html")
        .body(Full::from("<!doctype html><title>Sign in</title><form></form>"))
        .map_err(io::Error::other)
}
