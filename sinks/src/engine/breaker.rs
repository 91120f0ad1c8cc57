//! The circuit breaker: after consecutive failed calls, stops calls for a while.
//!
//! It counts whole calls that failed, never records that a backend refused: a backend that
//! refuses is a backend that works. Time is passed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::flow::BreakerSettings;

/// Guards one backend.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; the number of consecutive failures is counted.
    Closed { failures: u32 },
    /// No call passes before this time, then one does.
    Open { until: Instant },
    /// Half-open: one call is under way to probe the backend.
    Probing,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// Returns when a call may pass: `Ok` now, `Err` with a time to ask again, or with nothing
    /// when only the call under way can tell.
    pub(crate) fn admits(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until } if until <= now => Ok(()),
            State::Open { until } => Err(Some(until)),
            State::Probing => Err(None),
        }
    }

    /// Records that a call starts, after [`Breaker::admits`] let it pass.
    pub(crate) fn called(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
    }

    /// Records a call that the backend served; returns whether it closed the breaker.
    pub(crate) fn succeeded(&mut self) -> bool {
        let closes = self.is_open();
        self.state = State::Closed { failures: 0 };
        closes
    }

    /// Records a failed call; returns whether it opened the breaker.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        let failures = match self.state {
            State::Closed { failures } => failures + 1,
            State::Probing => self.settings.failures,
            // Calls that were under way when the breaker opened are no news.
            State::Open { .. } => return false,
        };
        let opens = failures >= self.settings.failures;
        self.state = if opens { self.open_from(now) } else { State::Closed { failures } };
        opens
    }

    /// Records that a probe was abandoned, because its partition was revoked.
    pub(crate) fn abandoned(&mut self, now: Instant) {
        if self.state == State::Probing {
            self.state = State::Open { until: now };
        }
    }

    /// Returns the state as a number: 0 closed, 1 open, 2 half-open.
    pub(crate) fn gauge(&self) -> i64 {
        match self.state {
            State::Closed { .. } => 0,
            State::Open { .. } => 1,
            State::Probing => 2,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    fn open_from(&self, now: Instant) -> State {
        let open_for: Duration = self.settings.open_for;
        State::Open { until: now + open_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { failures: 3, open_for: OPEN_FOR })
    }

    #[test]
    fn it_opens_after_a_run_of_failures_and_lets_one_probe_through() {
        let (mut breaker, now) = (breaker(), Instant::now());
        assert!(!breaker.failed(now));
        assert!(!breaker.failed(now));
        assert_eq!(breaker.admits(now), Ok(()));
        assert!(breaker.failed(now));
        assert_eq!(breaker.admits(now), Err(Some(now + OPEN_FOR)));

        let later = now + OPEN_FOR;
        assert_eq!(breaker.admits(later), Ok(()));
        breaker.called();
        assert_eq!(breaker.admits(later), Err(None), "one probe at a time");
        assert!(breaker.failed(later));
        assert_eq!(breaker.admits(later), Err(Some(later + OPEN_FOR)));
        breaker.called();
        assert!(breaker.succeeded());
        assert!(!breaker.succeeded(), "it closes once");
        assert_eq!(breaker.admits(later), Ok(()));
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_success_ends_the_run() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.failed(now);
        breaker.failed(now);
        breaker.succeeded();
        assert!(!breaker.failed(now));
        assert!(!breaker.failed(now));
        assert!(breaker.failed(now));
    }

    #[test]
    fn calls_under_way_when_it_opened_do_not_extend_it() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(now);
        }
        assert!(!breaker.failed(now + OPEN_FOR / 2));
        assert_eq!(breaker.admits(now), Err(Some(now + OPEN_FOR)));
    }

    #[test]
    fn an_abandoned_probe_leaves_the_way_free_for_another() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(now);
        }
        breaker.called();
        breaker.abandoned(now);
        assert_eq!(breaker.admits(now), Ok(()));
    }
}
