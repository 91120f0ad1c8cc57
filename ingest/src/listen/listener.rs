//! A listening socket with as long a queue as the system allows, which stays calm when nothing can be accepted.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::error::ListenError;

/// Connections the kernel queues before they are accepted; it cuts this down to `net.core.somaxconn`.
const BACKLOG: u32 = u16::MAX as u32;
/// Pause when the process has no descriptor or no memory for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Accepting counts as sound again when it has not failed for this long, so that a process at its limit is not in and out of
/// trouble with each connection that ends.
const CALM: Duration = Duration::from_secs(10);

/// Connections cannot be accepted.
pub const ACCEPT_FAILING: Explanation = Explanation {
    code: "accept_failing",
    meaning: "The process has no descriptor or no memory for another connection to a listener. Connections that are open go on; \
              new ones wait in the system's queue and are accepted as soon as it is possible.",
    remedy: "Raise the limit of open files (LimitNOFILE of systemd, ulimit -n), or lower ingest.max_connections.",
};

/// A listening socket; what keeps it from accepting stands in the process's health.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    trouble: Trouble,
}

impl Listener {
    /// Listens on an address; `component` names the listener in the process's health.
    ///
    /// # Errors
    /// When the address is taken, or not one of this machine.
    pub fn bind(
        address: SocketAddr,
        health: Health,
        component: &'static str,
    ) -> Result<Self, ListenError> {
        let trouble = Trouble { health, component, failed_at: None };
        let (socket, local_addr) =
            listen(address).map_err(|source| ListenError { component, address, source })?;
        Ok(Self { socket, local_addr, trouble })
    }

    /// Returns the address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for the next connection, however often accepting one fails.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => {
                    self.trouble.accepted(Instant::now());
                    return accepted;
                }
                // The client was gone before it could be accepted.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.trouble.failed(&error, Instant::now());
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // As `TcpListener::bind` does: a restart need not wait for connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG)?;
    let local_addr = socket.local_addr()?;
    Ok((socket, local_addr))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What is said of failures to accept: once when they begin, once when they have ended.
#[derive(Debug)]
struct Trouble {
    health: Health,
    component: &'static str,
    failed_at: Option<Instant>,
}

impl Trouble {
    fn failed(&mut self, error: &io::Error, now: Instant) {
        self.failed_at = Some(now);
        self.health.raise(Condition {
            component: self.component.to_owned(),
            code: ACCEPT_FAILING.code,
            subject: String::new(),
            impact: Impact::Degraded,
            cause: format!("connections cannot be accepted: {error}"),
            remedy: ACCEPT_FAILING.remedy.to_owned(),
        });
    }

    fn accepted(&mut self, now: Instant) {
        if self.failed_at.is_some_and(|failed_at| now.saturating_duration_since(failed_at) >= CALM)
        {
            self.failed_at = None;
            self.health.clear(self.component, ACCEPT_FAILING.code, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use tillrace_log::explain::Explained as _;

    use super::*;

    #[test]
    fn failures_are_one_condition_until_accepting_is_calm_again() {
        let health = Health::default();
        let mut trouble = Trouble { health: health.clone(), component: "gateway", failed_at: None };
        let begun = Instant::now();
        let full = io::Error::from_raw_os_error(24);
        for tenths in 0..300 {
            trouble.failed(&full, begun + PAUSE * tenths);
            trouble.accepted(begun + PAUSE * tenths);
        }
        let [standing] = health.active_conditions().try_into().unwrap();
        assert_eq!(
            (standing.condition.code, standing.condition.impact),
            (ACCEPT_FAILING.code, Impact::Degraded)
        );
        assert!(standing.condition.cause.contains("Too many open files"), "{standing:?}");
        trouble.accepted(begun + PAUSE * 299 + CALM);
        assert_eq!(health.active_conditions(), []);
    }

    #[tokio::test]
    async fn the_queue_is_as_long_as_the_system_allows() {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, Health::default(), "gateway").unwrap();
        let address = listener.local_addr();
        // More than a common default of 128, none of them accepted. Past the queue a connection would wait for seconds.
        let mut waiting = Vec::new();
        for _ in 0..300 {
            let connected = tokio::time::timeout(CALM, TcpStream::connect(address)).await;
            waiting.push(connected.expect("there is room in the queue").unwrap());
        }
        let taken = Listener::bind(address, Health::default(), "gateway").unwrap_err();
        assert_eq!(taken.explanation().code, "listen_address_in_use");
    }
}
