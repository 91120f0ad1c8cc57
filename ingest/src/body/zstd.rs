//! Zstandard bodies (RFC 8878), decoded as they come.
//!
//! The library is used directly because it says what a decoder takes of memory: its window is as large as each frame asks
//! for, up to 8 MiB (RFC 9659).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, ReadBuf};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::RawBody;
use crate::settings::ZSTD_WINDOW_LOG;

/// A body, and the decoder that it goes through.
pub(super) struct ZstdDecoder {
    pub(super) wire: RawBody,
    context: DCtx<'static>,
    /// A frame was begun and has not ended.
    in_frame: bool,
    /// The last read filled its space: there may be more that needs no input.
    may_hold_more: bool,
    text_bytes: usize,
}

impl ZstdDecoder {
    /// Makes a decoder that takes frames with a window of up to 8 MiB.
    pub(super) fn new(wire: RawBody) -> io::Result<Self> {
        let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        let window = DParameter::WindowLogMax(ZSTD_WINDOW_LOG);
        context.set_parameter(window).map_err(|code| io::Error::other(get_error_name(code)))?;
        Ok(Self { wire, context, in_frame: false, may_hold_more: false, text_bytes: 0 })
    }

    /// Returns bytes of memory in use: the window is allocated whole, but its pages only come with the text.
    pub(super) fn memory_bytes(&self) -> usize {
        self.context.sizeof().min(super::ZSTD_BYTES.saturating_add(self.text_bytes))
    }
}

impl AsyncRead for ZstdDecoder {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while space.remaining() > 0 {
            if !this.may_hold_more {
                ready!(this.wire.poll_frame(context))?;
                if this.wire.frame.is_empty() {
                    let is_cut = this.in_frame.then_some(io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(is_cut.map_or(Ok(()), Err));
                }
            }
            let mut output = OutBuffer::around(space.initialize_unfilled());
            let mut input = InBuffer::around(&this.wire.frame);
            let left_of_frame = this
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(|code| io::Error::new(io::ErrorKind::InvalidData, get_error_name(code)))?;
            let (written, capacity, taken) = (output.pos(), output.capacity(), input.pos());
            this.in_frame = left_of_frame != 0;
            this.may_hold_more = written == capacity;
            this.text_bytes += written;
            this.wire.frame.advance(taken);
            this.wire.taken_bytes += taken as u64;
            if written > 0 {
                space.advance(written);
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
