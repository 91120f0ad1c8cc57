//! Pieces of JSON text, for records that are written by hand.

use std::io::Write as _;

/// Writes what stands between the quotes of a JSON string.
pub(super) fn escape(text: &mut Vec<u8>, value: &str) {
    if value.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let quoted = serde_json::to_string(value).unwrap_or_default();
        let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        text.extend_from_slice(inside.as_bytes());
    } else {
        text.extend_from_slice(value.as_bytes());
    }
}

/// Writes an integer.
pub(super) fn integer(text: &mut Vec<u8>, value: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes an integer, or null.
pub(super) fn optional(text: &mut Vec<u8>, value: Option<impl itoa::Integer>) {
    match value {
        Some(value) => integer(text, value),
        None => text.extend_from_slice(b"null"),
    }
}

/// Writes whatever can be displayed; slow.
pub(super) fn put(text: &mut Vec<u8>, value: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(value);
    debug_assert!(written.is_ok(), "a vector takes everything");
}
