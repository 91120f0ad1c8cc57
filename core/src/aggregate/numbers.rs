//! The sequence numbers of one terminal: which arrived, which are missing, which were refused.
//!
//! Kept as a baseline, a high-water mark and what is *open* between them, that is, without a good
//! event so far. Open numbers stand in at most [`SPANS`] spans; past that the lowest short ones move
//! into bitmap blocks of [`BLOCK_NUMBERS`] numbers, at most [`BLOCKS`] of them. Past that too the
//! lowest open numbers are given up: they stay counted as missing, and what arrives below
//! [`Place::Untracked`]'s floor can no longer be told from a repeat. So a terminal costs at most
//! 64 spans of 24 bytes and 64 blocks of 1 KiB, whatever it sends, and every answer given is exact.
//!
//! A block is kept as a record of its own on the state, and written when it changed.
//!
//! Knows numbers only: no hashes, no time, no scopes. [`super::ledger`] turns places into verdicts.

mod block;
mod spans;

use std::collections::{BTreeMap, BTreeSet};

use bytes::BufMut;
use serde::{Deserialize, Serialize};

use super::json_text::integer;
use super::outputs::write_json;
use block::{BLOCK_NUMBERS, bounds_of};

pub(super) use block::Block;
use spans::{Span, Spans};

/// Spans of open numbers kept before blocks are made.
pub(super) const SPANS: usize = 64;
/// Bitmap blocks kept before the lowest is given up.
const BLOCKS: usize = 64;
/// A number further above the mark than this is a jump, and a baseline is lowered by at most this.
pub(super) const LARGEST_STEP: u64 = 10_000;

/// Why a number is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    /// Nothing with this number came.
    Missing,
    /// As missing, and part of a jump of more than [`LARGEST_STEP`]: reported apart.
    Jumped,
    /// Only refused events with this number came.
    Refused,
}

/// Where a number stands before anything is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A good event with it was counted.
    Known,
    /// Open: it can be filled.
    Open(Class),
    /// Above the mark, by a jump or by less.
    Above {
        /// More than [`LARGEST_STEP`] above.
        jump: bool,
    },
    /// Below the baseline, near enough to lower it.
    Below,
    /// Further below the opening number than a baseline is lowered.
    TooLow,
    /// Below the floor under which open numbers were given up.
    Untracked,
}

/// The numbers of one terminal and epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbers {
    opened: u64,
    baseline: u64,
    high: u64,
    /// Below it open numbers are counted but no longer known one by one.
    floor: u64,
    missing: u64,
    refused: u64,
    spans: Spans,
    /// An earlier version kept them with the rest.
    #[serde(default, skip_serializing)]
    blocks: BTreeMap<u64, Block>,
    /// Blocks that the state does not hold as they are, or holds although they are gone.
    #[serde(skip)]
    changed: BTreeSet<u64>,
}

impl Numbers {
    /// Opens at the first number seen, itself not yet counted.
    pub(super) fn open_at(first: u64) -> Self {
        Self::open_between(first, first)
    }

    /// Opens at a declared baseline, which is never lowered.
    pub(super) fn open_from(baseline: u64, first: u64) -> Self {
        let mut numbers = Self::open_between(baseline, first.max(baseline));
        numbers.opened = baseline.saturating_add(LARGEST_STEP);
        numbers
    }

    fn open_between(baseline: u64, first: u64) -> Self {
        let mut numbers = Self {
            opened: baseline,
            baseline,
            high: first,
            floor: 0,
            missing: 0,
            refused: 0,
            spans: Spans::default(),
            blocks: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        if first > baseline {
            numbers.open_gap(baseline, first - 1);
        }
        numbers.open(first, first, Class::Missing);
        numbers
    }

    pub(super) fn baseline(&self) -> u64 {
        self.baseline
    }

    pub(super) fn high(&self) -> u64 {
        self.high
    }

    /// Numbers between baseline and mark with neither a good nor a refused event.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Numbers with refused events only.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Numbers with a good event.
    pub(super) fn firsts(&self) -> u64 {
        self.high - self.baseline + 1 - self.missing - self.refused
    }

    /// Tells where a number stands.
    pub(super) fn place(&self, number: u64) -> Place {
        if number > self.high {
            return Place::Above { jump: number - self.high > LARGEST_STEP };
        }
        if number < self.baseline {
            let lowest = self.opened.saturating_sub(LARGEST_STEP);
            let near = number >= lowest && self.floor <= self.baseline;
            return if near { Place::Below } else { Place::TooLow };
        }
        match self.class_of(number) {
            Some(class) => Place::Open(class),
            None if number < self.floor => Place::Untracked,
            None => Place::Known,
        }
    }

    /// Counts a good event with a number that is open, above or below.
    pub(super) fn fill(&mut self, number: u64) {
        self.take(number);
    }

    /// Notes a refused event; a number that already had a good one stays as it is.
    pub(super) fn refuse(&mut self, number: u64) {
        if self.take(number) {
            self.open(number, number, Class::Refused);
        }
    }

    /// Makes a number known, moving mark or baseline to it; returns false if it was known.
    fn take(&mut self, number: u64) -> bool {
        if number > self.high {
            if number - self.high > 1 {
                self.open_gap(self.high + 1, number - 1);
            }
            self.high = number;
        } else if number < self.baseline {
            if self.baseline - number > 1 {
                self.open(number + 1, self.baseline - 1, Class::Missing);
            }
            self.baseline = number;
        } else {
            return self.close(number).is_some();
        }
        true
    }

    fn open_gap(&mut self, from: u64, to: u64) {
        let jump = to - from + 2 > LARGEST_STEP;
        self.open(from, to, if jump { Class::Jumped } else { Class::Missing });
    }

    /// Bytes that its JSON takes, or its lists on a ledger, at most.
    pub(super) fn written_bytes(&self) -> usize {
        let from_blocks = if self.blocks.is_empty() { 0 } else { 48 * SPANS };
        256 + 80 * self.spans.len() + from_blocks
    }

    /// Number of blocks the next flush writes.
    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// Gives each changed block, `None` where it is gone, and calls it unchanged.
    pub(super) fn take_changed(&mut self, mut each: impl FnMut(u64, Option<&Block>)) {
        for index in std::mem::take(&mut self.changed) {
            each(index, self.blocks.get(&index));
        }
    }

    /// Takes a block as [`Block::encode`] wrote it; `None` if it is none.
    pub(super) fn restore(&mut self, index: u64, bytes: &[u8]) -> Option<()> {
        self.blocks.insert(index, Block::decode(bytes)?);
        Some(())
    }

    /// Has blocks that an earlier version kept with the rest written as records of their own.
    pub(super) fn restored(mut self) -> Self {
        self.changed.extend(self.blocks.keys());
        self
    }

    /// Numbers of the blocks held, for tombstones when the terminal goes.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.keys().copied()
    }

    /// Writes its JSON, its blocks apart; nothing is open mostly.
    pub(super) fn write(&self, text: &mut impl BufMut) {
        let names = ["{\"opened", ",\"baseline", ",\"high", ",\"floor", ",\"missing", ",\"refused"];
        let Self { opened, baseline, high, floor, missing, refused, .. } = *self;
        for (name, value) in
            names.into_iter().zip([opened, baseline, high, floor, missing, refused])
        {
            text.put_slice(name.as_bytes());
            text.put_slice(b"\":");
            integer(text, value);
        }
        text.put_slice(br#","spans":"#);
        if self.spans.is_empty() {
            text.put_slice(b"[]");
        } else {
            write_json(text, &self.spans);
        }
        text.put_u8(b'}');
    }

    /// Lists up to `most` missing spans, lowest first, either those jumped over or the others, and
    /// tells whether there are more.
    pub(super) fn missing_spans(&self, jumped: bool, most: usize) -> (Vec<(u64, u64)>, bool) {
        let mut found: Vec<(u64, u64)> = self
            .spans
            .iter()
            .filter(|span| match span.class {
                Class::Missing => !jumped,
                Class::Jumped => jumped,
                Class::Refused => false,
            })
            .map(|span| (span.from, span.to))
            .collect();
        if !jumped {
            self.blocks.iter().for_each(|(&index, block)| block.missing_spans(index, &mut found));
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

    /// Counts the numbers missing from `from` to `to`, both included; those given up count where
    /// the range reaches below the floor.
    pub(super) fn missing_between(&self, from: u64, to: u64) -> u64 {
        let count = self.known_missing(from, to);
        if self.floor > from { count + self.given_up() } else { count }
    }

    fn given_up(&self) -> u64 {
        self.missing - self.known_missing(0, u64::MAX)
    }

    /// Counts the missing numbers of a range that are known one by one.
    fn known_missing(&self, from: u64, to: u64) -> u64 {
        let blocks =
            self.blocks.iter().map(|(&index, block)| block.missing_between(index, from, to));
        self.spans.missing_between(from, to) + blocks.sum::<u64>()
    }

    fn class_of(&self, number: u64) -> Option<Class> {
        if let Some(block) = self.blocks.get(&(number / BLOCK_NUMBERS)) {
            return block.class_of(number);
        }
        self.spans.class_of(number)
    }

    /// Opens numbers that are not open. Those of existing blocks become bits, the rest a span.
    fn open(&mut self, from: u64, to: u64, class: Class) {
        match class {
            Class::Refused => self.refused += to - from + 1,
            Class::Missing | Class::Jumped => self.missing += to - from + 1,
        }
        let mut next = from;
        let blocks = self.blocks.range_mut(from / BLOCK_NUMBERS..=to / BLOCK_NUMBERS);
        let mut spans = Vec::new();
        for (&index, block) in blocks {
            let (first, last) = bounds_of(index);
            if next < first {
                spans.push(Span { from: next, to: first - 1, class });
            }
            block.open(next.max(first), to.min(last), class);
            self.changed.insert(index);
            next = last + 1;
        }
        if next <= to {
            spans.push(Span { from: next, to, class });
        }
        for span in spans {
            self.spans.insert(span);
        }
        self.condense();
    }

    /// Takes a number out of the open ones; returns what it was, `None` if it was not open.
    fn close(&mut self, number: u64) -> Option<Class> {
        let class = self.class_of(number)?;
        match class {
            Class::Refused => self.refused -= 1,
            Class::Missing | Class::Jumped => self.missing -= 1,
        }
        let index = number / BLOCK_NUMBERS;
        if let Some(block) = self.blocks.get_mut(&index) {
            block.close(number);
            self.changed.insert(index);
            if block.is_empty() {
                self.blocks.remove(&index);
            }
            return Some(class);
        }
        self.spans.close(number);
        self.condense();
        Some(class)
    }

    /// Brings spans and blocks back within their bounds.
    fn condense(&mut self) {
        while self.spans.len() > SPANS {
            let short = self.spans.iter().find(|span| span.to - span.from < BLOCK_NUMBERS).copied();
            if let Some(span) = short {
                for index in span.from / BLOCK_NUMBERS..=span.to / BLOCK_NUMBERS {
                    self.make_block(index);
                }
            } else if let Some(lowest) = self.spans.iter().next().copied() {
                self.give_up_below(lowest.to + 1);
            }
        }
        while self.blocks.len() > BLOCKS {
            let Some((&lowest, _)) = self.blocks.first_key_value() else { return };
            self.give_up_below(bounds_of(lowest).1 + 1);
        }
    }

    /// Moves what the spans hold of one block into its bits.
    fn make_block(&mut self, index: u64) {
        let (first, last) = bounds_of(index);
        let mut block = self.blocks.remove(&index).unwrap_or_else(Block::new);
        self.spans.take_between(first, last, |span| block.open(span.from, span.to, span.class));
        self.blocks.insert(index, block);
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
        self.spans.give_up_below(floor);
    }
}

#[cfg(test)]
mod tests;
