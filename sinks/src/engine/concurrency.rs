//! The number of calls under way at once: additive increase, multiplicative decrease (AIMD), below the limit of the settings.
//!
//! A sink begins with one call and doubles with each round trip that goes well, until the backend shows that it has enough: a
//! failed call, a call for fewer calls, or a latency of more than [`SLOW_FACTOR`] times that of a lone call. The limit then
//! shrinks by a third and grows by one call a round trip again. So a backend that comes back after an outage meets one call
//! and not the whole backlog. What latency is without a queue is measured now and then by one call alone. Time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// What remains of the limit after a sign of congestion.
const DECREASE: f64 = 0.7;
/// A call is slow when it takes this many times the latency of a lone call,
const SLOW_FACTOR: u32 = 3;
/// and longer than that by this much, so that the scheduler's jitter beside a quick backend is no sign.
const SLOW_FLOOR: Duration = Duration::from_millis(50);
/// How long a measured latency holds at least,
const HOLDS_FOR: Duration = Duration::from_secs(30);
/// and for how many calls of that length, so that measuring costs a slow backend little.
const HOLDS_FOR_CALLS: u32 = 50;

/// Limits the calls of one sink that are under way.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    limit: f64,
    most: usize,
    /// Whether the limit follows the backend; otherwise it is `most`.
    is_adaptive: bool,
    /// Whether no congestion was seen since the start or the last outage.
    is_doubling: bool,
    /// Calls that started before the last decrease say nothing of the limit after it.
    decreased_at: Option<Instant>,
    /// The latency of a lone call, or the best one since it was measured.
    best: Option<Duration>,
    measured_at: Option<Instant>,
    /// Since when one call alone measures the latency.
    measuring_since: Option<Instant>,
}

impl ConcurrencyLimit {
    /// Starts with one call, or with `most` where the limit does not adapt.
    pub(crate) fn new(most: usize, is_adaptive: bool) -> Self {
        Self {
            limit: 1.0,
            most: most.max(1),
            is_adaptive,
            is_doubling: true,
            decreased_at: None,
            best: None,
            measured_at: None,
            measuring_since: None,
        }
    }

    /// Returns how many calls may be under way.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the limit lies between 1 and `most`, and a cast of a float saturates"
    )]
    pub(crate) fn calls(&self) -> usize {
        match (self.is_adaptive, self.measuring_since) {
            (false, _) => self.most,
            (true, Some(_)) => 1,
            (true, None) => (self.limit as usize).clamp(1, self.most),
        }
    }

    /// Records an answered call: when it ended, how long it took, and how many calls were under way with it.
    pub(crate) fn answered(&mut self, now: Instant, elapsed: Duration, under_way: usize) {
        let Some(best) = self.measure(now, elapsed) else { return };
        if elapsed > best.saturating_mul(SLOW_FACTOR) && elapsed > best + SLOW_FLOOR {
            self.congested(now, elapsed);
        } else if under_way.saturating_mul(2) >= self.calls() {
            // A limit that is not made use of says nothing of what the backend could take.
            self.limit += if self.is_doubling { 1.0 } else { 1.0 / self.limit };
            self.limit = self.limit.min(u32::try_from(self.most).unwrap_or(u32::MAX).into());
        }
    }

    /// Records a sign of congestion: a call that failed or was slow, or that the backend put off.
    pub(crate) fn congested(&mut self, now: Instant, elapsed: Duration) {
        let began = now.checked_sub(elapsed);
        if self.decreased_at.is_some_and(|at| began.is_none_or(|began| began < at)) {
            return;
        }
        self.decreased_at = Some(now);
        self.measuring_since = None;
        self.is_doubling = false;
        self.limit = (self.limit * DECREASE).max(1.0);
    }

    /// Records that the circuit breaker opened: calls begin with one again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.most, self.is_adaptive);
    }

    /// Returns the latency of a lone call; `None` while it is being measured.
    fn measure(&mut self, now: Instant, elapsed: Duration) -> Option<Duration> {
        if let Some(since) = self.measuring_since {
            // Others began before it and waited in the backend's queue.
            if now.checked_sub(elapsed).is_some_and(|began| began >= since) {
                (self.best, self.measured_at) = (Some(elapsed), Some(now));
                self.measuring_since = None;
            }
            return None;
        }
        let best = self.best.map_or(elapsed, |best| best.min(elapsed));
        self.best = Some(best);
        let measured_at = *self.measured_at.get_or_insert(now);
        let holds_for = HOLDS_FOR.max(best.saturating_mul(HOLDS_FOR_CALLS));
        if self.is_adaptive && now.duration_since(measured_at) >= holds_for {
            self.measuring_since = Some(now);
            return None;
        }
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs a backend that serves `knee` calls at once in 100 ms and queues the others, for so many round trips.
    fn run(
        limit: &mut ConcurrencyLimit,
        knee: usize,
        trips: usize,
        now: &mut Instant,
    ) -> Vec<usize> {
        (0..trips)
            .map(|_| {
                let calls = limit.calls();
                let queued = u32::try_from(calls.div_ceil(knee)).unwrap();
                let elapsed = 100 * MS * queued;
                *now += elapsed;
                for _ in 0..calls {
                    limit.answered(*now, elapsed, calls);
                }
                calls
            })
            .collect()
    }

    #[test]
    fn it_doubles_to_the_hard_limit_where_the_backend_takes_all() {
        let (mut limit, mut now) = (ConcurrencyLimit::new(48, true), Instant::now());
        assert_eq!(run(&mut limit, 1_000, 8, &mut now), [1, 2, 4, 8, 16, 32, 48, 48]);
    }

    #[test]
    fn it_finds_the_knee_within_a_minute_and_stays_about_it() {
        let (mut limit, mut now) = (ConcurrencyLimit::new(1_000, true), Instant::now());
        let start = now;
        while now.duration_since(start) < Duration::from_mins(1) {
            run(&mut limit, 10, 1, &mut now);
        }
        let mut later = run(&mut limit, 10, 2_000, &mut now);
        let measurements = later.iter().filter(|&&calls| calls == 1).count();
        assert!((5..=40).contains(&measurements), "{measurements}");
        later.retain(|&calls| calls > 1);
        let (least, most) = (later.iter().min().unwrap(), later.iter().max().unwrap());
        assert!(*least >= 10 && *most <= 31, "{least} to {most}");
    }

    #[test]
    fn a_run_of_failures_of_one_round_trip_counts_once() {
        let (mut limit, mut now) = (ConcurrencyLimit::new(16, true), Instant::now());
        run(&mut limit, 1_000, 6, &mut now);
        assert_eq!(limit.calls(), 16);
        now += 100 * MS;
        for _ in 0..16 {
            limit.congested(now, 100 * MS);
        }
        assert_eq!(limit.calls(), 11);
        limit.congested(now + 200 * MS, 100 * MS);
        assert_eq!(limit.calls(), 7);
        limit.reset();
        assert_eq!(limit.calls(), 1);
    }

    #[test]
    fn it_grows_only_where_it_is_reached_and_never_where_it_is_fixed() {
        let now = Instant::now();
        let mut limit = ConcurrencyLimit::new(16, true);
        for _ in 0..10 {
            limit.answered(now, MS, 0);
        }
        assert_eq!(limit.calls(), 1);
        let mut fixed = ConcurrencyLimit::new(3, false);
        fixed.congested(now, MS);
        assert_eq!(fixed.calls(), 3);
    }
}
