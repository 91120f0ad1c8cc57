//! Plain texts: printable ASCII without a backslash. Most are; they have no escapes, and need no check that they are UTF-8.

#![expect(
    unsafe_code,
    reason = "ASCII is UTF-8, and checking it again costs a twentieth of the scan; see ADR 13"
)]

use wide::u8x16;

use super::block::{BLOCK, printable};

/// Bytes that one step of the loop tests.
const CHUNK: usize = 64;

/// Returns a text if it holds nothing but printable ASCII without a backslash, and is no shorter than a chunk.
#[inline]
pub(super) fn plain(text: &[u8]) -> Option<&str> {
    let last = text.last_chunk()?;
    let mut summary = ColumnSummary::of(last);
    // The last chunk overlaps the others and covers the rest behind them.
    text.as_chunks().0.iter().for_each(|chunk| summary.add(chunk));
    if !summary.is_plain() {
        return None;
    }
    // SAFETY: every byte is in a chunk that was tested, and none is beyond ASCII, which is a subset of UTF-8.
    Some(unsafe { std::str::from_utf8_unchecked(text) })
}

/// The lowest and the highest byte of a text, and its backslashes, in each of sixteen columns.
#[derive(Debug)]
struct ColumnSummary {
    lowest: u8x16,
    highest: u8x16,
    backslashes: u8x16,
}

impl ColumnSummary {
    #[inline]
    fn of(chunk: &[u8; CHUNK]) -> Self {
        let [lowest, highest] = [u8::MAX, u8::MIN].map(u8x16::splat);
        let mut summary = Self { lowest, highest, backslashes: u8x16::splat(0) };
        summary.add(chunk);
        summary
    }

    #[inline]
    fn add(&mut self, chunk: &[u8; CHUNK]) {
        for block in chunk.as_chunks::<BLOCK>().0 {
            let bytes = u8x16::new(*block);
            (self.lowest, self.highest) = (self.lowest.min(bytes), self.highest.max(bytes));
            self.backslashes |= bytes.simd_eq(u8x16::splat(b'\\'));
        }
    }

    #[inline]
    fn is_plain(&self) -> bool {
        let are_printable = printable(self.lowest) & printable(self.highest) == 0xffff;
        are_printable && self.backslashes.to_bitmask() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_irregular_byte_anywhere_makes_a_text_that_is_not_plain() {
        for byte in 0..=u8::MAX {
            for length in [64, 65, 127, 128, 200] {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let is_irregular = byte == b'\\' || !(0x20..0x7f).contains(&byte);
                    let expected = (!is_irregular).then_some(&text[..]);
                    assert_eq!(plain(&text).map(str::as_bytes), expected, "{byte} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_text_shorter_than_a_chunk_is_never_plain() {
        assert_eq!((0..CHUNK).find(|length| plain(&vec![b'a'; *length]).is_some()), None);
    }
}
