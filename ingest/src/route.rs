//! Routes requests: paths, methods, keys, media types, rate limits, memory budget.
//!
//! Every refusal that does not depend on the body is answered here, before any of it is read.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use tillrace_core::card::holds_card_data;
use tillrace_core::token_bucket::RateExceeded;
use tillrace_log::health::{Health, Readiness};

use crate::ack::LOG_RETRY;
use crate::admitted_request::AdmittedRequest;
use crate::batch_result::Backpressure;
use crate::body::{
    BodyLimits, BodyReader, Encoding, FIRST_STEP_BYTES, GZIP_BYTES, ZSTD_BYTES, drain_body,
};
use crate::clock::Clock;
use crate::domain::{DomainPlace, DomainState};
use crate::identity::Scope;
use crate::layers::{ConnectionLayers, Peer};
use crate::metrics::{Metrics, Route};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::retry_after::Jitter;
use crate::settings::GatewaySettings;
use crate::split::Format;
use crate::tenant::{Principal, Tenants};
use crate::{authentication, batch, head, media, single};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Wait for a client whose connection is over a cap.
const CONNECTION_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// The state that all requests share.
pub(crate) struct GatewayState {
    pub(crate) metrics: Metrics,
    pub(crate) tenants: Tenants,
    clock: Clock,
    /// In the order of the tenants' domains.
    pub(crate) domains: Vec<DomainPlace>,
    pub(crate) layers: ConnectionLayers,
    process: Health,
    jitter: Jitter,
    admission_wait: std::time::Duration,
    body_limits: BodyLimits,
}

impl GatewayState {
    pub(crate) fn new(
        settings: &GatewaySettings,
        layers: ConnectionLayers,
        (tenants, clock): (Tenants, Clock),
        domains: Vec<DomainPlace>,
        process: Health,
        metrics: Metrics,
    ) -> Self {
        Self {
            metrics,
            tenants,
            clock,
            domains,
            layers,
            process,
            jitter: Jitter::new(),
            admission_wait: settings.admission_wait,
            body_limits: BodyLimits::from(settings),
        }
    }

    /// Returns whether the process should get traffic, and what is the matter with it and with each of its domains.
    pub(crate) fn readiness(&self) -> Readiness {
        let domains: Vec<_> = self.domains.iter().filter_map(DomainPlace::readiness).collect();
        match self.domains.first() {
            Some(whole) if domains.is_empty() => whole.health.readiness(),
            _ => self.process.readiness().with_domains(domains),
        }
    }
}

/// Answers one request, and counts it.
pub(crate) async fn answer(
    state: Arc<GatewayState>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Reply {
    let began = Instant::now();
    let route = Route::of(request.uri().path());
    if let Some(problem) = head::fault(&request) {
        // The rest is not read: the end of the request cannot be trusted.
        let reply = with_close(reply::problem(problem, None));
        state.metrics.count_request(route, reply.status(), began.elapsed());
        return reply;
    }
    let mut metrics = &state.metrics;
    let reply = match route {
        Route::Single => post(&state, &peer, request, Endpoint::Single, &mut metrics).await,
        Route::Batch => post(&state, &peer, request, Endpoint::Batch, &mut metrics).await,
        Route::Health => get(&request, || health(&state)),
        Route::Ready => get(&request, || ready(&state)),
        Route::Other => {
            dismiss(request);
            reply::problem(Problem::NotFound, None)
        }
    };
    metrics.count_request(route, reply.status(), began.elapsed());
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

/// What a route demands of who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: anybody may see it.
    Public,
    /// A credential with this scope.
    Scoped(Scope),
}

/// Returns what a route demands. Each route stands here, or this does not compile; a test walks through all of them.
pub(crate) fn access(route: Route) -> Access {
    match route {
        Route::Single | Route::Batch => Access::Scoped(Scope::EventsWrite),
        Route::Health | Route::Ready | Route::Other => Access::Public,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Single,
    Batch,
}

impl Endpoint {
    fn access(self) -> Access {
        access(match self {
            Self::Single => Route::Single,
            Self::Batch => Route::Batch,
        })
    }
}

/// Answers a request with events. `metrics` become those of the domain that it is for, once that is known.
async fn post<'a>(
    state: &'a GatewayState,
    peer: &Peer,
    request: Request<Incoming>,
    endpoint: Endpoint,
    metrics: &mut &'a Metrics,
) -> Reply {
    if request.method() != Method::POST {
        dismiss(request);
        return reply::method_not_allowed("POST");
    }
    let caller = match identify(state, peer, request.headers(), endpoint.access()) {
        Ok(caller) => caller,
        Err(problem) => return refuse(request, problem),
    };
    let Some(place) = state.domains.get(caller.tenant.domain) else {
        return refuse(request, Problem::Unauthorized);
    };
    *metrics = &place.metrics;
    let Some(domain) = place.state() else {
        place.metrics.count_backpressure(Backpressure::Unavailable(LOG_RETRY).name());
        dismiss(request);
        let seconds = state.jitter.retry_after_seconds(LOG_RETRY);
        return reply::problem(Problem::Unavailable, Some(seconds));
    };
    match admit(state, domain, caller, request, endpoint).await {
        Err(refusal) => refusal,
        Ok(admitted) => match endpoint {
            Endpoint::Single => single::take(domain, admitted).await,
            Endpoint::Batch => batch::take(&state.tenants, domain, admitted).await,
        },
    }
}

async fn admit(
    state: &GatewayState,
    domain: &DomainState,
    caller: Principal,
    request: Request<Incoming>,
    endpoint: Endpoint,
) -> Result<AdmittedRequest, Reply> {
    let headers = request.headers();
    let Some(format) = format(headers, endpoint) else {
        return Err(refuse(request, Problem::UnsupportedMediaType));
    };
    let Some(encoding) = media::encoding(headers) else {
        return Err(refuse(request, Problem::UnsupportedEncoding));
    };
    if let Err(RateExceeded { wait }) = caller.can_charge(domain.clock.now().steady_ns) {
        return Err(defer(domain, request, Backpressure::RateLimited(wait)));
    }
    if !domain.publisher.log.admits_request() {
        return Err(defer(domain, request, Backpressure::Unavailable(LOG_RETRY)));
    }
    let bytes = first_permit_bytes(headers, encoding);
    let acquired =
        domain.budget.acquire(Arc::clone(caller.holder()), bytes, state.admission_wait).await;
    let Ok(permit) = acquired else {
        return Err(defer(domain, request, Backpressure::MemoryLimit));
    };
    let traceparent = traceparent(headers);
    let Ok(body) = BodyReader::new(request.into_body(), encoding, state.body_limits) else {
        return Err(retry_later(domain, Backpressure::MemoryLimit));
    };
    Ok(AdmittedRequest { caller, format, body, traceparent, permit })
}

/// Returns the caller, if it is let in from where it is, is who its key is bound to, and has the scope of the route.
fn identify(
    state: &GatewayState,
    peer: &Peer,
    headers: &HeaderMap,
    access: Access,
) -> Result<Principal, Problem> {
    let address = state.layers.client_address(peer, headers);
    state.layers.check_listener(address)?;
    let caller = authentication::authenticate(&state.tenants, headers, state.clock.now())?;
    for (list, rules) in caller.addresses() {
        state.layers.check(list, rules, address)?;
    }
    if !caller.admits_peer(peer.identity.as_ref()) {
        return Err(Problem::ClientCertificateRequired);
    }
    match access {
        Access::Scoped(scope) if !caller.has(scope) => Err(Problem::ScopeMissing),
        Access::Scoped(_) | Access::Public => Ok(caller),
    }
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
fn defer(domain: &DomainState, request: Request<Incoming>, backpressure: Backpressure) -> Reply {
    dismiss(request);
    retry_later(domain, backpressure)
}

fn retry_later(domain: &DomainState, backpressure: Backpressure) -> Reply {
    domain.metrics.count_backpressure(backpressure.name());
    let seconds = domain.jitter.retry_after_seconds(backpressure.wait());
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
    let readiness = state.readiness();
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
