//! Request bodies as they come: paced by the reader, decompressed on the way, held to time limits.
//!
//! Nothing is read that was not asked for, so a body waits in the client when the gateway is busy.
//! A decoder holds its window and no output: however far a body expands, it is read in the same
//! small steps. Two limits make bombs pointless all the same: the ratio of expansion, and time.
//!
//! Stands before the splitter.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{BufMut, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::settings::{GatewaySettings, ZSTD_WINDOW_LOG};

const MIB: u64 = 1024 * 1024;
/// What is read and thrown away of a body that was answered early, so that the client, which may
/// still be sending, gets to see the answer.
const LINGER_BYTES: u64 = 16 * MIB;
const LINGER: Duration = Duration::from_secs(5);
/// Text for which room is made at once when a body says that it has as much.
const MOST_ROOM: usize = 192 * 1024;

/// Content encodings that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// How patient and how generous the gateway is with a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) silence_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) max_expansion: u64,
}

impl From<&GatewaySettings> for BodyLimits {
    fn from(settings: &GatewaySettings) -> Self {
        Self {
            silence_timeout: settings.silence_timeout,
            body_timeout: settings.body_timeout,
            max_expansion: u64::from(settings.max_expansion),
        }
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The client was silent or slow for too long.
    #[error("the body did not come in time")]
    TimedOut,
    /// The connection broke, or the framing of the body is wrong.
    #[error("the body was cut short")]
    Cut,
    /// The bytes are not of the declared content encoding.
    #[error("the body is not of its content encoding")]
    Malformed(#[source] io::Error),
    /// The body grows further than a useful one does.
    #[error("the body expands too far")]
    Expansion,
}

/// A body being read.
pub(crate) struct BodyReader {
    source: Source,
    limits: BodyLimits,
    /// Time spent waiting for the client.
    waited: Duration,
    text_bytes: u64,
}

enum Source {
    Identity(Wire),
    Gzip(Box<GzipDecoder<Wire>>),
    Zstd(Box<ZstdDecoder<Wire>>),
}

impl BodyReader {
    pub(crate) fn new(body: Incoming, encoding: Encoding, limits: BodyLimits) -> Self {
        let wire = Wire { body, frame: Bytes::new(), taken_bytes: 0, broken: false };
        let source = match encoding {
            Encoding::Identity => Source::Identity(wire),
            Encoding::Gzip => {
                let mut decoder = GzipDecoder::new(wire);
                decoder.multiple_members(true);
                Source::Gzip(Box::new(decoder))
            }
            Encoding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(wire, &[window]);
                decoder.multiple_members(true);
                Source::Zstd(Box::new(decoder))
            }
        };
        Self { source, limits, waited: Duration::ZERO, text_bytes: 0 }
    }

    /// Appends up to `most_bytes` of text, waiting for the client where need be; 0 is the end.
    ///
    /// # Errors
    /// [`BodyError`] when no more can be had; what was appended before is good.
    pub(crate) async fn read(
        &mut self,
        text: &mut Vec<u8>,
        most_bytes: usize,
    ) -> Result<usize, BodyError> {
        let left = self.left_bytes();
        if left == Some(0) {
            return Ok(0);
        }
        // For all that comes, where that is known, or what is here would be moved each time that room is made.
        let room = MOST_ROOM.saturating_sub(text.len()).max(most_bytes);
        text.reserve(left.map_or(most_bytes, |left| left.min(room)));
        let mib_begun = u32::try_from(self.wire().taken_bytes / MIB + 1).unwrap_or(u32::MAX);
        let allowed = self.limits.body_timeout.saturating_mul(mib_begun);
        let patience = self.limits.silence_timeout.min(allowed.saturating_sub(self.waited));
        let asked_at = Instant::now();
        let mut space = text.limit(most_bytes);
        let read = match &mut self.source {
            Source::Identity(wire) => timeout(patience, wire.read_buf(&mut space)).await,
            Source::Gzip(decoder) => timeout(patience, decoder.read_buf(&mut space)).await,
            Source::Zstd(decoder) => timeout(patience, decoder.read_buf(&mut space)).await,
        };
        self.waited += asked_at.elapsed();
        match read {
            Err(_elapsed) => Err(BodyError::TimedOut),
            Ok(Err(_broken)) if self.wire().broken => Err(BodyError::Cut),
            Ok(Err(error)) => Err(BodyError::Malformed(error)),
            Ok(Ok(bytes)) => {
                self.text_bytes += bytes as u64;
                self.check_expansion().map(|()| bytes)
            }
        }
    }

    /// Reads the whole body if it has no more than `most_bytes` of text, else `None`.
    ///
    /// A body that came in one piece is not copied.
    ///
    /// # Errors
    /// [`BodyError`] when its end cannot be reached.
    pub(crate) async fn whole(&mut self, most_bytes: usize) -> Result<Option<Bytes>, BodyError> {
        if let Some(bytes) = self.only_frame().await? {
            return Ok((bytes.len() <= most_bytes).then_some(bytes));
        }
        let mut text = Vec::new();
        while text.len() <= most_bytes {
            let room = (most_bytes + 1 - text.len()).min(64 * 1024);
            if self.read(&mut text, room).await? == 0 {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }

    /// Returns the bytes read off the wire.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.wire().taken_bytes
    }

    /// Lets go of a body that was answered before its end: reads on for a while in the background,
    /// because a connection closed upon a client that is still sending may take the answer with it.
    pub(crate) fn linger(self) {
        let wire = match self.source {
            Source::Identity(wire) => wire,
            Source::Gzip(decoder) => decoder.into_inner(),
            Source::Zstd(decoder) => decoder.into_inner(),
        };
        linger(wire.body);
    }

    /// Returns the bytes of text still to come, where the body's length is known and that of its text.
    fn left_bytes(&self) -> Option<usize> {
        let Source::Identity(wire) = &self.source else { return None };
        let coming = wire.body.size_hint().exact()?;
        usize::try_from(coming).ok()?.checked_add(wire.frame.len())
    }

    fn wire(&self) -> &Wire {
        match &self.source {
            Source::Identity(wire) => wire,
            Source::Gzip(decoder) => decoder.get_ref(),
            Source::Zstd(decoder) => decoder.get_ref(),
        }
    }

    fn check_expansion(&self) -> Result<(), BodyError> {
        let allowed = self.wire().taken_bytes.saturating_mul(self.limits.max_expansion).max(MIB);
        let compressed = !matches!(self.source, Source::Identity(_));
        if compressed && self.text_bytes > allowed { Err(BodyError::Expansion) } else { Ok(()) }
    }

    /// Returns the body when it is all in its first frame; otherwise the frame stays to be read.
    async fn only_frame(&mut self) -> Result<Option<Bytes>, BodyError> {
        let patience = self.limits.silence_timeout.min(self.limits.body_timeout);
        let Source::Identity(wire) = &mut self.source else { return Ok(None) };
        match timeout(patience, std::future::poll_fn(|context| wire.poll_frame(context))).await {
            Err(_elapsed) => Err(BodyError::TimedOut),
            Ok(Err(_broken)) => Err(BodyError::Cut),
            Ok(Ok(())) if wire.body.is_end_stream() => {
                wire.taken_bytes += wire.frame.len() as u64;
                Ok(Some(std::mem::take(&mut wire.frame)))
            }
            Ok(Ok(())) => Ok(None),
        }
    }
}

/// Reads on for a while and throws away, unless nothing more will come.
pub(crate) fn linger(body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    let mut body = body;
    tokio::spawn(timeout(LINGER, async move {
        let mut thrown_away = 0;
        while thrown_away < LINGER_BYTES {
            let Some(Ok(frame)) = body.frame().await else { return };
            thrown_away += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
    }));
}

/// The frames of a body as a stream of bytes.
struct Wire {
    body: Incoming,
    frame: Bytes,
    taken_bytes: u64,
    /// The connection failed; told apart from what a decoder finds wrong.
    broken: bool,
}

impl Wire {
    /// Makes sure that there is a frame with bytes in it, unless the body has ended.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.frame.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => break,
                Some(Ok(frame)) => self.frame = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    self.broken = true;
                    return Poll::Ready(Err(io::Error::other(error)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Wire {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let wire = self.get_mut();
        ready!(wire.poll_frame(context))?;
        Poll::Ready(Ok(&wire.frame))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        bytes::Buf::advance(&mut self.frame, bytes);
        self.taken_bytes += bytes as u64;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let found = ready!(self.as_mut().poll_fill_buf(context))?;
        let taken = found.len().min(space.remaining());
        space.put_slice(&found[..taken]);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }
}
