//! From a request to its reply: paths, methods, keys, media types, credit.
//!
//! Everything that can be said without reading the body is said here, before any of it is read.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tillrace_core::card::holds_card_data;
use tillrace_core::log::{Log, LogError};
use tillrace_core::token_bucket::RateExceeded;
use tillrace_core::topics::Topics;

use crate::body::{
    BodyLimits, BodyReader, Encoding, FIRST_STEP_BYTES, GZIP_BYTES, ZSTD_BYTES, linger,
};
use crate::clock::Clock;
use crate::credit::{Credit, Lease};
use crate::health::Health;
use crate::intake::Intake;
use crate::log_health::LogHealth;
use crate::metrics::{Metrics, Route};
use crate::pace::Jitter;
use crate::problem::Problem;
use crate::publish::Publisher;
use crate::reply::{self, Reply};
use crate::settings::GatewaySettings;
use crate::settle::LOG_RETRY;
use crate::split::Format;
use crate::tally::Setback;
use crate::tenant::{Caller, Tenants};
use crate::{batch, head, media, single};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest wait named to a client that found no place for its connection.
const CONNECTION_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// Everything that requests share.
pub(crate) struct Front {
    pub(crate) intake: Intake,
    pub(crate) publisher: Publisher,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) jitter: Jitter,
    pub(crate) clock: Clock,
    /// By tenant: events accepted, duplicate, rejected, put off.
    pub(crate) counters: Vec<[Counter; 4]>,
    tenants: Tenants,
    credit: Arc<Credit>,
    admission_wait: std::time::Duration,
    body_limits: BodyLimits,
}

impl Front {
    pub(crate) fn new(
        settings: &GatewaySettings,
        log: &dyn Log,
        topics: Topics,
        tenants: Tenants,
        health: Arc<Health>,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let credit = Arc::new(Credit::new(
            settings.in_flight.as_u64(),
            [settings.tenant_share_percent, settings.key_share_percent],
            tenants.iter().map(|tenant| tenant.settings.keys.len()),
            metrics.in_flight_bytes.clone(),
        ));
        Ok(Self {
            intake: Intake::new(
                settings,
                topics,
                log.partitions(),
                Arc::clone(&credit),
                Arc::clone(&health),
            ),
            publisher: Publisher {
                producer: log.producer()?,
                health: Arc::clone(&health),
                log: Arc::new(LogHealth::new(log.partitions(), clock.clone())),
                clock: clock.clone(),
                queue_wait: settings.queue_wait,
                publish_timeout: settings.publish_timeout,
            },
            health,
            counters: tenants.iter().map(|tenant| metrics.of_tenant(&tenant.settings.id)).collect(),
            metrics,
            jitter: Jitter::new(),
            clock,
            tenants,
            credit,
            admission_wait: settings.admission_wait,
            body_limits: BodyLimits::from(settings),
        })
    }
}

/// Answers one request, and counts it.
pub(crate) async fn answer(front: Arc<Front>, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    if let Some(problem) = head::fault(&request) {
        // What follows is not read on: where the request ends is not to be trusted.
        let reply = with_close(reply::problem(problem, None));
        front.metrics.count_request(route, reply.status(), began.elapsed());
        return reply;
    }
    let reply = match route {
        Route::Single => post(&front, request, Endpoint::Single).await,
        Route::Batch => post(&front, request, Endpoint::Batch).await,
        Route::Health => get(&request, || health(&front)),
        Route::Ready => get(&request, || ready(&front)),
        Route::Other => {
            dismiss(request);
            reply::problem(Problem::NotFound, None)
        }
    };
    front.metrics.count_request(route, reply.status(), began.elapsed());
    reply
}

/// Answers a request on a connection past a cap: health checks as ever, all else with the wish to come back.
pub(crate) fn answer_in_reserve(front: &Front, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    let reply = match route {
        Route::Health => get(&request, || health(front)),
        Route::Ready => get(&request, || ready(front)),
        Route::Single | Route::Batch | Route::Other => {
            front.metrics.count_turned_away("connections");
            dismiss(request);
            let seconds = front.jitter.retry_after_seconds(CONNECTION_RETRY);
            reply::problem(Problem::Unavailable, Some(seconds))
        }
    };
    front.metrics.count_request(route, reply.status(), began.elapsed());
    with_close(reply)
}

fn with_close(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Single,
    Batch,
}

/// A request to take events, admitted.
pub(crate) struct Admitted<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) format: Format,
    pub(crate) body: BodyReader,
    pub(crate) traceparent: Option<String>,
    pub(crate) lease: Lease,
}

async fn post(front: &Front, request: Request<Incoming>, endpoint: Endpoint) -> Reply {
    if request.method() != Method::POST {
        dismiss(request);
        return reply::method_not_allowed("POST");
    }
    match admit(front, request, endpoint).await {
        Err(turned_down) => turned_down,
        Ok(admitted) => match endpoint {
            Endpoint::Single => single::take(front, admitted).await,
            Endpoint::Batch => batch::take(front, admitted).await,
        },
    }
}

async fn admit(
    front: &Front,
    request: Request<Incoming>,
    endpoint: Endpoint,
) -> Result<Admitted<'_>, Reply> {
    let headers = request.headers();
    let caller = match front.tenants.caller(headers) {
        Ok(caller) => caller,
        Err(problem) => return Err(turn_down(request, problem)),
    };
    let Some(format) = format(headers, endpoint) else {
        return Err(turn_down(request, Problem::UnsupportedMediaType));
    };
    let Some(encoding) = media::encoding(headers) else {
        return Err(turn_down(request, Problem::UnsupportedEncoding));
    };
    if let Err(RateExceeded { wait }) = caller.can_pay(front.clock.now().steady_ns) {
        return Err(put_off(front, request, Setback::Limited(wait)));
    }
    if !front.publisher.log.lets_through() {
        return Err(put_off(front, request, Setback::Unavailable(LOG_RETRY)));
    }
    let bytes = first_lease_bytes(headers, encoding);
    let leased = front.credit.lease(caller.holder(), bytes, front.admission_wait).await;
    let Ok(lease) = leased else {
        return Err(put_off(front, request, Setback::NoCredit));
    };
    let traceparent = traceparent(headers);
    let Ok(body) = BodyReader::new(request.into_body(), encoding, front.body_limits) else {
        return Err(come_back(front, Setback::NoCredit));
    };
    Ok(Admitted { caller, format, body, traceparent, lease })
}

/// Credit that a body needs before any of it has come: for all of it if it is short, else for a first step; a decoder
/// besides. It grows with the body.
fn first_lease_bytes(headers: &HeaderMap, encoding: Encoding) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(u64::MAX);
    match encoding {
        Encoding::Identity => length.min(FIRST_STEP_BYTES as u64),
        Encoding::Gzip => (FIRST_STEP_BYTES + GZIP_BYTES) as u64,
        Encoding::Zstd => (FIRST_STEP_BYTES + ZSTD_BYTES) as u64,
    }
}

/// Tells how events follow one another; a single one is taken as an array's only element would be.
fn format(headers: &HeaderMap, endpoint: Endpoint) -> Option<Format> {
    match endpoint {
        Endpoint::Single => media::is_json(headers).then_some(Format::Array),
        Endpoint::Batch => media::batch_format(headers),
    }
}

/// Takes a `traceparent` of version 00 (W3C Trace Context, section 3.2.2). Ids of zeros are none, and of two headers none
/// is the right one.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let parts: Vec<&str> = value.split('-').collect();
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|b| b != b'0');
    let [version, trace, parent, flags] = parts.as_slice() else { return None };
    let valid = *version == "00" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    // It is kept with the event, and digits are hexadecimal too.
    (valid && !holds_card_data(value)).then(|| value.to_owned())
}

fn turn_down(request: Request<Incoming>, problem: Problem) -> Reply {
    dismiss(request);
    reply::problem(problem, None)
}

/// Puts off a request of which nothing was read.
fn put_off(front: &Front, request: Request<Incoming>, setback: Setback) -> Reply {
    dismiss(request);
    come_back(front, setback)
}

fn come_back(front: &Front, setback: Setback) -> Reply {
    front.metrics.count_turned_away(setback.name());
    let seconds = front.jitter.retry_after_seconds(setback.wait());
    reply::problem(setback.problem(), Some(seconds))
}

/// Lets go of a request whose body is not wanted. A client that asked first is not invited to send.
fn dismiss(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        linger(request.into_body());
    }
}

fn get(request: &Request<Incoming>, reply: impl FnOnce() -> Reply) -> Reply {
    match *request.method() {
        Method::GET | Method::HEAD => reply(),
        _ => reply::method_not_allowed("GET, HEAD"),
    }
}

fn health(_front: &Front) -> Reply {
    #[derive(serde::Serialize)]
    struct Alive {
        status: &'static str,
    }
    reply::with_json(StatusCode::OK, &Alive { status: "alive" })
}

fn ready(front: &Front) -> Reply {
    let readiness = front.health.readiness();
    let status =
        if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::with_json(status, &readiness)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_body_is_admitted_by_its_first_step() {
        let of = |length, encoding| {
            first_lease_bytes(&headers(&[("content-length", length)]), encoding) / 1024
        };
        assert_eq!(of("2048", Encoding::Identity), 2);
        assert_eq!(of("99999999", Encoding::Identity), 16);
        assert_eq!(of("", Encoding::Identity), 16);
        assert_eq!(of("912", Encoding::Gzip), 80);
        assert_eq!(of("912", Encoding::Zstd), 304);
    }

    #[test]
    fn a_traceparent_is_taken_only_when_it_is_one() {
        let of = |value| traceparent(&headers(&[("traceparent", value)]));
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(of(good), Some(good.to_owned()));
        assert_eq!(of("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), None);
        assert_eq!(of("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), None);
        assert_eq!(of("00-0af7-b7ad6b7169203331-01"), None);
        assert_eq!(of("00-00000000000000004111111111111111-b7ad6b7169203331-01"), None);
        assert_eq!(of("00-0af7651916cd43dd8448eb211c80319c-4111111111111111-01"), None);
        assert_eq!(of("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
        assert_eq!(of("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"), None);
        let twice = headers(&[("traceparent", good); 2]);
        assert_eq!(traceparent(&twice), None);
    }
}
