//! Answers that no sound backend gives, from a real server: how each is classified, with a remedy.

use std::time::Duration;

use tillrace_log::explain::Explained as _;

use super::*;
use crate::simulate::{RawReply, RawServer};

/// How a call with one item ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Delivered,
    DependencyMissing,
    Unavailable(FailureCode),
    Throttled,
    Busy,
    Refused,
}

async fn call(reply: RawReply) -> (Ended, &'static str) {
    let server = RawServer::start(vec![reply]).await.unwrap();
    let settings =
        BackendSettings { timeout: Duration::from_secs(20), ..BackendSettings::new(&server.url()) };
    let backend = Backend::new(&settings).unwrap();
    let outcome = match backend.post(b"{}".to_vec(), "key").await {
        Ok(reply) => reply.outcome(),
        Err(error) => Err(error),
    };
    let remedy = outcome.as_ref().err().map_or("", |error| error.explanation().remedy);
    let ended = match outcome {
        Ok(RecordOutcome::Delivered) => Ended::Delivered,
        Ok(RecordOutcome::DependencyMissing) => Ended::DependencyMissing,
        Ok(other) => panic!("{other:?}"),
        Err(CallError::Unavailable { code, .. }) => Ended::Unavailable(code),
        Err(CallError::Throttled { .. }) => Ended::Throttled,
        Err(CallError::Busy { .. }) => Ended::Busy,
        Err(CallError::Refused { .. }) => Ended::Refused,
        Err(CallError::Stop { .. }) => panic!("no answer of a backend stops a partition"),
    };
    (ended, remedy)
}

#[tokio::test]
async fn each_bad_answer_is_classified_and_has_a_remedy() {
    let html = "content-type: text/html\r\n";
    let json = "content-type: application/json\r\n";
    let half = RawReply {
        bytes: b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"results\":[".to_vec(),
        filling: 0,
    };
    let huge = RawReply {
        bytes: b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n".to_vec(),
        filling: 100 << 20,
    };
    let garbage = RawReply { bytes: b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), filling: 0 };
    let plain = |status| RawReply::new(status, "", "");
    let cases = [
        (plain("204 No Content"), Ended::Delivered),
        (RawReply::new("200 OK", json, "{}"), Ended::Delivered),
        (plain("424 Failed Dependency"), Ended::DependencyMissing),
        (
            RawReply::new("200 OK", html, "<p>in"),
            Ended::Unavailable(FailureCode::UnexpectedContent),
        ),
        (
            RawReply::new("200 OK", json, "{\"a\""),
            Ended::Unavailable(FailureCode::UnexpectedContent),
        ),
        (half, Ended::Unavailable(FailureCode::ConnectionLost)),
        (huge, Ended::Unavailable(FailureCode::ReplyTooLarge)),
        (garbage, Ended::Unavailable(FailureCode::ConnectionLost)),
        (RawReply::default(), Ended::Unavailable(FailureCode::ConnectionLost)),
        (
            RawReply::new("302 Found", "location: /login\r\n", ""),
            Ended::Unavailable(FailureCode::Redirected),
        ),
        (plain("304 Not Modified"), Ended::Unavailable(FailureCode::Redirected)),
        (plain("401 Unauthorized"), Ended::Unavailable(FailureCode::Unauthorized)),
        (plain("404 Not Found"), Ended::Unavailable(FailureCode::WrongUrl)),
        (plain("418 I'm a teapot"), Ended::Unavailable(FailureCode::UnexpectedStatus)),
        (plain("503 Service Unavailable"), Ended::Unavailable(FailureCode::ServerError)),
        (plain("409 Conflict"), Ended::Busy),
        (plain("423 Locked"), Ended::Busy),
        (plain("425 Too Early"), Ended::Throttled),
        (plain("429 Too Many Requests"), Ended::Throttled),
        (plain("400 Bad Request"), Ended::Refused),
        (plain("412 Precondition Failed"), Ended::Refused),
        (plain("413 Content Too Large"), Ended::Refused),
        (RawReply::new("422 Unprocessable Content", html, "<p>no"), Ended::Refused),
    ];
    for (reply, expected) in cases {
        let shown =
            String::from_utf8_lossy(&reply.bytes).lines().next().unwrap_or("nothing").to_owned();
        let (ended, remedy) = call(reply).await;
        assert_eq!(ended, expected, "{shown}");
        let succeeded = matches!(ended, Ended::Delivered | Ended::DependencyMissing);
        assert_eq!(remedy.is_empty(), succeeded, "{shown}");
    }
}
