//! Reads the PROXY header of a connection, and not one byte after it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy_protocol::{self, Preamble};

/// A proxy sends the header at once; the specification asks for patience with one lost packet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the client that the header names; `None` where the proxy speaks for itself.
///
/// # Errors
/// When there is no sound header in time.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    timeout(PATIENCE, read_patiently(stream)).await?
}

async fn read_patiently(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = Vec::new();
    loop {
        match proxy_protocol::parse(&header) {
            Preamble::Incomplete(more) => {
                let more = more as u64;
                let read = (&mut *stream).take(more).read_to_end(&mut header).await?;
                if (read as u64) < more {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Preamble::Header { source, .. } => return Ok(source),
            Preamble::Invalid => return Err(ErrorKind::InvalidData.into()),
        }
    }
}
