//! Sixteen bytes at a time: reading them, and finding where a string ends in them.

use wide::i8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// Returns the sixteen bytes from a place on as a number, zeros behind the text's end.
#[inline]
pub(super) fn number(text: &[u8], at: usize) -> u128 {
    match block(text, at) {
        Some(block) => u128::from_le_bytes(*block),
        None => u128::from_le_bytes(last_block(text, at)),
    }
}

/// Marks the sixteen bytes from a place on, zeros behind the text's end.
#[inline]
pub(super) fn marks(text: &[u8], at: usize) -> Marks {
    match block(text, at) {
        Some(block) => Marks::of(block),
        None => last_marks(text, at),
    }
}

#[inline]
fn block(text: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    text.get(at..)?.first_chunk()
}

#[cold]
#[inline(never)]
fn last_marks(text: &[u8], at: usize) -> Marks {
    Marks::of(&last_block(text, at))
}

#[cold]
#[inline(never)]
fn last_block(text: &[u8], at: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (byte, last) in block.iter_mut().zip(text.get(at..).unwrap_or_default()) {
        *byte = *last;
    }
    block
}

/// What stands in a block, a bit for each byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Quotation marks.
    pub(super) quotes: u32,
    /// What needs a closer look within a string: control characters, DEL, backslashes, bytes beyond ASCII.
    pub(super) odd: u32,
}

impl Marks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let bytes = i8x16::from_ne_bytes(*block);
        let quotes = bytes.simd_eq(i8x16::splat(b'"'.cast_signed()));
        let backslashes = bytes.simd_eq(i8x16::splat(b'\\'.cast_signed()));
        // One more than DEL and than all beyond is negative, or zero.
        let beyond = (bytes + i8x16::splat(1)).simd_lt(i8x16::splat(0x21));
        Self { quotes: quotes.to_bitmask(), odd: (backslashes | beyond).to_bitmask() }
    }
}

/// The same a byte at a time.
#[cfg(test)]
fn plain_marks(block: [u8; BLOCK]) -> Marks {
    let bits = |is_marked: fn(u8) -> bool| {
        let marked = |bits, byte: &u8| bits << 1 | u32::from(is_marked(*byte));
        block.iter().rev().fold(0, marked)
    };
    Marks {
        quotes: bits(|byte| byte == b'"'),
        odd: bits(|byte| byte == b'\\' || !(0x20..0x7f).contains(&byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_marked_as_what_it_is_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                assert_eq!(marks(&block, 0), plain_marks(block), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_block_ends_in_zeros_where_the_text_ends() {
        let text = b"0123456789abcdefgh";
        assert_eq!(&number(text, 2).to_le_bytes(), b"23456789abcdefgh");
        assert_eq!(&number(text, 16).to_le_bytes(), b"gh\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!((number(text, 18), number(text, 99)), (0, 0));
        assert_eq!(marks(b"a\"", 0), Marks { quotes: 2, odd: 0xfffc });
    }
}
