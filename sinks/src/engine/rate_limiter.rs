//! The rate limit of calls to one backend: a token bucket, and the waits that the backend asks for.
//!
//! Ingest asks its buckets whether an event may pass; a sink can wait and asks when. The bucket is kept
//! as the theoretical arrival time of the next call (GCRA, ITU-T I.371 annex A), in integers.

use std::time::Duration;

use tokio::time::Instant;

use crate::connector::MAX_RETRY_AFTER;
use crate::flow::CallRateSettings;

/// Limits the rate of calls of one sink.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bucket: Option<Bucket>,
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    interval: Duration,
    tolerance: Duration,
    arrival: Option<Instant>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Option<CallRateSettings>) -> Self {
        let bucket = rate.map(|rate| {
            let interval = Duration::from_secs(1) / rate.calls_per_second.max(1);
            let tolerance = interval * (rate.burst_calls.max(1) - 1);
            Bucket { interval, tolerance, arrival: None }
        });
        Self { bucket, paused_until: None }
    }

    /// Returns the earliest time of the next call; it may lie in the past.
    pub(crate) fn next_call(&self, now: Instant) -> Instant {
        let paced = self.bucket.as_ref().and_then(|bucket| {
            // Before the clock's own origin is long ago: no wait.
            bucket.arrival.and_then(|arrival| arrival.checked_sub(bucket.tolerance))
        });
        [paced, self.paused_until].into_iter().flatten().fold(now, Instant::max)
    }

    /// Returns the end of the wait that the backend asked for, if it lies ahead.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Spends a token.
    pub(crate) fn called(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            let from = bucket.arrival.map_or(now, |arrival| arrival.max(now));
            bucket.arrival = Some(from + bucket.interval);
        }
    }

    /// Pauses calls for a wait that the backend asked for.
    pub(crate) fn pause(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(MAX_RETRY_AFTER);
        self.paused_until = Some(self.paused_until.map_or(until, |held| held.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate_limiter =
            RateLimiter::new(Some(CallRateSettings { calls_per_second: 10, burst_calls: 3 }));
        let mut now = start;
        let mut times = Vec::new();
        for _ in 0..6 {
            now = rate_limiter.next_call(now);
            rate_limiter.called(now);
            times.push((now - start).as_millis());
        }
        assert_eq!(times, [0, 0, 0, 100, 200, 300]);
        // After a second of rest the burst is there again, and no more than that.
        now += Duration::from_mins(1);
        for expected in [0, 0, 0, 100] {
            let at = rate_limiter.next_call(now);
            assert_eq!((at - now).as_millis(), expected);
            rate_limiter.called(at);
        }
    }

    #[test]
    fn without_a_rate_only_the_backend_holds_us() {
        let now = Instant::now();
        let mut rate_limiter = RateLimiter::new(None);
        rate_limiter.called(now);
        assert_eq!(rate_limiter.next_call(now), now);
        rate_limiter.pause(now, Duration::from_secs(7));
        rate_limiter.pause(now, Duration::from_secs(3));
        assert_eq!(rate_limiter.next_call(now), now + Duration::from_secs(7));
        rate_limiter.pause(now, Duration::from_hours(24));
        assert_eq!(rate_limiter.next_call(now), now + MAX_RETRY_AFTER);
    }
}
