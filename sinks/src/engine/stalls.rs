//! Detects stalls: no progress for long, though nothing failed for good. `conditions` reports them.
//!
//! The whole sink stalls when it wants to call and no call is served: the backend asks it to wait, fails, or does not answer.
//! A key stalls when it keeps failing while the backend serves others. An open breaker has a condition of its own, so that
//! an outage is reported once; a wait that the backend asked for outlasts the breaker and is reported too. Lingering batches
//! and the sink's own rate limit are not stalls. Time is passed in.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Engine;
use super::call::wall_clock_at;
use super::partition::WHOLE_PARTITION;
use super::retry_policy::RetryState;
use crate::connector::CallError;
use crate::failure::ErrorChain;

/// How long no progress lasts before it is a stall.
const STALLED_AFTER: Duration = Duration::from_secs(15);
/// How often stalls are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Most characters of a key in a report.
const MAX_KEY_CHARS: usize = 100;

/// Whether the backend serves the sink.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Since when the sink has wanted to call without being served.
    unserved_since: Option<Instant>,
    /// When calls were served again after a stall: the time of keys starts anew.
    served_again_at: Option<Instant>,
    /// Error of the last call that was not served.
    last_error: Option<String>,
    looked_at: Option<Instant>,
}

impl Stalls {
    /// Records that a call is wanted or under way.
    pub(super) fn called(&mut self, now: Instant) {
        self.unserved_since.get_or_insert(now);
    }

    /// Records a call that failed as a whole.
    pub(super) fn failed(&mut self, error: &CallError) {
        self.last_error = Some(ErrorChain(error).to_string());
    }

    /// Records a served call, and whether others are under way.
    pub(super) fn served(&mut self, now: Instant, others: bool) {
        if self.is_stalled(now) {
            self.served_again_at = Some(now);
        }
        self.unserved_since = others.then_some(now);
        self.last_error = None;
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.unserved_since.is_some_and(|since| now - since >= STALLED_AFTER)
    }

    /// Returns since when a key must have been failing to count as stalled now.
    fn keys_since(&self, now: Instant) -> Option<Instant> {
        let since = now.checked_sub(STALLED_AFTER)?;
        self.served_again_at.is_none_or(|at| at <= since).then_some(since)
    }
}

impl Engine {
    /// Reports new stalls, and clears those that ended.
    pub(super) fn report_stalls(&mut self, now: Instant) {
        if self.stalls.looked_at.is_some_and(|at| now - at < CHECK_INTERVAL) {
            return;
        }
        self.stalls.looked_at = Some(now);
        let paused_until =
            self.rate_limiter.paused_until(now).filter(|_| self.in_flight().records > 0);
        let has_failing =
            || self.partitions.values().any(|assigned| assigned.key_queues.has_failing());
        if paused_until.is_some() {
            self.stalls.called(now);
        } else if self.calls.is_empty() && !has_failing() {
            // Calls that were abandoned with their partition, or halted it, are not waited for.
            self.stalls.unserved_since = None;
        }
        let is_told = self.breaker.is_open() && paused_until.is_none();
        let stalled = self.stalls.is_stalled(now) && !is_told;
        self.conditions.stalled(None, stalled.then(|| self.whole_cause(paused_until, now)));
        let keys_since =
            self.stalls.keys_since(now).filter(|_| !stalled && !self.breaker.is_open());
        for (&partition, assigned) in &self.partitions {
            let stuck = keys_since.and_then(|since| assigned.key_queues.stuck_since(since));
            self.conditions.stalled(Some(partition), stuck.map(|stuck| key_cause(stuck, now)));
        }
    }

    fn whole_cause(&self, paused_until: Option<Instant>, now: Instant) -> String {
        let since = self.stalls.unserved_since.unwrap_or(now);
        let mut cause = format!("no call was served since {}", wall_clock_at(since, now));
        if let Some(error) = &self.stalls.last_error {
            cause = format!("{cause}; the last one: {error}");
        }
        if let Some(until) = paused_until {
            let until = wall_clock_at(until, now);
            return format!("{cause}; the backend asked for no call before {until}");
        }
        match self.calls.len() {
            0 => cause,
            calls => format!("{cause}; under way without an answer: {calls}"),
        }
    }
}

fn key_cause((count, key, retry_state): (usize, &Bytes, &RetryState), now: Instant) -> String {
    let (since, until) =
        (wall_clock_at(retry_state.since, now), wall_clock_at(retry_state.until, now));
    let what = if *key == WHOLE_PARTITION {
        "the partition is".to_owned()
    } else {
        let key: String = String::from_utf8_lossy(key).chars().take(MAX_KEY_CHARS).collect();
        match count - 1 {
            0 => format!("key {key} is"),
            others => format!("key {key} and {others} more are"),
        }
    };
    let (failures, code) = (retry_state.failures, &retry_state.code);
    format!(
        "{what} not taken since {since}; failures: {failures}, the last: {code}; tried again at {until}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_that_is_not_served_stalls_and_one_that_is_ends_it() {
        let (mut stalls, start) = (Stalls::default(), Instant::now());
        assert!(!stalls.is_stalled(start + 60 * SECOND), "nothing is wanted");
        stalls.called(start);
        stalls.failed(&CallError::Throttled { after: None });
        stalls.called(start + 10 * SECOND);
        assert!(!stalls.is_stalled(start + 14 * SECOND));
        assert!(stalls.is_stalled(start + 15 * SECOND));
        assert_eq!(stalls.last_error.as_deref(), Some("backend asks for fewer calls"));
        stalls.served(start + 16 * SECOND, true);
        assert!(!stalls.is_stalled(start + 30 * SECOND));
        assert!(stalls.is_stalled(start + 31 * SECOND), "another call is under way");
        assert_eq!(stalls.last_error, None);
        stalls.served(start + 17 * SECOND, false);
        assert!(!stalls.is_stalled(start + 99 * SECOND));
    }

    #[test]
    fn the_time_of_keys_starts_anew_after_a_stall_of_the_sink() {
        let (mut stalls, start) = (Stalls::default(), Instant::now());
        let at = |seconds| start + seconds * SECOND;
        assert_eq!(stalls.keys_since(at(20)), Some(at(5)));
        stalls.called(start);
        stalls.served(at(5), false);
        assert_eq!(stalls.keys_since(at(20)), Some(at(5)), "that was no stall");
        stalls.called(at(6));
        stalls.served(at(60), false);
        assert_eq!(stalls.keys_since(at(74)), None);
        assert_eq!(stalls.keys_since(at(75)), Some(at(60)));
    }
}
