//! A fiscal device as others read it, in the shape of `docs/schemas/ledger.v1.schema.json`.

use serde::Serialize;

use super::{Counters, FiscalDevice};
use crate::aggregate::sequence_set::MAX_INTERVALS;

#[derive(Serialize)]
struct PublishedDevice<'a> {
    scheme: &'a str,
    device: &'a str,
    events: u64,
    lowest: u64,
    highest: u64,
    missing_count: u64,
    missing: Vec<(u64, u64)>,
    missing_truncated: bool,
    repeated_count: u64,
    repeated: Vec<u64>,
    untracked_count: u64,
    further_devices: bool,
}

impl FiscalDevice {
    /// The device for others to read.
    pub(in crate::aggregate) fn published(&self) -> impl Serialize + '_ {
        let counters = &self.counters;
        let (missing, missing_truncated) = counters.missing();
        PublishedDevice {
            scheme: &self.scheme,
            device: &self.device,
            events: counters.events,
            lowest: counters.numbers.baseline(),
            highest: counters.numbers.high(),
            missing_count: counters.numbers.missing(),
            missing,
            missing_truncated,
            repeated_count: counters.repeated_count(),
            repeated: counters.repeated.iter().copied().collect(),
            untracked_count: counters.untracked,
            further_devices: counters.further_devices,
        }
    }
}

impl Counters {
    /// The lowest ranges of missing counters, and whether there are more. How they came to be missing says nothing here.
    fn missing(&self) -> (Vec<(u64, u64)>, bool) {
        let [plain, jumped] =
            [false, true].map(|jumped| self.numbers.missing_intervals(jumped, MAX_INTERVALS));
        let mut more = plain.1 || jumped.1;
        let mut ranges = plain.0;
        ranges.extend(jumped.0);
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let is_touching = kept.1 + 1 == next.0;
            if is_touching {
                kept.1 = next.1;
            }
            is_touching
        });
        more |= ranges.len() > MAX_INTERVALS;
        ranges.truncate(MAX_INTERVALS);
        (ranges, more)
    }
}
