//! `Retry-After` of deferred requests.
//!
//! The wait follows from the backpressure (a bucket's refill, the pressure on the memory budget); jitter
//! on top keeps a fleet from returning at once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest wait: conditions change.
const LONGEST_SECONDS: u64 = 120;

/// Wait after a body that was cut or came too slowly: the network is at fault, and nothing here must recover.
pub(crate) const BODY_RETRY: Duration = Duration::from_secs(1);

/// Wait when the memory budget is exhausted for the sender.
pub(crate) const MEMORY_RETRY: Duration = Duration::from_secs(2);

/// Wait of an event whose name is over a cap: people must raise the cap.
pub(crate) const NAMES_RETRY: Duration = Duration::from_mins(1);

/// A generator of jitter for any number of threads.
#[derive(Debug)]
pub(crate) struct Jitter {
    state: AtomicU64,
}

impl Jitter {
    pub(crate) fn new() -> Self {
        Self::from_seed(RandomState::new().hash_one("jitter"))
    }

    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// Returns whole seconds: `wait` rounded up, at least one, and up to half as much again.
    pub(crate) fn retry_after_seconds(&self, wait: Duration) -> u64 {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = whole.clamp(1, LONGEST_SECONDS);
        seconds + self.draw() % (seconds / 2 + 2)
    }

    /// Draws a number by splitmix64 (Steele, Lea and Flood, 2014); each draw advances the state by
    /// the same odd constant, so relaxed ordering loses nothing.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_at_least_what_is_needed_and_spread_out() {
        let jitter = Jitter::from_seed(1);
        for (wait_ms, least, most) in [
            (0, 1, 2),
            (1, 1, 2),
            (1_000, 1, 2),
            (1_001, 2, 4),
            (10_000, 10, 16),
            (1 << 40, 120, 181),
        ] {
            let drawn: Vec<_> = (0..200)
                .map(|_| jitter.retry_after_seconds(Duration::from_millis(wait_ms)))
                .collect();
            assert_eq!(drawn.iter().min(), Some(&least), "{wait_ms}");
            assert_eq!(drawn.iter().max(), Some(&most), "{wait_ms}");
        }
    }
}
