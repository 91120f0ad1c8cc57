//! Pieces of JSON text, for records that are written by hand.

use std::io::Write as _;

use bytes::BufMut;
use serde::Serialize;

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

/// Writes true or false.
pub(super) fn boolean(text: &mut impl BufMut, value: bool) {
    text.put_slice(if value { b"true" } else { b"false" });
}

/// Writes formatted text; slow.
pub(super) fn put(text: &mut impl BufMut, value: std::fmt::Arguments<'_>) {
    let written = text.writer().write_fmt(value);
    debug_assert!(written.is_ok(), "a buffer takes everything: {written:?}");
}

/// Writes what serde serialises. The records of the aggregator have string keys and no part that can fail.
pub(super) fn write_json(text: &mut impl BufMut, value: &impl Serialize) {
    let written = serde_json::to_writer(text.writer(), value);
    debug_assert!(written.is_ok(), "our records always serialise: {written:?}");
}
