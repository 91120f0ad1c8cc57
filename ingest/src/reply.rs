//! Replies: what was decided, as HTTP.
//!
//! Problems are `application/problem+json` (RFC 9457). A batch that was read at all is always
//! answered with the same members, beside those of a problem if there was one.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::batch_result::BatchResult;
use crate::problem::{Problem, Reason};

/// A reply; its body is always at hand.
pub(crate) type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The answer to a connection that is over the limit of connections.
pub(crate) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// Members of a problem (RFC 9457, section 3.1), with `code` and `pointer` of our own.
#[derive(Debug, Serialize)]
struct Details<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
}

impl<'a> Details<'a> {
    fn new(status: StatusCode, code: &'a str, detail: &'a str, pointer: Option<&'a str>) -> Self {
        Self {
            r#type: format!("urn:tillrace:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail,
            code,
            pointer,
        }
    }
}

/// A problem's title: its code in words.
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Answers that an event is durable: newly, or as a duplicate of one that was.
pub(crate) fn accepted(outcome: &'static str) -> Reply {
    let body = match outcome {
        "duplicate" => r#"{"outcome":"duplicate"}"#,
        _ => r#"{"outcome":"accepted"}"#,
    };
    reply(StatusCode::ACCEPTED, JSON, Bytes::from_static(body.as_bytes()))
}

/// Answers that a single event is kept, although it breaks the rule `code` at `pointer`.
pub(crate) fn parked(code: &str, pointer: &str) -> Reply {
    #[derive(Serialize)]
    struct Parked<'a> {
        outcome: &'static str,
        code: &'a str,
        pointer: &'a str,
    }
    reply(StatusCode::ACCEPTED, JSON, json(&Parked { outcome: "parked", code, pointer }))
}

/// Answers that a single event was refused for good.
pub(crate) fn refused(reason: Reason, pointer: &str) -> Reply {
    let status = reason.status();
    let details = Details::new(status, reason.code(), reason.detail(), Some(pointer));
    reply(status, PROBLEM_JSON, json(&details))
}

/// Answers a request that has a problem.
pub(crate) fn problem(problem: Problem, retry_after_seconds: Option<u64>) -> Reply {
    let details = Details::new(problem.status(), problem.code(), problem.detail(), None);
    let reply = reply(problem.status(), PROBLEM_JSON, json(&details));
    with_problem_headers(reply, problem, retry_after_seconds)
}

/// Writes the answer to a connection that is closed before its request is read.
pub(crate) fn closing(problem: Problem) -> Bytes {
    let status = problem.status();
    let body = json(&Details::new(status, problem.code(), problem.detail(), None));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat().into()
}

/// Answers that a path takes only `methods`.
pub(crate) fn method_not_allowed(methods: &'static str) -> Reply {
    let mut reply = problem(Problem::MethodNotAllowed, None);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    reply
}

/// Answers a batch with its result, and the problem that ended it early if there was one.
pub(crate) fn batch(
    batch_result: &BatchResult,
    problem: Option<Problem>,
    retry_after_seconds: Option<u64>,
) -> Reply {
    #[derive(Serialize)]
    struct BatchProblem<'a> {
        #[serde(flatten)]
        details: Details<'a>,
        #[serde(flatten)]
        batch_result: &'a BatchResult,
    }
    let Some(problem) = problem else {
        return reply(StatusCode::ACCEPTED, JSON, json(batch_result));
    };
    let details = Details::new(problem.status(), problem.code(), problem.detail(), None);
    let reply =
        reply(problem.status(), PROBLEM_JSON, json(&BatchProblem { details, batch_result }));
    with_problem_headers(reply, problem, retry_after_seconds)
}

/// Answers with any JSON.
pub(crate) fn with_json(status: StatusCode, body: &impl Serialize) -> Reply {
    reply(status, JSON, json(body))
}

fn with_problem_headers(mut reply: Reply, problem: Problem, retry_after: Option<u64>) -> Reply {
    let mut insert = |name: HeaderName, value| reply.headers_mut().insert(name, value);
    if let Some(seconds) = retry_after {
        insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(
        problem,
        Problem::Unauthorized | Problem::KeyExpired | Problem::ClientCertificateRequired
    ) {
        insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    reply
}

fn reply(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// Serialises plain data, which cannot fail: no maps, no foreign implementations.
fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(reply: Reply) -> String {
        String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_problem_has_the_members_of_rfc_9457_and_its_headers() {
        let reply = problem(Problem::RateLimited, Some(7));
        assert_eq!(reply.status(), 429);
        assert_eq!(reply.headers()[RETRY_AFTER], "7");
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            text(reply).await,
            r#"{"type":"urn:tillrace:problem:rate_limited","title":"Rate limited","status":429,"detail":"The rate limit is exceeded; retry after Retry-After.","code":"rate_limited"}"#
        );
        assert_eq!(problem(Problem::Unauthorized, None).headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(method_not_allowed("POST").headers()[ALLOW], "POST");
    }

    #[tokio::test]
    async fn a_refused_event_has_its_pointer() {
        let reply = refused(Reason::StoreNotAllowed, "/store");
        assert_eq!(reply.status(), 403);
        assert!(text(reply).await.ends_with(r#""code":"store_not_allowed","pointer":"/store"}"#));
    }

    #[tokio::test]
    async fn a_batch_with_a_problem_has_the_members_of_both() {
        let batch_result =
            BatchResult { accepted: 3, resume_from: Some(3), ..BatchResult::default() };
        let reply = batch(&batch_result, Some(Problem::Unavailable), Some(2));
        assert_eq!(
            (reply.status(), &reply.headers()[RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from(2))
        );
        let body = text(reply).await;
        assert!(body.contains(r#""code":"unavailable","accepted":3,"#), "{body}");
        assert_eq!(batch(&batch_result, None, None).status(), 202);
    }
}
