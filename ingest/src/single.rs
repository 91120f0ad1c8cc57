//! `POST /v1/events`: one event, one answer.

use bytes::Bytes;

use crate::body::BodyError;
use crate::pace::{BODY_RETRY, CREDIT_RETRY};
use crate::problem::{Problem, Remedy};
use crate::reply::{self, Reply};
use crate::route::{Admitted, Front};
use crate::settle::Request;
use crate::split::Piece;
use crate::tally::{Cause, Setback, Tally};

use tillrace_core::decode::MAX_EVENT_BYTES;

/// White space around the event is let pass up to this.
const SLACK_BYTES: usize = 1024;
/// Longest body that is read.
const MOST_BYTES: usize = MAX_EVENT_BYTES + SLACK_BYTES;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Takes one event and answers when it is durable or refused.
pub(crate) async fn take(front: &Front, admitted: Admitted<'_>) -> Reply {
    let Admitted { caller, mut body, traceparent, mut lease, .. } = admitted;
    let whole = body.whole(MOST_BYTES, &mut lease).await;
    front.metrics.body_bytes.inc_by(body.taken_bytes());
    let text = match whole {
        Ok(text) => text,
        Err(error) => {
            body.linger();
            let problem = problem_of(&error);
            if problem == Problem::Unavailable {
                front.metrics.count_turned_away(Setback::NoCredit.name());
            }
            return reply::problem(problem, retry_after(front, problem));
        }
    };
    if text.is_none() {
        body.linger();
    }
    let event = text.as_deref().map(trimmed);
    let piece = match event {
        Some(event) if event.len() <= MAX_EVENT_BYTES => Piece::Event(0..event.len()),
        _ => Piece::TooLarge,
    };
    let bytes = text.as_ref().map_or(MOST_BYTES, Bytes::len) as u64;
    let request = Request { front, caller, traceparent: traceparent.as_deref() };
    let mut tally = Tally::default();
    let chunk = request.submit(event.unwrap_or_default(), &[piece], bytes, 0).await;
    // It lies in hyper's buffer; while it is held, hyper would need another.
    drop(text);
    request.settle(chunk, &mut tally).await;
    request.count(&tally);
    drop(lease);
    answer(front, &tally)
}

fn answer(front: &Front, tally: &Tally) -> Reply {
    match tally.exceptions.first() {
        None if tally.duplicate > 0 => reply::accepted("duplicate"),
        None => reply::accepted("accepted"),
        Some(exception) => match exception.cause {
            Cause::Refused(reason) => reply::refused(reason, &exception.pointer),
            Cause::PutOff(setback) => {
                let seconds = front.jitter.retry_after_seconds(setback.wait());
                reply::problem(setback.problem(), Some(seconds))
            }
        },
    }
}

/// Strips a byte order mark and white space around the event.
fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_prefix(BOM).unwrap_or(text).trim_ascii()
}

/// Returns when to come back for a body that another time may come whole.
pub(crate) fn retry_after(front: &Front, fault: Problem) -> Option<u64> {
    let wait = if fault == Problem::Unavailable { CREDIT_RETRY } else { BODY_RETRY };
    (fault.remedy() == Remedy::Retry).then(|| front.jitter.retry_after_seconds(wait))
}

/// Returns the problem of a body that could not be read.
pub(crate) fn problem_of(error: &BodyError) -> Problem {
    match error {
        BodyError::TimedOut => Problem::RequestTimeout,
        BodyError::Cut => Problem::BodyCut,
        BodyError::Malformed(_) => Problem::MalformedEncoding,
        BodyError::Expansion => Problem::ExpansionLimit,
        BodyError::NoCredit => Problem::Unavailable,
    }
}
