//! Bitmap blocks, which hold open numbers in too many places for intervals.

use bytes::BufMut;
use serde::Deserialize;

use super::OpenReason;

/// Numbers one block covers.
pub(super) const BLOCK_NUMBERS: u64 = 4_096;
const WORDS: usize = 64;
const VERSION: u8 = 1;

/// Two bits for each of 4,096 numbers: whether it is open, and whether it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::aggregate) struct BitmapBlock {
    open: Vec<u64>,
    refused: Vec<u64>,
}

/// First and last number of a block.
pub(super) fn bounds_of(index: u64) -> (u64, u64) {
    (index * BLOCK_NUMBERS, index * BLOCK_NUMBERS + (BLOCK_NUMBERS - 1))
}

impl BitmapBlock {
    pub(super) fn new() -> Self {
        Self { open: vec![0; WORDS], refused: vec![0; WORDS] }
    }

    /// Writes the version, the open bits and the refused bits; little-endian.
    pub(in crate::aggregate) fn encode(&self, bytes: &mut impl BufMut) {
        bytes.put_u8(VERSION);
        self.open.iter().chain(&self.refused).for_each(|word| bytes.put_u64_le(*word));
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.strip_prefix(&[VERSION])?.as_chunks::<8>() else { return None };
        let (open, refused) = words.split_at_checked(WORDS)?;
        let read = |words: &[[u8; 8]]| words.iter().copied().map(u64::from_le_bytes).collect();
        (refused.len() == WORDS).then(|| Self { open: read(open), refused: read(refused) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.iter().all(|&word| word == 0)
    }

    pub(super) fn open(&mut self, from: u64, to: u64, reason: OpenReason) {
        for number in from..=to {
            let (word, bit) = bit_of(number);
            self.open[word] |= bit;
            if reason == OpenReason::Refused {
                self.refused[word] |= bit;
            }
        }
    }

    pub(super) fn close(&mut self, number: u64) {
        let (word, bit) = bit_of(number);
        self.open[word] &= !bit;
        self.refused[word] &= !bit;
    }

    pub(super) fn open_reason(&self, number: u64) -> Option<OpenReason> {
        let (word, bit) = bit_of(number);
        match (self.open[word] & bit != 0, self.refused[word] & bit != 0) {
            (false, _) => None,
            (true, false) => Some(OpenReason::Missing),
            (true, true) => Some(OpenReason::Refused),
        }
    }

    pub(super) fn missing_between(&self, index: u64, from: u64, to: u64) -> u64 {
        let (first, last) = bounds_of(index);
        let (low, high) = (from.max(first), to.min(last));
        if low > high {
            return 0;
        }
        let ((low_word, _), (high_word, _)) = (bit_of(low), bit_of(high));
        let words = self.open.iter().zip(&self.refused).enumerate();
        let words = words.skip(low_word).take(high_word + 1 - low_word);
        let missing = words.map(|(word, (open, refused))| {
            // Bits of the two outer words that are outside of the range do not count.
            let below = if word == low_word { u64::MAX << (low % 64) } else { u64::MAX };
            let above = if word == high_word { u64::MAX >> (63 - high % 64) } else { u64::MAX };
            u64::from((open & !refused & below & above).count_ones())
        });
        missing.sum()
    }

    pub(super) fn missing_intervals(&self, index: u64, found: &mut Vec<(u64, u64)>) {
        let (first, last) = bounds_of(index);
        let mut start = None;
        for number in first..=last {
            let missing = self.open_reason(number) == Some(OpenReason::Missing);
            match (missing, start) {
                (true, None) => start = Some(number),
                (false, Some(from)) => {
                    found.push((from, number - 1));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            found.push((from, last));
        }
    }
}

fn bit_of(number: u64) -> (usize, u64) {
    let bit = number % BLOCK_NUMBERS;
    ((bit / 64) as usize, 1 << (bit % 64))
}
