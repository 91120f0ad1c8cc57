//! The attacks, as bytes on sockets: no client library would send some of this.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::site::{HOSTILE_KEY, HOSTILE_STORE};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    NewTerminals,
    RefusedNames,
    Silence,
    HalfHeads,
    BlankLines,
    Chunks,
    UnreadStreams,
    UnreadAnswers,
    Drain,
}

/// Who is attacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// Where tills post.
    pub(super) gateway: u16,
    /// Where a process tells of itself.
    pub(super) status: u16,
}

/// A path with an answer, on either listener.
const ANSWERED: &str = "/readyz";

/// Events of a hostile batch, and batches of a connection: with four connections, 6,000 events.
const BATCH: u64 = 250;
const BATCHES: u64 = 6;

/// Bytes of blank lines before compression.
const BLANK_BYTES: u64 = 64 << 20;

/// A running number that no two events share.
static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Attack {
    /// Starts the attack's connections; they end when the set is dropped.
    pub(super) fn start(self, runtime: &Handle, target: Target) -> anyhow::Result<JoinSet<()>> {
        let mut set = JoinSet::new();
        let count = match self {
            Self::NewTerminals | Self::RefusedNames => 4,
            Self::Silence => 1_010,
            Self::HalfHeads => 1_000,
            Self::BlankLines => 16,
            Self::Chunks => 256,
            Self::UnreadStreams | Self::Drain => 100,
            Self::UnreadAnswers => 200,
        };
        let body: Arc<[u8]> =
            if self == Self::BlankLines { blank_lines()? } else { Arc::default() };
        for place in 0..count {
            let body = Arc::clone(&body);
            let attack = async move {
                loop {
                    self.connection(target, place, &body).await;
                    // Who is turned away comes back, but not in a spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            set.spawn_on(attack, runtime);
        }
        Ok(set)
    }

    /// Plays one connection until it ends; how it ends is the victim's business.
    async fn connection(self, target: Target, place: usize, body: &[u8]) {
        // What needs no key is asked of both listeners.
        let needs_no_key = matches!(self, Self::UnreadStreams | Self::UnreadAnswers);
        let port = if needs_no_key && place % 2 == 1 { target.status } else { target.gateway };
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        let _ended = match self {
            Self::NewTerminals => post_batches(&mut stream, &|| sale("")).await,
            Self::RefusedNames => {
                post_batches(&mut stream, &|| sale(r#""currency":"none","#)).await
            }
            Self::Silence => until_closed(&mut stream).await,
            Self::HalfHeads => half_head(&mut stream).await,
            Self::BlankLines => post_gzip(&mut stream, body).await,
            Self::Chunks => drip(&mut stream).await,
            Self::UnreadStreams => unread_streams(&mut stream).await,
            Self::UnreadAnswers => unread_answers(&mut stream).await,
            Self::Drain => match place % 3 {
                0 => until_closed(&mut stream).await,
                1 => unread_answers(&mut stream).await,
                _ => drip(&mut stream).await,
            },
        };
    }
}

/// A sale of the hostile key's store under a terminal and an epoch that nobody had before.
fn sale(extra: &str) -> String {
    let number = NUMBER.fetch_add(1, Relaxed);
    let name = format!("{number:064}");
    format!(
        r#"{{"store":"{HOSTILE_STORE}","terminal":"{name}","epoch":"{name}","sequence":1,"event_id":"h{number}",{extra}"kind":"sale","occurred_at":"2026-11-30T08:15:30+01:00","business_date":"2026-11-30","lines":[{{"line":1,"type":"sale","sku":"A","quantity":"1"}}]}}"#
    )
}

fn head(path: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: tillrace\r\nauthorization: Bearer {HOSTILE_KEY}\r\n\
         content-type: application/x-ndjson\r\n{more}"
    )
}

/// Posts batches on one connection, reading what comes back; then says nothing more, so that what was accepted can be
/// delivered before the books are judged.
async fn post_batches(
    stream: &mut TcpStream,
    event: &(dyn Fn() -> String + Sync),
) -> std::io::Result<()> {
    for _ in 0..BATCHES {
        let mut body = String::new();
        for _ in 0..BATCH {
            body.push_str(&event());
            body.push('\n');
        }
        let length = format!("content-length: {}\r\n\r\n", body.len());
        stream.write_all(head("/v1/events:batch", &length).as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        some_answer(stream).await?;
    }
    until_closed(stream).await
}

async fn post_gzip(stream: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    let more = format!("content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head("/v1/events:batch", &more).as_bytes()).await?;
    stream.write_all(body).await?;
    some_answer(stream).await
}

/// Reads a piece of an answer; a victim that gives none is waited for a second.
async fn some_answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 8_192];
    match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
        Ok(Ok(0)) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => read.map(drop),
        Err(_silent) => Ok(()),
    }
}

/// Says nothing until it is closed.
async fn until_closed(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn half_head(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut text = head("/v1/events", "");
    for number in 0..60 {
        // Writing to a string does not fail.
        let _written = write!(text, "x-{number}: {}\r\n", "a".repeat(1_000));
    }
    stream.write_all(text.as_bytes()).await?;
    until_closed(stream).await
}

/// A chunked body of which a byte comes each second.
async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = head("/v1/events:batch", "transfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(b"1\r\n{\r\n").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Asks again and again and reads nothing.
async fn unread_answers(stream: &mut TcpStream) -> std::io::Result<()> {
    let request = format!("GET {ANSWERED} HTTP/1.1\r\nhost: tillrace\r\n\r\n");
    loop {
        stream.write_all(request.as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// HTTP/2 (RFC 9113) with a window of zero: SETTINGS, then a HEADERS frame for each stream, its fields by RFC 7541.
async fn unread_streams(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE (4) = 0
    frame(&mut bytes, 4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    // :method GET, :scheme http, :path, :authority t
    let fields = [b"\x82\x86\x04\x07", ANSWERED.as_bytes(), b"\x01\x01t"].concat();
    for number in 0..100_u32 {
        // END_STREAM | END_HEADERS
        frame(&mut bytes, 1, 5, 2 * number + 1, &fields);
    }
    stream.write_all(&bytes).await?;
    // The settings are acknowledged, then nothing more: window updates never come.
    let mut acknowledgement = Vec::new();
    frame(&mut acknowledgement, 4, 1, 0, &[]);
    stream.write_all(&acknowledgement).await?;
    until_closed(stream).await
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Blank lines, compressed by the system's gzip.
fn blank_lines() -> anyhow::Result<Arc<[u8]>> {
    let script = format!("head -c {BLANK_BYTES} /dev/zero | tr '\\0' '\\n' | gzip -9");
    let output = Command::new("sh").args(["-c", &script]).output().context("run gzip")?;
    anyhow::ensure!(output.status.success() && !output.stdout.is_empty(), "gzip failed");
    Ok(output.stdout.into())
}
