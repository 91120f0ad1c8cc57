//! A TCP proxy whose link can become a black hole: what is sent waits, and goes on when the link is back.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

/// How often a pump in a black hole looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// A proxy on a free port of loopback; its threads end with the process.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    link: Arc<Link>,
}

#[derive(Debug, Default)]
struct Link {
    target: AtomicU16,
    is_black_hole: AtomicBool,
}

impl Proxy {
    /// Listens; connections wait until there is a target.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let link = Arc::<Link>::default();
        let accepting = Arc::clone(&link);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let link = Arc::clone(&accepting);
                thread::spawn(move || connect(client, &link));
            }
        });
        Self { port, link }
    }

    /// Says where connections go.
    pub(crate) fn forward_to(&self, port: u16) {
        self.link.target.store(port, Ordering::Relaxed);
    }

    /// Begins or ends the black hole, for connections that stand too.
    pub(crate) fn set_black_hole(&self, is_black_hole: bool) {
        self.link.is_black_hole.store(is_black_hole, Ordering::Relaxed);
    }
}

impl Link {
    fn await_open(&self) {
        while self.is_black_hole.load(Ordering::Relaxed) || self.target.load(Ordering::Relaxed) == 0
        {
            thread::sleep(LOOK);
        }
    }
}

fn connect(client: TcpStream, link: &Arc<Link>) {
    link.await_open();
    let target = (Ipv4Addr::LOCALHOST, link.target.load(Ordering::Relaxed));
    let Ok(server) = TcpStream::connect(target) else { return };
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let there = Arc::clone(link);
    thread::spawn(move || pump(from_client, to_server, &there));
    pump(server, client, link);
}

fn pump(mut from: TcpStream, mut to: TcpStream, link: &Link) {
    let mut buffer = vec![0; 16 * 1_024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        link.await_open();
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other direction ends with it; either side may be gone already.
    for stream in [from, to] {
        let _gone = stream.shutdown(std::net::Shutdown::Both);
    }
}
