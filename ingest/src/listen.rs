//! Connections: accepted up to a bound, served as HTTP/1.1 or HTTP/2, drained without a cut.
//!
//! HTTP/2 is taken with prior knowledge (RFC 9113, section 3.3); TLS and its negotiation belong to
//! the load balancer in front. hyper frames and parses; what it is told here are the bounds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

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

/// Accepts connections until told to stop, and returns what can drain those still open.
pub(crate) async fn accept(
    listener: TcpListener,
    front: Arc<Front>,
    max_connections: usize,
    header_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) -> GracefulShutdown {
    let open = Arc::new(Semaphore::new(max_connections));
    let builder = Arc::new(builder(header_timeout));
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
                    builder: Arc::clone(&builder),
                    header_timeout,
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

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(READ_BUFFER_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

struct Connection {
    front: Arc<Front>,
    builder: Arc<Builder<TokioExecutor>>,
    header_timeout: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, watcher: hyper_util::server::graceful::Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = as_dyn(&error), "cannot set TCP_NODELAY");
        }
        let first_request = Notify::new();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            first_request.notify_one();
            let front = Arc::clone(&self.front);
            // hyper keeps room for this future as long as the connection lives: boxed, an idle one has a pointer.
            let answer = Box::pin(answer(front, request));
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connections = self.front.metrics.connections.clone();
        connections.inc();
        // Boxed where it is made, or the task would have room for it twice.
        let mut served =
            Box::pin(watcher.watch(self.builder.serve_connection(TokioIo::new(stream), service)));
        // hyper's own timer begins with the version known, which a silent client never tells.
        let begun = tokio::select! {
            result = &mut served => Some(result),
            first = timeout(self.header_timeout, first_request.notified()) => {
                first.err().map(|_elapsed| Ok(()))
            }
        };
        let result = match begun {
            Some(result) => result,
            None => served.await,
        };
        connections.dec();
        if let Err(error) = result {
            // Clients vanish and speak badly; that is their business and no trouble of ours.
            tracing::trace!(error = error.as_ref(), "connection ended badly");
        }
    }
}

fn as_dyn(error: &std::io::Error) -> &(dyn std::error::Error + 'static) {
    error
}
