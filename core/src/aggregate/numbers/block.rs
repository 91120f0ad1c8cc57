//! Bitmap blocks: where open numbers go when they are too many for spans.

use bytes::BufMut;
use serde::Deserialize;

use super::Class;

/// Numbers one block covers.
pub(super) const BLOCK_NUMBERS: u64 = 4_096;
const WORDS: usize = 64;
const VERSION: u8 = 1;

/// One bit a number: `open` ones, and those of them that are `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::aggregate) struct Block {
    open: Vec<u64>,
    refused: Vec<u64>,
}

/// First and last number of a block.
pub(super) fn bounds_of(index: u64) -> (u64, u64) {
    (index * BLOCK_NUMBERS, index * BLOCK_NUMBERS + (BLOCK_NUMBERS - 1))
}

impl Block {
    pub(super) fn new() -> Self {
        Self { open: vec![0; WORDS], refused: vec![0; WORDS] }
    }

    /// Writes version, open ones and refused ones; little-endian.
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

    pub(super) fn open(&mut self, from: u64, to: u64, class: Class) {
        for number in from..=to {
            let (word, bit) = bit_of(number);
            self.open[word] |= bit;
            if class == Class::Refused {
                self.refused[word] |= bit;
            }
        }
    }

    pub(super) fn close(&mut self, number: u64) {
        let (word, bit) = bit_of(number);
        self.open[word] &= !bit;
        self.refused[word] &= !bit;
    }

    pub(super) fn class_of(&self, number: u64) -> Option<Class> {
        let (word, bit) = bit_of(number);
        match (self.open[word] & bit != 0, self.refused[word] & bit != 0) {
            (false, _) => None,
            (true, false) => Some(Class::Missing),
            (true, true) => Some(Class::Refused),
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
            let below = if word == low_word { u64::MAX << (low % 64) } else { u64::MAX };
            let above = if word == high_word { u64::MAX >> (63 - high % 64) } else { u64::MAX };
            u64::from((open & !refused & below & above).count_ones())
        });
        missing.sum()
    }

    pub(super) fn missing_spans(&self, index: u64, found: &mut Vec<(u64, u64)>) {
        let (first, last) = bounds_of(index);
        let mut start = None;
        for number in first..=last {
            let missing = self.class_of(number) == Some(Class::Missing);
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
    let place = number % BLOCK_NUMBERS;
    ((place / 64) as usize, 1 << (place % 64))
}
