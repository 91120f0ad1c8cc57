//! Interprets replies: settled, retry, or fatal.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

/// Longest part of an unexpected reply that an error quotes.
const QUOTED_CHARS: usize = 300;

/// Longest wait that a reply can ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// What to do after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplyAction {
    /// Some or all events are settled.
    Settled(SettledReply),
    /// Nothing is known to be settled: all events must be sent again.
    Retry {
        /// The wait that the gateway asks for.
        retry_after: Option<Duration>,
    },
    /// A retry cannot help.
    Fatal {
        /// Status of the reply.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
}

/// A reply that settles events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SettledReply {
    /// Number of settled events, from the first one on.
    pub(super) settled: usize,
    /// Those parked or refused among them.
    pub(super) exceptions: Vec<Exception>,
    /// Events that the gateway answered as duplicates.
    pub(super) duplicates: u64,
    /// The wait that the gateway asks for before the rest.
    pub(super) retry_after: Option<Duration>,
}

/// A parked or refused event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Exception {
    /// It is kept and counts nowhere; refused otherwise.
    #[serde(skip)]
    pub(super) is_parked: bool,
    /// Its index in the batch.
    pub(super) index: usize,
    /// The reason.
    pub(super) code: String,
}

#[derive(Deserialize)]
struct BatchBody {
    #[serde(default)]
    duplicate: u64,
    /// Required: a problem document without it is not about single events.
    retry: u64,
    resume_from: Option<usize>,
    #[serde(default)]
    exceptions: Vec<Exception>,
    #[serde(default)]
    exceptions_truncated: bool,
    #[serde(default)]
    parked_events: Vec<Exception>,
}

#[derive(Deserialize)]
struct SingleBody {
    outcome: Option<String>,
    code: Option<String>,
}

/// Reads the reply to a batch of `count` events.
pub(super) fn read_batch(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    count: usize,
) -> ReplyAction {
    let retry_after = retry_after(headers);
    match status {
        StatusCode::ACCEPTED | StatusCode::OK => match serde_json::from_slice(body) {
            Ok(body) => ReplyAction::Settled(answer(body, count, retry_after)),
            Err(_) => fatal(status, body),
        },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            match serde_json::from_slice(body) {
                Ok(body) => ReplyAction::Settled(answer(body, count, retry_after)),
                Err(_) => ReplyAction::Retry { retry_after },
            }
        }
        _ if is_retryable(status) => ReplyAction::Retry { retry_after },
        _ => fatal(status, body),
    }
}

/// Reads the reply to a single event.
pub(super) fn read_single(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ReplyAction {
    let parsed: Option<SingleBody> = serde_json::from_slice(body).ok();
    let code = parsed.as_ref().and_then(|body| body.code.clone());
    match (status, parsed) {
        (
            StatusCode::ACCEPTED | StatusCode::OK,
            Some(SingleBody { outcome: Some(outcome), .. }),
        ) => {
            let duplicates = u64::from(outcome == "duplicate");
            let broken_rule = code.filter(|_| outcome == "parked");
            let exceptions = broken_rule
                .map(|code| Exception { is_parked: true, index: 0, code })
                .into_iter()
                .collect();
            ReplyAction::Settled(SettledReply {
                settled: 1,
                exceptions,
                duplicates,
                ..SettledReply::default()
            })
        }
        _ if is_retryable(status) => ReplyAction::Retry { retry_after: retry_after(headers) },
        _ if is_about_the_sender(status) => fatal(status, body),
        (status, _) if status.is_client_error() => match code {
            Some(code) => {
                let exceptions = vec![Exception { is_parked: false, index: 0, code }];
                ReplyAction::Settled(SettledReply {
                    settled: 1,
                    exceptions,
                    ..SettledReply::default()
                })
            }
            None => fatal(status, body),
        },
        _ => fatal(status, body),
    }
}

/// The settled part of a batch ends where the gateway says, or where a truncated list of exceptions ends:
/// beyond it, a refused event would look accepted.
fn answer(body: BatchBody, count: usize, retry_after: Option<Duration>) -> SettledReply {
    let all_settled = if body.retry == 0 { count } else { 0 };
    let mut settled = body.resume_from.unwrap_or(all_settled).min(count);
    if body.exceptions_truncated {
        let listed = body.exceptions.iter().map(|exception| exception.index + 1).max();
        settled = settled.min(listed.unwrap_or(0));
    }
    let parked = body.parked_events.into_iter().map(|event| Exception { is_parked: true, ..event });
    let exceptions = body.exceptions.into_iter().chain(parked).collect();
    SettledReply { settled, exceptions, duplicates: body.duplicate, retry_after }
}

/// Tells whether a status may change with a retry.
fn is_retryable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error()
}

/// Tells whether a status is about the sender's settings, not about the event.
fn is_about_the_sender(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait_asked(headers.get(RETRY_AFTER)?.to_str().ok()?.trim(), SystemTime::now())
}

/// Reads Retry-After: seconds, or a date of any form (RFC 9110, sections 10.2.3 and 5.6.7) counted from now.
fn wait_asked(text: &str, now: SystemTime) -> Option<Duration> {
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

fn fatal(status: StatusCode, body: &[u8]) -> ReplyAction {
    let body = String::from_utf8_lossy(body).chars().take(QUOTED_CHARS).collect();
    ReplyAction::Fatal { status: status.as_u16(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(status: u16, body: &str) -> ReplyAction {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_static("2"));
        read_batch(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), 10)
    }

    fn settled(action: ReplyAction) -> SettledReply {
        match action {
            ReplyAction::Settled(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_batch_is_settled_up_to_where_the_gateway_says() {
        let all = settled(batch(
            202,
            r#"{"duplicate":3,"retry":0,"resume_from":null,"exceptions":[{"index":4,"code":"card_data","pointer":"/note"}]}"#,
        ));
        assert_eq!((all.settled, all.duplicates), (10, 3));
        assert_eq!(
            all.exceptions,
            [Exception { is_parked: false, index: 4, code: "card_data".into() }]
        );
        let part = settled(batch(503, r#"{"retry":3,"resume_from":7,"exceptions":[]}"#));
        assert_eq!((part.settled, part.retry_after), (7, Some(Duration::from_secs(2))));
        assert_eq!(settled(batch(429, r#"{"retry":10,"resume_from":0}"#)).settled, 0);
        assert_eq!(settled(batch(503, r#"{"status":503,"retry":1}"#)).settled, 0);
    }

    #[test]
    fn a_wait_is_read_in_seconds_or_as_a_date_of_any_form() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let earlier = date - Duration::from_secs(7);
        for text in [
            "7",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait_asked(text, earlier), Some(Duration::from_secs(7)), "{text}");
        }
        assert_eq!(wait_asked("99999999999999999999", date), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait_asked("soon", date), None);
    }

    #[test]
    fn what_a_truncated_list_does_not_show_is_not_settled() {
        let body = r#"{"retry":0,"resume_from":null,"exceptions":[{"index":1,"code":"x"},{"index":5,"code":"x"}],"exceptions_truncated":true}"#;
        assert_eq!(settled(batch(202, body)).settled, 6);
    }

    #[test]
    fn a_proxy_in_trouble_is_passing_and_a_wrong_key_is_not() {
        let again = ReplyAction::Retry { retry_after: Some(Duration::from_secs(2)) };
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(batch(status, "<html>"), again, "{status}");
            assert_eq!(batch(status, r#"{"code":"unavailable"}"#), again, "{status}");
        }
        for status in [400, 401, 403, 404, 413, 415] {
            assert!(matches!(batch(status, "{}"), ReplyAction::Fatal { .. }), "{status}");
        }
    }

    #[test]
    fn a_single_event_is_accepted_known_refused_or_sent_again() {
        let read = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            read_single(status, &HeaderMap::new(), body.as_bytes())
        };
        assert_eq!(settled(read(202, r#"{"outcome":"accepted"}"#)).duplicates, 0);
        assert_eq!(settled(read(202, r#"{"outcome":"duplicate"}"#)).duplicates, 1);
        let parked = settled(read(202, r#"{"outcome":"parked","code":"unknown_kind"}"#));
        assert!(parked.exceptions[0].is_parked);
        let refused = settled(read(422, r#"{"code":"card_data","pointer":"/note"}"#));
        assert_eq!(refused.exceptions[0].code, "card_data");
        assert_eq!(
            read(503, r#"{"code":"unavailable"}"#),
            ReplyAction::Retry { retry_after: None }
        );
        assert_eq!(read(429, ""), ReplyAction::Retry { retry_after: None });
        assert!(matches!(read(401, r#"{"code":"unauthorized"}"#), ReplyAction::Fatal { .. }));
        assert!(matches!(read(202, "?"), ReplyAction::Fatal { .. }));
    }
}
