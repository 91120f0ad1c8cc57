//! The status listener: `/healthz`, `/readyz` and `/metrics` of this process, whatever roles it has.
//!
//! It has an address of its own, so that a flood at the gateway cannot mute it, and so that what is said of the
//! process stays inside. It listens before the log is opened: a long recovery is a process that starts, not a dead one.

mod page;
pub(crate) mod settings;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tillrace_ingest::{BoundedStream, ConnectionLayers, ListenError, Listener, Transport};
use tillrace_log::health::{Health, Readiness};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::page::MetricsPage;
use crate::lines::DEFECT;

/// Monitoring and probes need a few; more are closed.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Longest wait for a request, an idle connection's included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a client to take any part of its reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes buffered of a connection: no request here is long.
const BUFFER_BYTES: usize = 8 * 1024;

const JSON: &str = "application/json";
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The listener; it answers until it is dropped.
pub(crate) struct Status {
    local_addr: SocketAddr,
    speaks_tls: bool,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    /// What is told until the roles have started.
    starting: TellReadiness,
    started: OnceLock<Started>,
}

/// What can be told once the roles have started.
struct Started {
    metrics: MetricsPage,
    readiness: TellReadiness,
}

type TellReadiness = Box<dyn Fn() -> Readiness + Send + Sync>;

impl Status {
    /// Listens on an address behind layers of its own; tells what `starting` finds out, and no metrics, until
    /// [`Status::expose`] is called. `health` is that of the process, told of connections that cannot be accepted.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) fn start(
        address: SocketAddr,
        layers: ConnectionLayers,
        health: Health,
        starting: impl Fn() -> Readiness + Send + Sync + 'static,
    ) -> Result<Self, ListenError> {
        let listener = Listener::bind(address, health, "status")?;
        let local_addr = listener.local_addr();
        let shared = Arc::new(Shared { starting: Box::new(starting), started: OnceLock::new() });
        let speaks_tls = layers.speaks_tls();
        let acceptor = tokio::spawn(accept(listener, Arc::new(layers), Arc::clone(&shared)));
        Ok(Self { local_addr, speaks_tls, shared, acceptor })
    }

    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns where it is asked.
    pub(crate) fn url(&self) -> String {
        url(self.speaks_tls, self.local_addr)
    }

    /// Tells of the metrics in `registry` from now on, and of what `readiness` finds out.
    pub(crate) fn expose(
        &self,
        registry: Registry,
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    ) {
        let metrics = MetricsPage::new(registry);
        let started = Started { metrics, readiness: Box::new(readiness) };
        if self.shared.started.set(started).is_err() {
            tracing::warn!(code = DEFECT.code, "the metrics are exposed already");
        }
    }
}

impl Status {
    /// Tells of the metrics in another registry too.
    pub(crate) fn add(&self, registry: Registry) {
        if let Some(started) = self.shared.started.get() {
            started.metrics.add(registry);
        }
    }
}

/// Returns the beginning of a listener's URLs.
pub(crate) fn url(speaks_tls: bool, address: SocketAddr) -> String {
    let scheme = if speaks_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

impl Drop for Status {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(mut listener: Listener, layers: Arc<ConnectionLayers>, shared: Arc<Shared>) {
    let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, from) = listener.accept().await;
        let Ok(permit) = Arc::clone(&open).try_acquire_owned() else { continue };
        let (layers, shared) = (Arc::clone(&layers), Arc::clone(&shared));
        tokio::spawn(async move {
            if let Some(session) = layers.enter(stream, from, |_client| true).await {
                serve(session.stream, &shared).await;
            }
            drop(permit);
        });
    }
}

async fn serve(stream: Transport, shared: &Shared) {
    let service = service_fn(|request| {
        let reply = answer(&request, shared);
        async move { Ok::<_, Infallible>(reply) }
    });
    let stream = BoundedStream::new(stream, WRITE_TIMEOUT, Counter::default());
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::trace!(%error, "a connection to the status listener ended badly");
    }
}

fn answer<B>(request: &Request<B>, shared: &Shared) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/healthz" => reply(StatusCode::OK, JSON, r#"{"status":"alive"}"#),
        "/readyz" => ready(shared),
        "/metrics" => metrics(shared),
        _ => reply(StatusCode::NOT_FOUND, TEXT, "try /healthz, /readyz or /metrics\n"),
    }
}

fn ready(shared: &Shared) -> Response<Full<Bytes>> {
    let started = shared.started.get();
    let readiness = started.map_or_else(|| (shared.starting)(), |started| (started.readiness)());
    let status =
        if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // Plain data, which cannot fail to be serialised.
    reply(status, JSON, serde_json::to_vec(&readiness).unwrap_or_default())
}

fn metrics(shared: &Shared) -> Response<Full<Bytes>> {
    match shared.started.get() {
        Some(started) => reply(StatusCode::OK, METRICS_TYPE, started.metrics.at(Instant::now())),
        None => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the process is starting\n"),
    }
}

fn reply(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
