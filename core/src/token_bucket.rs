//! Token buckets: how much a tenant, a store or a key may send.
//!
//! One [`TokenBuckets`] is a dense array with one rate limit for all its buckets, indexed by interned id: 8
//! bytes a bucket, no lock, no allocation after creation, no clock of its own (the caller reads the
//! time once for many takes). It does not know whom it limits, and it never waits: its error says
//! how long to wait.
//!
//! The gateway uses it between the duplicate check and the envelope.
//!
//! The algorithm is the generic cell rate algorithm (ITU-T I.371, annex A) in its virtual scheduling
//! form. A bucket is one number, the time at which it will be full again; taking moves it into the
//! future, and more than a burst's worth ahead of now is refused.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
use std::num::NonZeroU64;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time is in sixteenths of a nanosecond, so that one byte at 10 GB/s still has a cost; 64 bits of them last 36 years.
const TICKS_PER_NANO: u64 = 16;
const TICKS_PER_SECOND: u128 = 16_000_000_000;

/// A rate, and the burst by which it may be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Tokens that come back each second.
    pub per_second: NonZeroU64,
    /// Tokens of a full bucket.
    pub burst: NonZeroU64,
}

impl RateLimit {
    /// Time that `amount` tokens take to come back, in ticks. Rounded up, so that a bucket is never
    /// too generous; a burst taken in many small parts can be one token short.
    fn ticks(self, amount: u64) -> u64 {
        let ticks =
            (u128::from(amount) * TICKS_PER_SECOND).div_ceil(u128::from(self.per_second.get()));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// The rate limit was exceeded: the same take passes after this long, if nobody else takes in the meantime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("rate exceeded, tokens are back in {wait:?}")]
pub struct RateExceeded {
    /// Time until the same take would pass.
    pub wait: Duration,
}

/// An array of token buckets with one limit, all full at first.
#[derive(Debug)]
pub struct TokenBuckets {
    limit: RateLimit,
    burst_ticks: u64,
    full_at: Arc<[AtomicU64]>,
}

impl TokenBuckets {
    /// Makes `count` full buckets.
    pub fn new(limit: RateLimit, count: usize) -> Self {
        Self {
            limit,
            burst_ticks: limit.ticks(limit.burst.get()),
            full_at: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns the same buckets under a new limit, as of `now_ns`: tokens that are missing stay missing, up to the new burst and
    /// the debt that a bucket was in.
    ///
    /// The buckets are shared with these, which their holders may go on using for a moment: what they take is taken from both.
    /// With another `count` they are copied, and what is taken from these during the call may not be seen.
    #[must_use]
    pub fn with_limit(&self, limit: RateLimit, count: usize, now_ns: u64) -> Self {
        let now = now_ns.saturating_mul(TICKS_PER_NANO);
        let convert = |full_at: u64| {
            let ahead = u128::from(full_at.saturating_sub(now));
            let per_second = |limit: RateLimit| u128::from(limit.per_second.get());
            let ticks = (ahead * per_second(self.limit)).div_ceil(per_second(limit));
            now.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
        };
        let full_at = if count == self.full_at.len() {
            if limit.per_second != self.limit.per_second {
                for bucket in self.full_at.iter() {
                    let mut found = bucket.load(Ordering::Relaxed);
                    while let Err(other) = bucket.compare_exchange_weak(
                        found,
                        convert(found),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    ) {
                        found = other;
                    }
                }
            }
            Arc::clone(&self.full_at)
        } else {
            let known = |id: usize| {
                self.full_at.get(id).map_or(0, |bucket| convert(bucket.load(Ordering::Relaxed)))
            };
            (0..count).map(|id| AtomicU64::new(known(id))).collect()
        };
        Self { limit, burst_ticks: limit.ticks(limit.burst.get()), full_at }
    }

    /// Returns the limit.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Returns the number of buckets.
    pub fn count(&self) -> usize {
        self.full_at.len()
    }

    /// Takes `amount` tokens from bucket `id` at `now_ns`, nanoseconds since any fixed origin.
    ///
    /// A take of more than a whole burst passes when the bucket is full, and leaves it in debt: it is slowed like any other,
    /// but not refused for ever.
    ///
    /// A bucket is one atomic that carries no other data, so relaxed ordering is enough: all takes
    /// from a bucket are in its modification order, and each sees the result of the one before.
    /// A `now_ns` a little behind that of another thread is harmless; it only sees fewer tokens.
    ///
    /// # Errors
    /// [`RateExceeded`] when fewer are left; nothing is taken then.
    ///
    /// # Panics
    /// When `id` is not below the count.
    #[inline]
    pub fn take(&self, id: u32, amount: u64, now_ns: u64) -> Result<(), RateExceeded> {
        let cost = self.limit.ticks(amount);
        let now = now_ns.saturating_mul(TICKS_PER_NANO);
        let latest = now.saturating_add(self.burst_ticks.saturating_sub(cost));
        let bucket = &self.full_at[id as usize];
        let mut full_at = bucket.load(Ordering::Relaxed);
        loop {
            let start = full_at.max(now);
            if start > latest {
                let wait = Duration::from_nanos((start - latest).div_ceil(TICKS_PER_NANO));
                return Err(RateExceeded { wait });
            }
            let next = start.saturating_add(cost);
            match bucket.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(found) => full_at = found,
            }
        }
    }

    /// Refunds a [`take`](Self::take) of the same `amount`, because another bucket refused.
    ///
    /// # Panics
    /// When `id` is not below the count.
    pub fn refund(&self, id: u32, amount: u64) {
        let cost = self.limit.ticks(amount);
        let bucket = &self.full_at[id as usize];
        let mut full_at = bucket.load(Ordering::Relaxed);
        while let Err(found) = bucket.compare_exchange_weak(
            full_at,
            full_at.saturating_sub(cost),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            full_at = found;
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;

#[cfg(test)]
#[cfg(loom)]
mod model;
