//! A TCP proxy that passes, delays, swallows or resets what goes through it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkMode {
    /// They pass.
    Open,
    /// They are taken and kept; so are new connections. When the proxy opens again, they go on.
    BlackHole,
    /// Each piece waits so long.
    Delay(Duration),
    /// Connections, old and new, are reset.
    Reset,
}

/// A proxy; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    mode: watch::Sender<LinkMode>,
}

impl Proxy {
    /// Starts a proxy in front of ports, taken in turn; one that refuses is passed over.
    pub(crate) fn start(runtime: &Handle, port: u16, targets: Vec<u16>) -> anyhow::Result<Self> {
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = runtime.block_on(listen).context("start a proxy")?;
        let port = listener.local_addr().context("start a proxy")?.port();
        let (mode, current) = watch::channel(LinkMode::Open);
        runtime.spawn(accept(listener, targets, current));
        Ok(Self { port, mode })
    }

    /// Changes what happens, to connections that stand too.
    pub(crate) fn set(&self, mode: LinkMode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, targets: Vec<u16>, mode: watch::Receiver<LinkMode>) {
    let mut turn = 0;
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors: others are closed soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        turn += 1;
        let mut order = targets.clone();
        order.rotate_left(turn % targets.len().max(1));
        tokio::spawn(carry(client, order, mode.clone()));
    }
}

async fn carry(mut client: TcpStream, targets: Vec<u16>, mut mode: watch::Receiver<LinkMode>) {
    if !may_pass(&mut mode).await {
        reset(&client);
        return;
    }
    let Some(mut server) = connect(&targets).await else {
        reset(&client);
        return;
    };
    let is_reset = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let there = pump(client_read, server_write, mode.clone());
        let back = pump(server_read, client_write, mode.clone());
        tokio::select! {
            _both = async { tokio::join!(there, back) } => false,
            _asked = mode.wait_for(|mode| *mode == LinkMode::Reset) => true,
        }
    };
    if is_reset {
        reset(&client);
        reset(&server);
    }
}

async fn connect(targets: &[u16]) -> Option<TcpStream> {
    for &port in targets {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            return stream.set_nodelay(true).is_ok().then_some(stream);
        }
    }
    None
}

/// Makes the kernel answer with RST when the stream is dropped.
fn reset(stream: &TcpStream) {
    // A stream that is gone already needs no reset.
    let _gone = stream.set_zero_linger();
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<LinkMode>,
) {
    let mut buffer = vec![0; 16 * 1_024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || !may_pass(&mut mode).await || to.write_all(&buffer[..count]).await.is_err()
        {
            break;
        }
    }
    // The other side may be gone already.
    let _gone = to.shutdown().await;
}

/// Waits as long as bytes may not pass; `false` where they never will.
async fn may_pass(mode: &mut watch::Receiver<LinkMode>) -> bool {
    loop {
        let current = *mode.borrow_and_update();
        match current {
            LinkMode::Open => return true,
            LinkMode::Reset => return false,
            LinkMode::Delay(time) => {
                tokio::time::sleep(time).await;
                return true;
            }
            LinkMode::BlackHole => {
                if mode.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn bytes_wait_in_a_black_hole_and_come_out_when_it_opens() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap().port();
        let proxy = Proxy::start(runtime.handle(), 0, vec![target]).unwrap();
        let mut client = std::net::TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        let (mut taken, _) = server.accept().unwrap();
        proxy.set(LinkMode::BlackHole);
        client.write_all(b"late").unwrap();
        taken.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut buffer = [0; 4];
        assert!(taken.read_exact(&mut buffer).is_err());
        proxy.set(LinkMode::Open);
        taken.set_read_timeout(None).unwrap();
        taken.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"late");
        proxy.set(LinkMode::Reset);
        assert_eq!(
            client.read(&mut buffer).unwrap_err().kind(),
            std::io::ErrorKind::ConnectionReset
        );
    }
}
