//! How much a tenant, its stores and its keys may send: rates as settings, and as buckets.
//!
//! An event takes from every bucket it comes under or from none. The buckets themselves are
//! [`tillrace_core::bucket`]; which they are for one event is decided here.

use std::num::NonZeroU64;

use bytesize::ByteSize;
use serde::Deserialize;
use tillrace_core::bucket::{Buckets, Exhausted, Limit};

use crate::settings::SettingsError;

/// Largest event: a byte bucket must be able to hold one.
const EVENT_BYTES: u64 = tillrace_core::decode::MAX_EVENT_BYTES as u64;

/// Rates of one kind of sender; an absent rate does not limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Events each second, over time.
    pub events_per_second: Option<NonZeroU64>,
    /// Events at once; two seconds' worth when absent.
    pub events_burst: Option<NonZeroU64>,
    /// Bytes of event text each second, over time.
    pub bytes_per_second: Option<ByteSize>,
    /// Bytes at once; two seconds' worth when absent, at least 256 KiB.
    pub bytes_burst: Option<ByteSize>,
}

impl RateSettings {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let wrong = |key, remedy| Err(SettingsError { key, remedy });
        if self.events_burst.is_some() && self.events_per_second.is_none() {
            return wrong("events_burst", "set events_per_second too, or remove it");
        }
        if self.bytes_burst.is_some() && self.bytes_per_second.is_none() {
            return wrong("bytes_burst", "set bytes_per_second too, or remove it");
        }
        if self.bytes_per_second.is_some_and(|rate| rate.as_u64() == 0) {
            return wrong("bytes_per_second", "set it above zero, or remove it for no limit");
        }
        if self.bytes_burst.is_some_and(|burst| burst.as_u64() < EVENT_BYTES) {
            return wrong("bytes_burst", "set it to at least 256KiB, the largest event");
        }
        Ok(())
    }

    fn events(&self) -> Option<Limit> {
        let per_second = self.events_per_second?;
        let burst = self.events_burst.unwrap_or(per_second.saturating_mul(TWO));
        Some(Limit { per_second, burst })
    }

    fn bytes(&self) -> Option<Limit> {
        let per_second = NonZeroU64::new(self.bytes_per_second?.as_u64())?;
        let burst = self.bytes_burst.map(|burst| burst.as_u64());
        let burst = burst.unwrap_or(per_second.get().saturating_mul(2)).max(EVENT_BYTES);
        Some(Limit { per_second, burst: NonZeroU64::new(burst)? })
    }
}

const TWO: NonZeroU64 = NonZeroU64::new(2).expect("two is not zero");

/// Buckets for events and bytes of one kind of sender, by dense id.
#[derive(Debug)]
pub(crate) struct Meter {
    events: Option<Buckets>,
    bytes: Option<Buckets>,
}

impl Meter {
    /// Makes full buckets for ids below `count`; without a rate there is nothing to hold.
    pub(crate) fn new(rates: &RateSettings, count: u32) -> Self {
        let buckets = |limit| Buckets::new(limit, count as usize);
        Self { events: rates.events().map(buckets), bytes: rates.bytes().map(buckets) }
    }

    /// Takes one event of `bytes` from both buckets of `id`, or from none.
    pub(crate) fn take(&self, id: u32, bytes: u64, now_ns: u64) -> Result<(), Exhausted> {
        if let Some(events) = &self.events {
            events.take(id, 1, now_ns)?;
        }
        let Some(buckets) = &self.bytes else { return Ok(()) };
        buckets.take(id, bytes, now_ns).inspect_err(|_| {
            if let Some(events) = &self.events {
                events.give_back(id, 1);
            }
        })
    }

    /// Puts one event of `bytes` back.
    pub(crate) fn give_back(&self, id: u32, bytes: u64) {
        if let Some(events) = &self.events {
            events.give_back(id, 1);
        }
        if let Some(buckets) = &self.bytes {
            buckets.give_back(id, bytes);
        }
    }
}

/// Takes one event of `bytes` from each meter by its id, or from none.
pub(crate) fn take_all(meters: &[(&Meter, u32)], bytes: u64, now_ns: u64) -> Result<(), Exhausted> {
    for (place, (meter, id)) in meters.iter().enumerate() {
        if let Err(exhausted) = meter.take(*id, bytes, now_ns) {
            for (taken, id) in meters.iter().take(place) {
                taken.give_back(*id, bytes);
            }
            return Err(exhausted);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(json: &str) -> RateSettings {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_refusal_by_one_meter_leaves_the_others_as_they_were() {
        let wide = Meter::new(&rates(r#"{"events_per_second":1,"events_burst":3}"#), 1);
        let narrow = Meter::new(
            &rates(
                r#"{"events_per_second":9,"events_burst":9,
                    "bytes_per_second":"1kB","bytes_burst":"256KiB"}"#,
            ),
            2,
        );
        assert_eq!(take_all(&[(&wide, 0), (&narrow, 1)], EVENT_BYTES, 0), Ok(()));
        for _ in 0..9 {
            assert!(take_all(&[(&wide, 0), (&narrow, 1)], 1, 0).is_err());
        }
        assert_eq!(take_all(&[(&wide, 0), (&narrow, 0)], 1, 0), Ok(()));
        assert_eq!(take_all(&[(&wide, 0), (&narrow, 0)], 1, 0), Ok(()));
        assert!(take_all(&[(&wide, 0), (&narrow, 0)], 1, 0).is_err());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let meter = Meter::new(&RateSettings::default(), 0);
        assert_eq!(meter.take(7, u64::MAX, 0), Ok(()));
    }

    #[test]
    fn a_burst_defaults_to_two_seconds_and_holds_an_event() {
        let meter = Meter::new(&rates(r#"{"events_per_second":5}"#), 1);
        assert_eq!((0..20).filter(|_| meter.take(0, 1, 0).is_ok()).count(), 10);
        assert_eq!(rates(r#"{"bytes_per_second":"1B"}"#).bytes().unwrap().burst.get(), EVENT_BYTES);
    }

    #[test]
    fn rates_that_cannot_work_are_named() {
        for (json, key) in [
            (r#"{"events_burst":5}"#, "events_burst"),
            (r#"{"bytes_burst":"1MiB"}"#, "bytes_burst"),
            (r#"{"bytes_per_second":"0B"}"#, "bytes_per_second"),
            (r#"{"bytes_per_second":"1MiB","bytes_burst":"1kB"}"#, "bytes_burst"),
        ] {
            assert_eq!(rates(json).validate().unwrap_err().key, key, "{json}");
        }
        assert_eq!(
            rates(r#"{"events_per_second":5,"bytes_per_second":"1MiB"}"#).validate(),
            Ok(())
        );
    }
}
