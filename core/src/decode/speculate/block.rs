//! Sixteen bytes at a time: reading them, and finding where a string ends in them.

use wide::i8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;

/// Returns the sixteen bytes from a place on, zeros behind the text's end.
#[inline]
pub(super) fn block(text: &[u8], at: usize) -> [u8; BLOCK] {
    match text.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(block) => *block,
        None => last_block(text, at),
    }
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

/// Marks the bytes of a block.
#[inline]
pub(super) fn marks(block: [u8; BLOCK]) -> Marks {
    let bytes = i8x16::from_ne_bytes(block);
    let quotes = bytes.simd_eq(i8x16::splat(b'"'.cast_signed()));
    let backslashes = bytes.simd_eq(i8x16::splat(b'\\'.cast_signed()));
    // One more than DEL and than all beyond is negative, or zero.
    let beyond = (bytes + i8x16::splat(1)).simd_lt(i8x16::splat(0x21));
    Marks { quotes: quotes.to_bitmask(), odd: (backslashes | beyond).to_bitmask() }
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
                assert_eq!(marks(block), plain_marks(block), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn a_block_ends_in_zeros_where_the_text_ends() {
        let text = b"0123456789abcdefgh";
        assert_eq!(&block(text, 2), b"23456789abcdefgh");
        assert_eq!(&block(text, 16), b"gh\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(block(text, 18), [0; BLOCK]);
        assert_eq!(block(text, 99), [0; BLOCK]);
    }
}
