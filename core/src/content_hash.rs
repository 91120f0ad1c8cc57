//! The content hash of an event, version `h2`.
//!
//! It tells a retry from another event under the same number. It covers what the decoder read, not the bytes: order of
//! members, white space, escapes and trailing zeros do not change it. `docs/adr/0010` states the exact bytes that are hashed.
//! It does not cover `sent_at` and `attempt`, as a retry changes them.
//!
//! XXH3 is not cryptographic: it keeps accidents apart, and a sender who constructs a collision can only spoil the events of
//! its own terminals.

use xxhash_rust::xxh3::xxh3_128;

use crate::card::{self, TextClass};
use crate::text::short;

/// Ends a member of a list; no field has this tag.
const END: u8 = 0;
/// Precedes the sum of the members that the schema does not know.
const UNKNOWN: u8 = 0xff;

/// Longest field that is written in full width, whatever its length.
const SHORT_BYTES: usize = 16;
/// A short field with its tag and length.
const FIELD_BYTES: usize = 5 + SHORT_BYTES;

/// Collects the normalised fields of one event and hashes them.
///
/// Fields are short and many. Each is written in full width, which is one store instead of a loop, and the next one overwrites
/// what is not its own.
#[derive(Debug, Default)]
pub(crate) struct Fingerprint {
    bytes: Vec<u8>,
    /// How many of the bytes are the event's. 32 bits let the compiler see that no sum of them overflows.
    used: u32,
}

/// Sum of the hashes of an object's members, which is the same for every order of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemberSum {
    count: u32,
    sum: u128,
}

impl MemberSum {
    pub(crate) fn add(&mut self, member: u128) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(member);
    }
}

impl Fingerprint {
    /// Begins an event.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// Adds a field of text.
    #[inline]
    pub(crate) fn text(&mut self, tag: u8, text: &str) {
        let text = text.as_bytes();
        if text.len() <= SHORT_BYTES {
            self.short_text(tag, short(text), text.len());
        } else {
            self.head(tag, text.len());
            self.append(text);
        }
    }

    /// Adds a field of text with digits masked that could be a card number: see `card::blind`.
    pub(crate) fn blind_text(&mut self, tag: u8, text: &str, class: TextClass) {
        self.head(tag, text.len());
        self.append_blind(text, class);
    }

    fn append_blind(&mut self, text: &str, class: TextClass) {
        let start = self.used as usize;
        self.append(text.as_bytes());
        if card::may_hold_card(text) {
            let text = self.bytes.get_mut(start..self.used as usize);
            card::blind(text.unwrap_or_default(), class);
        }
    }

    /// Adds a field of text of at most sixteen bytes. It is written in full width; the next field overwrites the rest.
    #[inline]
    pub(crate) fn short_text(&mut self, tag: u8, head: u128, bytes: usize) {
        // The upper bytes of the length are overwritten by the text.
        let begin = u64::from(tag) | (bytes as u64) << 8;
        self.put(5 + bytes, |field| {
            field[..8].copy_from_slice(&begin.to_le_bytes());
            field[5..].copy_from_slice(&head.to_le_bytes());
        });
    }

    /// Adds a field that is decoded to an integer: an amount, a quantity, a date, a time, a number.
    #[inline]
    pub(crate) fn integer(&mut self, tag: u8, value: i64) {
        self.put(9, |field| {
            field[0] = tag;
            field[1..9].copy_from_slice(&value.to_le_bytes());
        });
    }

    /// Adds the header of a list; each of its members ends with [`Self::end`].
    #[inline]
    pub(crate) fn list(&mut self, tag: u8, members: usize) {
        self.head(tag, members);
    }

    /// Ends a member of a list, or an object.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.put(1, |field| field[0] = END);
    }

    /// Adds the sum of an object's members that the schema does not know; nothing if there are none.
    pub(crate) fn unknown(&mut self, members: MemberSum) {
        if members.count > 0 {
            self.append(&[UNKNOWN]);
            self.sum(members);
        }
    }

    /// Adds a value of unknown meaning; the member's name says what kind of text it may be.
    pub(crate) fn value(&mut self, value: Scalar<'_>, class: TextClass) {
        match value {
            Scalar::Null => self.append(b"n"),
            Scalar::Bool(false) => self.append(b"f"),
            Scalar::Bool(true) => self.append(b"t"),
            Scalar::Text(text) => self.blind_text(b's', text, class),
            Scalar::Integer(value) => {
                self.append(b"i");
                self.append(&card::blind_integer(value).to_le_bytes());
            }
            Scalar::Double(value) => {
                if let Some(value) = whole(value).or_else(|| card::blind_double(value)) {
                    return self.value(Scalar::Integer(value), class);
                }
                self.append(b"d");
                self.append(&value.to_bits().to_le_bytes());
            }
        }
    }

    /// Adds the header of an array of unknown meaning; its elements follow.
    pub(crate) fn array(&mut self, elements: usize) {
        self.head(b'a', elements);
    }

    /// Adds an object of unknown meaning.
    pub(crate) fn object(&mut self, members: MemberSum) {
        self.append(b"o");
        self.sum(members);
    }

    /// Begins a member of an object of unknown meaning; its value follows.
    pub(crate) fn begin_member(&mut self, name: &str) -> MemberStart {
        let start = MemberStart(self.used);
        self.append(&size(name.len()));
        self.append_blind(name, TextClass::Free);
        start
    }

    /// Removes the member again and returns its hash.
    pub(crate) fn end_member(&mut self, start: MemberStart) -> u128 {
        let hash =
            xxh3_128(self.bytes.get(start.0 as usize..self.used as usize).unwrap_or_default());
        self.used = start.0;
        hash
    }

    /// Returns the hash of the event.
    pub(crate) fn finish(&self) -> u128 {
        xxh3_128(self.bytes.get(..self.used as usize).unwrap_or_default())
    }

    fn sum(&mut self, members: MemberSum) {
        self.append(&members.count.to_le_bytes());
        self.append(&members.sum.to_le_bytes());
    }

    /// Adds one short field of `bytes` bytes.
    #[expect(clippy::inline_always, reason = "some seventy calls an event")]
    #[inline(always)]
    fn put(&mut self, bytes: usize, write: impl Fn(&mut [u8; FIELD_BYTES])) {
        let used = self.used as usize;
        if let Some(field) =
            self.bytes.get_mut(used..used + FIELD_BYTES).and_then(<[u8]>::first_chunk_mut)
        {
            write(field);
        } else {
            self.grow(FIELD_BYTES);
            let field = self.bytes.get_mut(used..).and_then(<[u8]>::first_chunk_mut);
            field.into_iter().for_each(write);
        }
        self.used += bytes_of(bytes);
    }

    fn append(&mut self, bytes: &[u8]) {
        let (used, end) = (self.used as usize, self.used as usize + bytes.len());
        if self.bytes.len() < end {
            self.grow(bytes.len());
        }
        if let Some(field) = self.bytes.get_mut(used..end) {
            field.copy_from_slice(bytes);
        }
        self.used += bytes_of(bytes.len());
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        self.bytes.resize((self.used as usize + more).next_power_of_two(), 0);
    }

    #[inline]
    fn head(&mut self, tag: u8, length: usize) {
        let [a, b, c, d] = size(length);
        self.put(5, |field| field[..5].copy_from_slice(&[tag, a, b, c, d]));
    }
}

/// Returns a size as it is hashed.
#[inline]
fn size(size: usize) -> [u8; 4] {
    bytes_of(size).to_le_bytes()
}

/// Returns a number of bytes in 32 bits. An event has at most 256 KiB, so that every size in it fits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "far fewer than that")]
fn bytes_of(size: usize) -> u32 {
    size as u32
}

/// The offset at which a member began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberStart(u32);

/// A value that is neither an array nor an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
    Integer(i128),
    Double(f64),
}

/// Returns a double as an integer if it is one that every JSON writer may also write as such.
#[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits, so exact")]
fn whole(value: f64) -> Option<i128> {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= MAX_EXACT).then_some(value as i128)
}

#[cfg(test)]
mod tests;
