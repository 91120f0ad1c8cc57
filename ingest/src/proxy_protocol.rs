//! The PROXY protocol, versions 1 and 2: a header before all else in which a load balancer names the client.
//!
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, sections 2.1 and 2.2. The parser is pure and tells how
//! much must come before it can say more, so that whoever reads a socket takes the header and not one byte after it. Who may
//! send one is decided by the gateway; what stands behind the addresses (TLVs) is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether trusted proxies send a PROXY header.
///
/// There is nothing between: a peer that may send one or not could let its client write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// They send none.
    #[default]
    None,
    /// Each connection of theirs begins with one, of version 1 or 2, or is closed. Connections of others are served as they are.
    Required,
}

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before what its length counts.
const FIXED_BYTES: usize = 16;
/// Longest rest of version 2 that is taken: addresses need 36 bytes, the rest is for TLVs such as a client's certificate.
const MAX_REST_BYTES: usize = 4096;
/// How version 1 begins.
const PREFIX: &[u8; 6] = b"PROXY ";
/// Longest line of version 1, its end included.
const MAX_LINE_BYTES: usize = 107;

/// What the beginning of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// It may become a header, which has at least this many more bytes.
    Incomplete(usize),
    /// It begins with a whole header.
    Header {
        /// Bytes of the header.
        length: usize,
        /// Who the connection comes from; `None` where the proxy speaks for itself or does not know.
        source: Option<SocketAddr>,
    },
    /// It is no header, or one that breaks the rules.
    Invalid,
}

struct Malformed;

/// Parses the beginning of a connection.
pub fn parse(bytes: &[u8]) -> Preamble {
    let is_begun = |with: &[u8]| bytes.starts_with(with) || with.starts_with(bytes);
    if is_begun(SIGNATURE) {
        parse_binary(bytes)
    } else if is_begun(PREFIX) {
        parse_line(bytes)
    } else {
        Preamble::Invalid
    }
}

fn parse_binary(bytes: &[u8]) -> Preamble {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_BYTES) else {
        // Of nothing at all it is not known which version comes; the least of both is that of a line.
        let least = if bytes.is_empty() { SHORTEST_LINE.len() } else { FIXED_BYTES };
        return Preamble::Incomplete(least - bytes.len());
    };
    let &[.., version_and_command, family, high, low] = fixed else { return Preamble::Invalid };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_REST_BYTES {
        return Preamble::Invalid;
    }
    let Some(rest) = rest.get(..length) else {
        return Preamble::Incomplete(length - rest.len());
    };
    let source = match (version_and_command, family) {
        // TCP over IPv4 and IPv6.
        (0x21, 0x11) => source_v4(rest).map(Some).ok_or(Malformed),
        (0x21, 0x21) => source_v6(rest).map(Some).ok_or(Malformed),
        // LOCAL: the proxy's own connection, whatever the rest says. Or of no kind that has an address: unspecified, or a
        // socket of the proxy's own machine.
        (0x20, _) | (0x21, 0x00 | 0x31) => Ok(None),
        _ => Err(Malformed),
    };
    match source {
        Ok(source) => Preamble::Header { length: FIXED_BYTES + length, source },
        Err(Malformed) => Preamble::Invalid,
    }
}

/// Source, destination, the port of each.
fn source_v4(rest: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = rest.split_first_chunk::<4>()?;
    let (_destination, rest) = rest.split_first_chunk::<4>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let &[high, low, ..] = ports;
    Some(SocketAddr::from((Ipv4Addr::from(*source), u16::from_be_bytes([high, low]))))
}

fn source_v6(rest: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (_destination, rest) = rest.split_first_chunk::<16>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let &[high, low, ..] = ports;
    Some(SocketAddr::from((Ipv6Addr::from(*source), u16::from_be_bytes([high, low]))))
}

const SHORTEST_LINE: &[u8] = b"PROXY UNKNOWN\r\n";

fn parse_line(bytes: &[u8]) -> Preamble {
    let within = bytes.get(..MAX_LINE_BYTES.min(bytes.len())).unwrap_or_default();
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= MAX_LINE_BYTES {
            return Preamble::Invalid;
        }
        let more = if within.ends_with(b"\r") { 1 } else { 2 };
        return Preamble::Incomplete(more.max(SHORTEST_LINE.len().saturating_sub(bytes.len())));
    };
    let line = within.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    match line.map(source_of_line) {
        Some(Ok(source)) => Preamble::Header { length: end + 2, source },
        Some(Err(Malformed)) | None => Preamble::Invalid,
    }
}

/// `PROXY TCP4 source destination source-port destination-port`, single spaces between, or `PROXY UNKNOWN` and anything.
fn source_of_line(line: &str) -> Result<Option<SocketAddr>, Malformed> {
    let rest = line.strip_prefix("PROXY ").ok_or(Malformed)?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let words: Vec<&str> = rest.splitn(6, ' ').collect();
    let [family, source, destination, source_port, destination_port] = words.as_slice() else {
        return Err(Malformed);
    };
    let address = match *family {
        "TCP4" => source_of_pair::<Ipv4Addr>(source, destination).map(IpAddr::from),
        "TCP6" => source_of_pair::<Ipv6Addr>(source, destination).map(IpAddr::from),
        _ => None,
    };
    match (address, port(source_port), port(destination_port)) {
        (Some(address), Some(port), Some(_)) => Ok(Some(SocketAddr::new(address, port))),
        _ => Err(Malformed),
    }
}

/// Reads the source, if the destination is of the same family.
fn source_of_pair<A: FromStr>(source: &str, destination: &str) -> Option<A> {
    destination.parse::<A>().ok()?;
    source.parse().ok()
}

fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_number && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
