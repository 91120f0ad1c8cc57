//! Finds the end of a string, and decodes its escapes.

use super::block::{BLOCK, block, irregular, quotes};

#[expect(clippy::cast_possible_truncation, reason = "sixteen")]
const NEXT_BLOCK: u32 = BLOCK as u32;

/// What the strings of a text that is not plain contain.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextTraits {
    /// A character that is not printable ASCII.
    pub(super) has_unprintable: bool,
    /// An escape: the copy is not the text any more.
    pub(super) has_escape: bool,
}

/// Returns the end of a string, and the offset of the quotation mark behind it.
///
/// The two are equal in a plain text. Otherwise escapes are decoded in place, which makes the string shorter, and blanks
/// fill the rest.
#[inline]
pub(super) fn end<const PLAIN: bool>(
    copy: &mut [u8],
    from: u32,
    traits: &mut TextTraits,
) -> Option<(u32, u32)> {
    let mut at = from;
    loop {
        let block = block(copy, at)?;
        let quotes = quotes(block);
        if !PLAIN {
            // A mask of the bytes before the first quotation mark and of the mark itself: bytes behind it are another string's.
            let before = quotes ^ quotes.wrapping_sub(1);
            if irregular(block) & before != 0 {
                return irregular_end(copy, at, traits);
            }
        }
        if quotes != 0 {
            let end = at + quotes.trailing_zeros();
            return Some((end, end));
        }
        at += NEXT_BLOCK;
    }
}

/// The same, one byte at a time, from the block with an irregular byte on.
#[cold]
#[inline(never)]
fn irregular_end(copy: &mut [u8], from: u32, traits: &mut TextTraits) -> Option<(u32, u32)> {
    let mut at = from as usize;
    loop {
        match copy.get(at)? {
            b'"' => {
                let at = u32::try_from(at).ok()?;
                return Some((at, at));
            }
            b'\\' => {
                let (end, quote) = unescaped_end(copy, at, traits)?;
                return Some((u32::try_from(end).ok()?, u32::try_from(quote).ok()?));
            }
            ..0x20 => return None,
            0x20..0x7f => {}
            0x7f.. => traits.has_unprintable = true,
        }
        at += 1;
    }
}

/// The same from the first escape on. Decoding in place is safe: a character is never longer than its escape.
fn unescaped_end(copy: &mut [u8], from: usize, traits: &mut TextTraits) -> Option<(usize, usize)> {
    let (mut at, mut to) = (from, from);
    traits.has_escape = true;
    loop {
        match *copy.get(at)? {
            b'"' => {
                copy.get_mut(to..at)?.fill(b' ');
                return Some((to, at));
            }
            b'\\' => {
                let (character, length) = escaped(copy.get(at + 1..)?)?;
                at += 1 + length;
                traits.has_unprintable |= !(' '..='~').contains(&character);
                to += character.encode_utf8(copy.get_mut(to..at)?).len();
            }
            ..0x20 => return None,
            byte => {
                traits.has_unprintable |= byte >= 0x7f;
                *copy.get_mut(to)? = byte;
                (at, to) = (at + 1, to + 1);
            }
        }
    }
}

/// Decodes what follows a backslash; returns the character and the length of its escape without the backslash.
fn escaped(rest: &[u8]) -> Option<(char, usize)> {
    let character = match rest.first()? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest.get(1..)?),
        _ => return None,
    };
    Some((character, 1))
}

/// Decodes the four digits of an escape, and those of the other half of a surrogate pair (RFC 8259, section 7).
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let first = four_digits(rest)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 5));
    }
    let second = four_digits(rest.get(4..)?.strip_prefix(b"\\u")?)?;
    let halves = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
    match halves {
        (high @ ..0x400, low @ ..0x400) => {
            Some((char::from_u32(0x1_0000 + (high << 10) + low)?, 11))
        }
        _ => None,
    }
}

fn four_digits(rest: &[u8]) -> Option<u32> {
    let digits: &[u8; 4] = rest.first_chunk()?;
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::fast_path::block::PaddedText;

    /// Reads a string that ends with the first quotation mark that no backslash stands before.
    fn read(text: &str) -> Option<(String, TextTraits)> {
        let (mut padded, mut traits) = (PaddedText::default(), TextTraits::default());
        let copy = padded.of(text.as_bytes())?;
        let (end, quote) = end::<false>(copy, 0, &mut traits)?;
        assert_eq!(copy[quote as usize], b'"');
        assert!(copy[end as usize..quote as usize].iter().all(|byte| *byte == b' '));
        Some((String::from_utf8(copy[..end as usize].to_vec()).unwrap(), traits))
    }

    #[test]
    fn a_string_is_read_as_another_parser_reads_it() {
        for inside in [
            "",
            "a",
            "abcdefghijklmnop",
            "caf\u{e9} and more than sixteen bytes of it",
            r#"\n\t\r\b\f\/\\\""#,
            r"0123456789\u0041bcdefghijklmnopq\u00e9",
            r"\ud83d\ude00!",
            r"\u0000",
            r"\uDBFF\uDFFF",
            r"\uffff",
            r"\ud83d",
            r"\ud83dx",
            r"\ud83d\u0041",
            r"\ude00",
            r"\ud83d\ud83d",
            r"\u12",
            r"\u12g4",
            r"\x",
            r"\",
            "a\nb",
            "\u{7f}",
            r"\u+041",
            r"\u007f\u0080",
            "\u{1f600}\\u0041\u{1f600}",
        ] {
            let expected: Option<String> = serde_json::from_str(&format!("\"{inside}\"")).ok();
            let read = read(&format!("{inside}\",\"rest\":\"1\""));
            // A backslash at the end takes the quotation mark with it.
            let read =
                if inside.ends_with('\\') && !inside.ends_with(r#"\\""#) { None } else { read };
            assert_eq!(read.as_ref().map(|(text, _)| text), expected.as_ref(), "{inside}");
            if let (Some((_, traits)), Some(text)) = (read, expected) {
                let has_unprintable =
                    text.chars().any(|character| !(' '..='~').contains(&character));
                assert_eq!(traits.has_unprintable, has_unprintable, "{inside}");
                assert_eq!(traits.has_escape, inside.contains('\\'), "{inside}");
            }
        }
    }
}
