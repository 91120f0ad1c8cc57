//! Open numbers as a sorted list of disjoint intervals, none adjacent to one with the same reason.

use serde::{Deserialize, Serialize};

use super::OpenReason;

/// Consecutive numbers that are open for one reason, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interval {
    pub(super) from: u64,
    pub(super) to: u64,
    #[serde(rename = "class")]
    pub(super) reason: OpenReason,
}

/// The intervals of one terminal and epoch, apart from the numbers that are in a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct IntervalList(Vec<Interval>);

impl IntervalList {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The intervals, lowest first.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Interval> {
        self.0.iter()
    }

    /// Returns why a number is open, `None` if it is in no interval.
    pub(super) fn open_reason(&self, number: u64) -> Option<OpenReason> {
        let after = self.0.partition_point(|interval| interval.from <= number);
        let interval = self.0.get(after.checked_sub(1)?)?;
        (number <= interval.to).then_some(interval.reason)
    }

    /// Counts the numbers from `from` to `to`, both included, that are open for a reason.
    pub(super) fn count(&self, reason: OpenReason, from: u64, to: u64) -> u64 {
        let open = self.0.iter().filter(|interval| interval.reason == reason);
        let within = open.map(|interval| {
            let (low, high) = (interval.from.max(from), interval.to.min(to));
            if low <= high { high - low + 1 } else { 0 }
        });
        within.sum()
    }

    /// Inserts an interval, and joins it with adjacent ones of the same reason.
    pub(super) fn insert(&mut self, mut interval: Interval) {
        let mut index = self.0.partition_point(|other| other.from < interval.from);
        if let Some(next) = self.0.get(index)
            && next.reason == interval.reason
            && interval.to + 1 == next.from
        {
            interval.to = next.to;
            self.0.remove(index);
        }
        if let Some(before) = index.checked_sub(1).and_then(|index| self.0.get(index))
            && before.reason == interval.reason
            && before.to + 1 == interval.from
        {
            interval.from = before.from;
            index -= 1;
            self.0.remove(index);
        }
        self.0.insert(index, interval);
    }

    /// Removes a number that is in an interval, which may split in two.
    pub(super) fn close(&mut self, number: u64) {
        let index = self.0.partition_point(|interval| interval.from <= number) - 1;
        let interval = self.0.remove(index);
        if number < interval.to {
            self.0.insert(index, Interval { from: number + 1, ..interval });
        }
        if interval.from < number {
            self.0.insert(index, Interval { to: number - 1, ..interval });
        }
    }

    /// Removes the numbers from `first` to `last`, both included, and passes them on interval by interval.
    pub(super) fn take_between(&mut self, first: u64, last: u64, mut each: impl FnMut(Interval)) {
        let mut kept = Vec::with_capacity(self.0.len());
        for interval in self.0.drain(..) {
            if interval.to < first || interval.from > last {
                kept.push(interval);
                continue;
            }
            each(Interval {
                from: interval.from.max(first),
                to: interval.to.min(last),
                ..interval
            });
            if interval.from < first {
                kept.push(Interval { to: first - 1, ..interval });
            }
            if interval.to > last {
                kept.push(Interval { from: last + 1, ..interval });
            }
        }
        self.0 = kept;
    }

    /// Removes the numbers below a floor.
    pub(super) fn give_up_below(&mut self, floor: u64) {
        self.0.retain_mut(|interval| {
            interval.from = interval.from.max(floor);
            interval.from <= interval.to
        });
    }
}
