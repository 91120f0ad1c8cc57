//! An arena for the records of a flush: their keys and values, one behind the other in chunks.
//!
//! A record's text is a slice of a chunk, so that writing one allocates nothing. The arena reuses a chunk once the log has
//! dropped every slice of it, so that a flush writes into the warm memory of the last one. It holds at most the records that
//! are on their way to the log, which the limits of a flush bound.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::json_text::write_json;

/// Size of a chunk.
const CHUNK_BYTES: usize = 1 << 20;
/// Capacity that is enough for most records.
const RECORD_BYTES: usize = 4 << 10;
/// Most capacity that is reserved for a record; a longer one grows the chunk.
const MAX_RESERVED_BYTES: usize = CHUNK_BYTES / 4;
/// Chunks that the arena keeps for reuse; the log frees older ones itself.
const MAX_CHUNKS: usize = 128;
/// Records that are written before they are sliced.
const BATCH_RECORDS: usize = 64;

/// The chunk that is written, and chunks on their way to the log.
#[derive(Debug)]
pub(super) struct RecordArena {
    chunk: BytesMut,
    sent: Vec<BytesMut>,
    /// Bytes of the longest record so far. The arena replaces a chunk with less capacity than that, because a chunk that grows
    /// becomes a new allocation.
    reserved_bytes: usize,
}

impl Default for RecordArena {
    fn default() -> Self {
        Self { chunk: BytesMut::new(), sent: Vec::new(), reserved_bytes: RECORD_BYTES }
    }
}

impl RecordArena {
    /// Writes parts, one behind the other.
    pub(super) fn write(&mut self, parts: &[&[u8]]) -> Bytes {
        self.reserve(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.chunk.extend_from_slice(part);
        }
        self.chunk.split().freeze()
    }

    /// Writes a record that will mostly be short.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        self.reserve(self.reserved_bytes);
        write(&mut self.chunk);
        self.reserved_bytes = self.reserved_bytes.max(self.chunk.len()).min(MAX_RESERVED_BYTES);
        self.chunk.split().freeze()
    }

    /// Writes several pieces one behind the other, and slices them at the ends that their writer returns.
    pub(super) fn pieces<const N: usize>(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> [usize; N],
    ) -> [Bytes; N] {
        let (mut from, mut ends) = (0, [0; N]);
        let all = self.record(|text| ends = write(text));
        ends.map(|end| all.slice(std::mem::replace(&mut from, end)..end))
    }

    /// Writes a record for each item, and passes it on with its key, whose range in it the writer returns.
    ///
    /// Slices in batches, because the reference count of `Bytes::slice` waits for earlier stores: after each single record that
    /// costs as much as writing its text.
    pub(super) fn keyed<I>(
        &mut self,
        items: impl Iterator<Item = I>,
        mut write: impl FnMut(&mut BytesMut, I) -> Range<usize>,
        mut each: impl FnMut(Bytes, Bytes),
    ) {
        let mut items = items.peekable();
        let mut ranges = Vec::with_capacity(BATCH_RECORDS);
        while items.peek().is_some() {
            self.reserve(RECORD_BYTES);
            let text = &mut self.chunk;
            while ranges.len() < BATCH_RECORDS
                && text.capacity() - text.len() >= RECORD_BYTES
                && let Some(item) = items.next()
            {
                let from = text.len();
                let key = write(text, item);
                ranges.push((from..text.len(), key));
            }
            let all = text.split().freeze();
            ranges.drain(..).for_each(|(value, key)| each(all.slice(key), all.slice(value)));
        }
    }

    /// Writes a record as JSON.
    pub(super) fn json(&mut self, record: &impl Serialize) -> Bytes {
        self.record(|text| write_json(text, record))
    }

    fn reserve(&mut self, bytes: usize) {
        if self.chunk.capacity() < bytes {
            self.replace_chunk(bytes);
        }
    }

    /// Begins a chunk of at least so many bytes: one that the log has dropped, or a new one.
    fn replace_chunk(&mut self, bytes: usize) {
        let bytes = bytes.max(CHUNK_BYTES);
        let reusable = self.sent.iter_mut().position(|chunk| chunk.try_reclaim(bytes));
        let next = match reusable {
            Some(index) => self.sent.remove(index),
            None => BytesMut::with_capacity(bytes),
        };
        let full = std::mem::replace(&mut self.chunk, next);
        // The oldest is held for long, or too small because it was grown for one record.
        if self.sent.len() == MAX_CHUNKS {
            self.sent.remove(0);
        }
        self.sent.push(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_stays_as_it_is_while_it_is_held() {
        let mut arena = RecordArena::default();
        let large = vec![b'x'; CHUNK_BYTES - 3];
        let held: Vec<Bytes> =
            (0..9_u8).map(|number| arena.write(&[&[number], &large, b"end"])).collect();
        for (number, text) in (0..9_u8).zip(&held) {
            assert_eq!((text[0], text.len()), (number, CHUNK_BYTES + 1));
            assert!(text.ends_with(b"xend"));
        }
        assert_eq!(&arena.json(&("a\"b", 7))[..], br#"["a\"b",7]"#);
    }

    #[test]
    fn pieces_are_cut_where_they_end() {
        let mut arena = RecordArena::default();
        let [one, none, two] = arena.pieces(|text| {
            text.extend_from_slice(b"onetwo");
            [3, 3, 6]
        });
        assert_eq!([&one[..], &none[..], &two[..]], [&b"one"[..], b"", b"two"]);
    }

    #[test]
    fn records_with_keys_are_those_written_whatever_their_length() {
        let mut arena = RecordArena::default();
        // Now and then one is longer than what is left of its chunk, and one longer than any chunk.
        let length =
            |number: usize| if number % 90 == 89 { 1_200_000 } else { number * 377 % 9_001 };
        let lengths: Vec<usize> = (0..800).map(length).collect();
        let (mut next, mut rest) = (0, lengths.iter());
        let write = |text: &mut BytesMut, length: &usize| {
            text.extend_from_slice(b"<key>");
            let key = text.len() - 4..text.len() - 1;
            text.resize(text.len() + length, b'x');
            key
        };
        arena.keyed(lengths.iter(), write, |key, value| {
            assert_eq!((&key[..], value.len()), (&b"key"[..], 5 + rest.next().unwrap()), "{next}");
            assert!(value.starts_with(b"<key>") && value[5..].iter().all(|byte| *byte == b'x'));
            next += 1;
        });
        assert_eq!(next, lengths.len());
    }

    #[test]
    fn chunks_that_were_let_go_are_used_again() {
        let mut arena = RecordArena::default();
        let text = vec![b'x'; CHUNK_BYTES / 4];
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let flush: Vec<Bytes> = (0..12).map(|_| arena.write(&[&text])).collect();
            addresses.extend(flush.iter().map(|written| written.as_ptr()));
        }
        assert!(addresses.len() <= 5 * 4, "{} addresses", addresses.len());
        assert!(arena.sent.len() <= 4);
    }

    #[test]
    fn chunks_in_which_a_record_found_too_little_room_are_used_again_too() {
        let mut arena = RecordArena::default();
        for _ in 0..20 * MAX_CHUNKS {
            arena.record(|text| text.resize(62_000, b'x'));
        }
        assert!(arena.sent.iter_mut().any(|chunk| chunk.try_reclaim(CHUNK_BYTES)));
        assert!(arena.sent.len() <= 4, "{} chunks", arena.sent.len());
    }

    #[test]
    fn chunks_that_the_log_keeps_are_forgotten() {
        let mut arena = RecordArena::default();
        let text = vec![b'x'; CHUNK_BYTES];
        let kept: Vec<Bytes> = (0..2 * MAX_CHUNKS).map(|_| arena.write(&[&text])).collect();
        assert_eq!((kept.len(), arena.sent.len()), (2 * MAX_CHUNKS, MAX_CHUNKS));
    }
}
