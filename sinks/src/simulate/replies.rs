//! A server that answers each request with bytes given in advance, for answers that no sound backend gives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const LARGEST_HEAD_BYTES: usize = 64 * 1_024;
const CHUNK: [u8; 16 * 1_024] = [b' '; 16 * 1_024];

/// What the server sends: a head and body as given, then so many bytes of filling, then the end of the connection.
#[derive(Debug, Clone, Default)]
pub struct RawReply {
    /// The answer from its status line on.
    pub bytes: Vec<u8>,
    /// Bytes of white space after it.
    pub filling: u64,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// Request line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A server on loopback. It is gone when this is dropped.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RawRequest>>>,
    accepting: JoinHandle<()>,
}

impl RawReply {
    /// Makes a reply from status line, headers and body; the length of the body is added.
    pub fn new(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        );
        Self { bytes: text.into_bytes(), filling: 0 }
    }
}

impl RawServer {
    /// Starts a server on a free port; the last reply is given again and again.
    ///
    /// # Errors
    /// When loopback has no port to listen on.
    pub async fn start(replies: Vec<RawReply>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = heard.lock().len().min(replies.len().saturating_sub(1));
                let reply = replies.get(index).cloned().unwrap_or_default();
                // A client that goes away is part of the simulation.
                if let Ok(request) = answer(stream, &reply).await {
                    heard.lock().push(request);
                }
            }
        });
        Ok(Self { address, requests, accepting })
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Returns the requests that were answered.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.requests.lock().clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(mut stream: TcpStream, reply: &RawReply) -> io::Result<RawRequest> {
    let request = read_request(&mut stream).await?;
    stream.write_all(&reply.bytes).await?;
    let mut left = usize::try_from(reply.filling).unwrap_or(usize::MAX);
    while let Some(part) = CHUNK.get(..left.min(CHUNK.len())).filter(|part| !part.is_empty()) {
        // The client stops reading when it has had enough.
        if stream.write_all(part).await.is_err() {
            break;
        }
        left -= part.len();
    }
    // As above.
    let _gone: io::Result<()> = stream.shutdown().await;
    Ok(request)
}

async fn read_request(stream: &mut TcpStream) -> io::Result<RawRequest> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if read.len() > LARGEST_HEAD_BYTES || stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = read.split_off(head_end);
    let head = String::from_utf8_lossy(&read).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or_default();
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(RawRequest { head, body })
}
