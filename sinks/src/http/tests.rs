use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::UNIX_EPOCH;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn classified(status: u16) -> Result<HttpReply, CallError> {
    classify(
        StatusCode::from_u16(status).unwrap(),
        Some(Duration::from_secs(3)),
        Bytes::new(),
        false,
    )
}

#[test]
fn only_statuses_about_content_refuse_it() {
    for status in [200, 201, 202, 204] {
        assert_eq!(classified(status).unwrap().status, status);
    }
    assert_eq!(classified(201).unwrap().outcome().unwrap(), RecordOutcome::Delivered);
    assert_eq!(classified(424).unwrap().outcome().unwrap(), RecordOutcome::DependencyMissing);
    for status in [400, 412, 413, 422] {
        assert!(matches!(classified(status), Err(CallError::Refused { .. })), "{status}");
    }
    for status in [301, 401, 403, 404, 405, 408, 410, 418, 500, 502, 503, 504] {
        assert!(matches!(classified(status), Err(CallError::Unavailable { .. })), "{status}");
    }
    for status in [409, 423] {
        assert!(matches!(classified(status), Err(CallError::Busy { .. })), "{status}");
    }
    for status in [425, 429] {
        let Err(CallError::Throttled { after }) = classified(status) else { panic!("{status}") };
        assert_eq!(after, Some(Duration::from_secs(3)));
    }
}

#[test]
fn a_retry_after_may_be_seconds_or_a_date_of_any_form() {
    let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let read = |text: &'static str, now| retry_after(&HeaderValue::from_static(text), now);
    assert_eq!(read("120", at), Some(Duration::from_mins(2)));
    assert_eq!(read("99999999999999999999999", at), Some(MAX_RETRY_AFTER));
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        let earlier = at - Duration::from_secs(90);
        assert_eq!(read(text, earlier), Some(Duration::from_secs(90)), "{text}");
        assert_eq!(read(text, at + Duration::from_secs(1)), Some(Duration::ZERO), "{text}");
    }
    for text in ["", "-1", "+1", "soon", "Sun, 06 Nov 1994 08:49:37 CET"] {
        assert_eq!(read(text, at), None, "{text}");
    }
}

#[test]
fn a_success_has_no_body_or_json() {
    let outcome = |body: &'static str, content_type: &'static str| {
        let is_json = is_json(&HeaderValue::from_static(content_type));
        let body = Bytes::from_static(body.as_bytes());
        classify(StatusCode::OK, None, body, is_json).unwrap().outcome()
    };
    for (body, content_type) in [
        ("", "text/html"),
        ("{\"number\":7}", "application/json; charset=utf-8"),
        ("[]", "application/vnd.erp+json"),
    ] {
        assert_eq!(outcome(body, content_type).unwrap(), RecordOutcome::Delivered, "{body}");
    }
    for (body, content_type) in [
        ("<html><form>log in</form></html>", "text/html; charset=utf-8"),
        ("<html>", "application/json"),
        ("{}", "text/plain"),
    ] {
        let refused = outcome(body, content_type);
        assert!(
            matches!(
                refused,
                Err(CallError::Unavailable { code: FailureCode::UnexpectedContent, .. })
            ),
            "{body}: {refused:?}"
        );
    }
}

#[test]
fn a_token_that_was_never_resolved_is_not_sent() {
    let mut settings = BackendSettings::new("http://127.0.0.1:1/");
    settings.token = Some(Secret::new("env:ABSENT"));
    assert!(matches!(Backend::new(&settings), Err(BackendError::Token)));
}

/// Answers one call and returns what it said.
fn serve_one(mut stream: impl Read + Write) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4_096];
    while !request.ends_with(b"\r\n\r\n{}") {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the call ended early");
        request.extend_from_slice(&chunk[..read]);
    }
    stream.write_all(ANSWER).unwrap();
    stream.flush().unwrap();
    String::from_utf8(request).unwrap().to_lowercase()
}

/// Listens on loopback for one call.
fn listen() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/documents", listener.local_addr().unwrap());
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || tell.send(serve_one(listener.accept().unwrap().0)));
    (url, told)
}

#[tokio::test]
async fn a_call_carries_its_key_and_its_token() {
    let (url, told) = listen();
    let mut settings = BackendSettings::new(&url);
    settings.token = Some(Secret::new("s3cr3t"));
    let backend = Backend::new(&settings).unwrap();
    assert_eq!(backend.post(b"{}".to_vec(), "/acme/1/1#7").await.unwrap().status, 201);
    let request = told.recv().unwrap();
    assert!(request.starts_with("post /documents http/1.1\r\n"), "{request}");
    for header in [
        "idempotency-key: /acme/1/1#7",
        "authorization: bearer s3cr3t",
        "content-type: application/json",
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} in {request}");
    }
    assert!(!format!("{backend:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_backend_that_never_answers_is_left_after_the_timeout() {
    // Connections are accepted by the system; nobody reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = BackendSettings::new(&format!("http://{}/", listener.local_addr().unwrap()));
    settings.timeout = Duration::from_millis(50);
    let answer = Backend::new(&settings).unwrap().post(b"{}".to_vec(), "k").await;
    assert!(
        matches!(answer, Err(CallError::Unavailable { code: FailureCode::Timeout, .. })),
        "{answer:?}"
    );
}

/// Posts to a backend that cannot be called, and returns why not.
async fn failure(settings: &BackendSettings) -> FailureCode {
    match Backend::new(settings).unwrap().post(b"{}".to_vec(), "k").await {
        Err(CallError::Unavailable { code, .. }) => code,
        other => panic!("{other:?} instead of a failure"),
    }
}

#[tokio::test]
async fn a_connection_that_fails_says_why() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = BackendSettings::new(&format!("http://127.0.0.1:{port}/"));
    assert_eq!(failure(&refused).await, FailureCode::ConnectionRefused);
    // RFC 6761, section 6.4: the name never exists.
    let nowhere = BackendSettings::new("http://backend.invalid/");
    assert_eq!(failure(&nowhere).await, FailureCode::Dns);
    // A server that closes without an answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broken = BackendSettings::new(&format!("http://{}/", listener.local_addr().unwrap()));
    std::thread::spawn(move || drop(listener.accept().unwrap().0));
    assert_eq!(failure(&broken).await, FailureCode::ConnectionLost);
    // A server that speaks no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = BackendSettings::new(&format!("https://{}/", listener.local_addr().unwrap()));
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(ANSWER).unwrap());
    assert_eq!(failure(&plain).await, FailureCode::Tls);
}

/// Makes a certificate that vouches for itself, for a host and from one day to another, counted from now.
fn certificate(host: &str, (from, to): (i64, i64)) -> (X509, PKey<Private>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let day = |days: i64| Asn1Time::from_unix(now.cast_signed() + days * 86_400).unwrap();
    let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, host).unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(to)).unwrap();
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let names =
        SubjectAlternativeName::new().dns(host).build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// Serves TLS under a certificate; returns settings that trust it and what a call says.
fn serve_tls(
    folder: &Path,
    (certificate, key): (X509, PKey<Private>),
) -> (BackendSettings, Receiver<String>) {
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, certificate.to_pem().unwrap()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that does not trust us breaks off.
            if let Ok(stream) = acceptor.accept(stream.unwrap()) {
                tell.send(serve_one(stream)).unwrap();
            }
        }
    });
    let mut settings = BackendSettings::new(&format!("https://localhost:{port}/documents"));
    settings.ca_file = Some(ca_file);
    (settings, told)
}

#[tokio::test]
async fn tls_trusts_the_authorities_of_the_settings_and_no_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, told) = serve_tls(folder.path(), certificate("localhost", (-1, 1)));
    let trusted = Backend::new(&settings).unwrap().post(b"{}".to_vec(), "k").await;
    assert_eq!(trusted.unwrap().status, 201);
    assert!(told.recv().unwrap().contains("idempotency-key: k"));
    settings.ca_file = None;
    assert_eq!(failure(&settings).await, FailureCode::TlsUnknownCa);
}

#[tokio::test]
async fn a_certificate_of_another_host_or_another_time_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _told) = serve_tls(folder.path(), certificate("erp.example", (-1, 1)));
    assert_eq!(failure(&settings).await, FailureCode::TlsWrongHost);
    for validity in [(-2, -1), (1, 2)] {
        let (settings, _told) = serve_tls(folder.path(), certificate("localhost", validity));
        assert_eq!(failure(&settings).await, FailureCode::TlsExpired, "{validity:?}");
    }
}
