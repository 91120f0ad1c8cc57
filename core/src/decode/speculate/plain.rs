//! Plain texts: printable ASCII without a backslash. Most are; they have no escapes, and need no check that they are UTF-8.

#![expect(
    unsafe_code,
    reason = "ASCII is UTF-8, and to check it again is a twentieth of the scan; see ADR 13"
)]

use wide::u8x16;

use super::block::{BLOCK, printable};

/// Bytes that are looked at together.
const STRETCH: usize = 64;

/// Returns a text if it holds nothing but printable ASCII without a backslash, and is no shorter than a stretch.
#[inline]
pub(super) fn plain(text: &[u8]) -> Option<&str> {
    let last = text.last_chunk()?;
    let mut seen = Seen::of(last);
    // The last stretch covers what is left behind those in a row.
    text.as_chunks().0.iter().for_each(|stretch| seen.add(stretch));
    if !seen.is_plain() {
        return None;
    }
    // SAFETY: every byte stands in a stretch that was looked at, and none is beyond ASCII, all of which is UTF-8.
    Some(unsafe { std::str::from_utf8_unchecked(text) })
}

/// What was seen of a text, in each of sixteen columns.
#[derive(Debug)]
struct Seen {
    lowest: u8x16,
    highest: u8x16,
    backslashes: u8x16,
}

impl Seen {
    #[inline]
    fn of(stretch: &[u8; STRETCH]) -> Self {
        let [lowest, highest] = [u8::MAX, u8::MIN].map(u8x16::splat);
        let mut seen = Self { lowest, highest, backslashes: u8x16::splat(0) };
        seen.add(stretch);
        seen
    }

    #[inline]
    fn add(&mut self, stretch: &[u8; STRETCH]) {
        for block in stretch.as_chunks::<BLOCK>().0 {
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
    fn one_odd_byte_anywhere_makes_a_text_that_is_not_plain() {
        for byte in 0..=u8::MAX {
            for length in [64, 65, 127, 128, 200] {
                for at in 0..length {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let is_odd = byte == b'\\' || !(0x20..0x7f).contains(&byte);
                    let expected = (!is_odd).then_some(&text[..]);
                    assert_eq!(plain(&text).map(str::as_bytes), expected, "{byte} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_text_shorter_than_a_stretch_is_looked_at_in_another_way() {
        assert_eq!((0..STRETCH).find(|length| plain(&vec![b'a'; *length]).is_some()), None);
    }
}
