//! The outcome of a batch as its events settle: counts, exceptions, and where to go on from.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::pace::{CREDIT_RETRY, NAMES_RETRY};
use crate::problem::{Problem, Reason};
use crate::tenant::Named;

/// Exceptions listed in a reply; more are counted only.
const MAX_EXCEPTIONS: usize = 1_000;

/// The outcome so far; serialised, the body of a batch's reply.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
    pub(crate) retry: u64,
    pub(crate) resume_from: Option<u64>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) exceptions_truncated: bool,
    /// What kept an event from being settled.
    #[serde(skip)]
    pub(crate) setback: Option<Setback>,
}

/// An event that was refused, or not settled.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exception {
    pub(crate) index: u64,
    #[serde(rename = "code")]
    pub(crate) cause: Cause,
    pub(crate) pointer: String,
}

/// Why an event is an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Refused(Reason),
    PutOff(Setback),
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Refused(reason) => reason.code(),
            Self::PutOff(setback) => setback.problem().code(),
        })
    }
}

/// Why an event was not settled: neither durable nor finally refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setback {
    /// A rate limit was met; tokens are back after the wait.
    Limited(Duration),
    /// A flood was turned away so that live events go on.
    Flood(Duration),
    /// Its store or terminal is new, and there is no place for its name; events of known ones go on.
    NoPlace(Named),
    /// Too much text is in flight, of its sender or of all.
    NoCredit,
    /// No room in the log's queue, or the log failed.
    Unavailable(Duration),
}

impl Setback {
    /// Returns the problem of a request that met it.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Limited(_) | Self::Flood(_) => Problem::RateLimited,
            Self::NoPlace(Named::Stores) => Problem::TooManyStores,
            Self::NoPlace(Named::Terminals) => Problem::TooManyTerminals,
            Self::NoCredit | Self::Unavailable(_) => Problem::Unavailable,
        }
    }

    /// Returns how long it will stand.
    pub(crate) fn wait(self) -> Duration {
        match self {
            Self::Limited(wait) | Self::Flood(wait) | Self::Unavailable(wait) => wait,
            Self::NoPlace(_) => NAMES_RETRY,
            Self::NoCredit => CREDIT_RETRY,
        }
    }

    /// Tells whether events behind it are put off too.
    pub(crate) fn stops(self) -> bool {
        !matches!(self, Self::NoPlace(_))
    }

    /// Returns its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limited(_) => "rate",
            Self::Flood(_) => "flood",
            Self::NoPlace(_) => "names",
            Self::NoCredit => "credit",
            Self::Unavailable(_) => "log",
        }
    }
}

impl Tally {
    /// Counts an event that was refused for good.
    pub(crate) fn reject(&mut self, index: u64, reason: Reason, pointer: String) {
        self.rejected += 1;
        self.list(Exception { index, cause: Cause::Refused(reason), pointer });
    }

    /// Counts an event that was not settled.
    pub(crate) fn put_off(&mut self, index: u64, setback: Setback) {
        self.retry += 1;
        self.meet(setback);
        self.resume_from = Some(self.resume_from.map_or(index, |first| first.min(index)));
        self.list(Exception { index, cause: Cause::PutOff(setback), pointer: String::new() });
    }

    /// Takes note that reading ended before the event at `index`, and why.
    pub(crate) fn stop(&mut self, index: u64, setback: Setback) {
        self.meet(setback);
        self.stop_before(index);
    }

    /// Takes note that events from `index` on were not even read.
    pub(crate) fn stop_before(&mut self, index: u64) {
        self.resume_from = Some(self.resume_from.map_or(index, |first| first.min(index)));
    }

    /// Tells whether nothing more is to be read.
    pub(crate) fn is_stopped(&self) -> bool {
        self.setback.is_some_and(Setback::stops)
    }

    /// The first setback counts, and the first that stops the reading before all others.
    fn meet(&mut self, setback: Setback) {
        if self.setback.is_none_or(|first| setback.stops() && !first.stops()) {
            self.setback = Some(setback);
        }
    }

    fn list(&mut self, exception: Exception) {
        if self.exceptions.len() < MAX_EXCEPTIONS {
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
        let mut tally = Tally::default();
        tally.put_off(7, Setback::Unavailable(Duration::ZERO));
        tally.put_off(5, Setback::Limited(Duration::ZERO));
        tally.stop_before(9);
        assert_eq!(tally.resume_from, Some(5));
        assert_eq!(tally.setback, Some(Setback::Unavailable(Duration::ZERO)));
        assert_eq!(tally.retry, 2);
        let codes = serde_json::to_value(&tally).unwrap();
        assert_eq!(codes["exceptions"][0]["code"], "unavailable");
        assert_eq!(codes["exceptions"][1]["code"], "rate_limited");
    }

    #[test]
    fn what_stops_the_reading_counts_before_what_does_not() {
        let mut tally = Tally::default();
        tally.put_off(3, Setback::NoPlace(Named::Stores));
        assert!(!tally.is_stopped());
        tally.put_off(4, Setback::NoCredit);
        tally.put_off(5, Setback::Limited(Duration::ZERO));
        assert_eq!((tally.setback, tally.resume_from), (Some(Setback::NoCredit), Some(3)));
        assert!(tally.is_stopped());
    }

    #[test]
    fn a_thousand_exceptions_are_listed_and_all_are_counted() {
        let mut tally = Tally::default();
        for index in 0..1_000 {
            tally.reject(index, Reason::StoreNotAllowed, String::new());
        }
        assert!(!tally.exceptions_truncated);
        tally.reject(1_000, Reason::StoreNotAllowed, String::new());
        assert_eq!((tally.exceptions.len(), tally.rejected), (1_000, 1_001));
        assert!(tally.exceptions_truncated);
        assert_eq!(tally.resume_from, None);
    }

    #[test]
    fn the_reply_has_the_documented_members() {
        let mut tally = Tally { accepted: 1, ..Tally::default() };
        tally.reject(1, Reason::StoreNotAllowed, "/store".to_owned());
        assert_eq!(
            serde_json::to_string(&tally).unwrap(),
            r#"{"accepted":1,"duplicate":0,"rejected":1,"retry":0,"resume_from":null,"exceptions":[{"index":1,"code":"store_not_allowed","pointer":"/store"}],"exceptions_truncated":false}"#
        );
    }
}
