//! Text of others on the operator's terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes what would steer a terminal or turn the order of its letters: control characters, and the Unicode marks that
/// change direction or are not seen. The escapes are those of JSON, so that JSON text stays what it was.
///
/// Line breaks are escaped too: a line of ours holds one thing.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_hidden(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                write!(shown, "\\u{unit:04x}").ok();
            }
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{00ad}'                     // soft hyphen
            | '\u{061c}'                   // Arabic letter mark
            | '\u{180e}'                   // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}'      // zero width, and marks of direction
            | '\u{2028}'..='\u{202e}'      // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'      // invisible operators, isolates
            | '\u{feff}'                   // byte order mark
            | '\u{fff9}'..='\u{fffb}'      // interlinear annotation
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_as_json_escapes_it() {
        for (text, shown) in [
            ("till \u{1b}]0;owned\u{7}", r"till \u001b]0;owned\u0007"),
            ("\u{9b}31m", r"\u009b31m"),
            ("a\u{202e}b\u{2066}c", r"a\u202eb\u2066c"),
            ("\u{e0041}", r"\udb40\udc41"),
            ("a\nb\u{7f}", r"a\u000ab\u007f"),
            ("Grüße, 東京 🛒", "Grüße, 東京 🛒"),
        ] {
            assert_eq!(printable(text), shown);
            let json = format!("\"{shown}\"");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
