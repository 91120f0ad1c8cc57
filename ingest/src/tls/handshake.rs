//! Handshakes, within bounds of time and number.
//!
//! Each runs in its connection's own task, so a peer that is silent or slow keeps nobody waiting. What it costs until then is a
//! socket: OpenSSL is given the connection when its first byte has come, and the handshakes under way have a bound, in all and
//! of one address.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use openssl::ssl::Ssl;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::certificates::Certificates;
use super::identity::PeerIdentity;

/// How every record of a handshake begins (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Takes connections through the handshake.
pub(crate) struct TlsAcceptor {
    certificates: Arc<Certificates>,
}

/// What a handshake came to.
pub(crate) enum Handshake {
    /// The connection is encrypted.
    Done(Box<SecureConnection>),
    /// The peer does not speak TLS; none of its bytes has been read.
    PlainText(TcpStream),
    /// It failed, or took too long; OpenSSL has told the peer what can be told.
    Failed,
}

/// An encrypted connection.
pub(crate) struct SecureConnection {
    pub(crate) stream: SslStream<TcpStream>,
    /// Who the client is, if it showed a certificate, which was verified.
    pub(crate) identity: Option<PeerIdentity>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) is_http2: bool,
}

#[derive(Debug, thiserror::Error)]
enum HandshakeFault {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    OpenSsl(#[from] openssl::error::ErrorStack),
    #[error(transparent)]
    Tls(#[from] openssl::ssl::Error),
}

impl TlsAcceptor {
    pub(crate) fn new(certificates: Arc<Certificates>) -> Self {
        Self { certificates }
    }

    /// Takes a connection through the handshake. `begin` is asked for a place when the peer has begun to speak; what it returns
    /// is kept until the end.
    pub(crate) async fn accept<P>(
        &self,
        stream: TcpStream,
        begin: impl FnOnce() -> Option<P>,
    ) -> Handshake {
        let metrics = &self.certificates.metrics;
        let shaken = timeout(self.certificates.handshake_timeout(), self.shake(stream, begin));
        let (handshake, outcome) = match shaken.await {
            Ok(Ok(handshake)) => {
                let outcome = match handshake {
                    Handshake::Done(_) => "completed",
                    Handshake::PlainText(_) => "plain_text",
                    Handshake::Failed => "turned_away",
                };
                (handshake, outcome)
            }
            Ok(Err(fault)) => {
                let error: &dyn std::error::Error = &fault;
                tracing::debug!(error, "TLS handshake failed");
                (Handshake::Failed, "failed")
            }
            Err(_elapsed) => (Handshake::Failed, "timed_out"),
        };
        metrics.count_handshake(outcome);
        handshake
    }

    async fn shake<P>(
        &self,
        stream: TcpStream,
        begin: impl FnOnce() -> Option<P>,
    ) -> Result<Handshake, HandshakeFault> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if first != [HANDSHAKE_RECORD] {
            return Ok(Handshake::PlainText(stream));
        }
        let Some(_place) = begin() else { return Ok(Handshake::Failed) };
        let mut stream = SslStream::new(Ssl::new(&self.certificates.context())?, stream)?;
        Pin::new(&mut stream).accept().await?;
        let ssl = stream.ssl();
        let identity = ssl.peer_certificate().map(|shown| PeerIdentity::of(&shown)).transpose()?;
        let is_http2 = ssl.selected_alpn_protocol() == Some(b"h2");
        Ok(Handshake::Done(Box::new(SecureConnection { stream, identity, is_http2 })))
    }
}
