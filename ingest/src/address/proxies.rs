//! Which peers may speak for others, and what they say.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Network;
use super::forwarded::{entries_of_x_forwarded_for, nodes_of_forwarded};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which header of a trusted proxy names the client.
///
/// It is one, and it is said which: a proxy passes on unseen what a client writes into the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAddressHeader {
    /// None: the client is who the connection, or its PROXY header, comes from.
    #[default]
    None,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Peers that may speak for others.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
    header: ClientAddressHeader,
}

/// What was read of the header so far, from the left.
enum Client {
    NotNamed,
    Known(IpAddr),
    /// The nearest that is no proxy of ours was not told.
    Unknown,
}

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<Network>, header: ClientAddressHeader) -> Self {
        Self { networks, header }
    }

    /// Tells whether an address is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Returns the address of a request's client: `peer`, unless that is a trusted proxy which names another. Of a chain it is
    /// the nearest that is no trusted proxy, as only the words of those count; `None` if they did not say who it was.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let name = match self.header {
            ClientAddressHeader::None => return Some(peer),
            ClientAddressHeader::Forwarded => &FORWARDED,
            ClientAddressHeader::XForwardedFor => &X_FORWARDED_FOR,
        };
        if !self.contains(peer) {
            return Some(peer);
        }
        let mut client = Client::NotNamed;
        let mut read = |node: Option<IpAddr>| match node {
            None => client = Client::Unknown,
            Some(address) if !self.contains(address) => client = Client::Known(address),
            // The farthest proxy, as long as no client was named.
            Some(address) if matches!(client, Client::NotNamed) => client = Client::Known(address),
            Some(_proxy) => {}
        };
        for value in headers.get_all(name) {
            match value.to_str() {
                Ok(value) if name == FORWARDED => nodes_of_forwarded(value, &mut read),
                Ok(value) => entries_of_x_forwarded_for(value, &mut read),
                Err(_not_ascii) => read(None),
            }
        }
        match client {
            Client::NotNamed => Some(peer),
            Client::Known(address) => Some(address),
            Client::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> Option<String> {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let proxies = TrustedProxies::new(networks.into(), ClientAddressHeader::XForwardedFor);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers.append(FORWARDED, HeaderValue::from_static("for=198.51.100.99"));
        let address = proxies.client_address(peer.parse().unwrap(), &headers);
        address.map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_nearest_that_is_no_trusted_proxy() {
        for (peer, lines, expected) in [
            // Not trusted: what it writes is not read.
            ("192.0.2.9", &["198.51.100.1"][..], Some("192.0.2.9")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            ("2001:db8::1", &["198.51.100.1, 10.0.0.2"], Some("198.51.100.1")),
            // The left part is the client's own word.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["10.9.9.9, 198.51.100.1, 10.0.0.2"], Some("198.51.100.1")),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.1", "10.0.0.2"], Some("198.51.100.1")),
            ("10.0.0.1", &["junk, 198.51.100.1"], Some("198.51.100.1")),
            // A chain of proxies only: a health check of the farthest.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            ("10.0.0.1", &["198.51.100.1, unknown"], None),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], None),
            ("10.0.0.1", &["\u{e9}"], None),
            ("10.0.0.1", &[""], None),
        ] {
            assert_eq!(client(peer, lines).as_deref(), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_a_header_in_the_settings_none_is_read() {
        let network = "10.0.0.0/8".parse().unwrap();
        let proxies = TrustedProxies::new(vec![network], ClientAddressHeader::None);
        let mut headers = HeaderMap::new();
        headers.append(&X_FORWARDED_FOR, HeaderValue::from_static("198.51.100.1"));
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(proxies.client_address(peer, &headers), Some(peer));
    }
}
