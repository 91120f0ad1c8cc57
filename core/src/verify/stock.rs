//! Check (c): stock effects of the events against the deltas, per store, SKU, unit, reason and stock location.
//!
//! Windows and business dates are compared by a sum of products with a hash of (window, date, column): linear, so it adds up
//! over deltas as quantities do, and memory follows the keys, not the windows.

mod effects;

use std::collections::BTreeMap;

use tillrace_log::{LogError, LogView, Partition, Topic};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::text::{Date, Decimal, Timestamp};
use crate::topics::{self, Topics};

use self::effects::movements;
use super::check::{Amount, Check, Difference};
use super::coverage::Coverage;
use super::record::{Delta, EventText};
use super::scan::Scan;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The names of the columns, in the order of [`StockEffect`](effects::StockEffect).
const COLUMNS: [&str; 4] = ["net", "sold", "returned", "adjusted"];

/// Sums of one key, in the order of [`COLUMNS`], and the linear hash over windows and dates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    columns: [i128; 4],
    events: u64,
    windows: u64,
}

impl Sums {
    fn add(&mut self, window: &StockWindow, columns: [i64; 4], events: u64) {
        self.events += events;
        for (index, quantity) in columns.into_iter().enumerate() {
            self.columns[index] += i128::from(quantity);
            let weight = window.weight(index as u64);
            self.windows = self.windows.wrapping_add(weight.wrapping_mul(quantity.cast_unsigned()));
        }
        let weight = window.weight(COLUMNS.len() as u64);
        self.windows = self.windows.wrapping_add(weight.wrapping_mul(events));
    }
}

/// The window and business date of a movement.
struct StockWindow {
    window_start_s: i64,
    date: Date,
}

impl StockWindow {
    fn weight(&self, column: u64) -> u64 {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.window_start_s.to_le_bytes());
        bytes[8..].copy_from_slice(&self.date.0.to_le_bytes());
        xxh3_64_with_seed(&bytes, column)
    }
}

/// Both sides of one partition's stock.
pub(super) struct Stock {
    topic: Topic,
    partition: Partition,
    keys: BTreeMap<String, [Sums; 2]>,
    /// The one window length of all deltas; `None` if they have several, or there are none.
    window_seconds: Option<u64>,
    deltas: u64,
    generation: Option<String>,
}

const RECOUNTED: usize = 0;
const RECORDED: usize = 1;

impl Stock {
    /// Adds up the deltas of the covered flushes.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn from_deltas(
        view: &dyn LogView,
        topics: &Topics,
        partition: Partition,
        coverage: Coverage,
        generation: Option<&str>,
        check: &mut Check,
    ) -> Result<Self, LogError> {
        let mut stock = Self {
            topic: topics.deltas.clone(),
            partition,
            keys: BTreeMap::new(),
            window_seconds: window_seconds(view, topics, partition, coverage)?,
            deltas: 0,
            generation: generation.map(str::to_owned),
        };
        let mut flushes = BTreeMap::new();
        let mut scan = Scan::whole(view, &topics.deltas, partition)?;
        while let Some(entry) = scan.next()? {
            let difference =
                |what| Difference::new(&topics.deltas, partition, what).at(entry.offset);
            let value = entry.value.as_deref().unwrap_or_default();
            let Ok(delta) = serde_json::from_slice::<Delta<'_>>(value) else {
                check.differs(difference("cannot be read"));
                continue;
            };
            if delta.from_offset >= coverage.to || delta.to_offset <= coverage.from {
                continue;
            }
            flushes.insert((delta.from_offset, delta.to_offset), entry.offset);
            if let Some(what) = stock.flaw(&delta, &entry.key, coverage) {
                check.differs(difference(what).of(delta.id.as_ref()));
            }
            if !stock.add_delta(&delta) {
                check.differs(difference("cannot be read").of(delta.id.as_ref()));
            }
        }
        stock.compare_flushes(&flushes, check);
        Ok(stock)
    }

    /// Adds the stock effects of an event; returns false if its lines cannot be read.
    pub(super) fn add_event(&mut self, tenant: &str, event: &EventText<'_>) -> bool {
        let (Some(occurred_at), Some(date)) = (
            Timestamp::parse(event.occurred_at.as_bytes()),
            Date::parse(event.business_date.as_bytes()),
        ) else {
            return false;
        };
        let window = self.window(occurred_at, date);
        let mut moved: BTreeMap<String, [i64; 4]> = BTreeMap::new();
        for line in event.lines.iter().flatten() {
            let Some(movements) = movements(&event.kind, line) else { return false };
            for (location, columns) in movements {
                if columns == [0; 4] {
                    continue;
                }
                let cell = [line.reason.as_deref(), location];
                let key = stock_key(tenant, &event.store, &line.sku, line.unit.as_deref(), cell);
                let sums = moved.entry(key).or_default();
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum += column;
                }
            }
        }
        for (key, columns) in moved {
            self.keys.entry(key).or_default()[RECOUNTED].add(&window, columns, 1);
        }
        true
    }

    /// Compares both sides key by key, and returns the partition's sums over all keys.
    pub(super) fn compare(self, check: &mut Check) -> StockTotals {
        let mut totals = StockTotals { deltas: self.deltas, ..StockTotals::default() };
        for (key, [recounted, recorded]) in &self.keys {
            let difference =
                |what| Difference::new(&self.topic, self.partition, what).of(key.as_str());
            for (index, what) in COLUMNS.into_iter().enumerate() {
                let (ours, theirs) = (recounted.columns[index], recorded.columns[index]);
                totals.columns[index][RECOUNTED] += ours;
                totals.columns[index][RECORDED] += theirs;
                if ours != theirs {
                    check.differs(
                        difference(what).between(Amount::Quantity(ours), Amount::Quantity(theirs)),
                    );
                }
            }
            if recounted.events != recorded.events {
                check.differs(
                    difference("number of events").between(recounted.events, recorded.events),
                );
            }
            let same_sums =
                recounted.columns == recorded.columns && recounted.events == recorded.events;
            if same_sums && recounted.windows != recorded.windows {
                check
                    .differs(difference("the sums agree, but not their windows or business dates"));
            }
        }
        totals.keys = self.keys.len() as u64;
        totals
    }

    fn add_delta(&mut self, delta: &Delta<'_>) -> bool {
        let columns = [&delta.net, &delta.sold, &delta.returned, &delta.adjusted]
            .map(|text| Decimal::parse(text.as_bytes()).map(|quantity| quantity.0));
        let [Some(net), Some(sold), Some(returned), Some(adjusted)] = columns else { return false };
        let (Some(start), Some(date)) = (
            Timestamp::parse(delta.window_start.as_bytes()),
            Date::parse(delta.business_date.as_bytes()),
        ) else {
            return false;
        };
        let window = self.window(start, date);
        let cell = [delta.reason.as_deref(), delta.location.as_deref()];
        let key = stock_key(&delta.tenant, &delta.store, &delta.sku, Some(&delta.unit), cell);
        let sums = &mut self.keys.entry(key).or_default()[RECORDED];
        sums.add(&window, [net, sold, returned, adjusted], delta.events);
        self.deltas += 1;
        true
    }

    /// Returns what is wrong with a delta by itself.
    fn flaw(&self, delta: &Delta<'_>, key: &[u8], coverage: Coverage) -> Option<&'static str> {
        let store_key = topics::key(&[&delta.tenant, &delta.store, &delta.sku]);
        let cell = match (delta.reason.as_deref(), delta.location.as_deref()) {
            (None, None) => String::new(),
            (reason, location) => {
                let words = [reason, location].map(Option::unwrap_or_default);
                format!("/{}", topics::key(&words))
            }
        };
        let id = format!(
            "{}:{}:{}:{}:{}:{}:{store_key}/{}{cell}",
            delta.generation,
            delta.partition,
            delta.from_offset,
            delta.to_offset,
            delta.window_start,
            delta.business_date,
            delta.unit
        );
        let aligned = Timestamp::parse(delta.window_start.as_bytes()).is_some_and(|start| {
            i64::try_from(delta.window_seconds)
                .ok()
                .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND))
                .is_some_and(|window| window > 0 && start.micros.rem_euclid(window) == 0)
        });
        if delta.id != id {
            Some("the id does not match the record")
        } else if store_key.as_bytes() != key {
            Some("the record key does not match the record")
        } else if delta.partition != self.partition {
            Some("comes from another partition")
        } else if delta.from_offset < coverage.from || delta.to_offset > coverage.to {
            Some("its flush crosses the end of a committed range")
        } else if !aligned {
            Some("its window does not begin at a multiple of its length")
        } else if self.generation.as_ref().is_some_and(|generation| delta.generation != *generation)
        {
            Some("another log generation than the checkpoint's")
        } else {
            None
        }
    }

    /// Checks that the offset ranges of flushes never overlap.
    fn compare_flushes(&self, flushes: &BTreeMap<(u64, u64), u64>, check: &mut Check) {
        let mut end = 0;
        for (&(from, to), &offset) in flushes {
            if from < end || from >= to {
                check.differs(
                    Difference::new(&self.topic, self.partition, "flushes overlap")
                        .at(offset)
                        .between(
                            format_args!("from {end} or later"),
                            format_args!("{from} to {to}"),
                        ),
                );
            }
            end = end.max(to);
        }
    }

    fn window(&self, time: Timestamp, date: Date) -> StockWindow {
        let window_micros = self
            .window_seconds
            .and_then(|seconds| i64::try_from(seconds).ok())
            .and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND));
        // Without one length for all windows only the dates are compared.
        let window_start_s = window_micros
            .filter(|&window| window > 0)
            .map_or(0, |window| time.micros.div_euclid(window) * (window / MICROS_PER_SECOND));
        StockWindow { window_start_s, date }
    }
}

/// Sums over all keys, as recounted and as recorded.
#[derive(Debug, Default)]
pub(super) struct StockTotals {
    keys: u64,
    deltas: u64,
    columns: [[i128; 2]; 4],
}

impl StockTotals {
    /// Adds another partition's.
    pub(super) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.deltas += other.deltas;
        for (mine, theirs) in self.columns.iter_mut().zip(other.columns) {
            mine[RECOUNTED] += theirs[RECOUNTED];
            mine[RECORDED] += theirs[RECORDED];
        }
    }

    /// Writes the sums into the check.
    pub(super) fn figures(&self, check: &mut Check) {
        check.figure(
            "keys (store, SKU, unit, reason, location)",
            Amount::Count(self.keys),
            Amount::Unknown,
        );
        check.figure("deltas", Amount::Unknown, Amount::Count(self.deltas));
        for (name, [recounted, recorded]) in COLUMNS.into_iter().zip(self.columns) {
            check.figure(name, Amount::Quantity(recounted), Amount::Quantity(recorded));
        }
    }
}

/// Returns the key that sums are kept by; reason and location end it where either is given.
fn stock_key(
    tenant: &str,
    store: &str,
    sku: &str,
    unit: Option<&str>,
    [reason, location]: [Option<&str>; 2],
) -> String {
    let unit = unit.unwrap_or("C62");
    if reason.is_none() && location.is_none() {
        return topics::key(&[tenant, store, sku, unit]);
    }
    let [reason, location] = [reason, location].map(Option::unwrap_or_default);
    topics::key(&[tenant, store, sku, unit, reason, location])
}

/// Returns the window length if all covered deltas of a partition share one.
fn window_seconds(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    coverage: Coverage,
) -> Result<Option<u64>, LogError> {
    let mut found = None;
    let mut scan = Scan::whole(view, &topics.deltas, partition)?;
    while let Some(entry) = scan.next()? {
        let value = entry.value.as_deref().unwrap_or_default();
        let Ok(delta) = serde_json::from_slice::<Delta<'_>>(value) else { continue };
        let covered = delta.from_offset < coverage.to && delta.to_offset > coverage.from;
        if covered && *found.get_or_insert(delta.window_seconds) != delta.window_seconds {
            return Ok(None);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
