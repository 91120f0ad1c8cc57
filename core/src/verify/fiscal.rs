//! Check (e), too: the counters of fiscal devices against their records beside the ledgers.
//!
//! Devices of stores that say they have further ones, and those with counters that could not be told apart, are not compared:
//! which of them were watched depends on the order of arrival.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tillrace_log::{Offset, Partition, Topic};

use super::check::{Amount, Check, Difference};
use super::ranges::Ranges;
use crate::topics;

/// Ranges and repeated counters that a record lists at most.
const LISTED: [usize; 2] = [64, 32];

/// One device as recounted.
#[derive(Debug, Default)]
struct DeviceCount {
    counters: Ranges,
    events: u64,
    repeated: BTreeSet<u64>,
}

/// The devices of one partition, by the key of their record.
#[derive(Debug, Default)]
pub(super) struct FiscalCounts {
    devices: BTreeMap<String, DeviceCount>,
}

/// The fiscal block of an event, as far as counters need it.
#[derive(Deserialize)]
pub(super) struct FiscalText<'a> {
    #[serde(borrow)]
    pub(super) scheme: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    pub(super) device: std::borrow::Cow<'a, str>,
    pub(super) counter: Option<u64>,
}

impl FiscalCounts {
    /// Adds a counted event.
    pub(super) fn add(&mut self, tenant: &str, store: &str, fiscal: &FiscalText<'_>) {
        let Some(counter) = fiscal.counter else { return };
        let key = topics::key(&[tenant, store, "fiscal", &fiscal.scheme, &fiscal.device]);
        let device = self.devices.entry(key).or_default();
        device.events += 1;
        if !device.counters.insert(counter) {
            device.repeated.insert(counter);
        }
    }

    /// Compares every device that either side knows.
    pub(super) fn compare(
        &self,
        published: &PublishedDevices,
        (topic, partition): (&Topic, Partition),
        is_complete: bool,
        check: &mut Check,
    ) {
        if !is_complete {
            return;
        }
        let stores: BTreeSet<&str> = published.full_stores();
        for (key, device) in &self.devices {
            let difference = |what| Difference::new(topic, partition, what).of(key.as_str());
            let is_left_out = |key: &str| store_of(key).is_some_and(|store| stores.contains(store));
            if published.moved_on.contains(key) || is_left_out(key) {
                continue;
            }
            match published.latest.get(key) {
                None => check.differs(difference("a fiscal device has no record")),
                Some((_, record)) if record.untracked_count > 0 => {}
                Some((at, record)) => {
                    let expected = device.expected();
                    if expected != *record {
                        let found = difference("the counters of a fiscal device differ").at(*at);
                        check.differs(
                            found.between(format_args!("{expected:?}"), format_args!("{record:?}")),
                        );
                    }
                }
            }
        }
        for (key, (at, _)) in
            published.latest.iter().filter(|(key, _)| !self.devices.contains_key(*key))
        {
            let what = "a fiscal device that no event names";
            check.differs(Difference::new(topic, partition, what).at(*at).of(key.as_str()));
        }
    }

    /// Writes how many there are into the check.
    pub(super) fn count(&self) -> u64 {
        self.devices.len() as u64
    }
}

/// Writes the number of devices into the check, where there are any.
pub(super) fn figure(devices: u64, check: &mut Check) {
    if devices > 0 {
        check.figure("fiscal devices", Amount::Count(devices), Amount::Unknown);
    }
}

impl DeviceCount {
    fn expected(&self) -> DeviceRecord {
        let (lowest, highest) =
            (self.counters.first().unwrap_or_default(), self.counters.last().unwrap_or_default());
        let mut missing = self.counters.gaps(lowest, highest);
        let missing_count = missing.iter().map(|(from, to)| to - from + 1).sum();
        let missing_truncated = missing.len() > LISTED[0];
        missing.truncate(LISTED[0]);
        DeviceRecord {
            events: self.events,
            lowest,
            highest,
            missing_count,
            missing,
            missing_truncated,
            repeated_count: self.events - self.counters.count(),
            repeated: self.repeated.iter().copied().take(LISTED[1]).collect(),
            untracked_count: 0,
            further_devices: false,
        }
    }
}

/// What a record says of its device.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct DeviceRecord {
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

/// A record of a device on `terminal.ledger`.
#[derive(Deserialize)]
struct FiscalRecord {
    fiscal: DeviceRecord,
    offset: Offset,
}

/// The latest record of each device within the coverage.
#[derive(Default)]
pub(super) struct PublishedDevices {
    latest: BTreeMap<String, (Offset, DeviceRecord)>,
    moved_on: BTreeSet<String>,
}

impl PublishedDevices {
    /// Takes a record if it is one of a device, by its key; returns whether it is. What cannot be read is reported by `unreadable`.
    pub(super) fn take(
        &mut self,
        key: &[u8],
        value: &[u8],
        at: Offset,
        limit: Option<Offset>,
        unreadable: impl FnOnce(),
    ) -> bool {
        let key = String::from_utf8_lossy(key);
        if key.split('/').count() != 5 || key.split('/').nth(2) != Some("fiscal") {
            return false;
        }
        let Ok(record) = serde_json::from_slice::<FiscalRecord>(value) else {
            unreadable();
            return true;
        };
        if limit.is_none_or(|limit| record.offset <= limit) {
            self.latest.insert(key.into_owned(), (at, record.fiscal));
        } else {
            self.moved_on.insert(key.into_owned());
        }
        true
    }

    /// Stores that had no room for all devices.
    fn full_stores(&self) -> BTreeSet<&str> {
        let full = self.latest.iter().filter(|(_, (_, record))| record.further_devices);
        full.filter_map(|(key, _)| store_of(key)).collect()
    }
}

/// Tenant and store of the key of a device.
fn store_of(key: &str) -> Option<&str> {
    key.split_once("/fiscal/").map(|(store, _)| store)
}
