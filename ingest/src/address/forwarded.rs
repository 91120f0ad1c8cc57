//! The addresses that proxies name in a header, in the order in which they stand there.
//!
//! `Forwarded` is RFC 7239; `X-Forwarded-For` has no standard: addresses, commas between, some with a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Passes each node of a `Forwarded` value on; `None` is one that names no address (RFC 7239, section 6).
pub(super) fn nodes_of_forwarded(value: &str, mut node: impl FnMut(Option<IpAddr>)) {
    for element in split_unquoted(value, ',') {
        let mut of_element = None;
        for pair in split_unquoted(element, ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("for") {
                of_element = address_of(unquoted(value.trim()));
            }
        }
        node(of_element);
    }
}

/// Passes each entry of an `X-Forwarded-For` value on; `None` is one that is no address.
pub(super) fn entries_of_x_forwarded_for(value: &str, mut entry: impl FnMut(Option<IpAddr>)) {
    for text in value.split(',') {
        entry(address_of(text.trim()));
    }
}

/// Splits outside of quoted strings (RFC 9110, section 5.6.4). One that does not end reaches to the end of the value.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match letter {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted => is_escaped = !was_escaped,
            _ => {}
        }
        !is_quoted && letter == separator
    })
}

/// Takes the quotes away; no address needs an escape within them.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Reads an address, with a port or without; of IPv6, with brackets or without.
fn address_of(node: &str) -> Option<IpAddr> {
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let address: Ipv6Addr = address.parse().ok()?;
        return is_sound.then_some(IpAddr::from(address).to_canonical());
    }
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = node.split_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(value: &str) -> Vec<Option<String>> {
        let mut nodes = Vec::new();
        nodes_of_forwarded(value, |node| nodes.push(node.map(|address| address.to_string())));
        nodes
    }

    fn x_forwarded_for(value: &str) -> Vec<Option<String>> {
        let mut entries = Vec::new();
        let push = |entry: Option<IpAddr>| entries.push(entry.map(|address| address.to_string()));
        entries_of_x_forwarded_for(value, push);
        entries
    }

    fn known(addresses: &[&str]) -> Vec<Option<String>> {
        addresses.iter().map(|address| Some((*address).to_owned())).collect()
    }

    /// The examples of RFC 7239, and what senders do to it.
    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        assert_eq!(
            forwarded("for=192.0.2.43, for=198.51.100.17"),
            known(&["192.0.2.43", "198.51.100.17"])
        );
        assert_eq!(forwarded(r#"For="[2001:db8:cafe::17]:4711""#), known(&["2001:db8:cafe::17"]));
        assert_eq!(forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"), known(&["192.0.2.60"]));
        assert_eq!(forwarded(r#"for="192.0.2.43:47011""#), known(&["192.0.2.43"]));
        assert_eq!(forwarded(r#"by="a,b;for=1.1.1.1";for=192.0.2.1"#), known(&["192.0.2.1"]));
        assert_eq!(forwarded(r#"by="a\",for=1.1.1.1";for=192.0.2.1"#), known(&["192.0.2.1"]));
        assert_eq!(forwarded(r#"for="[::ffff:192.0.2.1]""#), known(&["192.0.2.1"]));
        for nothing in
            ["", "for=unknown", "for=_mystery", "by=192.0.2.1", "for=", r#"for="192.0.2.1"#]
        {
            assert_eq!(forwarded(nothing), [None], "{nothing}");
        }
        assert_eq!(
            forwarded(r#"for="1.1.1.1, for=192.0.2.1"#),
            [None],
            "a quote that does not end"
        );
    }

    #[test]
    fn x_forwarded_for_is_read_in_the_forms_that_proxies_write() {
        let value = "192.0.2.1, 192.0.2.2:4711,2001:db8::1 , [2001:db8::2]:80";
        let read = known(&["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(x_forwarded_for(value), read);
        for nothing in
            ["", "unknown", "192.0.2", "192.0.2.1:", "[::1]x", "[192.0.2.1]", "1.1.1.1 2.2.2.2"]
        {
            assert_eq!(x_forwarded_for(nothing), [None], "{nothing}");
        }
    }
}
