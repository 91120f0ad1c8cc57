//! Redaction of all possible card data from any bytes, before people or logs see them.
//!
//! The bytes may not be JSON, so that redaction relies on no structure, and nothing is exempt: it is better to hide a barcode
//! than to show a card number. Text that is not UTF-8 is replaced.

use super::MIN_DIGITS;
use super::rules::is_authentication_name;

const HIDDEN: &[u8] = b"\"***\"";

/// Returns the bytes as text, digits of every run of 12 or more replaced by `*` (single spaces and
/// dashes inside allowed, JSON escapes understood), what follows them on a magnetic stripe as well,
/// and the values of members named like a security code, a track or a PIN.
pub fn redact(text: &[u8]) -> String {
    let hidden = hide_runs(&hide_members(text));
    String::from_utf8(hidden)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A byte, or a JSON escape of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Digit,
    Joint,
    Other,
}

/// Reads the symbol at an offset; returns it and its length.
fn symbol(text: &[u8], at: usize) -> Option<(Symbol, usize)> {
    let rest = text.get(at..)?;
    Some(match rest {
        [b'\\', b'u', b'0', b'0', b'3', b'0'..=b'9', ..] => (Symbol::Digit, 6),
        [b'\\', b'u', b'0', b'0', b'2', b'0' | b'd' | b'D', ..] => (Symbol::Joint, 6),
        [b'\\', b'\\', ..] => (Symbol::Other, 2),
        [b'0'..=b'9', ..] => (Symbol::Digit, 1),
        [b' ' | b'-', ..] => (Symbol::Joint, 1),
        [_, ..] => (Symbol::Other, 1),
        [] => return None,
    })
}

fn hide_runs(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some((first, length)) = symbol(text, at) {
        let (end, digits) = if first == Symbol::Digit { run(text, at) } else { (at + length, 0) };
        if digits < MIN_DIGITS {
            out.extend_from_slice(text.get(at..end).unwrap_or_default());
            at = end;
            continue;
        }
        while at < end {
            let (what, length) = symbol(text, at).unwrap_or((Symbol::Other, 1));
            let shown = text.get(at..at + length).unwrap_or_default();
            out.extend_from_slice(if what == Symbol::Digit { b"*" } else { shown });
            at += length;
        }
        at = hide_stripe(text, at, &mut out);
    }
    out
}

/// Returns where the run of digits that begins here ends, and how many it has.
fn run(text: &[u8], start: usize) -> (usize, usize) {
    let (mut at, mut end, mut digits, mut joints) = (start, start, 0, 0);
    while let Some((what, length)) = symbol(text, at) {
        at += length;
        match what {
            Symbol::Digit => {
                digits += 1;
                joints = 0;
                end = at;
            }
            Symbol::Joint if joints == 0 => joints = 1,
            Symbol::Joint | Symbol::Other => break,
        }
    }
    (end, digits)
}

/// Hides the rest of a magnetic stripe, if this is one; returns where text goes on.
fn hide_stripe(text: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if !matches!(rest, [b'^' | b'=', ..] | [b'D', b'0'..=b'9', ..]) {
        return at;
    }
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b'?' | b'"' | b'\\' | b'\n' | b'\r'))
        .unwrap_or(rest.len());
    out.resize(out.len() + length, b'*');
    at + length
}

/// Replaces the values of members that authenticate a card's holder.
///
/// Every quote may begin a name, because broken text does not show which ones do.
fn hide_members(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = text.get(at + 1..).unwrap_or_default();
        let value = if *byte == b'"' { authentication_value(rest) } else { None };
        match value {
            None => {
                out.push(*byte);
                at += 1;
            }
            Some((before, after)) => {
                out.push(*byte);
                out.extend_from_slice(rest.get(..before).unwrap_or_default());
                out.extend_from_slice(HIDDEN);
                at += 1 + after;
            }
        }
    }
    out
}

/// Reads what follows a quote as such a name, a colon and a value; returns where the value begins and ends.
fn authentication_value(rest: &[u8]) -> Option<(usize, usize)> {
    let name_end = name_length(rest)?;
    let colon = skip_space(rest, name_end + 1);
    if *rest.get(colon)? != b':' {
        return None;
    }
    let start = skip_space(rest, colon + 1);
    let value = rest.get(start..).unwrap_or_default();
    if value.starts_with(b"null") {
        return None;
    }
    Some((start, start + value_length(value)))
}

/// Returns how many bytes the name takes up to its closing quote, if it is one of those.
fn name_length(rest: &[u8]) -> Option<usize> {
    let mut name = String::new();
    let mut at = 0;
    loop {
        let (letter, length) = match rest.get(at..)? {
            [b'"', ..] => break,
            [b'\\', b'u', b'0', b'0', high, low, ..] => {
                let hex = [*high, *low];
                let code = u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?;
                (code, 6)
            }
            [letter, ..] => (*letter, 1),
            [] => return None,
        };
        if name.len() >= 10 {
            return None;
        }
        name.push(char::from(letter));
        at += length;
    }
    is_authentication_name(&name).then_some(at)
}

fn skip_space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Returns how many bytes a value takes; to the end of the text where it does not end.
fn value_length(value: &[u8]) -> usize {
    let (mut depth, mut quoted, mut at) = (0_usize, false, 0);
    while let Some(&byte) = value.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' if quoted && depth == 0 => return at + 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    value.len()
}
