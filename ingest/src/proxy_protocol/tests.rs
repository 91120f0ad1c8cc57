//! Headers as the specification has them, whole, cut anywhere and changed anywhere.

use proptest::prelude::*;

use super::*;

/// Writes version 2 as its specification says.
fn binary(source: SocketAddr, destination: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            rest.extend(source.octets());
            rest.extend(destination.octets());
            0x11
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            rest.extend(source.octets());
            rest.extend(destination.octets());
            0x21
        }
        _ => panic!("two families"),
    };
    rest.extend(source.port().to_be_bytes());
    rest.extend(destination.port().to_be_bytes());
    rest.extend(tlvs);
    framed(0x21, family, &rest)
}

fn framed(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[version_and_command, family], &length, rest].concat()
}

fn line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn pair() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[([u8; 4], u16); 2]>().prop_map(|pair| pair.map(SocketAddr::from));
    let v6 = any::<[([u16; 8], u16); 2]>().prop_map(|pair| pair.map(SocketAddr::from));
    prop_oneof![v4, v6].prop_map(|[source, destination]| (source, destination))
}

/// Reads as a socket is read: never more than what is said to be missing.
fn read_in_steps(bytes: &[u8]) -> (Preamble, usize) {
    let mut taken = 0;
    loop {
        match parse(&bytes[..taken]) {
            Preamble::Incomplete(more) if taken + more <= bytes.len() => {
                assert!(more > 0);
                taken += more;
            }
            preamble => return (preamble, taken),
        }
    }
}

proptest! {
    #[test]
    fn a_header_is_read_as_it_was_written_and_nothing_behind_it(
        (source, destination) in pair(),
        tlvs in prop::collection::vec(any::<u8>(), 0..200),
        behind in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        for header in [binary(source, destination, &tlvs), line(source, destination)] {
            let expected = Preamble::Header { length: header.len(), source: Some(source) };
            let bytes = [header.as_slice(), &behind].concat();
            prop_assert_eq!(parse(&bytes), expected);
            prop_assert_eq!(read_in_steps(&bytes), (expected, header.len()));
            for end in 0..header.len() {
                let Preamble::Incomplete(more) = parse(&header[..end]) else {
                    panic!("{end}: {:?}", parse(&header[..end]));
                };
                prop_assert!(end + more <= header.len(), "{} and {}", end, more);
            }
        }
    }

    #[test]
    fn no_bytes_are_read_beyond_the_longest_header(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for bytes in [bytes.clone(), [SIGNATURE.as_slice(), &bytes].concat(), [PREFIX.as_slice(), &bytes].concat()] {
            match parse(&bytes) {
                Preamble::Header { length, .. } => prop_assert!(length <= bytes.len()),
                Preamble::Incomplete(more) => {
                    prop_assert!(bytes.len() + more <= FIXED_BYTES + MAX_REST_BYTES);
                }
                Preamble::Invalid => {}
            }
        }
    }

    #[test]
    fn a_changed_byte_of_the_fixed_part_is_never_another_length(
        (source, destination) in pair(), place in 0_usize..14, change in 1_u8..,
    ) {
        let mut header = binary(source, destination, &[]);
        header[place] ^= change;
        match parse(&header) {
            Preamble::Header { length, .. } => prop_assert_eq!(length, header.len()),
            Preamble::Invalid => {}
            Preamble::Incomplete(_) => prop_assert!(false, "place {}", place),
        }
    }
}

#[test]
fn a_proxy_may_speak_for_itself_or_not_know() {
    let header = |length| Preamble::Header { length, source: None };
    assert_eq!(parse(b"PROXY UNKNOWN\r\nGET"), header(15));
    assert_eq!(parse(b"PROXY UNKNOWN ffff:f...f 1 2\r\n"), header(30));
    assert_eq!(parse(&framed(0x20, 0x00, &[])), header(16));
    assert_eq!(parse(&framed(0x20, 0x11, b"short")), header(21));
    assert_eq!(parse(&framed(0x21, 0x00, b"anything")), header(24));
    assert_eq!(parse(&framed(0x21, 0x31, &[0; 216])), header(232));
}

#[test]
fn what_breaks_the_rules_is_no_header() {
    for text in [
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
    ] {
        assert_eq!(parse(text.as_bytes()), Preamble::Invalid, "{text}");
    }
    assert_eq!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat()), Preamble::Invalid);
    for (command, family, rest) in [
        (0x21, 0x11, 11),
        (0x21, 0x21, 35),
        (0x21, 0x12, 12),
        (0x22, 0x11, 12),
        (0x11, 0x11, 12),
        (0x21, 0x11, MAX_REST_BYTES + 1),
        (0x20, 0x00, usize::from(u16::MAX)),
    ] {
        assert_eq!(parse(&framed(command, family, &vec![7; rest])), Preamble::Invalid, "{family}");
    }
}
