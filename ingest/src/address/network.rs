//! A network of addresses, as it is written in a configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::Deserialize;

/// Bits of an IPv6 address before the IPv4 address that it maps (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A network in CIDR notation, or a single address: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.
///
/// Networks of IPv4 addresses mapped into IPv6 are those of IPv4, as addresses are when they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline)]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is neither a network nor an address.
    #[error("is no network: write 10.0.0.0/8, 2001:db8::/32 or a single address")]
    Malformed,
    /// It has bits set past its prefix: it is not clear how much is meant.
    #[error("has bits past its prefix: write {0}, or a single address without a prefix")]
    HostBits(Network),
}

impl Network {
    /// Tells whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let given: IpNet = text.parse().ok().ok_or(NetworkError::Malformed)?;
        let network = Self(canonical(given.trunc()));
        if given == given.trunc() { Ok(network) } else { Err(NetworkError::HostBits(network)) }
    }
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(MAPPED_BITS);
    let (Some(prefix), Some(address)) = (prefix, mapped.addr().to_ipv4_mapped()) else {
        return network;
    };
    Ipv4Net::new(address, prefix).map_or(network, IpNet::V4)
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, NetworkError> {
        text.parse().map(|network: Network| network.to_string())
    }

    #[test]
    fn networks_and_single_addresses_are_read_in_one_form() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(network), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "shop.example.com", "10.0.0.1 "] {
            assert_eq!(read(text), Err(NetworkError::Malformed), "{text}");
        }
        let meant = "10.0.0.0/8".parse().unwrap();
        assert_eq!(read("10.0.0.5/8"), Err(NetworkError::HostBits(meant)));
    }

    #[test]
    fn an_address_is_the_same_in_either_family() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        for (address, is_in) in
            [("10.255.0.1", true), ("::ffff:10.0.0.1", true), ("11.0.0.1", false), ("::1", false)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), is_in, "{address}");
        }
    }
}
