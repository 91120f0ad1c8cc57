//! `POST /v1/events`: one event, one answer.

use bytes::Bytes;

use crate::ack::IngestRequest;
use crate::admitted_request::AdmittedRequest;
use crate::batch_result::{Backpressure, BatchResult, ExceptionCause};
use crate::body::BodyError;
use crate::domain::DomainState;
use crate::problem::{Problem, Remedy};
use crate::reply::{self, Reply};
use crate::retry_after::{BODY_RETRY, MEMORY_RETRY};
use crate::split::Piece;

use tillrace_core::decode::MAX_EVENT_BYTES;

/// Most white space around the event.
const MAX_WHITESPACE_BYTES: usize = 1024;
/// Longest body that is read.
const MAX_BODY_BYTES: usize = MAX_EVENT_BYTES + MAX_WHITESPACE_BYTES;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Takes one event and answers when it is durable or refused.
pub(crate) async fn take(state: &DomainState, admitted: AdmittedRequest) -> Reply {
    let AdmittedRequest { caller, mut body, traceparent, mut permit, .. } = admitted;
    let whole = body.whole(MAX_BODY_BYTES, &mut permit).await;
    state.metrics.body_bytes.inc_by(body.taken_bytes());
    let text = match whole {
        Ok(text) => text,
        Err(error) => {
            body.drain();
            let problem = problem_of(&error);
            if problem == Problem::Unavailable {
                state.metrics.count_backpressure(Backpressure::MemoryLimit.name());
            }
            return reply::problem(problem, retry_after(state, problem));
        }
    };
    if text.is_none() {
        body.drain();
    }
    let event = text.as_deref().map(trimmed);
    let piece = match event {
        Some(event) if event.len() <= MAX_EVENT_BYTES => Piece::Event(0..event.len()),
        _ => Piece::TooLarge,
    };
    let bytes = text.as_ref().map_or(MAX_BODY_BYTES, Bytes::len) as u64;
    let request = IngestRequest { state, caller, traceparent: traceparent.as_deref() };
    let mut batch_result = BatchResult::default();
    let chunk = request.submit(event.unwrap_or_default(), &[piece], bytes, 0).await;
    // The text is a slice of hyper's buffer; hyper would need another while it is held.
    drop(text);
    request.ack(chunk, &mut batch_result).await;
    request.count(&batch_result);
    drop(permit);
    answer(state, &batch_result)
}

fn answer(state: &DomainState, batch_result: &BatchResult) -> Reply {
    if let Some(parked) = batch_result.parked_events.first() {
        return reply::parked(parked.code, &parked.pointer);
    }
    match batch_result.exceptions.first() {
        None if batch_result.duplicate > 0 => reply::accepted("duplicate"),
        None => reply::accepted("accepted"),
        Some(exception) => match exception.cause {
            ExceptionCause::Refused(reason) => reply::refused(reason, &exception.pointer),
            ExceptionCause::Deferred(backpressure) => {
                let seconds = state.jitter.retry_after_seconds(backpressure.wait());
                reply::problem(backpressure.problem(), Some(seconds))
            }
        },
    }
}

/// Strips a byte order mark and white space around the event.
fn trimmed(text: &[u8]) -> &[u8] {
    text.strip_prefix(BOM).unwrap_or(text).trim_ascii()
}

/// Returns `Retry-After` for a body that may arrive completely another time.
pub(crate) fn retry_after(state: &DomainState, fault: Problem) -> Option<u64> {
    let wait = if fault == Problem::Unavailable { MEMORY_RETRY } else { BODY_RETRY };
    (fault.remedy() == Remedy::Retry).then(|| state.jitter.retry_after_seconds(wait))
}

/// Returns the problem of a body that could not be read.
pub(crate) fn problem_of(error: &BodyError) -> Problem {
    match error {
        BodyError::TimedOut => Problem::RequestTimeout,
        BodyError::Cut => Problem::BodyCut,
        BodyError::Malformed(_) => Problem::MalformedEncoding,
        BodyError::Expansion => Problem::ExpansionLimit,
        BodyError::MemoryLimit => Problem::Unavailable,
    }
}
