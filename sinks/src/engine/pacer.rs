//! The pace of calls to one backend: a token bucket that says when, and the backend's own word.
//!
//! Ingest asks its buckets whether; a sink has time and asks when. The bucket is kept as the
//! theoretical arrival time of the next call (GCRA, ITU-T I.371 annex A), in integers.

use std::time::Duration;

use tokio::time::Instant;

use crate::connector::LONGEST_RETRY_AFTER;
use crate::settings::Rate;

/// Spaces the calls of one sink.
#[derive(Debug)]
pub(crate) struct Pacer {
    bucket: Option<Bucket>,
    held_until: Option<Instant>,
}

#[derive(Debug)]
struct Bucket {
    interval: Duration,
    tolerance: Duration,
    arrival: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        let bucket = rate.map(|rate| {
            let interval = Duration::from_secs(1) / rate.calls_per_second.max(1);
            let tolerance = interval * (rate.burst_calls.max(1) - 1);
            Bucket { interval, tolerance, arrival: None }
        });
        Self { bucket, held_until: None }
    }

    /// Returns the earliest time of the next call; it may lie in the past.
    pub(crate) fn next_call(&self, now: Instant) -> Instant {
        let paced = self.bucket.as_ref().and_then(|bucket| {
            // Before the clock's own origin is long ago: no wait.
            bucket.arrival.and_then(|arrival| arrival.checked_sub(bucket.tolerance))
        });
        [paced, self.held_until].into_iter().flatten().fold(now, Instant::max)
    }

    /// Returns the end of the wait that the backend asked for, while it lasts.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    /// Spends a token.
    pub(crate) fn called(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            let from = bucket.arrival.map_or(now, |arrival| arrival.max(now));
            bucket.arrival = Some(from + bucket.interval);
        }
    }

    /// Sends nothing for a while, because the backend said so.
    pub(crate) fn hold(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(LONGEST_RETRY_AFTER);
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Some(Rate { calls_per_second: 10, burst_calls: 3 }));
        let mut now = start;
        let mut times = Vec::new();
        for _ in 0..6 {
            now = pacer.next_call(now);
            pacer.called(now);
            times.push((now - start).as_millis());
        }
        assert_eq!(times, [0, 0, 0, 100, 200, 300]);
        // After a second of rest the burst is there again, and no more than that.
        now += Duration::from_mins(1);
        for expected in [0, 0, 0, 100] {
            let at = pacer.next_call(now);
            assert_eq!((at - now).as_millis(), expected);
            pacer.called(at);
        }
    }

    #[test]
    fn without_a_rate_only_the_backend_holds_us() {
        let now = Instant::now();
        let mut pacer = Pacer::new(None);
        pacer.called(now);
        assert_eq!(pacer.next_call(now), now);
        pacer.hold(now, Duration::from_secs(7));
        pacer.hold(now, Duration::from_secs(3));
        assert_eq!(pacer.next_call(now), now + Duration::from_secs(7));
        pacer.hold(now, Duration::from_hours(24));
        assert_eq!(pacer.next_call(now), now + LONGEST_RETRY_AFTER);
    }
}
