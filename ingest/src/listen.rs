//! Connections: accepted up to a bound, served as HTTP/1.1 or HTTP/2, drained without a cut.
//!
//! HTTP/2 is taken with prior knowledge (RFC 9113, section 3.3); TLS and its negotiation belong to
//! the load balancer in front. hyper frames and parses; what it is told here are the bounds.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::reply::Reply;
use crate::route::{Front, answer};

/// Bytes buffered of a connection, which bounds the head of a request too.
const READ_BUFFER_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;
/// HTTP/2 lets a client send this much before it is asked for.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
const MAX_STREAMS: u32 = 128;
/// HTTP/2 connections that are silent get a ping after this, and as long again to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Pause when the process has no file descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How HTTP/2 with prior knowledge begins; no method of HTTP/1.1 is called so (RFC 9113, section 3.4).
const PREFACE: &[u8; 3] = b"PRI";
/// Pause when a client has sent less than that.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// Accepts connections until told to stop, and returns what can drain those still open.
pub(crate) async fn accept(
    listener: TcpListener,
    front: Arc<Front>,
    max_connections: usize,
    header_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) -> GracefulShutdown {
    let open = Arc::new(Semaphore::new(max_connections));
    let protocols = Arc::new(Protocols::new(header_timeout));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&open).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = told_to(&mut stop) => return graceful,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let connection = Connection {
                    front: Arc::clone(&front),
                    protocols: Arc::clone(&protocols),
                    stop: stop.clone(),
                    _permit: permit,
                };
                tokio::spawn(connection.serve(stream, graceful.watcher()));
            }
            Err(error) => {
                tracing::warn!(error = as_dyn(&error), "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits until told to stop, or nobody is left to tell.
async fn told_to(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// What hyper is told for each version.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    header_timeout: Duration,
}

impl Protocols {
    fn new(header_timeout: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(READ_BUFFER_BYTES)
            .max_headers(MAX_HEADERS)
            // Replies are short: copied into one piece, they are sent sooner than gathered from two.
            .writev(false);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        Self { http1, http2, header_timeout }
    }
}

struct Connection {
    front: Arc<Front>,
    protocols: Arc<Protocols>,
    stop: watch::Receiver<bool>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = as_dyn(&error), "cannot set TCP_NODELAY");
        }
        let connections = self.front.metrics.connections.clone();
        connections.inc();
        let spoken = tokio::select! {
            spoken = timeout(self.protocols.header_timeout, speaks_http2(&stream)) => spoken,
            () = told_to(&mut self.stop) => Ok(Err(io::ErrorKind::Interrupted.into())),
        };
        let result = match spoken {
            Ok(Ok(false)) => self.serve_http1(stream, watcher).await,
            Ok(Ok(true)) => self.serve_http2(stream, watcher).await,
            // Silent, gone, or not begun when it is time to go.
            Ok(Err(_)) | Err(_) => Ok(()),
        };
        connections.dec();
        if let Err(error) = result {
            // Clients vanish and speak badly; that is their business and no trouble of ours.
            tracing::trace!(error = as_dyn(&error), "connection ended badly");
        }
    }

    async fn serve_http1(&self, stream: TcpStream, watcher: Watcher) -> hyper::Result<()> {
        let service = service_fn(|request| respond(&self.front, request));
        // Boxed where it is made, or the task would have room for it twice.
        let stream = TokioIo::new(stream);
        Box::pin(watcher.watch(self.protocols.http1.serve_connection(stream, service))).await
    }

    async fn serve_http2(&self, stream: TcpStream, watcher: Watcher) -> hyper::Result<()> {
        let requests = Requests::new();
        let service = service_fn(|request| {
            let under_way = requests.begin();
            let answer = respond(&self.front, request);
            async move {
                let _under_way = under_way;
                answer.await
            }
        });
        let stream = TokioIo::new(stream);
        let served = watcher.watch(self.protocols.http2.serve_connection(stream, service));
        // hyper's own timer is for the heads of HTTP/1.1.
        tokio::select! {
            result = Box::pin(served) => result,
            () = requests.silence(self.protocols.header_timeout) => Ok(()),
        }
    }
}

/// The requests of an HTTP/2 connection.
struct Requests(Arc<Mutex<Activity>>);

struct Activity {
    under_way: usize,
    /// When the last one ended.
    silent_since: Instant,
}

/// A request; it ends when this is dropped.
struct UnderWay(Arc<Mutex<Activity>>);

impl Requests {
    fn new() -> Self {
        let activity = Activity { under_way: 0, silent_since: Instant::now() };
        Self(Arc::new(Mutex::new(activity)))
    }

    fn begin(&self) -> UnderWay {
        self.0.lock().under_way += 1;
        UnderWay(Arc::clone(&self.0))
    }

    /// Waits until no request has been under way for so long.
    async fn silence(&self, wait: Duration) {
        loop {
            let now = Instant::now();
            let since = {
                let activity = self.0.lock();
                if activity.under_way > 0 { now } else { activity.silent_since }
            };
            if now >= since + wait {
                return;
            }
            sleep_until(since + wait).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut activity = self.0.lock();
        activity.under_way -= 1;
        activity.silent_since = Instant::now();
    }
}

/// Answers a request. hyper keeps room for the answer's future as long as the connection lives: boxed, an idle
/// one has a pointer.
fn respond(
    front: &Arc<Front>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Reply, Infallible>> + use<> {
    let answer = Box::pin(answer(Arc::clone(front), request));
    async move { Ok(answer.await) }
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
