//! Faults of a simulated backend.

use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

/// Kinds and rates of faults. The default is a backend without faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Each call takes this long,
    pub latency: Duration,
    /// and up to this much longer.
    pub jitter: Duration,
    /// Calls a second beyond which it answers 429 with `Retry-After`.
    pub calls_per_second: Option<u32>,
    /// Share of calls, 0 to 1, answered with 500 and nothing booked.
    pub server_errors: f64,
    /// Share of calls, 0 to 1, whose connection is closed before anything is booked.
    pub resets: f64,
    /// Share of calls, 0 to 1, that are booked and whose connection is then closed.
    pub lost_replies: f64,
    /// Seed of the random faults.
    pub seed: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            calls_per_second: None,
            server_errors: 0.0,
            resets: 0.0,
            lost_replies: 0.0,
            seed: 1,
        }
    }
}

/// The fault of one call, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallFault {
    Answered,
    Throttled,
    ServerError,
    Reset,
    ReplyLost,
}

/// Draws the faults of a backend.
#[derive(Debug)]
pub(super) struct FaultInjector {
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: SmallRng,
    window: Instant,
    calls: u32,
}

impl FaultInjector {
    pub(super) fn new(faults: Faults) -> Self {
        let random = SmallRng::seed_from_u64(faults.seed);
        let state = State { random, window: Instant::now(), calls: 0 };
        Self { faults, state: Mutex::new(state) }
    }

    /// Draws the delay and the fault of the next call.
    pub(super) fn next_fault(&self, now: Instant) -> (Duration, CallFault) {
        let mut state = self.state.lock();
        let delay =
            self.faults.latency + self.faults.jitter.mul_f64(state.random.random_range(0.0..=1.0));
        if now.duration_since(state.window) >= Duration::from_secs(1) {
            state.window = now;
            state.calls = 0;
        }
        state.calls += 1;
        if self.faults.calls_per_second.is_some_and(|limit| state.calls > limit) {
            return (Duration::ZERO, CallFault::Throttled);
        }
        let mut roll = state.random.random_range(0.0..1.0);
        for (share, fault) in [
            (self.faults.server_errors, CallFault::ServerError),
            (self.faults.resets, CallFault::Reset),
            (self.faults.lost_replies, CallFault::ReplyLost),
        ] {
            if roll < share {
                return (delay, fault);
            }
            roll -= share;
        }
        (delay, CallFault::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_asked() {
        let faults =
            Faults { server_errors: 0.1, resets: 0.2, lost_replies: 0.3, ..Faults::default() };
        let faults = FaultInjector::new(faults);
        let now = Instant::now();
        let found: Vec<CallFault> = (0..10_000).map(|_| faults.next_fault(now).1).collect();
        let count = |wanted| found.iter().filter(|&&fault| fault == wanted).count();
        assert!((800..1_200).contains(&count(CallFault::ServerError)));
        assert!((1_800..2_200).contains(&count(CallFault::Reset)));
        assert!((2_800..3_200).contains(&count(CallFault::ReplyLost)));
        assert_eq!(count(CallFault::Throttled), 0);
    }

    #[test]
    fn the_limit_holds_within_each_second() {
        let faults = FaultInjector::new(Faults { calls_per_second: Some(3), ..Faults::default() });
        let now = Instant::now();
        let throttled =
            |at| (0..5).filter(|_| faults.next_fault(at).1 == CallFault::Throttled).count();
        assert_eq!(throttled(now), 2);
        assert_eq!(throttled(now + Duration::from_secs(1)), 2);
    }
}
