//! Memory for what a flush writes: keys and values of records, one behind the other in chunks.
//!
//! A record's text is a slice of a chunk, so writing one allocates nothing. A chunk is used again once
//! the log has let go of every slice of it, so a flush finds the memory of the last one warm. It
//! holds at most what is on its way to the log at once, which the bounds of a flush bound too.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::outputs::write_json;

/// Size in which memory is asked for.
const CHUNK_BYTES: usize = 1 << 20;
/// Room that most records find enough.
const RECORD_BYTES: usize = 4 << 10;
/// Most room that is kept for a record; a longer one makes its own.
const MOST_ROOM: usize = CHUNK_BYTES / 4;
/// Chunks kept to be used again; what a log holds on to for longer is its own to free.
const CHUNKS: usize = 128;
/// Records that are written before they are taken apart.
const TOGETHER: usize = 64;

/// Chunks being written, and chunks on their way to the log.
#[derive(Debug)]
pub(super) struct Paper {
    chunk: BytesMut,
    sent: Vec<BytesMut>,
    /// What the longest record so far took. A chunk in which the next may not find as much is turned, as one that grows is lost.
    room: usize,
}

impl Default for Paper {
    fn default() -> Self {
        Self { chunk: BytesMut::new(), sent: Vec::new(), room: RECORD_BYTES }
    }
}

impl Paper {
    /// Writes parts, one behind the other.
    pub(super) fn write(&mut self, parts: &[&[u8]]) -> Bytes {
        self.make_room(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            self.chunk.extend_from_slice(part);
        }
        self.chunk.split().freeze()
    }

    /// Has a record written that will mostly be short.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        self.make_room(self.room);
        write(&mut self.chunk);
        self.room = self.room.max(self.chunk.len()).min(MOST_ROOM);
        self.chunk.split().freeze()
    }

    /// Has several pieces written one behind the other, and takes them apart where their writer says that they end.
    pub(super) fn pieces<const N: usize>(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> [usize; N],
    ) -> [Bytes; N] {
        let (mut from, mut ends) = (0, [0; N]);
        let all = self.record(|text| ends = write(text));
        ends.map(|end| all.slice(std::mem::replace(&mut from, end)..end))
    }

    /// Has a record written for each item, and hands it on with its key, whose place in it the writer tells.
    ///
    /// They are taken apart many at a time: before a holder of a chunk can be counted, the processor waits for all that was
    /// written to memory before, which after each record costs as much as its text.
    pub(super) fn keyed<I>(
        &mut self,
        items: impl Iterator<Item = I>,
        mut write: impl FnMut(&mut BytesMut, I) -> Range<usize>,
        mut each: impl FnMut(Bytes, Bytes),
    ) {
        let mut items = items.peekable();
        let mut places = Vec::with_capacity(TOGETHER);
        while items.peek().is_some() {
            self.make_room(RECORD_BYTES);
            let text = &mut self.chunk;
            while places.len() < TOGETHER
                && text.capacity() - text.len() >= RECORD_BYTES
                && let Some(item) = items.next()
            {
                let from = text.len();
                let key = write(text, item);
                places.push((from..text.len(), key));
            }
            let all = text.split().freeze();
            places.drain(..).for_each(|(value, key)| each(all.slice(key), all.slice(value)));
        }
    }

    /// Writes a record as JSON.
    pub(super) fn json(&mut self, record: &impl Serialize) -> Bytes {
        self.record(|text| write_json(text, record))
    }

    fn make_room(&mut self, bytes: usize) {
        if self.chunk.capacity() < bytes {
            self.turn(bytes);
        }
    }

    /// Begins a chunk with room for so many bytes: one that the log is done with, or a new one.
    fn turn(&mut self, bytes: usize) {
        let bytes = bytes.max(CHUNK_BYTES);
        let done = self.sent.iter_mut().position(|chunk| chunk.try_reclaim(bytes));
        let next = match done {
            Some(place) => self.sent.remove(place),
            None => BytesMut::with_capacity(bytes),
        };
        let full = std::mem::replace(&mut self.chunk, next);
        // The oldest is held for good, or too small: what a record made for itself.
        if self.sent.len() == CHUNKS {
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
        let mut paper = Paper::default();
        let large = vec![b'x'; CHUNK_BYTES - 3];
        let held: Vec<Bytes> =
            (0..9_u8).map(|number| paper.write(&[&[number], &large, b"end"])).collect();
        for (number, text) in (0..9_u8).zip(&held) {
            assert_eq!((text[0], text.len()), (number, CHUNK_BYTES + 1));
            assert!(text.ends_with(b"xend"));
        }
        assert_eq!(&paper.json(&("a\"b", 7))[..], br#"["a\"b",7]"#);
    }

    #[test]
    fn pieces_are_cut_where_they_end() {
        let mut paper = Paper::default();
        let [one, none, two] = paper.pieces(|text| {
            text.extend_from_slice(b"onetwo");
            [3, 3, 6]
        });
        assert_eq!([&one[..], &none[..], &two[..]], [&b"one"[..], b"", b"two"]);
    }

    #[test]
    fn records_with_keys_are_those_written_whatever_their_length() {
        let mut paper = Paper::default();
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
        paper.keyed(lengths.iter(), write, |key, value| {
            assert_eq!((&key[..], value.len()), (&b"key"[..], 5 + rest.next().unwrap()), "{next}");
            assert!(value.starts_with(b"<key>") && value[5..].iter().all(|byte| *byte == b'x'));
            next += 1;
        });
        assert_eq!(next, lengths.len());
    }

    #[test]
    fn chunks_that_were_let_go_are_used_again() {
        let mut paper = Paper::default();
        let text = vec![b'x'; CHUNK_BYTES / 4];
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let flush: Vec<Bytes> = (0..12).map(|_| paper.write(&[&text])).collect();
            addresses.extend(flush.iter().map(|written| written.as_ptr()));
        }
        assert!(addresses.len() <= 5 * 4, "{} places", addresses.len());
        assert!(paper.sent.len() <= 4);
    }

    #[test]
    fn chunks_in_which_a_record_found_too_little_room_are_used_again_too() {
        let mut paper = Paper::default();
        for _ in 0..20 * CHUNKS {
            paper.record(|text| text.resize(62_000, b'x'));
        }
        assert!(paper.sent.iter_mut().any(|chunk| chunk.try_reclaim(CHUNK_BYTES)));
        assert!(paper.sent.len() <= 4, "{} chunks", paper.sent.len());
    }

    #[test]
    fn chunks_that_the_log_keeps_are_forgotten() {
        let mut paper = Paper::default();
        let text = vec![b'x'; CHUNK_BYTES];
        let kept: Vec<Bytes> = (0..2 * CHUNKS).map(|_| paper.write(&[&text])).collect();
        assert_eq!((kept.len(), paper.sent.len()), (2 * CHUNKS, CHUNKS));
    }
}
