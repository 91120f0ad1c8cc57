//! The HTTP side of a simulated backend.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::books::{BookingOutcome, Books, Item};
use super::faults::{CallFault, FaultInjector, Faults};

const LARGEST_BODY_BYTES: usize = 16 * 1_024 * 1_024;
const RETRY_AFTER_SECONDS: &str = "1";

/// A backend on loopback. It is gone when this is dropped.
#[derive(Debug)]
pub struct SimulatedBackend {
    address: SocketAddr,
    backend: Arc<Backend>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Backend {
    faults: FaultInjector,
    books: Mutex<Books>,
    down: AtomicBool,
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulation closed the connection")]
struct ConnectionClosed;

#[derive(Deserialize)]
struct Documents {
    documents: Vec<Item>,
}

#[derive(Deserialize)]
struct Movements {
    movements: Vec<Item>,
}

impl SimulatedBackend {
    /// Starts a backend on a free port.
    ///
    /// # Errors
    /// When loopback has no port to listen on.
    pub async fn start(faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let backend = Arc::new(Backend {
            faults: FaultInjector::new(faults),
            books: Mutex::default(),
            down: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&backend)));
        Ok(Self { address, backend, accepting })
    }

    /// Returns the URL for sales documents.
    pub fn documents_url(&self) -> String {
        format!("http://{}/documents", self.address)
    }

    /// Returns the URL for stock movements.
    pub fn movements_url(&self) -> String {
        format!("http://{}/movements", self.address)
    }

    /// Returns the URL for loyalty points.
    pub fn points_url(&self) -> String {
        format!("http://{}/points", self.address)
    }

    /// Looks into the books.
    pub fn read<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.backend.books.lock())
    }

    /// Answers 503 to everything, or stops doing so.
    pub fn set_down(&self, down: bool) {
        self.backend.down.store(down, Ordering::Relaxed);
    }

    /// Rejects an item for good from now on.
    pub fn reject(&self, id: &str) {
        self.backend.books.lock().rejecting.insert(id.to_owned());
    }

    /// Says of an item that it lacks what it refers to, or stops saying so.
    pub fn set_lacking(&self, id: &str, lacking: bool) {
        let mut books = self.backend.books.lock();
        if lacking {
            books.lacking.insert(id.to_owned());
        } else {
            books.lacking.remove(id);
        }
    }
}

impl Drop for SimulatedBackend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, backend: Arc<Backend>) {
    // Connections end with the set, and the set with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let backend = Arc::clone(&backend);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let backend = Arc::clone(&backend);
                        async move { backend.answer(request).await }
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    // Broken connections are part of the simulation.
                    let _hung_up: Result<(), _> =
                        server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

impl Backend {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, ConnectionClosed> {
        let (delay, fault) = self.faults.next_fault(Instant::now());
        self.books.lock().calls += 1;
        tokio::time::sleep(delay).await;
        if self.down.load(Ordering::Relaxed) {
            return Ok(status(StatusCode::SERVICE_UNAVAILABLE));
        }
        match fault {
            CallFault::Reset => return Err(ConnectionClosed),
            CallFault::ServerError => return Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
            CallFault::Throttled => {
                let mut response = status(StatusCode::TOO_MANY_REQUESTS);
                let seconds = http::HeaderValue::from_static(RETRY_AFTER_SECONDS);
                response.headers_mut().insert(RETRY_AFTER, seconds);
                return Ok(response);
            }
            CallFault::Answered | CallFault::ReplyLost => {}
        }
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Ok(status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let Ok(body) = Limited::new(body, LARGEST_BODY_BYTES).collect().await else {
            return Ok(status(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let response = self.book(head.uri.path(), &body.to_bytes());
        if fault == CallFault::ReplyLost { Err(ConnectionClosed) } else { Ok(response) }
    }

    /// Books what was posted: a batch by its name in the body, or a single item.
    fn book(&self, path: &str, body: &[u8]) -> Response<Full<Bytes>> {
        if let Ok(item) = serde_json::from_slice::<Item>(body) {
            return match self.books.lock().book(&item) {
                BookingOutcome::Booked => status(StatusCode::CREATED),
                BookingOutcome::Duplicate => status(StatusCode::OK),
                BookingOutcome::Rejected => status(StatusCode::UNPROCESSABLE_ENTITY),
                BookingOutcome::DependencyMissing => status(StatusCode::FAILED_DEPENDENCY),
            };
        }
        let items = match path {
            "/documents" => serde_json::from_slice::<Documents>(body).map(|body| body.documents),
            "/movements" => serde_json::from_slice::<Movements>(body).map(|body| body.movements),
            _ => return status(StatusCode::NOT_FOUND),
        };
        let Ok(items) = items else { return status(StatusCode::BAD_REQUEST) };
        let mut books = self.books.lock();
        let results: Vec<Value> = items.iter().map(|item| books.book(item).result(item)).collect();
        let mut response = status(StatusCode::OK);
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        *response.body_mut() = Full::new(json!({"results": results}).to_string().into());
        response
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
