//! Text as it stands in a JSON string.

use bytes::BufMut;

use super::short::{all, shorter};

/// Writes what stands between the quotation marks of a JSON string (RFC 8259, section 7).
#[inline]
pub(crate) fn escape(out: &mut impl BufMut, text: &str) {
    if is_plain(text.as_bytes()) {
        out.put_slice(text.as_bytes());
    } else {
        escape_some(out, text);
    }
}

#[cold]
fn escape_some(out: &mut impl BufMut, text: &str) {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    out.put_slice(inside.as_bytes());
}

/// Tells whether nothing in a text has to be escaped, eight bytes at a time.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let words = words.iter().fold(0, |odd, word| odd | special(u64::from_le_bytes(*word)));
    let blanks = all(b' ') << (8 * rest.len());
    words | special(shorter(rest) | blanks) == 0
}

/// Marks the first control character, quotation mark and backslash of eight bytes; zero where there is none.
#[inline]
fn special(bytes: u64) -> u64 {
    let below = |bytes: u64, least: u8| bytes.wrapping_sub(all(least)) & !bytes;
    let marks = below(bytes, 0x20) | below(bytes ^ all(b'"'), 1) | below(bytes ^ all(b'\\'), 1);
    marks & all(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_anywhere_is_written_as_serde_writes_it() {
        for character in (0..0x180).filter_map(char::from_u32) {
            for (before, after) in [(0, 0), (0, 7), (3, 0), (7, 0), (8, 1), (9, 20), (15, 2)] {
                let text = ["\u{7f}".repeat(before), character.to_string(), "~".repeat(after)];
                let text = text.concat();
                let mut written = vec![b'"'];
                escape(&mut written, &text);
                written.push(b'"');
                assert_eq!(written, serde_json::to_vec(&text).unwrap(), "{text:?}");
            }
        }
    }
}
