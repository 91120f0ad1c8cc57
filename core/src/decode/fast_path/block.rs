//! Sixteen bytes at a time: a padded private copy of the text, and bit masks of what its blocks contain.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;
/// Bytes that are compared at once.
pub(super) const COMPARE_BYTES: usize = 2 * BLOCK;
/// Blank bytes behind the copy of a text: more than is ever read from one offset.
const PADDING_BYTES: usize = 128;

/// A private copy of one text with blanks behind it, so that a whole block can be read at every offset of the text.
#[derive(Debug, Default)]
pub(super) struct PaddedText {
    bytes: Vec<u8>,
}

impl PaddedText {
    /// Copies a text; returns it with the blanks behind it.
    #[inline]
    pub(super) fn of(&mut self, text: &[u8]) -> Option<&mut [u8]> {
        let end = text.len() + PADDING_BYTES;
        if self.bytes.len() < end {
            self.grow(end);
        }
        let copy = self.bytes.get_mut(..end)?;
        let (bytes, blanks) = copy.split_at_mut_checked(text.len())?;
        bytes.copy_from_slice(text);
        *blanks.first_chunk_mut::<PADDING_BYTES>()? = [b' '; PADDING_BYTES];
        Some(copy)
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes.next_power_of_two(), b' ');
    }
}

/// Returns the sixteen bytes from an offset on; `None` where they would exceed the padding.
#[inline]
pub(super) fn block(copy: &[u8], at: u32) -> Option<&[u8; BLOCK]> {
    // An offset of 32 bits lets the compiler see that the sum does not overflow.
    let at = at as usize;
    copy.get(at..at + BLOCK)?.first_chunk()
}

/// Tells whether two blocks equal the bytes at an offset, apart from those that `ignored` has a bit for.
#[inline]
pub(super) fn matches_at(bytes: &[u8; COMPARE_BYTES], ignored: u32, copy: &[u8], at: u32) -> bool {
    let at = at as usize;
    let Some(here) =
        copy.get(at..at + COMPARE_BYTES).and_then(<[u8]>::first_chunk::<COMPARE_BYTES>)
    else {
        return false;
    };
    // One comparison and no loop over the length: the bits of ignored bytes are set as if they were equal.
    equal(bytes, here) | ignored == u32::MAX
}

/// Returns a bit for each byte in which two blocks equal two others.
#[inline]
fn equal(one: &[u8; COMPARE_BYTES], other: &[u8; COMPARE_BYTES]) -> u32 {
    let (one, _) = one.as_chunks::<BLOCK>();
    let (other, _) = other.as_chunks::<BLOCK>();
    let equal =
        |block: usize| u8x16::new(one[block]).simd_eq(u8x16::new(other[block])).to_bitmask();
    equal(0) | equal(1) << BLOCK
}

/// Returns a bit for each byte of a block that is a quotation mark.
#[inline]
pub(super) fn quotes(block: &[u8; BLOCK]) -> u32 {
    u8x16::new(*block).simd_eq(u8x16::splat(b'"')).to_bitmask()
}

/// Returns a bit for each byte that a string cannot be skipped over: control characters, DEL, backslashes, bytes beyond ASCII.
#[inline]
pub(super) fn irregular(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    (!printable(bytes) & 0xffff) | backslashes.to_bitmask()
}

/// Returns a bit for each byte that is printable ASCII.
#[inline]
pub(super) fn printable(bytes: u8x16) -> u32 {
    const HIGHEST: u8 = b'~' - b' ';
    // A byte below a blank wraps around and becomes higher than every printable one, so that one comparison tests both
    // ends of the range. SSE2 has no unsigned comparison of bytes: a maximum and an equality stand for it.
    (bytes - u8x16::splat(b' '))
        .max(u8x16::splat(HIGHEST))
        .simd_eq(u8x16::splat(HIGHEST))
        .to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_irregular(byte: u8) -> bool {
        byte == b'\\' || !(0x20..0x7f).contains(&byte)
    }

    #[test]
    fn every_byte_is_classified_at_every_offset() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let bit = |is_marked: bool| u32::from(is_marked) << at;
                assert_eq!(quotes(&block), bit(byte == b'"'), "{byte} at {at}");
                assert_eq!(irregular(&block), bit(is_irregular(byte)), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn bytes_match_where_all_but_ignored_ones_are_equal() {
        let mut padded = PaddedText::default();
        for different in 0..COMPARE_BYTES {
            let mut text = [b'a'; COMPARE_BYTES];
            text[different] = b'b';
            let copy = padded.of(&text).unwrap();
            for kept in 0..COMPARE_BYTES {
                let matched = matches_at(&[b'a'; COMPARE_BYTES], u32::MAX << kept, copy, 0);
                assert_eq!(matched, kept <= different, "{different} {kept}");
            }
        }
    }

    #[test]
    fn blanks_follow_a_text_whatever_was_copied_before() {
        let mut copy = PaddedText::default();
        copy.of(&[b'x'; 300]).unwrap();
        let bytes = copy.of(b"a\"").unwrap();
        assert_eq!(block(bytes, 0), Some(b"a\"              "));
        assert!(bytes[2..].iter().all(|byte| *byte == b' '));
        assert_eq!(block(bytes, 2 + u32::try_from(PADDING_BYTES).unwrap()), None);
    }
}
