//! Asks a process about itself over HTTP/1.1, with little patience and on a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a process may take to answer before it counts as mute.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest answer that is read.
const LONGEST_ANSWER: u64 = 4 << 20;

/// Asks for a path; `None` where nothing that reads as an answer comes in time.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, &format!("GET {path} HTTP/1.1\r\nhost: tillrace\r\nconnection: close\r\n\r\n"))
}

fn ask(port: u16, request: &str) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
