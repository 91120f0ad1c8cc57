//! Sixteen bytes at a time: a private copy of the text with room behind it, and what stands in its blocks.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BLOCK: usize = 16;
/// Bytes that are compared at once.
pub(super) const SPAN: usize = 2 * BLOCK;
/// Blank bytes behind the copy of a text: as much as is ever read from one place.
const ROOM: usize = 128;

/// A private copy of one text. Blanks stand behind it, so that whole blocks can be read everywhere in it.
#[derive(Debug, Default)]
pub(super) struct Padded {
    bytes: Vec<u8>,
}

impl Padded {
    /// Copies a text; returns it with the blanks behind it.
    #[inline]
    pub(super) fn of(&mut self, text: &[u8]) -> Option<&mut [u8]> {
        let end = text.len() + ROOM;
        if self.bytes.len() < end {
            self.grow(end);
        }
        let copy = self.bytes.get_mut(..end)?;
        let (room, blanks) = copy.split_at_mut_checked(text.len())?;
        room.copy_from_slice(text);
        *blanks.first_chunk_mut::<ROOM>()? = [b' '; ROOM];
        Some(copy)
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes.next_power_of_two(), b' ');
    }
}

/// Returns the sixteen bytes from a place on; `None` where the blanks behind the text end.
#[inline]
pub(super) fn block(copy: &[u8], at: u32) -> Option<&[u8; BLOCK]> {
    // A place of 32 bits lets the compiler see that the sum does not overflow.
    let at = at as usize;
    copy.get(at..at + BLOCK)?.first_chunk()
}

/// Tells whether two blocks stand at a place, but for the bytes that are marked as beyond them, a bit for each.
#[inline]
pub(super) fn covers(bytes: &[u8; SPAN], beyond: u32, copy: &[u8], at: u32) -> bool {
    let at = at as usize;
    let Some(here) = copy.get(at..at + SPAN).and_then(<[u8]>::first_chunk::<SPAN>) else {
        return false;
    };
    equal(bytes, here) | beyond == u32::MAX
}

/// Marks the bytes in which two blocks are equal to two others, a bit for each.
#[inline]
fn equal(one: &[u8; SPAN], other: &[u8; SPAN]) -> u32 {
    let (one, _) = one.as_chunks::<BLOCK>();
    let (other, _) = other.as_chunks::<BLOCK>();
    let equal =
        |place: usize| u8x16::new(one[place]).simd_eq(u8x16::new(other[place])).to_bitmask();
    equal(0) | equal(1) << BLOCK
}

/// Marks the quotation marks of a block, a bit for each byte.
#[inline]
pub(super) fn quotes(block: &[u8; BLOCK]) -> u32 {
    u8x16::new(*block).simd_eq(u8x16::splat(b'"')).to_bitmask()
}

/// Marks what needs a closer look within a string: control characters, DEL, backslashes, bytes beyond ASCII.
#[inline]
pub(super) fn odd(block: &[u8; BLOCK]) -> u32 {
    let bytes = u8x16::new(*block);
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    (!printable(bytes) & 0xffff) | backslashes.to_bitmask()
}

/// Marks the bytes that are printable ASCII.
#[inline]
pub(super) fn printable(bytes: u8x16) -> u32 {
    const HIGHEST: u8 = b'~' - b' ';
    // What is below a blank wraps around, and is then higher than all that is printable.
    (bytes - u8x16::splat(b' '))
        .max(u8x16::splat(HIGHEST))
        .simd_eq(u8x16::splat(HIGHEST))
        .to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_odd(byte: u8) -> bool {
        byte == b'\\' || !(0x20..0x7f).contains(&byte)
    }

    #[test]
    fn every_byte_is_marked_as_what_it_is_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                let bit = |is_marked: bool| u32::from(is_marked) << at;
                assert_eq!(quotes(&block), bit(byte == b'"'), "{byte} at {at}");
                assert_eq!(odd(&block), bit(is_odd(byte)), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn bytes_cover_a_place_where_all_but_those_beyond_are_the_same() {
        let mut padded = Padded::default();
        for different in 0..SPAN {
            let mut text = [b'a'; SPAN];
            text[different] = b'b';
            let copy = padded.of(&text).unwrap();
            for beyond in 0..SPAN {
                let covered = covers(&[b'a'; SPAN], u32::MAX << beyond, copy, 0);
                assert_eq!(covered, beyond <= different, "{different} {beyond}");
            }
        }
    }

    #[test]
    fn blanks_stand_behind_a_text_whatever_was_copied_before() {
        let mut copy = Padded::default();
        copy.of(&[b'x'; 300]).unwrap();
        let bytes = copy.of(b"a\"").unwrap();
        assert_eq!(block(bytes, 0), Some(b"a\"              "));
        assert!(bytes[2..].iter().all(|byte| *byte == b' '));
        assert_eq!(block(bytes, 2 + u32::try_from(ROOM).unwrap()), None);
    }
}
