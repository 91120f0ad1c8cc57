//! Pieces of JSON text, for records that are written by hand.

use std::io::Write as _;

use bytes::BufMut;

/// Writes what stands between the quotes of a JSON string.
pub(super) fn escape(text: &mut impl BufMut, value: &str) {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // All bytes are looked at, which the compiler does many at a time.
    if value.bytes().fold(false, |any, byte| any | special(byte)) {
        let quoted = serde_json::to_string(value).unwrap_or_default();
        let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        text.put_slice(inside.as_bytes());
    } else {
        text.put_slice(value.as_bytes());
    }
}

/// Writes an integer.
pub(super) fn integer(text: &mut impl BufMut, value: impl itoa::Integer) {
    text.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes an integer, or null.
pub(super) fn optional(text: &mut impl BufMut, value: Option<impl itoa::Integer>) {
    match value {
        Some(value) => integer(text, value),
        None => text.put_slice(b"null"),
    }
}

/// Writes whatever can be displayed; slow.
pub(super) fn put(text: &mut impl BufMut, value: std::fmt::Arguments<'_>) {
    let written = text.writer().write_fmt(value);
    debug_assert!(written.is_ok(), "a buffer takes everything: {written:?}");
}
