//! Rate limits of tenants, stores and keys: settings, and token buckets.
//!
//! An event takes tokens from all its buckets or from none. The buckets themselves are
//! [`tillrace_core::token_bucket`]; this module chooses them.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_core::token_bucket::{RateExceeded, RateLimit, TokenBuckets};
use tillrace_log::setting::{Inspection, SizeText};

/// Largest event: a byte bucket must be able to hold one.
const EVENT_BYTES: NonZeroU64 =
    NonZeroU64::new(tillrace_core::decode::MAX_EVENT_BYTES as u64).expect("events have bytes");

/// Bytes of text for each event of an events rate, where no rate of bytes is given. A sale of seven lines has about two
/// thousand; an event may have 64 times as many as this, and costs as much more to look at.
const BYTES_PER_EVENT: NonZeroU64 = NonZeroU64::new(4 * 1024).expect("4,096 is not zero");

/// Rates of one kind of sender; an absent rate does not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Events each second, over time.
    pub events_per_second: Option<NonZeroU64>,
    /// Events at once; two seconds' worth when absent.
    pub events_burst: Option<NonZeroU64>,
    /// Bytes of text each second, over time, decompressed and whatever it holds; 4 KiB for each event of
    /// `events_per_second` when absent.
    #[schemars(with = "Option<SizeText>")]
    pub bytes_per_second: Option<ByteSize>,
    /// Bytes at once; two seconds' worth when absent (4 KiB for each event of `events_burst` where both rates of bytes
    /// are), at least 256 KiB.
    #[schemars(with = "Option<SizeText>")]
    pub bytes_burst: Option<ByteSize>,
}

impl RateSettings {
    /// Reports invalid settings.
    pub fn inspect(&self, found: &mut Inspection) {
        found.require(
            self.events_burst.is_none() || self.events_per_second.is_some(),
            "events_burst",
            "is a burst without a rate",
            "set events_per_second too, or remove it",
        );
        found.require(
            self.bytes_burst.is_none() || self.bytes_per_second.is_some(),
            "bytes_burst",
            "is a burst without a rate",
            "set bytes_per_second too, or remove it",
        );
        found.range_of("bytes_per_second", self.bytes_per_second, ByteSize::b(1)..);
        found.range_of("bytes_burst", self.bytes_burst, ByteSize::b(EVENT_BYTES.get())..);
    }

    /// Tells whether there is a rate, of events or of bytes.
    pub(crate) fn limits_anything(&self) -> bool {
        self.events_per_second.is_some() || self.bytes_per_second.is_some()
    }

    fn events(&self) -> Option<RateLimit> {
        let per_second = self.events_per_second?;
        let burst = self.events_burst.unwrap_or(per_second.saturating_mul(TWO));
        Some(RateLimit { per_second, burst })
    }

    fn bytes(&self) -> Option<RateLimit> {
        let Some(per_second) = self.bytes_per_second else {
            let RateLimit { per_second, burst } = self.events()?;
            let bytes = |events: NonZeroU64| events.saturating_mul(BYTES_PER_EVENT);
            return Some(RateLimit {
                per_second: bytes(per_second),
                burst: bytes(burst).max(EVENT_BYTES),
            });
        };
        let per_second = NonZeroU64::new(per_second.as_u64())?;
        let burst = self.bytes_burst.and_then(|burst| NonZeroU64::new(burst.as_u64()));
        let burst = burst.unwrap_or(per_second.saturating_mul(TWO)).max(EVENT_BYTES);
        Some(RateLimit { per_second, burst })
    }
}

const TWO: NonZeroU64 = NonZeroU64::new(2).expect("two is not zero");

/// Tokens to take from a sender's buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Token buckets for events and bytes of one kind of sender, by dense id.
#[derive(Debug, Clone)]
pub(crate) struct RateLimits {
    events: Option<BucketSet>,
    bytes: Option<BucketSet>,
}

/// Token buckets for events or bytes, with their burst.
#[derive(Debug, Clone)]
struct BucketSet {
    buckets: Arc<TokenBuckets>,
    burst: u64,
}

impl BucketSet {
    fn new(limit: RateLimit, count: u32) -> Self {
        let buckets = Arc::new(TokenBuckets::new(limit, count as usize));
        Self { buckets, burst: limit.burst.get() }
    }

    /// The same buckets where neither limit nor count changes; otherwise new ones that lack as much.
    fn with_limit(&self, limit: RateLimit, count: u32, now_ns: u64) -> Self {
        let count = self.buckets.count().max(count as usize);
        if self.buckets.limit() == limit && self.buckets.count() == count {
            return self.clone();
        }
        let buckets = Arc::new(self.buckets.with_limit(limit, count, now_ns));
        Self { buckets, burst: limit.burst.get() }
    }

    /// A request that began before the number of stores was raised may meet one that has no bucket in its limits: it is
    /// charged to the last.
    fn within(&self, id: u32) -> u32 {
        id.min(u32::try_from(self.buckets.count()).unwrap_or(u32::MAX).saturating_sub(1))
    }

    /// A cost of zero is granted by any bucket, even an overdrawn one.
    fn take(&self, id: u32, amount: u64, now_ns: u64) -> Result<(), RateExceeded> {
        if amount == 0 { Ok(()) } else { self.buckets.take(self.within(id), amount, now_ns) }
    }
}

impl RateLimits {
    /// Makes full buckets for ids below `count`; without a rate there are none.
    pub(crate) fn new(rates: &RateSettings, count: u32) -> Self {
        let buckets = |limit| BucketSet::new(limit, count);
        Self { events: rates.events().map(buckets), bytes: rates.bytes().map(buckets) }
    }

    /// Takes other rates, for ids below `count` at least. No bucket is filled by it; one that had no rate before begins full.
    pub(crate) fn with_rates(&self, rates: &RateSettings, count: u32, now_ns: u64) -> Self {
        let change = |before: &Option<BucketSet>, limit: Option<RateLimit>| {
            limit.map(|limit| match before {
                Some(before) => before.with_limit(limit, count, now_ns),
                None => BucketSet::new(limit, count),
            })
        };
        Self {
            events: change(&self.events, rates.events()),
            bytes: change(&self.bytes, rates.bytes()),
        }
    }

    /// Tells whether full buckets would hold a cost; a larger one can only be granted as a debt.
    fn can_hold(&self, cost: Cost) -> bool {
        let holds = |buckets: &Option<BucketSet>, amount| {
            buckets.as_ref().is_none_or(|set| amount <= set.burst)
        };
        holds(&self.events, cost.events) && holds(&self.bytes, cost.bytes)
    }

    /// Takes a cost from both buckets of `id`, or nothing from either.
    fn take(&self, id: u32, cost: Cost, now_ns: u64) -> Result<(), RateExceeded> {
        if let Some(events) = &self.events {
            events.take(id, cost.events, now_ns)?;
        }
        let Some(bytes) = &self.bytes else { return Ok(()) };
        bytes.take(id, cost.bytes, now_ns).inspect_err(|_| {
            if let Some(events) = &self.events {
                events.buckets.refund(events.within(id), cost.events);
            }
        })
    }

    /// Puts a cost back.
    fn refund(&self, id: u32, cost: Cost) {
        if let Some(events) = &self.events {
            events.buckets.refund(events.within(id), cost.events);
        }
        if let Some(bytes) = &self.bytes {
            bytes.buckets.refund(bytes.within(id), cost.bytes);
        }
    }
}

/// The buckets of one sender: the limits, and the sender's id in them.
pub(crate) type Account<'a> = (&'a RateLimits, u32);

/// Tells whether all accounts could hold a cost when they are full.
pub(crate) fn all_can_hold(accounts: &[Account<'_>], cost: Cost) -> bool {
    accounts.iter().all(|(limits, _)| limits.can_hold(cost))
}

/// Takes a cost from each account, or nothing from any.
pub(crate) fn take_all(
    accounts: &[Account<'_>],
    cost: Cost,
    now_ns: u64,
) -> Result<(), RateExceeded> {
    for (place, (limits, id)) in accounts.iter().enumerate() {
        if let Err(exhausted) = limits.take(*id, cost, now_ns) {
            give_back_all(accounts.get(..place).unwrap_or_default(), cost);
            return Err(exhausted);
        }
    }
    Ok(())
}

/// Puts a cost back into each account.
pub(crate) fn give_back_all(accounts: &[Account<'_>], cost: Cost) {
    for (limits, id) in accounts {
        limits.refund(*id, cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(json: &str) -> RateSettings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_refusal_by_one_meter_leaves_the_others_as_they_were() {
        let wide = RateLimits::new(
            &rates(r#"{"events_per_second":1,"events_burst":3,"bytes_per_second":"1MiB"}"#),
            1,
        );
        let narrow = RateLimits::new(
            &rates(
                r#"{"events_per_second":9,"events_burst":9,
                    "bytes_per_second":"1kB","bytes_burst":"256KiB"}"#,
            ),
            2,
        );
        let event = |bytes| Cost { events: 1, bytes };
        let take =
            |narrow_id, bytes| take_all(&[(&wide, 0), (&narrow, narrow_id)], event(bytes), 0);
        assert_eq!(take(1, EVENT_BYTES.get()), Ok(()));
        for _ in 0..9 {
            assert!(take(1, 1).is_err());
        }
        assert_eq!(take(0, 1), Ok(()));
        assert_eq!(take(0, 1), Ok(()));
        assert!(take(0, 1).is_err());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limits = RateLimits::new(&RateSettings::default(), 0);
        assert_eq!(limits.take(7, Cost { events: u64::MAX, bytes: u64::MAX }, 0), Ok(()));
    }

    #[test]
    fn a_burst_defaults_to_two_seconds_and_holds_an_event() {
        let limits = RateLimits::new(&rates(r#"{"events_per_second":5}"#), 1);
        let one = Cost { events: 1, bytes: 1 };
        assert_eq!((0..20).filter(|_| limits.take(0, one, 0).is_ok()).count(), 10);
        assert_eq!(rates(r#"{"bytes_per_second":"1B"}"#).bytes().unwrap().burst, EVENT_BYTES);
    }

    #[test]
    fn a_rate_of_events_limits_bytes_too_unless_those_have_a_rate() {
        let of = |json: &str| {
            let limit = rates(json).bytes()?;
            Some((limit.per_second.get(), limit.burst.get()))
        };
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"events_per_second":500}"#), Some((2_048_000, 4_096_000)));
        let burst = r#"{"events_per_second":500,"events_burst":200}"#;
        assert_eq!(of(burst), Some((2_048_000, 819_200)));
        assert_eq!(of(r#"{"events_per_second":2}"#), Some((8_192, EVENT_BYTES.get())));
        let both = r#"{"events_per_second":500,"bytes_per_second":"1MiB"}"#;
        assert_eq!(of(both), Some((1_048_576, 2_097_152)));
    }

    #[test]
    fn nothing_can_be_taken_from_an_overdrawn_bucket() {
        let limits = RateLimits::new(&rates(r#"{"bytes_per_second":"1B"}"#), 1);
        let bytes = |bytes| Cost { events: 0, bytes };
        let twice = bytes(2 * EVENT_BYTES.get());
        assert!(!limits.can_hold(twice));
        assert_eq!(limits.take(0, twice, 0), Ok(()), "a debt");
        assert!(limits.take(0, bytes(1), 0).is_err());
        assert_eq!(limits.take(0, bytes(0), 0), Ok(()));
    }

    fn faults(json: &str) -> Vec<String> {
        let mut found = Inspection::default();
        rates(json).inspect(&mut found);
        found.errors().iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn rates_that_cannot_work_are_named() {
        for (json, key) in [
            (r#"{"events_burst":5}"#, "events_burst"),
            (r#"{"bytes_burst":"1MiB"}"#, "bytes_burst"),
            (r#"{"bytes_per_second":"0B"}"#, "bytes_per_second"),
            (r#"{"bytes_per_second":"1MiB","bytes_burst":"1kB"}"#, "bytes_burst"),
        ] {
            assert_eq!(faults(json), [key], "{json}");
        }
        assert!(faults(r#"{"events_per_second":5,"bytes_per_second":"1MiB"}"#).is_empty());
    }
}
