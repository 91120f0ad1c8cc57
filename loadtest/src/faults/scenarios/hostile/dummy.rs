//! A listener that takes everything and does nothing: what an attack costs the machine alone.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// Starts one; it ends with the runtime.
pub(super) fn start(runtime: &Handle) -> anyhow::Result<u16> {
    let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = runtime.block_on(listen).context("start the dummy")?;
    let port = listener.local_addr().context("start the dummy")?.port();
    runtime.spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1_024];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    Ok(port)
}
