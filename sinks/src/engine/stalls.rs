//! What makes no progress for long though nothing failed for good: seen here, told by `conditions`.
//!
//! Two things are looked at. The sink as a whole stalls when it wants to call and no call is served: the backend asked it to
//! wait, fails, or does not answer. A lane stalls when the backend serves others and it keeps failing. An open breaker has a
//! condition of its own, so that an outage is told once; a wait that the backend asked for goes beyond it and is told too.
//! Batches that wait for company and the sink's own rate are no stall. Time is passed in.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Engine;
use super::call::wall_clock_at;
use super::partition::WHOLE_PARTITION;
use super::trouble::Trouble;
use crate::connector::CallError;
use crate::failure::ErrorChain;

/// How long there may be no progress before it is told.
const TOLD_AFTER: Duration = Duration::from_secs(15);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most characters of a key that are told.
const LONGEST_KEY: usize = 100;

/// Whether the backend serves the sink.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Since when calls are wanted and none was served.
    unserved_since: Option<Instant>,
    /// When calls were served again after a stall: lanes get their time anew.
    served_again_at: Option<Instant>,
    /// What the last call that was not served came to.
    last_error: Option<String>,
    looked_at: Option<Instant>,
}

impl Stalls {
    /// Notes that a call is wanted or under way.
    pub(super) fn called(&mut self, now: Instant) {
        self.unserved_since.get_or_insert(now);
    }

    /// Notes a call that failed as a whole.
    pub(super) fn failed(&mut self, error: &CallError) {
        self.last_error = Some(ErrorChain(error).to_string());
    }

    /// Notes a call that was served, and whether others are under way.
    pub(super) fn served(&mut self, now: Instant, others: bool) {
        if self.is_stalled(now) {
            self.served_again_at = Some(now);
        }
        self.unserved_since = others.then_some(now);
        self.last_error = None;
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.unserved_since.is_some_and(|since| now - since >= TOLD_AFTER)
    }

    /// Returns since when a lane must be in trouble to count as stalled now.
    fn lanes_since(&self, now: Instant) -> Option<Instant> {
        let since = now.checked_sub(TOLD_AFTER)?;
        self.served_again_at.is_none_or(|at| at <= since).then_some(since)
    }
}

impl Engine {
    /// Tells what makes no progress, and what does again.
    pub(super) fn tell_stalls(&mut self, now: Instant) {
        if self.stalls.looked_at.is_some_and(|at| now - at < LOOK_EVERY) {
            return;
        }
        self.stalls.looked_at = Some(now);
        let held_until = self.pacer.held_until(now).filter(|_| self.held().records > 0);
        let has_trouble = || self.partitions.values().any(|assigned| assigned.lanes.has_trouble());
        if held_until.is_some() {
            self.stalls.called(now);
        } else if self.calls.is_empty() && !has_trouble() {
            // Calls that were abandoned with their partition, or halted it, are not waited for.
            self.stalls.unserved_since = None;
        }
        let is_told = self.breaker.is_open() && held_until.is_none();
        let stalled = self.stalls.is_stalled(now) && !is_told;
        self.conditions.stalled(None, stalled.then(|| self.whole_cause(held_until, now)));
        let lanes_since =
            self.stalls.lanes_since(now).filter(|_| !stalled && !self.breaker.is_open());
        for (&partition, assigned) in &self.partitions {
            let stuck = lanes_since.and_then(|since| assigned.lanes.stuck_since(since));
            self.conditions.stalled(Some(partition), stuck.map(|stuck| lane_cause(stuck, now)));
        }
    }

    fn whole_cause(&self, held_until: Option<Instant>, now: Instant) -> String {
        let since = self.stalls.unserved_since.unwrap_or(now);
        let mut cause = format!("no call was served since {}", wall_clock_at(since, now));
        if let Some(error) = &self.stalls.last_error {
            cause = format!("{cause}; the last one: {error}");
        }
        if let Some(until) = held_until {
            let until = wall_clock_at(until, now);
            return format!("{cause}; the backend asked for no call before {until}");
        }
        match self.calls.len() {
            0 => cause,
            calls => format!("{cause}; under way without an answer: {calls}"),
        }
    }
}

fn lane_cause((count, lane, trouble): (usize, &Bytes, &Trouble), now: Instant) -> String {
    let (since, until) = (wall_clock_at(trouble.since, now), wall_clock_at(trouble.until, now));
    let what = if *lane == WHOLE_PARTITION {
        "the partition is".to_owned()
    } else {
        let key: String = String::from_utf8_lossy(lane).chars().take(LONGEST_KEY).collect();
        match count - 1 {
            0 => format!("key {key} is"),
            others => format!("key {key} and {others} more are"),
        }
    };
    let (failures, code) = (trouble.failures, &trouble.code);
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
    fn after_a_stall_of_the_whole_lanes_get_their_time_anew() {
        let (mut stalls, start) = (Stalls::default(), Instant::now());
        let at = |seconds| start + seconds * SECOND;
        assert_eq!(stalls.lanes_since(at(20)), Some(at(5)));
        stalls.called(start);
        stalls.served(at(5), false);
        assert_eq!(stalls.lanes_since(at(20)), Some(at(5)), "that was no stall");
        stalls.called(at(6));
        stalls.served(at(60), false);
        assert_eq!(stalls.lanes_since(at(74)), None);
        assert_eq!(stalls.lanes_since(at(75)), Some(at(60)));
    }
}
