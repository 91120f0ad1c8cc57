//! Reads request bodies: with flow control, decompression and time limits.
//!
//! Bytes are read only on demand, so a body waits in the client when the gateway is busy. A decoder
//! holds its window and no output: a body is read in the same small steps however far it expands. Two
//! limits stop decompression bombs: the ratio of expansion, and time.
//!
//! Buffers grow with received bytes, not with announced ones: a step may be as long as what came
//! before. The memory of the next step is known beforehand, so that a permit can cover it.
//!
//! Comes before the splitter.

mod zstd;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Buf, BufMut, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, timeout};

use self::zstd::ZstdDecoder;
use crate::memory_budget::{BudgetExhausted, MemoryPermit};
use crate::settings::GatewaySettings;

const MIB: u64 = 1024 * 1024;
/// Most bytes that are read and discarded of a body that was answered early, so that the client, which
/// may still be sending, can read the answer.
const MAX_DRAIN_BYTES: u64 = 16 * MIB;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Length of the first step, before anything has come.
pub(crate) const FIRST_STEP_BYTES: usize = 16 * 1024;
/// Longest step.
pub(crate) const STEP_BYTES: usize = 64 * 1024;
/// Most text that is reserved at once, when a body announces as much and has sent a first step.
const MAX_RESERVE_BYTES: usize = 192 * 1024;
/// Memory of a gzip decoder: a window of 32 KiB, tables and state.
pub(crate) const GZIP_BYTES: usize = 64 * 1024;
/// Memory of a zstd decoder beside its window: its context, and a block of input.
pub(crate) const ZSTD_BYTES: usize = 288 * 1024;

/// Supported content encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Limits of a body.
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
    #[error("body did not arrive in time")]
    TimedOut,
    /// The connection broke, or the framing of the body is wrong.
    #[error("body ended early")]
    Cut,
    /// The bytes do not match the declared content encoding.
    #[error("body does not match its Content-Encoding")]
    Malformed(#[source] io::Error),
    /// The body expands further than a useful one does.
    #[error("body exceeds the expansion limit")]
    Expansion,
    /// The memory budget does not allow more of it.
    #[error("memory budget is exhausted")]
    MemoryLimit,
}

/// A body being read.
pub(crate) struct BodyReader {
    source: BodySource,
    limits: BodyLimits,
    /// Time spent waiting for the client.
    waited: Duration,
    text_bytes: usize,
}

enum BodySource {
    Identity(RawBody),
    Gzip(Box<GzipDecoder<RawBody>>),
    Zstd(Box<ZstdDecoder>),
}

impl BodyReader {
    /// Makes a reader of a body.
    ///
    /// # Errors
    /// When there is no memory for a decoder.
    pub(crate) fn new(body: Incoming, encoding: Encoding, limits: BodyLimits) -> io::Result<Self> {
        let wire = RawBody { body, frame: Bytes::new(), taken_bytes: 0, broken: false };
        let source = match encoding {
            Encoding::Identity => BodySource::Identity(wire),
            Encoding::Gzip => {
                let mut decoder = GzipDecoder::new(wire);
                decoder.multiple_members(true);
                BodySource::Gzip(Box::new(decoder))
            }
            Encoding::Zstd => BodySource::Zstd(Box::new(ZstdDecoder::new(wire)?)),
        };
        Ok(Self { source, limits, waited: Duration::ZERO, text_bytes: 0 })
    }

    /// Returns the bytes of text and decoder after the next step.
    pub(crate) fn memory_bytes(&self, text: &Vec<u8>) -> usize {
        let decoder_bytes = match &self.source {
            BodySource::Identity(_) => 0,
            BodySource::Gzip(_) => GZIP_BYTES,
            BodySource::Zstd(decoder) => decoder.memory_bytes(),
        };
        decoder_bytes + text.capacity().max(text.len() + self.room(text))
    }

    /// Appends a step of text, waiting for the client if necessary; 0 is the end.
    ///
    /// # Errors
    /// [`BodyError`] when no more can be read; text appended before is valid.
    pub(crate) async fn read(&mut self, text: &mut Vec<u8>) -> Result<usize, BodyError> {
        let room = self.room(text);
        if room == 0 {
            return Ok(0);
        }
        let mib_begun = u32::try_from(self.wire().taken_bytes / MIB + 1).unwrap_or(u32::MAX);
        let allowed = self.limits.body_timeout.saturating_mul(mib_begun);
        let wait = self.limits.silence_timeout.min(allowed.saturating_sub(self.waited));
        let asked_at = Instant::now();
        let read = timeout(wait, self.source.read(text, room)).await;
        self.waited += asked_at.elapsed();
        match read {
            Err(_elapsed) => Err(BodyError::TimedOut),
            Ok(Err(_broken)) if self.wire().broken => Err(BodyError::Cut),
            Ok(Err(error)) => Err(BodyError::Malformed(error)),
            Ok(Ok(bytes)) => {
                self.text_bytes += bytes;
                self.check_expansion().map(|()| bytes)
            }
        }
    }

    /// Reads the whole body if it has at most `max_bytes` of text, else `None`. The permit grows with it.
    ///
    /// A body that came in one piece is not copied.
    ///
    /// # Errors
    /// [`BodyError`] when its end cannot be reached.
    pub(crate) async fn whole(
        &mut self,
        max_bytes: usize,
        permit: &mut MemoryPermit,
    ) -> Result<Option<Bytes>, BodyError> {
        if let Some(bytes) = self.only_frame().await? {
            if bytes.len() > max_bytes {
                return Ok(None);
            }
            permit
                .resize(bytes.len() as u64)
                .await
                .map_err(|BudgetExhausted| BodyError::MemoryLimit)?;
            return Ok(Some(bytes));
        }
        let mut text = Vec::new();
        while text.len() <= max_bytes {
            let memory_bytes = self.memory_bytes(&text) as u64;
            permit.resize(memory_bytes).await.map_err(|BudgetExhausted| BodyError::MemoryLimit)?;
            if self.read(&mut text).await? == 0 {
                return Ok(Some(text.into()));
            }
        }
        Ok(None)
    }

    /// Returns the bytes read off the wire.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.wire().taken_bytes
    }

    /// Drains a body that was answered before its end, in the background and within limits: closing the
    /// connection of a client that is still sending may destroy the answer.
    pub(crate) fn drain(self) {
        let wire = match self.source {
            BodySource::Identity(wire) => wire,
            BodySource::Gzip(decoder) => decoder.into_inner(),
            BodySource::Zstd(decoder) => decoder.wire,
        };
        drain_body(wire.body);
    }

    /// Returns how much is read next: the spare capacity, or else how much is reserved.
    fn room(&self, text: &Vec<u8>) -> usize {
        let step = match text.capacity() - text.len() {
            0 => self.text_bytes.clamp(FIRST_STEP_BYTES, STEP_BYTES),
            spare => spare,
        };
        match self.left_bytes() {
            // Reserves for all that comes, or the text would be copied with each reservation.
            Some(left) if self.text_bytes >= FIRST_STEP_BYTES => {
                left.min(MAX_RESERVE_BYTES.saturating_sub(text.len()).max(step))
            }
            Some(left) => left.min(step),
            None => step,
        }
    }

    /// Returns the bytes of text still to come, if the length of the text is known.
    fn left_bytes(&self) -> Option<usize> {
        let BodySource::Identity(wire) = &self.source else { return None };
        let coming = wire.body.size_hint().exact()?;
        usize::try_from(coming).ok()?.checked_add(wire.frame.len())
    }

    fn wire(&self) -> &RawBody {
        match &self.source {
            BodySource::Identity(wire) => wire,
            BodySource::Gzip(decoder) => decoder.get_ref(),
            BodySource::Zstd(decoder) => &decoder.wire,
        }
    }

    fn check_expansion(&self) -> Result<(), BodyError> {
        let allowed = self.wire().taken_bytes.saturating_mul(self.limits.max_expansion).max(MIB);
        let compressed = !matches!(self.source, BodySource::Identity(_));
        if compressed && self.text_bytes as u64 > allowed {
            Err(BodyError::Expansion)
        } else {
            Ok(())
        }
    }

    /// Returns the body when it is all in its first frame; otherwise the frame stays to be read.
    async fn only_frame(&mut self) -> Result<Option<Bytes>, BodyError> {
        let wait = self.limits.silence_timeout.min(self.limits.body_timeout);
        let BodySource::Identity(wire) = &mut self.source else { return Ok(None) };
        match timeout(wait, poll_fn(|context| wire.poll_frame(context))).await {
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

impl BodySource {
    /// Appends up to a step of text, when it has arrived; reserves as much as is asked for.
    async fn read(&mut self, text: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        if let Self::Identity(wire) = self {
            poll_fn(|context| wire.poll_frame(context)).await?;
        }
        text.reserve_exact(room);
        let mut space = text.limit(room.min(STEP_BYTES));
        match self {
            Self::Identity(wire) => wire.read_buf(&mut space).await,
            Self::Gzip(decoder) => decoder.read_buf(&mut space).await,
            Self::Zstd(decoder) => decoder.read_buf(&mut space).await,
        }
    }
}

/// Reads and discards the rest of a body, within limits.
pub(crate) fn drain_body(body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    let mut body = body;
    tokio::spawn(timeout(DRAIN_TIMEOUT, async move {
        let mut thrown_away = 0;
        while thrown_away < MAX_DRAIN_BYTES {
            let Some(Ok(frame)) = body.frame().await else { return };
            thrown_away += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
    }));
}

/// The frames of a body as a stream of bytes.
struct RawBody {
    body: Incoming,
    frame: Bytes,
    taken_bytes: u64,
    /// The connection failed, as opposed to an error of a decoder.
    broken: bool,
}

impl RawBody {
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

impl AsyncBufRead for RawBody {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let wire = self.get_mut();
        ready!(wire.poll_frame(context))?;
        Poll::Ready(Ok(&wire.frame))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.frame.advance(bytes);
        self.taken_bytes += bytes as u64;
    }
}

impl AsyncRead for RawBody {
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
