//! Which address a request comes from, who may say so, and whom the lists let in.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::authority::*;
use super::harness::*;
use crate::proxy_protocol::ProxyProtocol;
use crate::{ClientAddressHeader, GatewaySettings};

/// The address of a trusted proxy, and that of anybody else.
const PROXY: &str = "127.0.0.2";
const ANYBODY: &str = "127.0.0.1";

fn trust_the_proxy(settings: &mut GatewaySettings) {
    settings.trusted_proxies = vec![PROXY.parse().unwrap()];
    settings.client_address_header = ClientAddressHeader::XForwardedFor;
}

fn request(key: &str, headers: &[(&str, &str)], sequence: u64) -> Vec<u8> {
    let headers = [&[KeyOf(key).header(), JSON], headers].concat();
    with_length(&head("/v1/events", &headers), event("7", sequence).as_bytes())
}

/// Sends bytes from an address and reads one answer; `None` if the connection is closed instead.
async fn send(bench: &Bench, from: &str, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect_from(bench, from).await;
    stream.write_all(bytes).await.unwrap();
    read_answer(&mut stream).await
}

fn refused(bench: &Bench, list: &str) -> Option<u64> {
    bench.metric(&format!("tillrace_ingest_refused_addresses_total{{list=\"{list}\"}}"))
}

#[tokio::test]
async fn the_listener_lets_in_only_whom_its_list_has() {
    let bench = start(|settings| settings.addresses.allow = vec![PROXY.parse().unwrap()]).await;
    let answer = send(&bench, ANYBODY, &request(KEY, &[], 1)).await.unwrap();
    answer.assert_problem(403, "address_refused_by_listener");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(bench.get("/healthz").await.status, 403, "whatever it asks");
    assert_eq!(send(&bench, PROXY, &request(KEY, &[], 1)).await.unwrap().status, 202);
    assert_eq!(refused(&bench, "listener"), Some(2));
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_request_comes_from() {
    let list = json!({"addresses": {"allow": ["192.0.2.0/24"]}});
    let bench = start_with(trust_the_proxy, list).await;
    let forwarded = |value| [("X-Forwarded-For", value)];
    for (from, value, expected) in [
        (ANYBODY, "192.0.2.1", 403),
        (PROXY, "192.0.2.1", 202),
        (PROXY, "198.51.100.1", 403),
        (PROXY, "192.0.2.1, 198.51.100.1", 403),
        (PROXY, "198.51.100.1, 192.0.2.1", 202),
        (PROXY, "::ffff:192.0.2.7", 202),
        (PROXY, "192.0.2.1, unknown", 403),
    ] {
        let answer = send(&bench, from, &request(KEY, &forwarded(value), 1)).await.unwrap();
        assert_eq!(answer.status, expected, "{from} {value}");
    }
    let other_header = [("Forwarded", "for=192.0.2.1")];
    let answer = send(&bench, PROXY, &request(KEY, &other_header, 1)).await.unwrap();
    answer.assert_problem(403, "address_refused_by_tenant");
    assert_eq!(refused(&bench, "tenant"), Some(5));
    let of_neighbour = send(&bench, ANYBODY, &request(NEIGHBOUR_KEY, &[], 1)).await.unwrap();
    assert_eq!(of_neighbour.status, 202, "a list is its tenant's own");
}

#[tokio::test]
async fn the_listener_judges_a_proxys_requests_by_their_clients() {
    let bench = start(|settings| {
        trust_the_proxy(settings);
        settings.client_address_header = ClientAddressHeader::Forwarded;
        settings.addresses.deny = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let ask = async |node: &str| {
        let value = format!("for={node}");
        send(&bench, PROXY, &request(KEY, &[("Forwarded", &value)], 1)).await.unwrap()
    };
    ask("192.0.2.1").await.assert_problem(403, "address_refused_by_listener");
    ask("\"192.0.2.1").await.assert_problem(403, "address_refused_by_listener");
    assert_eq!(ask("198.51.100.1").await.status, 202);
}

#[tokio::test]
async fn a_key_has_a_list_and_who_is_not_on_it_costs_the_tenant_nothing() {
    let limited = json!({
        "limits": {"tenant": {"events_per_second": 1, "events_burst": 1}},
        "keys": [
            {"name": "all", "hash": crate::hash_key(KEY), "stores": ["*"], "addresses": {"deny": [ANYBODY]}},
        ],
    });
    let bench = start_with(|_| {}, limited).await;
    for sequence in 1..6 {
        let answer = send(&bench, ANYBODY, &request(KEY, &[], sequence)).await.unwrap();
        answer.assert_problem(403, "address_refused_by_key");
    }
    assert_eq!(send(&bench, PROXY, &request(KEY, &[], 6)).await.unwrap().status, 202);
    assert_eq!(refused(&bench, "key"), Some(5));
}

fn expect_proxy_headers(settings: &mut GatewaySettings) {
    settings.trusted_proxies = vec![PROXY.parse().unwrap()];
    settings.proxy_protocol = ProxyProtocol::Required;
}

/// Version 2 for a connection from an address of IPv4.
fn binary(source: [u8; 4], length: u16, rest: &[u8]) -> Vec<u8> {
    let head = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x21, 0x11], &length.to_be_bytes()].concat();
    [head.as_slice(), &source, &[10, 0, 0, 1], &[0x30, 0x39, 0x01, 0xbb], rest].concat()
}

#[tokio::test]
async fn a_proxy_header_names_the_client_of_a_trusted_proxy() {
    let list = json!({"addresses": {"allow": ["192.0.2.0/24"]}});
    let bench = start_with(expect_proxy_headers, list).await;
    let request = request(KEY, &[("X-Forwarded-For", "192.0.2.9")], 1);
    let line = |address: &str| format!("PROXY TCP4 {address} 10.0.0.1 12345 443\r\n").into_bytes();
    let tlvs = [0x04, 0x00, 0x02, 0xff, 0xff];
    for (header, expected) in [
        (line("192.0.2.1"), 202),
        (line("198.51.100.1"), 403),
        (binary([192, 0, 2, 1], 12, &[]), 202),
        (binary([192, 0, 2, 1], 17, &tlvs), 202),
        (binary([198, 51, 100, 1], 12, &[]), 403),
        (b"PROXY UNKNOWN\r\n".to_vec(), 403),
    ] {
        let answer = send(&bench, PROXY, &[header.as_slice(), &request].concat()).await.unwrap();
        assert_eq!(answer.status, expected, "{:?}", String::from_utf8_lossy(&header));
    }
    let spoofed = send(&bench, ANYBODY, &[line("192.0.2.1"), request].concat()).await.unwrap();
    assert_eq!(spoofed.status, 400, "of others it is no HTTP");
}

/// A balancer that passes TCP on to a proxy that writes headers: each speaks for the one before it.
#[tokio::test]
async fn a_proxy_behind_a_proxy_names_the_client_of_each_request() {
    let list = json!({"addresses": {"allow": ["192.0.2.0/24"]}});
    let bench = start_with(
        |settings| {
            trust_the_proxy(settings);
            expect_proxy_headers(settings);
            settings.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
            settings.max_connections = 4;
            settings.address_share_percent = 25;
        },
        list,
    )
    .await;
    let mut open = Vec::new();
    for (client, expected) in [("192.0.2.1", 202), ("198.51.100.1", 403)] {
        let mut stream = connect_from(&bench, PROXY).await;
        let header = b"PROXY TCP4 10.0.0.7 10.0.0.1 12345 443\r\n".as_slice();
        let request = request(KEY, &[("X-Forwarded-For", client)], 1);
        stream.write_all(&[header, &request].concat()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.unwrap().status, expected, "{client}");
        open.push(stream);
    }
}

#[tokio::test]
async fn a_trusted_proxy_without_a_sound_header_is_cut() {
    let bench = start(expect_proxy_headers).await;
    let request = request(KEY, &[], 1);
    let mut cases = vec![request.clone(), b"PROXY TCP4 1 2 3 4\r\n".to_vec()];
    // Less than the addresses need, and more than is taken.
    for length in [0, 11, 4_097, u16::MAX] {
        cases.push([binary([192, 0, 2, 1], length, &[]), request.clone()].concat());
    }
    let count = cases.len() as u64;
    for case in cases {
        assert!(send(&bench, PROXY, &case).await.is_none(), "{:?}", String::from_utf8_lossy(&case));
    }
    let invalid = "tillrace_ingest_invalid_proxy_headers_total";
    assert_eq!(bench.metric(invalid), Some(count));
    // A length beyond what was sent: the rest is waited for, in vain.
    let mut stream = connect_from(&bench, PROXY).await;
    stream.write_all(&binary([192, 0, 2, 1], 4_000, &[])).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0);
    assert_eq!(bench.metric(invalid), Some(count + 1));
}

#[tokio::test]
async fn a_share_of_connections_is_the_clients_that_the_proxy_header_names() {
    let bench = start(|settings| {
        expect_proxy_headers(settings);
        settings.max_connections = 4;
        settings.address_share_percent = 50;
    })
    .await;
    let connect = async |client: &str| {
        let mut stream = connect_from(&bench, PROXY).await;
        let header = format!("PROXY TCP4 {client} 10.0.0.1 12345 443\r\n");
        let ask = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all((header + ask).as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        answer.map(|answer| (answer.status, stream))
    };
    let is_served = |one: &Option<(u16, TcpStream)>| matches!(one, Some((200, _)));
    let first = [connect("192.0.2.1").await, connect("192.0.2.1").await];
    assert!(first.iter().all(is_served));
    assert!(connect("192.0.2.1").await.is_none(), "its share is used up");
    assert!(is_served(&connect("192.0.2.2").await));
    let refused = "tillrace_ingest_refused_connections_total{reason=\"address_share\"}";
    assert_eq!(bench.metric(refused), Some(1));
}

#[tokio::test]
async fn the_proxy_header_stands_before_tls_and_the_list_between() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| {
        expect_proxy_headers(settings);
        settings.tls = Some(files.settings());
        settings.addresses.allow = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let connect = async |client: &str| {
        let mut stream = connect_from(&bench, PROXY).await;
        let header = format!("PROXY TCP4 {client} 10.0.0.1 12345 443\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        authority.client().secure(stream).await
    };
    let mut stream = connect("192.0.2.1").await.unwrap();
    stream.write_all(&request(KEY, &[], 1)).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 202);
    assert!(connect("198.51.100.1").await.is_none(), "closed before a handshake");
    assert_eq!(refused(&bench, "listener"), Some(1));
    assert_eq!(
        bench.metric("tillrace_ingest_tls_handshakes_total{outcome=\"completed\"}"),
        Some(1)
    );
}
