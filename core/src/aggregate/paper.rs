//! Memory for what a flush writes: keys and values of records, one behind the other in chunks.
//!
//! A record's text is a slice of a chunk, so writing one allocates nothing. A chunk is used again once
//! the log has let go of every slice of it, so a flush finds the memory of the last one warm. It
//! holds at most what is on its way to the log at once, which the bounds of a flush bound too.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::outputs::write_json;

/// Size in which memory is asked for.
const CHUNK_BYTES: usize = 1 << 20;
/// Room that most records find enough; one that does not makes its own.
const RECORD_BYTES: usize = 4 << 10;
/// Chunks kept to be used again; what a log holds on to for longer is its own to free.
const CHUNKS: usize = 128;

/// Chunks being written, and chunks on their way to the log.
#[derive(Debug, Default)]
pub(super) struct Paper {
    chunk: BytesMut,
    sent: Vec<BytesMut>,
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

    /// Has a record written that will mostly be short; returns it and what its writer says of it.
    pub(super) fn record<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> (Bytes, T) {
        self.make_room(RECORD_BYTES);
        let said = write(&mut self.chunk);
        (self.chunk.split().freeze(), said)
    }

    /// Writes a record as JSON.
    pub(super) fn json(&mut self, record: &impl Serialize) -> Bytes {
        self.record(|text| write_json(text, record)).0
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
            Some(place) => self.sent.swap_remove(place),
            None => BytesMut::with_capacity(bytes),
        };
        let full = std::mem::replace(&mut self.chunk, next);
        if self.sent.len() < CHUNKS {
            self.sent.push(full);
        }
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
    fn chunks_that_the_log_keeps_are_forgotten() {
        let mut paper = Paper::default();
        let text = vec![b'x'; CHUNK_BYTES];
        let kept: Vec<Bytes> = (0..2 * CHUNKS).map(|_| paper.write(&[&text])).collect();
        assert_eq!((kept.len(), paper.sent.len()), (2 * CHUNKS, CHUNKS));
    }
}
