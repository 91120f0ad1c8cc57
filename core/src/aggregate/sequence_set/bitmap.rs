//! Bitmap blocks, which hold open numbers in too many places for intervals.

use bytes::BufMut;

use super::OpenReason;

/// Numbers one block covers.
pub(super) const BLOCK_NUMBERS: u64 = 4_096;
const WORDS: usize = 64;
const VERSION: u8 = 2;
/// Bits of a reason.
const PLANES: usize = 3;

/// Three bits for each of 4,096 numbers: why it is open, 0 if it is not. The bits are in planes, so that numbers are counted
/// 64 at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aggregate) struct BitmapBlock {
    planes: Box<[[u64; WORDS]; PLANES]>,
}

/// First and last number of a block.
pub(super) fn bounds_of(index: u64) -> (u64, u64) {
    (index * BLOCK_NUMBERS, index * BLOCK_NUMBERS + (BLOCK_NUMBERS - 1))
}

impl BitmapBlock {
    pub(super) fn new() -> Self {
        Self { planes: Box::new([[0; WORDS]; PLANES]) }
    }

    /// Writes the version and the planes, that of the lowest bit first; little-endian.
    pub(in crate::aggregate) fn encode(&self, bytes: &mut impl BufMut) {
        bytes.put_u8(VERSION);
        self.planes.iter().flatten().for_each(|word| bytes.put_u64_le(*word));
    }

    /// Reads what [`BitmapBlock::encode`] wrote; `None` if the bytes are no block of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.strip_prefix(&[VERSION])?.as_chunks::<8>() else { return None };
        if words.len() != PLANES * WORDS {
            return None;
        }
        let mut block = Self::new();
        for (word, bytes) in block.planes.iter_mut().flatten().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        let codes = block.planes[0].iter().zip(&block.planes[1]).zip(&block.planes[2]);
        // No reason has a code above 5.
        let all_known = codes.into_iter().all(|((_, two), four)| two & four == 0);
        all_known.then_some(block)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.planes.iter().flatten().all(|&word| word == 0)
    }

    /// Opens numbers that are not open.
    pub(super) fn open(&mut self, from: u64, to: u64, reason: OpenReason) {
        let code = code_of(reason);
        for number in from..=to {
            let (word, bit) = bit_of(number);
            for (plane, words) in self.planes.iter_mut().enumerate() {
                if code & (1 << plane) != 0 {
                    words[word] |= bit;
                }
            }
        }
    }

    pub(super) fn close(&mut self, number: u64) {
        let (word, bit) = bit_of(number);
        self.planes.iter_mut().for_each(|words| words[word] &= !bit);
    }

    pub(super) fn open_reason(&self, number: u64) -> Option<OpenReason> {
        let (word, bit) = bit_of(number);
        let planes = self.planes.iter().enumerate();
        let code =
            planes.fold(0, |code, (plane, words)| code | u8::from(words[word] & bit != 0) << plane);
        reason_of(code)
    }

    /// Counts the numbers from `from` to `to`, both included, that are open for a reason.
    pub(super) fn count(&self, index: u64, reason: OpenReason, from: u64, to: u64) -> u64 {
        let (first, last) = bounds_of(index);
        let (low, high) = (from.max(first), to.min(last));
        if low > high {
            return 0;
        }
        let ((low_word, _), (high_word, _)) = (bit_of(low), bit_of(high));
        let counts = (low_word..=high_word).map(|word| {
            // Bits of the two outer words that are outside of the range do not count.
            let below = if word == low_word { u64::MAX << (low % 64) } else { u64::MAX };
            let above = if word == high_word { u64::MAX >> (63 - high % 64) } else { u64::MAX };
            u64::from((self.open_for(reason, word) & below & above).count_ones())
        });
        counts.sum()
    }

    /// Appends the intervals that are open for a reason.
    pub(super) fn intervals(&self, index: u64, reason: OpenReason, found: &mut Vec<(u64, u64)>) {
        let (first, last) = bounds_of(index);
        let mut start = None;
        for number in first..=last {
            let is_open = self.open_reason(number) == Some(reason);
            match (is_open, start) {
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

    /// The numbers of a word that are open for a reason.
    fn open_for(&self, reason: OpenReason, word: usize) -> u64 {
        let code = code_of(reason);
        let planes = self.planes.iter().enumerate();
        planes.fold(u64::MAX, |open, (plane, words)| {
            open & if code & (1 << plane) == 0 { !words[word] } else { words[word] }
        })
    }
}

/// The bits of a reason; 0 is a number that is not open.
fn code_of(reason: OpenReason) -> u8 {
    match reason {
        OpenReason::Missing => 1,
        OpenReason::Jumped => 2,
        OpenReason::Refused => 3,
        OpenReason::Parked => 4,
        OpenReason::Dismissed => 5,
    }
}

fn reason_of(code: u8) -> Option<OpenReason> {
    let reason = match code {
        1 => OpenReason::Missing,
        2 => OpenReason::Jumped,
        3 => OpenReason::Refused,
        4 => OpenReason::Parked,
        5 => OpenReason::Dismissed,
        _ => return None,
    };
    Some(reason)
}

fn bit_of(number: u64) -> (usize, u64) {
    let bit = number % BLOCK_NUMBERS;
    ((bit / 64) as usize, 1 << (bit % 64))
}
