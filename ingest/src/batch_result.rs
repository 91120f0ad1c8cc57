//! The result of a batch: counts, exceptions, and the index to resume from.

use std::time::Duration;

use serde::{Serialize, Serializer};
use tillrace_core::decode::RejectCode;

use crate::problem::{Problem, Reason};
use crate::retry_after::{MEMORY_RETRY, NAMES_RETRY};
use crate::tenant::NameKind;

/// Exceptions, and parked events, that are listed in a reply; further ones are only counted.
const MAX_LISTED: usize = 1_000;

/// The result so far; serialised, the body of a batch's reply.
#[derive(Debug, Default, Serialize)]
pub(crate) struct BatchResult {
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) parked: u64,
    pub(crate) rejected: u64,
    pub(crate) retry: u64,
    pub(crate) resume_from: Option<u64>,
    pub(crate) exceptions: Vec<BatchException>,
    pub(crate) exceptions_truncated: bool,
    /// The first of the parked events; there is nothing for the sender to do about them.
    pub(crate) parked_events: Vec<ParkedEvent>,
    /// Why an event was not settled.
    #[serde(skip)]
    pub(crate) backpressure: Option<Backpressure>,
}

/// The rule that a parked event breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParkedReason {
    pub(crate) code: RejectCode,
    pub(crate) pointer: String,
}

/// An event that is kept and counts nowhere until people mend it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ParkedEvent {
    pub(crate) index: u64,
    pub(crate) code: &'static str,
    pub(crate) pointer: String,
}

/// An event that was refused, or not settled.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BatchException {
    pub(crate) index: u64,
    #[serde(rename = "code")]
    pub(crate) cause: ExceptionCause,
    pub(crate) pointer: String,
}

/// Why an event is an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExceptionCause {
    Refused(Reason),
    Deferred(Backpressure),
}

impl Serialize for ExceptionCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Refused(reason) => reason.code(),
            Self::Deferred(backpressure) => backpressure.problem().code(),
        })
    }
}

/// Why an event was not settled: neither durable nor finally refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backpressure {
    /// A rate limit was exceeded; tokens are available after the wait.
    RateLimited(Duration),
    /// A flood event was deferred so that live events go on.
    Flood(Duration),
    /// Its store or terminal is new, and its name is over a cap; events of known ones go on.
    NameLimit(NameKind),
    /// Too many parked events of its tenant are in flight; events that break no rule go on.
    ParkedLimit,
    /// Too much text is in flight, of its sender or in all.
    MemoryLimit,
    /// The log's queue is full, or the log failed.
    Unavailable(Duration),
}

impl Backpressure {
    /// Returns the problem of a deferred request.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::RateLimited(_) | Self::Flood(_) => Problem::RateLimited,
            Self::NameLimit(NameKind::Stores) => Problem::TooManyStores,
            Self::NameLimit(NameKind::Terminals) => Problem::TooManyTerminals,
            Self::ParkedLimit => Problem::TooManyParked,
            Self::MemoryLimit | Self::Unavailable(_) => Problem::Unavailable,
        }
    }

    /// Returns how long the sender should wait.
    pub(crate) fn wait(self) -> Duration {
        match self {
            Self::RateLimited(wait) | Self::Flood(wait) | Self::Unavailable(wait) => wait,
            Self::NameLimit(_) => NAMES_RETRY,
            Self::ParkedLimit | Self::MemoryLimit => MEMORY_RETRY,
        }
    }

    /// Tells whether later events are deferred too.
    pub(crate) fn stops(self) -> bool {
        !matches!(self, Self::NameLimit(_) | Self::ParkedLimit)
    }

    /// Returns its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "rate",
            Self::Flood(_) => "flood",
            Self::NameLimit(_) => "names",
            Self::ParkedLimit => "parked",
            Self::MemoryLimit => "memory",
            Self::Unavailable(_) => "log",
        }
    }
}

impl BatchResult {
    /// Counts an event that was parked.
    pub(crate) fn park(&mut self, index: u64, reason: ParkedReason) {
        self.parked += 1;
        if self.parked_events.len() < MAX_LISTED {
            let ParkedReason { code, pointer } = reason;
            self.parked_events.push(ParkedEvent { index, code: code.as_str(), pointer });
        }
    }

    /// Counts an event that was refused for good.
    pub(crate) fn reject(&mut self, index: u64, reason: Reason, pointer: String) {
        self.rejected += 1;
        self.list(BatchException { index, cause: ExceptionCause::Refused(reason), pointer });
    }

    /// Counts an event that was not settled.
    pub(crate) fn defer(&mut self, index: u64, backpressure: Backpressure) {
        self.retry += 1;
        self.record(backpressure);
        self.resume_from = Some(self.resume_from.map_or(index, |first| first.min(index)));
        self.list(BatchException {
            index,
            cause: ExceptionCause::Deferred(backpressure),
            pointer: String::new(),
        });
    }

    /// Records that reading ended before the event at `index`, and why.
    pub(crate) fn stop(&mut self, index: u64, backpressure: Backpressure) {
        self.record(backpressure);
        self.stop_before(index);
    }

    /// Records that events from `index` on were not read.
    pub(crate) fn stop_before(&mut self, index: u64) {
        self.resume_from = Some(self.resume_from.map_or(index, |first| first.min(index)));
    }

    /// Tells whether reading must stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.backpressure.is_some_and(Backpressure::stops)
    }

    /// Keeps the first backpressure; one that stops the reading replaces one that does not.
    fn record(&mut self, backpressure: Backpressure) {
        if self.backpressure.is_none_or(|first| backpressure.stops() && !first.stops()) {
            self.backpressure = Some(backpressure);
        }
    }

    fn list(&mut self, exception: BatchException) {
        if self.exceptions.len() < MAX_LISTED {
            self.exceptions.push(exception);
        } else {
            self.exceptions_truncated = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_unsettled_index_and_the_first_setback_stay() {
        let mut batch_result = BatchResult::default();
        batch_result.defer(7, Backpressure::Unavailable(Duration::ZERO));
        batch_result.defer(5, Backpressure::RateLimited(Duration::ZERO));
        batch_result.stop_before(9);
        assert_eq!(batch_result.resume_from, Some(5));
        assert_eq!(batch_result.backpressure, Some(Backpressure::Unavailable(Duration::ZERO)));
        assert_eq!(batch_result.retry, 2);
        let codes = serde_json::to_value(&batch_result).unwrap();
        assert_eq!(codes["exceptions"][0]["code"], "unavailable");
        assert_eq!(codes["exceptions"][1]["code"], "rate_limited");
    }

    #[test]
    fn what_stops_the_reading_counts_before_what_does_not() {
        let mut batch_result = BatchResult::default();
        batch_result.defer(3, Backpressure::NameLimit(NameKind::Stores));
        assert!(!batch_result.is_stopped());
        batch_result.defer(4, Backpressure::MemoryLimit);
        batch_result.defer(5, Backpressure::RateLimited(Duration::ZERO));
        assert_eq!(
            (batch_result.backpressure, batch_result.resume_from),
            (Some(Backpressure::MemoryLimit), Some(3))
        );
        assert!(batch_result.is_stopped());
    }

    #[test]
    fn a_thousand_exceptions_are_listed_and_all_are_counted() {
        let mut batch_result = BatchResult::default();
        for index in 0..1_000 {
            batch_result.reject(index, Reason::StoreNotAllowed, String::new());
        }
        assert!(!batch_result.exceptions_truncated);
        batch_result.reject(1_000, Reason::StoreNotAllowed, String::new());
        assert_eq!((batch_result.exceptions.len(), batch_result.rejected), (1_000, 1_001));
        assert!(batch_result.exceptions_truncated);
        assert_eq!(batch_result.resume_from, None);
    }

    #[test]
    fn the_reply_has_the_documented_members() {
        let mut batch_result = BatchResult { accepted: 1, ..BatchResult::default() };
        batch_result.reject(1, Reason::StoreNotAllowed, "/store".to_owned());
        let (code, pointer) = (RejectCode::UnknownKind, "/kind".to_owned());
        batch_result.park(2, ParkedReason { code, pointer });
        assert_eq!(
            serde_json::to_string(&batch_result).unwrap(),
            r#"{"accepted":1,"duplicate":0,"parked":1,"rejected":1,"retry":0,"resume_from":null,"exceptions":[{"index":1,"code":"store_not_allowed","pointer":"/store"}],"exceptions_truncated":false,"parked_events":[{"index":2,"code":"unknown_kind","pointer":"/kind"}]}"#
        );
    }
}
