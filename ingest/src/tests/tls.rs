//! TLS over real sockets with OpenSSL's own client.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openssl::ssl::SslVersion;
use openssl::symm::Cipher;
use serde_json::json;
use tillrace_log::explain::Explained as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::authority::*;
use super::harness::*;
use crate::{GatewayError, GatewaySettings, TlsSettings, TlsVersion};

const SOON: Duration = Duration::from_millis(100);

/// Sends an event and returns the answer; `None` if the connection ends instead.
async fn sell(stream: &mut SslStream<TcpStream>, key: &str, sequence: u64) -> Option<Answer> {
    let head = head("/v1/events", &[KeyOf(key).header(), JSON]);
    let request = with_length(&head, event("7", sequence).as_bytes());
    stream.write_all(&request).await.ok()?;
    read_answer(stream).await
}

async fn status(bench: &Bench, client: &Client, key: &str, sequence: u64) -> Option<u16> {
    let mut stream = client.connect(bench.gateway.local_addr()).await?;
    sell(&mut stream, key, sequence).await.map(|answer| answer.status)
}

fn handshakes(bench: &Bench, outcome: &str) -> Option<u64> {
    bench.metric(&format!("tillrace_ingest_tls_handshakes_total{{outcome=\"{outcome}\"}}"))
}

#[tokio::test]
async fn two_versions_are_spoken_and_none_that_is_older() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| settings.tls = Some(files.settings())).await;
    let client = |version| authority.client().speaking(version);
    assert_eq!(status(&bench, &client(SslVersion::TLS1_2), KEY, 1).await, Some(202));
    assert_eq!(status(&bench, &client(SslVersion::TLS1_3), KEY, 2).await, Some(202));
    assert_eq!(status(&bench, &client(SslVersion::TLS1_1), KEY, 3).await, None);
    assert_eq!(status(&bench, &authority.client().without_sni(), KEY, 4).await, Some(202));
    let stranger = Authority::new("another").client();
    assert!(
        stranger.connect(bench.gateway.local_addr()).await.is_none(),
        "who trusts another authority"
    );
    assert_eq!(handshakes(&bench, "completed"), Some(3));

    let newest = TlsSettings { min_version: TlsVersion::Tls13, ..files.settings() };
    let bench = start(|settings| settings.tls = Some(newest)).await;
    assert_eq!(status(&bench, &client(SslVersion::TLS1_2), KEY, 1).await, None);
    assert_eq!(status(&bench, &client(SslVersion::TLS1_3), KEY, 2).await, Some(202));
}

#[tokio::test]
async fn http_2_is_agreed_on_by_alpn() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| settings.tls = Some(files.settings())).await;
    let address = bench.gateway.local_addr();
    let client = authority.client().offering(b"\x08http/1.1\x02h2");
    let stream = client.connect(address).await.unwrap();
    assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("https://localhost/v1/events")
        .header("x-api-key", KEY)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(event("7", 1))))
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 202);

    let client = authority.client().offering(b"\x08http/1.1");
    let mut stream = client.connect(address).await.unwrap();
    assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(sell(&mut stream, KEY, 2).await.unwrap().status, 202);
    let client = authority.client().offering(b"\x06spdy/3");
    assert!(client.connect(address).await.is_none(), "nothing that both speak");
}

#[tokio::test]
async fn only_clients_of_the_authority_are_let_in_where_a_certificate_is_required() {
    let (authority, clients, others) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("others"));
    let files = Files::new(&authority.issue("localhost"));
    let required = files.asking(&clients, true);
    let bench = start(|settings| settings.tls = Some(required)).await;
    let till = clients.issue("till-7.example.com");
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let client = || authority.client().speaking(version);
        for (refused, sequence) in [
            (client(), 1),
            (client().showing(&others.issue("till-7.example.com")), 2),
            (client().showing(&clients.issue_for("till-7.example.com", [-30, -1])), 3),
            (client().showing(&clients.issue_for("till-7.example.com", [1, 30])), 4),
        ] {
            assert_eq!(status(&bench, &refused, KEY, sequence).await, None, "{sequence}");
        }
        assert_eq!(status(&bench, &client().showing(&till), KEY, 5).await, Some(202));
    }
    assert_eq!(handshakes(&bench, "failed"), Some(8));
}

/// A resumed session shows no certificate again.
#[tokio::test]
async fn sessions_are_resumed_only_where_no_certificate_is_asked_for() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let files = Files::new(&authority.issue("localhost"));
    for (tls, tickets) in [(files.settings(), 2), (files.asking(&clients, false), 0)] {
        let bench = start(|settings| settings.tls = Some(tls)).await;
        let client = authority.client().speaking(SslVersion::TLS1_3);
        assert_eq!(status(&bench, &client, KEY, 1).await, Some(202));
        assert_eq!(client.tickets(), tickets);
    }
}

#[tokio::test]
async fn a_stolen_key_without_its_certificate_is_refused() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let files = Files::new(&authority.issue("localhost"));
    let (own, neighbours) =
        (clients.issue("till-7.example.com"), clients.issue("till-8.example.com"));
    let asking = files.asking(&clients, false);
    let bound = json!({"keys": [
        {"name": "by name", "hash": crate::hash_key(KEY), "stores": ["*"],
            "client_certificate": {"san": "till-7.example.com"}},
        {"name": "by fingerprint", "hash": crate::hash_key(NARROW_KEY), "stores": ["*"],
            "client_certificate": {"fingerprint": own.fingerprint()}},
    ]});
    let bench = start_with(|settings| settings.tls = Some(asking), bound).await;
    let mut sequence = 0;
    for key in [KEY, NARROW_KEY] {
        for (client, expected) in [
            (authority.client().showing(&own), 202),
            (authority.client().showing(&neighbours), 401),
            (authority.client(), 401),
        ] {
            sequence += 1;
            let mut stream = client.connect(bench.gateway.local_addr()).await.unwrap();
            let answer = sell(&mut stream, key, sequence).await.unwrap();
            assert_eq!(answer.status, expected, "{key} {answer:?}");
            if expected == 401 {
                answer.assert_problem(401, "client_certificate_required");
            }
        }
    }
    let mut stream = authority.client().connect(bench.gateway.local_addr()).await.unwrap();
    assert_eq!(
        sell(&mut stream, NEIGHBOUR_KEY, 1).await.unwrap().status,
        202,
        "a key without a binding"
    );
}

#[tokio::test]
async fn new_files_are_taken_while_old_connections_go_on_and_broken_ones_are_not() {
    let authority = Authority::new("ours");
    let (first, second) = (authority.issue("localhost"), authority.issue("localhost"));
    let files = Files::new(&first);
    let quick = TlsSettings { reload_interval: SOON, ..files.settings() };
    let bench = start(|settings| settings.tls = Some(quick)).await;
    let address = bench.gateway.local_addr();
    let client = authority.client();
    let mut old = client.connect(address).await.unwrap();
    assert_eq!(serial_of_peer(&old), first.serial());

    // Only one of the two files: the pair does not fit.
    files.write_certificate(&second);
    let kept = "tillrace_ingest_tls_certificate_loads_total{outcome=\"kept\"}";
    eventually("it is told", || bench.metric(kept) == Some(1)).await;
    let [standing] = bench.process.active_conditions().try_into().unwrap();
    assert_eq!(standing.condition.code, "certificate_kept");
    assert!(
        standing.condition.cause.contains("is not that of the first certificate"),
        "{standing:?}"
    );
    assert_eq!(serial_of_peer(&client.connect(address).await.unwrap()), first.serial());

    files.write(&second);
    let loaded = "tillrace_ingest_tls_certificate_loads_total{outcome=\"loaded\"}";
    eventually("it is taken", || bench.metric(loaded) == Some(1)).await;
    assert_eq!(bench.process.active_conditions(), []);
    assert_eq!(serial_of_peer(&client.connect(address).await.unwrap()), second.serial());
    assert_eq!(sell(&mut old, KEY, 1).await.unwrap().status, 202, "what is open goes on");

    fs::remove_file(files.path("key.pem")).unwrap();
    eventually("it is told again", || bench.metric(kept) == Some(2)).await;
    assert_eq!(status(&bench, &client, KEY, 2).await, Some(202));
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue_for("localhost", [-1, 3]));
    let quick = TlsSettings { reload_interval: SOON, ..files.settings() };
    let bench = start(|settings| settings.tls = Some(quick)).await;
    let [standing] = bench.process.active_conditions().try_into().unwrap();
    assert_eq!(standing.condition.code, "certificate_expiring");
    assert!(standing.condition.cause.ends_with("expires within 3 days"), "{standing:?}");
    files.write(&authority.issue("localhost"));
    eventually("it is over", || bench.process.active_conditions().is_empty()).await;
}

/// Peers that say nothing, and peers that begin a handshake and say no more.
#[tokio::test]
async fn peers_that_do_not_finish_their_handshake_keep_nobody_waiting() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let narrow = TlsSettings { max_handshakes: 4, ..files.settings() };
    let bench = start(|settings| settings.tls = Some(narrow)).await;
    let mut slow = Vec::new();
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        for _ in 0..4 {
            let mut stream = bench.connect().await;
            stream.write_all(begun).await.unwrap();
            slow.push(stream);
        }
    }
    // Two of the eight that have begun have a place, the half of one address.
    eventually("the others are turned away", || handshakes(&bench, "turned_away") == Some(6)).await;
    let elsewhere = connect_from(&bench, "127.0.0.2").await;
    let mut served = authority.client().secure(elsewhere).await.unwrap();
    assert_eq!(sell(&mut served, KEY, 1).await.unwrap().status, 202);
    assert_eq!(handshakes(&bench, "timed_out"), None);
}

#[tokio::test]
async fn a_handshake_has_a_time() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let quick = TlsSettings { handshake_timeout: SOON, ..files.settings() };
    let bench = start(|settings| settings.tls = Some(quick)).await;
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = bench.connect().await;
        stream.write_all(begun).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0, "it is closed");
    }
    eventually("both are counted", || handshakes(&bench, "timed_out") == Some(2)).await;
    eventually("and gone", || bench.metric("tillrace_ingest_connections") == Some(0)).await;
}

#[tokio::test]
async fn past_a_cap_it_is_told_over_tls_too() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| {
        settings.tls = Some(files.settings());
        settings.max_connections = 1;
    })
    .await;
    let address = bench.gateway.local_addr();
    let mut served = authority.client().connect(address).await.unwrap();
    assert_eq!(sell(&mut served, KEY, 1).await.unwrap().status, 202);
    let mut past = authority.client().connect(address).await.unwrap();
    sell(&mut past, KEY, 2).await.unwrap().assert_problem(503, "unavailable");
}

#[tokio::test]
async fn a_drain_waits_for_requests_and_not_for_handshakes() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| {
        settings.tls = Some(files.settings());
        settings.drain_timeout = Duration::from_mins(1);
    })
    .await;
    let mut begun = bench.connect().await;
    begun.write_all(b"\x16\x03\x01").await.unwrap();
    eventually("it is there", || bench.metric("tillrace_ingest_connections") == Some(1)).await;
    let Bench { gateway, .. } = bench;
    assert_eq!(gateway.drain().await.unwrap(), 0, "nothing had to be cut");
    assert_eq!(begun.read(&mut [0; 1]).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn plain_http_to_a_port_of_tls_is_told_so() {
    let authority = Authority::new("ours");
    let files = Files::new(&authority.issue("localhost"));
    let bench = start(|settings| settings.tls = Some(files.settings())).await;
    let mut stream = bench.connect().await;
    let head = head("/v1/events", &[KeyOf(KEY).header(), JSON]);
    stream.write_all(&with_length(&head, event("7", 1).as_bytes())).await.unwrap();
    let answer = read_answer(&mut stream).await.unwrap();
    answer.assert_problem(400, "tls_required");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(handshakes(&bench, "plain_text"), Some(1));
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let authority = Authority::new("ours");
    let issued = authority.issue("localhost");
    let files = Files::new(&issued);
    assert!((29.0..30.1).contains(&files.settings().days_left().unwrap()));
    let told = |tls: TlsSettings| {
        let error = tls.days_left().unwrap_err();
        (error.file().key(), error.explanation().code)
    };
    let with_key = |name: &str, pem: &[u8]| {
        fs::write(files.path(name), pem).unwrap();
        TlsSettings { key: files.path(name), ..files.settings() }
    };
    let locked = issued.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"x");
    let other = authority.issue("localhost").key.private_key_to_pem_pkcs8().unwrap();
    assert_eq!(told(with_key("locked.pem", &locked.unwrap())), ("key", "tls_file_malformed"));
    assert_eq!(told(with_key("empty.pem", b"")), ("key", "tls_file_malformed"));
    assert_eq!(told(with_key("other.pem", &other)), ("key", "tls_key_mismatch"));
    let absent = TlsSettings { certificate: files.path("absent.pem"), ..files.settings() };
    assert_eq!(told(absent), ("certificate", "tls_file_unreadable"));
    let no_authority = TlsSettings { client_ca: Some(files.path("empty.pem")), ..files.settings() };
    assert_eq!(told(no_authority), ("client_ca", "tls_file_malformed"));
    files.write(&authority.issue_for("localhost", [-30, -1]));
    assert_eq!(told(files.settings()), ("certificate", "tls_certificate_expired"));
    files.write(&authority.issue_for("localhost", [1, 30]));
    assert_eq!(told(files.settings()), ("certificate", "tls_certificate_not_yet_valid"));
}

#[tokio::test]
async fn a_gateway_whose_certificate_cannot_be_used_does_not_start() {
    let tls = Some(TlsSettings::new("/nowhere/a.pem", "/nowhere/a.key"));
    let settings = GatewaySettings {
        tls,
        listen: "127.0.0.1:0".parse().unwrap(),
        ..GatewaySettings::default()
    };
    let error = start_plainly(settings).err().unwrap();
    assert!(matches!(error, GatewayError::Tls(_)), "{error:?}");
    assert_eq!(error.explanation().code, "tls_file_unreadable");
}
