//! The retry policy: after a failure of a key, retry with backoff, give up one record, or park the key.
//!
//! An outage of an hour must not send a day's trade to the dead letters. So a failed call counts
//! against a key only if the backend served another call since the key's previous failure. A failure
//! that the backend reports about a record always counts. The backoff grows in both cases.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::time::Instant;

use crate::connector::MAX_RETRY_AFTER;
use crate::flow::RetrySettings;

/// The retry state of a failing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetryState {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// When the first of them happened.
    pub(crate) since: Instant,
    /// Code of the last failure.
    pub(crate) code: String,
    /// Failures that count against the key.
    pub(crate) counted: u32,
    /// Time between failures that counts against the key.
    pub(crate) stuck: Duration,
    /// When the key failed last.
    pub(crate) last: Instant,
    /// When the key may be retried.
    pub(crate) until: Instant,
    /// Whether to retry only the first record.
    pub(crate) single: bool,
}

/// One failure of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyFailure<'a> {
    /// When it happened.
    pub(crate) at: Instant,
    /// Its code.
    pub(crate) code: &'a str,
    /// Whether the failure is about a record of this key, rather than about the whole call.
    pub(crate) about_record: bool,
    /// When the backend last served a call.
    pub(crate) backend_served_at: Option<Instant>,
    /// The wait that the backend asked for.
    pub(crate) after: Option<Duration>,
}

/// What to do after a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Retry when the backoff is over.
    Wait(RetryState),
    /// The first record used up its attempts: it becomes a dead letter, and the next one is tried.
    DeadLetterFirst,
    /// The key failed for too long: all its records in flight become dead letters.
    Park,
}

/// The limits of retries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    pub(crate) retry: RetrySettings,
    /// How long a key may fail before it is parked; a whole partition is retried for ever.
    pub(crate) park_after: Option<Duration>,
}

impl RetryPolicy {
    /// Decides what to do after a failure.
    pub(crate) fn decide(
        &self,
        before: Option<&RetryState>,
        failure: KeyFailure<'_>,
        random: &mut impl Rng,
    ) -> RetryDecision {
        let failures = before.map_or(0, |state| state.failures).saturating_add(1);
        let served_others =
            before.is_some_and(|state| failure.backend_served_at.is_some_and(|at| at > state.last));
        let counts = failure.about_record || served_others;
        let counted = before.map_or(0, |state| state.counted).saturating_add(u32::from(counts));
        let elapsed = before.map_or(Duration::ZERO, |state| failure.at - state.last);
        let stuck = before.map_or(Duration::ZERO, |state| state.stuck)
            + if counts { elapsed } else { Duration::ZERO };
        if let Some(park_after) = self.park_after {
            if counts && stuck >= park_after {
                return RetryDecision::Park;
            }
            if counted >= self.retry.attempts() {
                return RetryDecision::DeadLetterFirst;
            }
        }
        let asked = failure.after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let wait = self.backoff(failures, random).max(asked);
        // One more attempt happens when the time to parking is over, even if the backend asked for longer.
        let time_left = self.park_after.filter(|_| counts);
        let wait = time_left.map_or(wait, |park_after| {
            wait.min(park_after.saturating_sub(stuck)).max(self.retry.initial)
        });
        RetryDecision::Wait(RetryState {
            failures,
            since: before.map_or(failure.at, |state| state.since),
            code: failure.code.to_owned(),
            counted,
            stuck,
            last: failure.at,
            until: failure.at + wait,
            single: self.park_after.is_some() && failures > 1,
        })
    }

    /// Exponential backoff with jitter, never below half the exponential, so that keys neither retry
    /// in step nor too often.
    fn backoff(&self, failures: u32, random: &mut impl Rng) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(20));
        let longest = self.retry.initial.saturating_mul(factor).min(self.retry.longest);
        longest.mul_f64(random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RetryPolicy {
        let retry = RetrySettings { initial: SECOND, longest: 8 * SECOND, attempts: Some(4) };
        RetryPolicy { retry, park_after: Some(60 * SECOND) }
    }

    fn outage(at: Instant) -> KeyFailure<'static> {
        KeyFailure {
            at,
            code: "server_error",
            about_record: false,
            backend_served_at: None,
            after: None,
        }
    }

    fn waiting(decision: RetryDecision) -> RetryState {
        let RetryDecision::Wait(state) = decision else { panic!("{decision:?} instead of a wait") };
        state
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let mut random = SmallRng::seed_from_u64(1);
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (400, 8)] {
            let mut seen = Vec::new();
            for _ in 0..50 {
                let wait = policy().backoff(failures, &mut random);
                assert!(wait >= seconds * SECOND / 2 && wait <= seconds * SECOND, "{wait:?}");
                seen.push(wait);
            }
            seen.dedup();
            assert!(seen.len() > 10, "no jitter");
        }
    }

    #[test]
    fn an_outage_of_a_day_gives_up_on_nothing() {
        let mut random = SmallRng::seed_from_u64(2);
        let start = Instant::now();
        let mut now = start;
        let mut state = None;
        for _ in 0..10_000 {
            state = Some(waiting(policy().decide(state.as_ref(), outage(now), &mut random)));
            now = state.as_ref().unwrap().until;
        }
        let state = state.unwrap();
        assert_eq!((state.counted, state.stuck, state.failures), (0, Duration::ZERO, 10_000));
        assert_eq!((state.since, &*state.code), (start, "server_error"));
    }

    #[test]
    fn a_record_that_fails_while_others_pass_runs_out_of_attempts() {
        let mut random = SmallRng::seed_from_u64(3);
        let now = Instant::now();
        let mut state = waiting(policy().decide(None, outage(now), &mut random));
        assert!(!state.single, "the first retry takes the key alone");
        for step in 1..4 {
            let at = now + step * SECOND;
            let failure = KeyFailure { backend_served_at: Some(at), ..outage(at) };
            state = waiting(policy().decide(Some(&state), failure, &mut random));
            assert!(state.single, "later ones take its first record alone");
            assert_eq!(state.counted, step);
        }
        let failure =
            KeyFailure { backend_served_at: Some(now + 4 * SECOND), ..outage(now + 4 * SECOND) };
        assert_eq!(
            policy().decide(Some(&state), failure, &mut random),
            RetryDecision::DeadLetterFirst
        );
    }

    #[test]
    fn a_key_that_fails_too_long_is_parked_before_its_attempts_run_out() {
        let mut random = SmallRng::seed_from_u64(4);
        let now = Instant::now();
        let missing = KeyFailure { about_record: true, ..outage(now) };
        let state = waiting(policy().decide(None, missing, &mut random));
        let later = KeyFailure { at: now + 61 * SECOND, ..missing };
        assert_eq!(policy().decide(Some(&state), later, &mut random), RetryDecision::Park);
    }

    #[test]
    fn a_stream_is_tried_until_it_passes_and_never_in_pieces() {
        let mut random = SmallRng::seed_from_u64(6);
        let now = Instant::now();
        let policy = RetryPolicy { park_after: None, ..policy() };
        let mut state = None;
        for step in 0..100 {
            let failure = KeyFailure { about_record: true, ..outage(now + step * 60 * SECOND) };
            state = Some(waiting(policy.decide(state.as_ref(), failure, &mut random)));
        }
        assert!(!state.unwrap().single);
    }

    #[test]
    fn what_the_backend_asks_for_is_honoured() {
        let mut random = SmallRng::seed_from_u64(5);
        let now = Instant::now();
        let failure = KeyFailure { after: Some(30 * SECOND), ..outage(now) };
        assert_eq!(waiting(policy().decide(None, failure, &mut random)).until, now + 30 * SECOND);
    }

    #[test]
    fn a_wait_that_a_backend_asks_for_is_bounded() {
        let mut random = SmallRng::seed_from_u64(7);
        let now = Instant::now();
        let failure = KeyFailure { after: Some(Duration::MAX), ..outage(now) };
        let state = waiting(policy().decide(None, failure, &mut random));
        assert_eq!(state.until, now + MAX_RETRY_AFTER);
    }

    #[test]
    fn no_wait_reaches_beyond_the_time_to_parking() {
        let mut random = SmallRng::seed_from_u64(8);
        let now = Instant::now();
        let policy = RetryPolicy { park_after: Some(3 * SECOND), ..policy() };
        let locked = KeyFailure { after: Some(3_600 * SECOND), about_record: true, ..outage(now) };
        let state = waiting(policy.decide(None, locked, &mut random));
        assert_eq!(state.until, now + 3 * SECOND);
        let last = KeyFailure { at: state.until, ..locked };
        assert_eq!(policy.decide(Some(&state), last, &mut random), RetryDecision::Park);
    }
}
