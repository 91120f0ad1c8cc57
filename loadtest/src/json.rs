//! JSON by hand: appends values to a byte buffer.
//!
//! The generators write events at a rate where a tree of values would be the largest cost, so they
//! write text. Nothing is checked here: callers give members in order and balance their brackets,
//! and the tests parse what came out with a real parser.

/// Appends a string with its quotes, escaping what RFC 8259 section 7 demands.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends an unsigned integer.
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends an integer with at least `width` digits, zeros in front.
pub(crate) fn padded(out: &mut Vec<u8>, value: u64, width: u32) {
    let mut place = 10_u64.saturating_pow(width.saturating_sub(1));
    while place > 1 && value < place {
        out.push(b'0');
        place /= 10;
    }
    unsigned(out, value);
}

/// Appends a decimal as a JSON string, `scale` digits after the point: `"-19.90"`.
pub(crate) fn fixed(out: &mut Vec<u8>, value: i64, scale: u32) {
    out.push(b'"');
    plain_fixed(out, value, scale);
    out.push(b'"');
}

/// Appends a decimal as a JSON string without trailing zeros: `"0.734"`, `"3"`.
pub(crate) fn shortest(out: &mut Vec<u8>, value: i64, scale: u32) {
    let (mut value, mut scale) = (value, scale);
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    fixed(out, value, scale);
}

fn plain_fixed(out: &mut Vec<u8>, value: i64, scale: u32) {
    if value < 0 {
        out.push(b'-');
    }
    let one = 10_u64.pow(scale);
    let magnitude = value.unsigned_abs();
    unsigned(out, magnitude / one);
    if scale > 0 {
        out.push(b'.');
        padded(out, magnitude % one, scale);
    }
}

/// Appends `,"name":` (without the comma after an opening bracket).
pub(crate) fn member(out: &mut Vec<u8>, name: &str) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a member whose value is a string.
pub(crate) fn text_member(out: &mut Vec<u8>, name: &str, value: &str) {
    member(out, name);
    string(out, value);
}

fn digit(value: u64) -> u8 {
    b"0123456789"[usize::try_from(value % 10).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_keep_their_sign_and_places() {
        assert_eq!(written(|out| fixed(out, -5, 2)), r#""-0.05""#);
        assert_eq!(written(|out| fixed(out, 1990, 2)), r#""19.90""#);
        assert_eq!(written(|out| fixed(out, 700, 0)), r#""700""#);
        assert_eq!(written(|out| fixed(out, i64::MIN, 3)), r#""-9223372036854775.808""#);
        assert_eq!(written(|out| shortest(out, 734_000, 6)), r#""0.734""#);
        assert_eq!(written(|out| shortest(out, 3_000_000, 6)), r#""3""#);
        assert_eq!(written(|out| shortest(out, 0, 6)), r#""0""#);
    }

    #[test]
    fn padding_never_cuts() {
        assert_eq!(written(|out| padded(out, 7, 2)), "07");
        assert_eq!(written(|out| padded(out, 0, 3)), "000");
        assert_eq!(written(|out| padded(out, 1234, 2)), "1234");
    }

    #[test]
    fn strings_come_back_from_a_parser_as_they_were() {
        let text = "a\"b\\c\n\u{1} ü€😀";
        let json = written(|out| string(out, text));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
