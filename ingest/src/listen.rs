//! Connections: accepted up to caps, served as HTTP/1.1 or HTTP/2 within bounds of memory and time, drained without a cut.
//!
//! HTTP/2 is taken where ALPN agreed on it, and on plain connections with prior knowledge (RFC 9113, section 3.3). What a
//! connection passes before HTTP is in [`crate::layers`]. hyper frames and parses; what it is told here are the bounds, which
//! ADR 54 adds up.

mod activity;
mod error;
mod listener;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use self::activity::{Activity, Stall};
pub use self::error::ListenError;
pub use self::listener::{ACCEPT_FAILING, Listener};
pub use self::stream::BoundedStream;
use crate::connection_limiter::{Admission, Cap, ConnectionLimiter, Slot};
use crate::layers::{ConnectionLayers, Peer, Session, Transport};
use crate::reply::{self, Reply};
use crate::route::{GatewayState, answer, answer_in_reserve};
use crate::settings::GatewaySettings;

/// Longest head of HTTP/1.1. It fits hyper's first buffer: a head that is never finished holds no more than an idle
/// connection does.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Bytes buffered of a body on HTTP/1.1, and of replies whose client does not read.
const BUFFER_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// HTTP/2 lets a client send this much before it is asked for.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
const MAX_STREAMS: u32 = 128;
/// Bytes of a reply that HTTP/2 buffers ahead of its client's window.
const SEND_BUFFER_BYTES: usize = 16 * 1024;
/// Streams that a client may have reset before they were begun, and that were reset for its errors, until the connection is
/// closed (CVE-2023-44487, CVE-2025-8671).
const MAX_RESET_STREAMS: usize = 20;
const MAX_ERROR_STREAMS: usize = 64;
/// HTTP/2 connections that are silent get a ping after this, and as long again to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How HTTP/2 with prior knowledge begins; no method of HTTP/1.1 is called so (RFC 9113, section 3.4).
const PREFACE: &[u8; 3] = b"PRI";
/// Pause when a client has sent less than that.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);
/// How long a connection in the reserve may last.
const RESERVED_LIFETIME: Duration = Duration::from_secs(5);

/// How far the end of the gateway has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DrainStage {
    /// Connections are accepted.
    Open,
    /// No more are; those there are finish what they are at.
    Draining,
    /// Those still there are cut.
    Cut,
}

/// Accepts connections until told to stop, and returns what can drain those still open.
pub(crate) async fn accept(
    mut listener: Listener,
    state: Arc<GatewayState>,
    settings: &GatewaySettings,
    mut drain_stage: watch::Receiver<DrainStage>,
) -> GracefulShutdown {
    let limiter = ConnectionLimiter::new(settings.max_connections, settings.address_share_percent);
    let limiter = Arc::new(limiter);
    let protocols = Arc::new(Protocols::new(settings));
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = reached(&mut drain_stage, DrainStage::Draining) => return graceful,
        };
        let (slot, is_reserved) = match limiter.admit(state.layers.sharer(peer.ip())) {
            Admission::Served(slot) => (slot, false),
            Admission::Reserved(slot, cap) => {
                state.metrics.count_refused_connection(cap.name());
                (slot, true)
            }
            Admission::Closed(cap) => {
                state.metrics.count_refused_connection(cap.name());
                close_unheard(&state.layers, &stream, peer);
                continue;
            }
        };
        let connection = Connection {
            state: Arc::clone(&state),
            protocols: Arc::clone(&protocols),
            drain_stage: drain_stage.clone(),
            is_reserved,
            from: peer,
            slot,
        };
        tokio::spawn(connection.serve(stream, graceful.watcher()));
    }
}

/// Closes a connection past the reserve. What it sent is not read, so the answer may be lost with it; one that expects TLS could
/// not read it.
fn close_unheard(layers: &ConnectionLayers, stream: &TcpStream, peer: SocketAddr) {
    if layers.speaks_tls() {
        return;
    }
    if let Err(error) = stream.try_write(reply::FULL) {
        tracing::trace!(error = as_dyn(&error), %peer, "cannot refuse a connection");
    }
}

/// Waits until a stage is reached, or nobody is left to say so.
async fn reached(drain_stage: &mut watch::Receiver<DrainStage>, wanted: DrainStage) {
    drop(drain_stage.wait_for(|stage| *stage >= wanted).await);
}

/// What hyper is told for each version.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    header_timeout: Duration,
    write_timeout: Duration,
}

impl Protocols {
    fn new(settings: &GatewaySettings) -> Self {
        let &GatewaySettings { header_timeout, write_timeout, .. } = settings;
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(BUFFER_BYTES)
            .max_headers(MAX_HEADERS)
            // A client that has sent all it will send still gets its answer.
            .half_close(true)
            // Replies are short: copied into one piece, they are sent sooner than gathered from two.
            .writev(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(MAX_ERROR_STREAMS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        Self { http1, http2, header_timeout, write_timeout }
    }
}

struct Connection {
    state: Arc<GatewayState>,
    protocols: Arc<Protocols>,
    drain_stage: watch::Receiver<DrainStage>,
    /// It is past a cap.
    is_reserved: bool,
    from: SocketAddr,
    slot: Slot,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = as_dyn(&error), "cannot set TCP_NODELAY");
        }
        let connections = self.state.metrics.connections.clone();
        connections.inc();
        let mut cut = self.drain_stage.clone();
        let result = tokio::select! {
            result = self.converse(stream, watcher) => result,
            () = reached(&mut cut, DrainStage::Cut) => Ok(()),
        };
        connections.dec();
        if let Err(error) = result {
            // Clients vanish and speak badly; that is their business and no trouble of ours.
            tracing::trace!(error = as_dyn(&error), "connection ended badly");
        }
    }

    async fn converse(&mut self, stream: TcpStream, watcher: Watcher) -> hyper::Result<()> {
        let patience =
            if self.is_reserved { RESERVED_LIFETIME } else { self.protocols.header_timeout };
        // Boxed, as it is gone when requests are waited for.
        let opening =
            Box::pin(timeout(patience, open(&self.state, self.from, stream, &mut self.slot)));
        let opened = tokio::select! {
            opened = opening => opened,
            () = reached(&mut self.drain_stage, DrainStage::Draining) => return Ok(()),
        };
        // Turned away, silent or gone otherwise.
        let Ok(Some((Session { stream, peer, .. }, is_http2))) = opened else { return Ok(()) };
        let timed_out = self.state.metrics.timed_out_writes.clone();
        let stream = BoundedStream::new(stream, self.protocols.write_timeout, timed_out);
        let stream = TokioIo::new(stream);
        let peer = Arc::new(peer);
        // Boxed where it is made, or the task would have room for it twice.
        if self.is_reserved {
            let served = Box::pin(self.serve_in_reserve(stream, watcher, is_http2));
            timeout(RESERVED_LIFETIME, served).await.unwrap_or(Ok(()))
        } else if is_http2 {
            self.serve_http2(stream, watcher, &peer).await
        } else {
            let service = service_fn(|request| respond(&self.state, &peer, request));
            Box::pin(watcher.watch(self.protocols.http1.serve_connection(stream, service))).await
        }
    }

    async fn serve_http2(
        &self,
        stream: Io,
        watcher: Watcher,
        peer: &Arc<Peer>,
    ) -> hyper::Result<()> {
        let activity = Activity::new();
        let service = service_fn(|request| {
            let under_way = activity.begin();
            let answer = respond(&self.state, peer, request);
            async move { answer.await.map(|reply| reply.map(|body| under_way.reply(body))) }
        });
        let served = watcher.watch(self.protocols.http2.serve_connection(stream, service));
        let Protocols { header_timeout, write_timeout, .. } = *self.protocols;
        tokio::select! {
            result = Box::pin(served) => result,
            stall = activity.stall(header_timeout, write_timeout) => {
                if stall == Stall::NotReading {
                    self.state.metrics.timed_out_writes.inc();
                }
                Ok(())
            }
        }
    }

    async fn serve_in_reserve(
        &self,
        stream: Io,
        watcher: Watcher,
        is_http2: bool,
    ) -> hyper::Result<()> {
        let service = service_fn(|request| {
            let reply = answer_in_reserve(&self.state, request);
            async move { Ok::<Reply, Infallible>(reply) }
        });
        if is_http2 {
            watcher.watch(self.protocols.http2.serve_connection(stream, service)).await
        } else {
            watcher.watch(self.protocols.http1.serve_connection(stream, service)).await
        }
    }
}

type Io = TokioIo<BoundedStream>;

/// Answers a request. hyper keeps room for the answer's future as long as the connection lives: boxed, an idle
/// one has a pointer.
fn respond(
    state: &Arc<GatewayState>,
    peer: &Arc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Reply, Infallible>> + use<> {
    let answer = Box::pin(answer(Arc::clone(state), Arc::clone(peer), request));
    async move { Ok(answer.await) }
}

/// Takes a connection through the layers, and tells whether it speaks HTTP/2.
async fn open(
    state: &GatewayState,
    from: SocketAddr,
    stream: TcpStream,
    slot: &mut Slot,
) -> Option<(Session, bool)> {
    let attribute = |client| {
        let has_room = slot.attribute(client);
        if !has_room {
            state.metrics.count_refused_connection(Cap::Address.name());
        }
        has_room
    };
    let session = state.layers.enter(stream, from, attribute).await?;
    let is_http2 = match (&session.stream, session.is_http2) {
        (_, Some(is_agreed)) => is_agreed,
        (Transport::Plain(stream), None) => speaks_http2(stream).await.ok()?,
        // Without ALPN it is HTTP/1.1 (RFC 9113, section 3.3).
        (Transport::Tls(_), None) => false,
    };
    Some((session, is_http2))
}

/// Tells by a connection's first bytes, which stay to be read, whether it is HTTP/2.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        if length == 0 || !PREFACE.starts_with(&first[..length]) {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        sleep(PREFACE_PAUSE).await;
    }
}

fn as_dyn<E: std::error::Error + 'static>(error: &E) -> &(dyn std::error::Error + 'static) {
    error
}
