//! Routes requests: paths, methods, keys, media types, rate limits, memory budget.
//!
//! Every refusal that does not depend on the body is answered here, before any of it is read.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tillrace_core::card::holds_card_data;
use tillrace_core::token_bucket::RateExceeded;
use tillrace_core::topics::Topics;
use tillrace_log::{Log, LogError};

use crate::ack::LOG_RETRY;
use crate::admission::AdmissionPipeline;
use crate::batch_result::Backpressure;
use crate::body::{
    BodyLimits, BodyReader, Encoding, FIRST_STEP_BYTES, GZIP_BYTES, ZSTD_BYTES, drain_body,
};
use crate::clock::Clock;
use crate::health::GatewayHealth;
use crate::log_health::LogHealth;
use crate::memory_budget::{MemoryBudget, MemoryPermit};
use crate::metrics::{Metrics, Route};
use crate::problem::Problem;
use crate::publish::Publisher;
use crate::reply::{self, Reply};
use crate::retry_after::Jitter;
use crate::settings::GatewaySettings;
use crate::split::Format;
use crate::tenant::{Caller, Tenants};
use crate::{batch, head, media, single};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Wait for a client whose connection is over a cap.
const CONNECTION_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// The state that all requests share.
pub(crate) struct GatewayState {
    pub(crate) admission: AdmissionPipeline,
    pub(crate) publisher: Publisher,
    pub(crate) health: Arc<GatewayHealth>,
    pub(crate) metrics: Metrics,
    pub(crate) jitter: Jitter,
    pub(crate) clock: Clock,
    /// By tenant: events accepted, duplicate, rejected, deferred.
    pub(crate) counters: Vec<[Counter; 5]>,
    tenants: Tenants,
    budget: Arc<MemoryBudget>,
    admission_wait: std::time::Duration,
    body_limits: BodyLimits,
}

impl GatewayState {
    pub(crate) fn new(
        settings: &GatewaySettings,
        log: &dyn Log,
        topics: Topics,
        tenants: Tenants,
        health: Arc<GatewayHealth>,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Self, LogError> {
        let budget = Arc::new(MemoryBudget::new(
            settings.in_flight.as_u64(),
            [settings.tenant_share_percent, settings.key_share_percent],
            tenants.iter().map(|tenant| tenant.settings.keys.len()),
            metrics.in_flight_bytes.clone(),
        ));
        Ok(Self {
            admission: AdmissionPipeline::new(
                settings,
                topics,
                log.partitions(),
                Arc::clone(&budget),
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
            budget,
            admission_wait: settings.admission_wait,
            body_limits: BodyLimits::from(settings),
        })
    }
}

/// Answers one request, and counts it.
pub(crate) async fn answer(state: Arc<GatewayState>, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    if let Some(problem) = head::fault(&request) {
        // The rest is not read: the end of the request cannot be trusted.
        let reply = with_close(reply::problem(problem, None));
        state.metrics.count_request(route, reply.status(), began.elapsed());
        return reply;
    }
    let reply = match route {
        Route::Single => post(&state, request, Endpoint::Single).await,
        Route::Batch => post(&state, request, Endpoint::Batch).await,
        Route::Health => get(&request, || health(&state)),
        Route::Ready => get(&request, || ready(&state)),
        Route::Other => {
            dismiss(request);
            reply::problem(Problem::NotFound, None)
        }
    };
    state.metrics.count_request(route, reply.status(), began.elapsed());
    reply
}

/// Answers a request on a connection over a cap: health checks as usual, all others with `Retry-After`.
pub(crate) fn answer_in_reserve(state: &GatewayState, request: Request<Incoming>) -> Reply {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    let reply = match route {
        Route::Health => get(&request, || health(state)),
        Route::Ready => get(&request, || ready(state)),
        Route::Single | Route::Batch | Route::Other => {
            state.metrics.count_backpressure("connections");
            dismiss(request);
            let seconds = state.jitter.retry_after_seconds(CONNECTION_RETRY);
            reply::problem(Problem::Unavailable, Some(seconds))
        }
    };
    state.metrics.count_request(route, reply.status(), began.elapsed());
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

/// An admitted request with events.
pub(crate) struct AdmittedRequest<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) format: Format,
    pub(crate) body: BodyReader,
    pub(crate) traceparent: Option<String>,
    pub(crate) permit: MemoryPermit,
}

async fn post(state: &GatewayState, request: Request<Incoming>, endpoint: Endpoint) -> Reply {
    if request.method() != Method::POST {
        dismiss(request);
        return reply::method_not_allowed("POST");
    }
    match admit(state, request, endpoint).await {
        Err(refusal) => refusal,
        Ok(admitted) => match endpoint {
            Endpoint::Single => single::take(state, admitted).await,
            Endpoint::Batch => batch::take(state, admitted).await,
        },
    }
}

async fn admit(
    state: &GatewayState,
    request: Request<Incoming>,
    endpoint: Endpoint,
) -> Result<AdmittedRequest<'_>, Reply> {
    let headers = request.headers();
    let caller = match state.tenants.caller(headers) {
        Ok(caller) => caller,
        Err(problem) => return Err(refuse(request, problem)),
    };
    let Some(format) = format(headers, endpoint) else {
        return Err(refuse(request, Problem::UnsupportedMediaType));
    };
    let Some(encoding) = media::encoding(headers) else {
        return Err(refuse(request, Problem::UnsupportedEncoding));
    };
    if let Err(RateExceeded { wait }) = caller.can_charge(state.clock.now().steady_ns) {
        return Err(defer(state, request, Backpressure::RateLimited(wait)));
    }
    if !state.publisher.log.admits_request() {
        return Err(defer(state, request, Backpressure::Unavailable(LOG_RETRY)));
    }
    let bytes = first_permit_bytes(headers, encoding);
    let acquired = state.budget.acquire(caller.holder(), bytes, state.admission_wait).await;
    let Ok(permit) = acquired else {
        return Err(defer(state, request, Backpressure::MemoryLimit));
    };
    let traceparent = traceparent(headers);
    let Ok(body) = BodyReader::new(request.into_body(), encoding, state.body_limits) else {
        return Err(retry_later(state, Backpressure::MemoryLimit));
    };
    Ok(AdmittedRequest { caller, format, body, traceparent, permit })
}

/// Returns the budget that a body needs before it is read: for all of it if it is short, otherwise for a first step, and
/// for its decoder. The permit grows with the body.
fn first_permit_bytes(headers: &HeaderMap, encoding: Encoding) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(u64::MAX);
    match encoding {
        Encoding::Identity => length.min(FIRST_STEP_BYTES as u64),
        Encoding::Gzip => (FIRST_STEP_BYTES + GZIP_BYTES) as u64,
        Encoding::Zstd => (FIRST_STEP_BYTES + ZSTD_BYTES) as u64,
    }
}

/// Returns the format of the body; a single event is read like the only element of an array.
fn format(headers: &HeaderMap, endpoint: Endpoint) -> Option<Format> {
    match endpoint {
        Endpoint::Single => media::is_json(headers).then_some(Format::Array),
        Endpoint::Batch => media::batch_format(headers),
    }
}

/// Reads a `traceparent` of version 00 (W3C Trace Context, section 3.2.2). Ids of zeros are invalid, and so are two
/// headers.
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
    // The value is stored with the event, and hexadecimal digits may form a card number.
    (valid && !holds_card_data(value)).then(|| value.to_owned())
}

fn refuse(request: Request<Incoming>, problem: Problem) -> Reply {
    dismiss(request);
    reply::problem(problem, None)
}

/// Defers a request before its body is read.
fn defer(state: &GatewayState, request: Request<Incoming>, backpressure: Backpressure) -> Reply {
    dismiss(request);
    retry_later(state, backpressure)
}

fn retry_later(state: &GatewayState, backpressure: Backpressure) -> Reply {
    state.metrics.count_backpressure(backpressure.name());
    let seconds = state.jitter.retry_after_seconds(backpressure.wait());
    reply::problem(backpressure.problem(), Some(seconds))
}

/// Drains a request whose body is not wanted, unless the client waits for `100 Continue`.
fn dismiss(request: Request<Incoming>) {
    if !request.headers().contains_key(EXPECT) {
        drain_body(request.into_body());
    }
}

fn get(request: &Request<Incoming>, reply: impl FnOnce() -> Reply) -> Reply {
    match *request.method() {
        Method::GET | Method::HEAD => reply(),
        _ => reply::method_not_allowed("GET, HEAD"),
    }
}

fn health(_front: &GatewayState) -> Reply {
    #[derive(serde::Serialize)]
    struct Liveness {
        status: &'static str,
    }
    reply::with_json(StatusCode::OK, &Liveness { status: "alive" })
}

fn ready(state: &GatewayState) -> Reply {
    let readiness = state.health.readiness();
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
            first_permit_bytes(&headers(&[("content-length", length)]), encoding) / 1024
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
