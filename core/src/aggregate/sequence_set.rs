//! The set of sequence numbers of one terminal: which arrived, which are missing, which were refused, parked or dismissed.
//!
//! The set is a baseline, a high-water mark and the *open* numbers between them, those without a good event so far. Nearly all
//! numbers arrive, in order, so that the set stores the open ones and not the others. They are intervals, [`MAX_INTERVALS`] at
//! most. Past that, the lowest short intervals move into bitmap blocks of [`BLOCK_NUMBERS`] numbers, [`MAX_BLOCKS`] at most:
//! a terminal that loses every second number has thousands of intervals, and three bits for each in a block. Past that too, the
//! set gives up the lowest open numbers: they stay counted as missing, and an event below the floor
//! ([`SequencePosition::Untracked`]) can no longer be told from a repeat. A terminal thus takes at most 64 intervals of
//! 24 bytes and 64 blocks of 1.5 KiB, whatever it sends, and every answer is exact. The state has a record for each block.
//!
//! The set knows numbers only: no hashes, no time, no scopes. [`super::ledger`] turns positions into verdicts.

mod bitmap;
mod encoding;
mod intervals;
mod reasons;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use bitmap::{BLOCK_NUMBERS, bounds_of};

pub(super) use bitmap::BitmapBlock;
use intervals::{Interval, IntervalList};
pub(super) use reasons::{Lacking, OpenReason, SequencePosition};

/// Intervals of open numbers before some move into blocks.
pub(super) const MAX_INTERVALS: usize = 64;
/// Bitmap blocks before the lowest is given up.
const MAX_BLOCKS: usize = 64;
/// A number further above the mark than this is a jump, and a baseline is lowered by at most this.
pub(super) const MAX_STEP: u64 = 10_000;

/// The sequence numbers of one terminal and epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SequenceSet {
    opened: u64,
    baseline: u64,
    high: u64,
    /// Below it open numbers are counted but no longer known one by one.
    floor: u64,
    missing: u64,
    refused: u64,
    parked: u64,
    dismissed: u64,
    #[serde(rename = "spans")]
    intervals: IntervalList,
    /// Blocks of bitmaps by number / [`BLOCK_NUMBERS`], each a record of its own.
    #[serde(skip)]
    blocks: BTreeMap<u64, BitmapBlock>,
    /// Blocks that the state does not have as they are, or has although they are gone.
    #[serde(skip)]
    changed: BTreeSet<u64>,
}

impl SequenceSet {
    /// Opens at the first number seen, itself not yet counted.
    pub(super) fn open_at(first: u64) -> Self {
        Self::open_between(first, first)
    }

    /// Opens at a declared baseline, which is never lowered.
    pub(super) fn open_from(baseline: u64, first: u64) -> Self {
        let mut sequences = Self::open_between(baseline, first.max(baseline));
        sequences.opened = baseline.saturating_add(MAX_STEP);
        sequences
    }

    fn open_between(baseline: u64, first: u64) -> Self {
        let mut sequences = Self {
            opened: baseline,
            baseline,
            high: first,
            floor: 0,
            missing: 0,
            refused: 0,
            parked: 0,
            dismissed: 0,
            intervals: IntervalList::default(),
            blocks: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        if first > baseline {
            sequences.open_gap(baseline, first - 1);
        }
        sequences.open(first, first, OpenReason::Missing);
        sequences
    }

    pub(super) fn baseline(&self) -> u64 {
        self.baseline
    }

    pub(super) fn high(&self) -> u64 {
        self.high
    }

    /// Numbers between baseline and mark of which nothing came.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Numbers with refused events only.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Numbers with parked events, and perhaps refused ones.
    pub(super) fn parked(&self) -> u64 {
        self.parked
    }

    /// Numbers of which an operator dismissed all that came.
    pub(super) fn dismissed(&self) -> u64 {
        self.dismissed
    }

    /// Numbers without a good event.
    pub(super) fn open_numbers(&self) -> u64 {
        self.missing + self.refused + self.parked + self.dismissed
    }

    /// Numbers with a good event.
    pub(super) fn firsts(&self) -> u64 {
        self.high - self.baseline + 1 - self.open_numbers()
    }

    /// Returns the position of a number.
    pub(super) fn position(&self, number: u64) -> SequencePosition {
        if number > self.high {
            return SequencePosition::Above { jump: number - self.high > MAX_STEP };
        }
        if number < self.baseline {
            let lowest = self.opened.saturating_sub(MAX_STEP);
            let near = number >= lowest && self.floor <= self.baseline;
            return if near { SequencePosition::Below } else { SequencePosition::TooLow };
        }
        match self.open_reason(number) {
            Some(reason) => SequencePosition::Open(reason),
            None if number < self.floor => SequencePosition::Untracked,
            None => SequencePosition::Known,
        }
    }

    /// Counts a good event with a number that is open, above or below.
    pub(super) fn fill(&mut self, number: u64) {
        self.take(number);
    }

    /// Records a refused event; a number that has a good or a parked one stays as it is.
    pub(super) fn refuse(&mut self, number: u64) {
        if self.open_reason(number) != Some(OpenReason::Parked) && self.take(number) {
            self.open(number, number, OpenReason::Refused);
        }
    }

    /// Records a parked event; a number that has a good one stays as it is.
    pub(super) fn park(&mut self, number: u64) {
        if self.open_reason(number) != Some(OpenReason::Parked) && self.take(number) {
            self.open(number, number, OpenReason::Parked);
        }
    }

    /// Records that an operator dismissed what came of a number that is open for this reason; returns false if it is not.
    /// A parked number below the floor is known to its parked event, and counts as dismissed too.
    pub(super) fn dismiss(&mut self, number: u64, reason: OpenReason) -> bool {
        match self.position(number) {
            SequencePosition::Open(found) if found == reason => {
                self.close(number);
                self.open(number, number, OpenReason::Dismissed);
                true
            }
            SequencePosition::Untracked if reason == OpenReason::Parked && self.parked > 0 => {
                self.parked -= 1;
                self.dismissed += 1;
                true
            }
            _ => false,
        }
    }

    /// Makes a number known, and moves the mark or the baseline to it; returns false if it was known.
    fn take(&mut self, number: u64) -> bool {
        if number > self.high {
            if number - self.high > 1 {
                self.open_gap(self.high + 1, number - 1);
            }
            self.high = number;
        } else if number < self.baseline {
            if self.baseline - number > 1 {
                self.open(number + 1, self.baseline - 1, OpenReason::Missing);
            }
            self.baseline = number;
        } else {
            return self.close(number).is_some();
        }
        true
    }

    fn open_gap(&mut self, from: u64, to: u64) {
        let jump = to - from + 2 > MAX_STEP;
        self.open(from, to, if jump { OpenReason::Jumped } else { OpenReason::Missing });
    }

    /// Lists up to `most` missing intervals, lowest first, either those jumped over or the others, and tells whether there
    /// are more.
    pub(super) fn missing_intervals(&self, jumped: bool, most: usize) -> (Vec<(u64, u64)>, bool) {
        let reason = if jumped { OpenReason::Jumped } else { OpenReason::Missing };
        let intervals = self.intervals.iter().filter(|interval| interval.reason == reason);
        let mut found: Vec<(u64, u64)> =
            intervals.map(|interval| (interval.from, interval.to)).collect();
        if !self.blocks.is_empty() {
            let blocks = self.blocks.iter();
            blocks.for_each(|(&index, bitmap)| bitmap.intervals(index, reason, &mut found));
            found.sort_unstable();
            found.dedup_by(|next, kept| {
                let touching = kept.1 + 1 == next.0;
                if touching {
                    kept.1 = next.1;
                }
                touching
            });
        }
        let more = found.len() > most || (!jumped && self.floor > 0);
        found.truncate(most);
        (found, more)
    }

    /// Counts what lacks from `from` to `to`, both included; numbers given up count where the range reaches below the floor.
    pub(super) fn lacking_between(&self, from: u64, to: u64) -> Lacking {
        let count = |reasons: &[OpenReason], all: u64| {
            if all == 0 {
                return 0;
            }
            let within = self.known_open(reasons, from, to);
            let given_up = || all - self.known_open(reasons, 0, u64::MAX);
            if self.floor > from { within + given_up() } else { within }
        };
        Lacking {
            missing: count(&[OpenReason::Missing, OpenReason::Jumped], self.missing),
            refused: count(&[OpenReason::Refused], self.refused),
            parked: count(&[OpenReason::Parked], self.parked),
        }
    }

    /// Counts the numbers of a range that are open for one of these reasons, those above the floor.
    fn known_open(&self, reasons: &[OpenReason], from: u64, to: u64) -> u64 {
        let count = |&reason: &OpenReason| {
            let blocks = self.blocks.iter();
            let blocks = blocks.map(|(&index, bitmap)| bitmap.count(index, reason, from, to));
            self.intervals.count(reason, from, to) + blocks.sum::<u64>()
        };
        reasons.iter().map(count).sum()
    }

    fn open_reason(&self, number: u64) -> Option<OpenReason> {
        if let Some(bitmap) = self.blocks.get(&(number / BLOCK_NUMBERS)) {
            return bitmap.open_reason(number);
        }
        self.intervals.open_reason(number)
    }

    fn count_of(&mut self, reason: OpenReason) -> &mut u64 {
        match reason {
            OpenReason::Missing | OpenReason::Jumped => &mut self.missing,
            OpenReason::Refused => &mut self.refused,
            OpenReason::Parked => &mut self.parked,
            OpenReason::Dismissed => &mut self.dismissed,
        }
    }

    /// Opens numbers that are not open. Those of existing blocks become bits, the rest intervals: a number is in a block or in
    /// an interval, never in both.
    fn open(&mut self, from: u64, to: u64, reason: OpenReason) {
        *self.count_of(reason) += to - from + 1;
        let mut next = from;
        let blocks = self.blocks.range_mut(from / BLOCK_NUMBERS..=to / BLOCK_NUMBERS);
        let mut intervals = Vec::new();
        for (&index, bitmap) in blocks {
            let (first, last) = bounds_of(index);
            if next < first {
                intervals.push(Interval { from: next, to: first - 1, reason });
            }
            bitmap.open(next.max(first), to.min(last), reason);
            self.changed.insert(index);
            next = last + 1;
        }
        if next <= to {
            intervals.push(Interval { from: next, to, reason });
        }
        for interval in intervals {
            self.intervals.insert(interval);
        }
        self.condense();
    }

    /// Closes an open number; returns why it was open, `None` if it was not.
    fn close(&mut self, number: u64) -> Option<OpenReason> {
        let reason = self.open_reason(number)?;
        *self.count_of(reason) -= 1;
        let index = number / BLOCK_NUMBERS;
        if let Some(bitmap) = self.blocks.get_mut(&index) {
            bitmap.close(number);
            self.changed.insert(index);
            if bitmap.is_empty() {
                self.blocks.remove(&index);
            }
            return Some(reason);
        }
        self.intervals.close(number);
        self.condense();
        Some(reason)
    }

    /// Brings intervals and blocks back within their bounds. An interval that is longer than a block stays: it would fill
    /// blocks with nothing but ones.
    fn condense(&mut self) {
        while self.intervals.len() > MAX_INTERVALS {
            let short = self
                .intervals
                .iter()
                .find(|interval| interval.to - interval.from < BLOCK_NUMBERS)
                .copied();
            if let Some(interval) = short {
                for index in interval.from / BLOCK_NUMBERS..=interval.to / BLOCK_NUMBERS {
                    self.make_block(index);
                }
            } else if let Some(lowest) = self.intervals.iter().next().copied() {
                self.give_up_below(lowest.to + 1);
            }
        }
        while self.blocks.len() > MAX_BLOCKS {
            let Some((&lowest, _)) = self.blocks.first_key_value() else { return };
            self.give_up_below(bounds_of(lowest).1 + 1);
        }
    }

    /// Moves the intervals within one block into its bits.
    fn make_block(&mut self, index: u64) {
        let (first, last) = bounds_of(index);
        let mut bitmap = self.blocks.remove(&index).unwrap_or_else(BitmapBlock::new);
        self.intervals.take_between(first, last, |interval| {
            bitmap.open(interval.from, interval.to, interval.reason);
        });
        self.blocks.insert(index, bitmap);
        self.changed.insert(index);
    }

    fn give_up_below(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let changed = &mut self.changed;
        self.blocks.retain(|&index, _| {
            let stays = bounds_of(index).0 >= floor;
            if !stays {
                changed.insert(index);
            }
            stays
        });
        self.intervals.give_up_below(floor);
    }
}

#[cfg(test)]
mod tests;
