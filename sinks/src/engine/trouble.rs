//! What a failure means for the lane it hit: wait, give up on one record, or park the lane.
//!
//! A backend that is down for an hour must not send a day's trade to the dead letters. So a
//! failed call counts against a lane only if the backend served somebody else since that lane's
//! failure before; what a backend says about one record counts always. Waits grow in both cases.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::time::Instant;

use crate::connector::LONGEST_RETRY_AFTER;
use crate::settings::Retry;

/// The trouble a lane is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// When the first of them became known.
    pub(crate) since: Instant,
    /// What the last of them is called.
    pub(crate) code: String,
    /// Those of them that count against the lane.
    pub(crate) charged: u32,
    /// Time between failures that counts against it.
    pub(crate) stuck: Duration,
    /// When it failed last.
    pub(crate) last: Instant,
    /// When it may be tried again.
    pub(crate) until: Instant,
    /// Whether its first record is to be tried by itself.
    pub(crate) single: bool,
}

/// One failure of a lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure<'a> {
    /// When it became known.
    pub(crate) at: Instant,
    /// What it is called.
    pub(crate) code: &'a str,
    /// Whether the backend spoke about this lane's record, rather than failing as a whole.
    pub(crate) about_record: bool,
    /// When the backend last answered a call well.
    pub(crate) backend_well_at: Option<Instant>,
    /// How long the backend asked us to wait.
    pub(crate) after: Option<Duration>,
    /// Whether to find out which record is meant by trying them one by one.
    pub(crate) isolate: bool,
}

/// What is to be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again when the trouble's wait is over.
    Wait(Trouble),
    /// The first record has had its attempts: dead letter, then try the next.
    GiveUpFirst,
    /// The lane has been stuck too long: all it has in hand goes to the dead letters.
    Park,
}

/// Limits on patience.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) retry: Retry,
    /// When to stop trying a key; a lane that is a whole partition is tried until it passes.
    pub(crate) park_after: Option<Duration>,
}

impl Patience {
    /// Decides what follows from a failure.
    pub(crate) fn judge(
        &self,
        before: Option<&Trouble>,
        failure: Failure<'_>,
        random: &mut impl Rng,
    ) -> Remedy {
        let failures = before.map_or(0, |trouble| trouble.failures).saturating_add(1);
        let served_others = before
            .is_some_and(|trouble| failure.backend_well_at.is_some_and(|at| at > trouble.last));
        let counts = failure.about_record || served_others;
        let charged = before.map_or(0, |trouble| trouble.charged).saturating_add(u32::from(counts));
        let elapsed = before.map_or(Duration::ZERO, |trouble| failure.at - trouble.last);
        let stuck = before.map_or(Duration::ZERO, |trouble| trouble.stuck)
            + if counts { elapsed } else { Duration::ZERO };
        if let Some(park_after) = self.park_after {
            if counts && stuck >= park_after {
                return Remedy::Park;
            }
            if charged >= self.retry.attempts() {
                return Remedy::GiveUpFirst;
            }
        }
        let wait = if failure.isolate && failures == 1 {
            Duration::ZERO
        } else {
            let asked = failure.after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            let wait = self.wait(failures, random).max(asked);
            // Tried once more when the time to parking is over, even if the backend asked for longer.
            let patience = self.park_after.filter(|_| counts);
            patience.map_or(wait, |patience| {
                wait.min(patience.saturating_sub(stuck)).max(self.retry.initial)
            })
        };
        Remedy::Wait(Trouble {
            failures,
            since: before.map_or(failure.at, |trouble| trouble.since),
            code: failure.code.to_owned(),
            charged,
            stuck,
            last: failure.at,
            until: failure.at + wait,
            single: self.park_after.is_some() && (failure.isolate || failures > 1),
        })
    }

    /// Exponential backoff with full jitter, never below half the exponential so that a fleet of
    /// lanes neither marches in step nor hammers.
    fn wait(&self, failures: u32, random: &mut impl Rng) -> Duration {
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

    fn patience() -> Patience {
        let retry = Retry { initial: SECOND, longest: 8 * SECOND, attempts: Some(4) };
        Patience { retry, park_after: Some(60 * SECOND) }
    }

    fn outage(at: Instant) -> Failure<'static> {
        Failure {
            at,
            code: "server_error",
            about_record: false,
            backend_well_at: None,
            after: None,
            isolate: false,
        }
    }

    fn waits(remedy: Remedy) -> Trouble {
        let Remedy::Wait(trouble) = remedy else { panic!("{remedy:?} instead of a wait") };
        trouble
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let mut random = SmallRng::seed_from_u64(1);
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (400, 8)] {
            let mut seen = Vec::new();
            for _ in 0..50 {
                let wait = patience().wait(failures, &mut random);
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
        let mut trouble = None;
        for _ in 0..10_000 {
            trouble = Some(waits(patience().judge(trouble.as_ref(), outage(now), &mut random)));
            now = trouble.as_ref().unwrap().until;
        }
        let trouble = trouble.unwrap();
        assert_eq!((trouble.charged, trouble.stuck, trouble.failures), (0, Duration::ZERO, 10_000));
        assert_eq!((trouble.since, &*trouble.code), (start, "server_error"));
    }

    #[test]
    fn a_record_that_fails_while_others_pass_runs_out_of_attempts() {
        let mut random = SmallRng::seed_from_u64(3);
        let now = Instant::now();
        let mut trouble = waits(patience().judge(None, outage(now), &mut random));
        assert!(!trouble.single, "the first retry takes the lane alone");
        for step in 1..4 {
            let at = now + step * SECOND;
            let failure = Failure { backend_well_at: Some(at), ..outage(at) };
            trouble = waits(patience().judge(Some(&trouble), failure, &mut random));
            assert!(trouble.single, "later ones take its first record alone");
            assert_eq!(trouble.charged, step);
        }
        let failure =
            Failure { backend_well_at: Some(now + 4 * SECOND), ..outage(now + 4 * SECOND) };
        assert_eq!(patience().judge(Some(&trouble), failure, &mut random), Remedy::GiveUpFirst);
    }

    #[test]
    fn a_lane_stuck_too_long_is_parked_before_its_attempts_run_out() {
        let mut random = SmallRng::seed_from_u64(4);
        let now = Instant::now();
        let missing = Failure { about_record: true, ..outage(now) };
        let trouble = waits(patience().judge(None, missing, &mut random));
        let later = Failure { at: now + 61 * SECOND, ..missing };
        assert_eq!(patience().judge(Some(&trouble), later, &mut random), Remedy::Park);
    }

    #[test]
    fn a_stream_is_tried_until_it_passes_and_never_in_pieces() {
        let mut random = SmallRng::seed_from_u64(6);
        let now = Instant::now();
        let patience = Patience { park_after: None, ..patience() };
        let mut trouble = None;
        for step in 0..100 {
            let failure = Failure { about_record: true, ..outage(now + step * 60 * SECOND) };
            trouble = Some(waits(patience.judge(trouble.as_ref(), failure, &mut random)));
        }
        assert!(!trouble.unwrap().single);
    }

    #[test]
    fn what_the_backend_asks_for_is_honoured() {
        let mut random = SmallRng::seed_from_u64(5);
        let now = Instant::now();
        let failure = Failure { after: Some(30 * SECOND), ..outage(now) };
        assert_eq!(waits(patience().judge(None, failure, &mut random)).until, now + 30 * SECOND);
        let isolate = Failure { isolate: true, ..outage(now) };
        let trouble = waits(patience().judge(None, isolate, &mut random));
        assert_eq!((trouble.until, trouble.single), (now, true), "isolation costs no wait");
    }

    #[test]
    fn a_wait_that_a_backend_asks_for_is_bounded() {
        let mut random = SmallRng::seed_from_u64(7);
        let now = Instant::now();
        let failure = Failure { after: Some(Duration::MAX), ..outage(now) };
        let trouble = waits(patience().judge(None, failure, &mut random));
        assert_eq!(trouble.until, now + LONGEST_RETRY_AFTER);
    }

    #[test]
    fn no_wait_reaches_beyond_the_time_to_parking() {
        let mut random = SmallRng::seed_from_u64(8);
        let now = Instant::now();
        let patience = Patience { park_after: Some(3 * SECOND), ..patience() };
        let locked = Failure { after: Some(3_600 * SECOND), about_record: true, ..outage(now) };
        let trouble = waits(patience.judge(None, locked, &mut random));
        assert_eq!(trouble.until, now + 3 * SECOND);
        let last = Failure { at: trouble.until, ..locked };
        assert_eq!(patience.judge(Some(&trouble), last, &mut random), Remedy::Park);
    }
}
