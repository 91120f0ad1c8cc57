//! A connection's bytes, on the gateway's terms: a peer that does not read is cut.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::layers::Transport;

/// A connection that fails when its peer takes nothing for too long.
///
/// The kernel buffers megabytes for a peer that does not read, and then waits for as long as the peer acknowledges
/// probes, which may be for ever.
#[derive(Debug)]
pub struct BoundedStream {
    stream: Transport,
    write_timeout: Duration,
    /// Runs while a write waits; made when the first one has to, which it hardly ever does.
    deadline: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    timed_out: Counter,
}

impl BoundedStream {
    /// Wraps a stream; `timed_out` counts it if it is cut.
    pub fn new(stream: impl Into<Transport>, write_timeout: Duration, timed_out: Counter) -> Self {
        let stream = stream.into();
        Self { stream, write_timeout, deadline: None, is_waiting: false, timed_out }
    }

    /// Passes on what a write came to, unless it waits for too long.
    fn limit<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        let until = Instant::now() + self.write_timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if !self.is_waiting {
            self.is_waiting = true;
            deadline.as_mut().reset(until);
        }
        ready!(deadline.as_mut().poll(context));
        self.timed_out.inc();
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, space)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair(write_timeout: Duration) -> (BoundedStream, TcpStream, Counter) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let timed_out = Counter::default();
        (BoundedStream::new(stream, write_timeout, timed_out.clone()), peer, timed_out)
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_cut() {
        let (mut stream, _peer, timed_out) = pair(Duration::from_millis(50)).await;
        let error = loop {
            // The kernel takes what its buffers hold.
            match stream.write(&[0; 8192]).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), timed_out.get()), (ErrorKind::TimedOut, 1));
    }

    #[tokio::test]
    async fn a_peer_that_reads_gets_everything() {
        let (mut stream, mut peer, timed_out) = pair(Duration::from_mins(1)).await;
        let sent = vec![7; 20_000_000];
        let sending = tokio::spawn(async move {
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        sending.await.unwrap();
        assert_eq!((got.len(), timed_out.get()), (20_000_000, 0));
    }
}
