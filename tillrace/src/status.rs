//! `/healthz` and `/metrics` of a process that has no gateway.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page, being served until it is dropped.
pub(crate) struct Status {
    local_addr: SocketAddr,
    acceptor: JoinHandle<()>,
}

impl Status {
    /// Listens on an address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub(crate) async fn start(listen: SocketAddr, registry: Registry) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let local_addr = listener.local_addr()?;
        let acceptor = tokio::spawn(accept(listener, Arc::new(registry)));
        Ok(Self { local_addr, acceptor })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, registry: Arc<Registry>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the status page failed");
                continue;
            }
        };
        let registry = Arc::clone(&registry);
        let service = service_fn(move |request| {
            let response = answer(&request, &registry);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the status page ended");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => reply(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        (&Method::GET, "/metrics") => {
            let mut metrics = String::new();
            match text::encode(&mut metrics, registry) {
                Ok(()) => reply(StatusCode::OK, METRICS_TYPE, metrics),
                Err(_format) => {
                    reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new())
                }
            }
        }
        _ => reply(StatusCode::NOT_FOUND, "text/plain", "try /healthz or /metrics\n".to_owned()),
    }
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
