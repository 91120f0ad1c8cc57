//! Splits a streamed batch into the texts of its events, without parsing them.
//!
//! A body is NDJSON or one JSON array. The splitter owns the bytes that were read and not yet
//! evaluated: at most one chunk and one unfinished event. It only finds where events begin and end; the
//! decoder parses them, so that one malformed event is refused alone. An event over the limit is
//! reported once and its bytes are dropped as they come.
//!
//! Comes between the (decompressed) body and the decoder.

mod array;
mod lines;

use std::ops::Range;

use array::ArrayState;

/// Byte order mark, stripped at the start of a body and of a line.
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How events follow one another in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON text a line; empty lines are skipped.
    Lines,
    /// One JSON array.
    Array,
}

/// What the splitter found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// The text of one event, by its place in [`Splitter::text`].
    Event(Range<usize>),
    /// An event over the limit; its text was not kept.
    TooLarge,
}

/// The array around the events is not JSON; the events before were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("JSON array around the events is malformed or ends early")]
pub struct Malformed;

/// An incremental splitter of one body.
#[derive(Debug)]
pub struct Splitter {
    format: Format,
    max_event_bytes: usize,
    max_pieces: usize,
    text: Vec<u8>,
    /// Everything before was scanned.
    scanned: usize,
    /// Where the unfinished event begins.
    start: usize,
    /// The unfinished event is over the limit: its bytes go as they come.
    skipping: bool,
    /// The start of the body was checked for a byte order mark.
    begun: bool,
    array: ArrayState,
    pieces: Vec<Piece>,
}

impl Splitter {
    /// Makes a splitter for one body.
    ///
    /// An event may have `max_event_bytes`; [`scan`](Self::scan) stops at `max_pieces` until they
    /// are taken.
    pub fn new(format: Format, max_event_bytes: usize, max_pieces: usize) -> Self {
        Self {
            format,
            max_event_bytes,
            max_pieces,
            text: Vec::new(),
            scanned: 0,
            start: 0,
            skipping: false,
            begun: false,
            array: ArrayState::default(),
            pieces: Vec::new(),
        }
    }

    /// Returns the buffer to append what was read to.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Scans the appended bytes. Returns true when it scanned all of them, false when it stopped
    /// because the pieces must be taken first. `ended` tells that the body is complete.
    ///
    /// # Errors
    /// [`Malformed`] when the array around the events is; pieces found before it stay.
    pub fn scan(&mut self, ended: bool) -> Result<bool, Malformed> {
        if !self.begun && !self.begin(ended) {
            return Ok(true);
        }
        let done = match self.format {
            Format::Lines => self.scan_lines(ended),
            Format::Array => self.scan_array(ended)?,
        };
        if !self.skipping && self.text.len() - self.start > self.max_event_bytes && done {
            self.skipping = true;
            self.pieces.push(Piece::TooLarge);
        }
        Ok(done)
    }

    /// Returns the pieces found since the last [`advance`](Self::advance), in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Returns the bytes that the pieces' places refer to.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns how many bytes [`advance`](Self::advance) would forget: pieces, and what is none.
    pub fn ready_bytes(&self) -> usize {
        if self.skipping { self.scanned } else { self.start }
    }

    /// Forgets the pieces and the bytes that are no longer needed.
    pub fn advance(&mut self) {
        let kept_from = self.ready_bytes();
        self.pieces.clear();
        self.text.drain(..kept_from);
        self.scanned -= kept_from;
        self.start = 0;
    }

    /// Strips a byte order mark; false while too little is known.
    fn begin(&mut self, ended: bool) -> bool {
        let known = self.text.len().min(BOM.len());
        if known < BOM.len() && self.text[..known] == BOM[..known] && !ended {
            return false;
        }
        self.begun = true;
        if self.text.starts_with(&BOM) {
            self.scanned = BOM.len();
            self.start = BOM.len();
        }
        true
    }

    /// Strips a byte order mark from a line: files that were each written with one are joined by appending them.
    fn without_mark(&self, event: Range<usize>) -> Range<usize> {
        let is_marked = self.format == Format::Lines
            && self.text.get(event.clone()).is_some_and(|text| text.starts_with(&BOM));
        if is_marked { trimmed(&self.text, event.start + BOM.len()..event.end) } else { event }
    }

    /// Takes note of an event that ends before `end`, and looks on from `next`.
    fn finish(&mut self, end: usize, next: usize) {
        if self.skipping {
            self.skipping = false;
        } else {
            let event = trimmed(&self.text, self.start..end);
            let event = self.without_mark(event);
            if event.len() > self.max_event_bytes {
                self.pieces.push(Piece::TooLarge);
            } else if !event.is_empty() {
                self.pieces.push(Piece::Event(event));
            }
        }
        self.start = next;
        self.scanned = next;
    }
}

/// Narrows a range by the JSON whitespace at both ends.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let slice = &text[range.clone()];
    let Some(first) = slice.iter().position(is_text) else { return range.end..range.end };
    let last = slice.iter().rposition(is_text).unwrap_or(first);
    range.start + first..range.start + last + 1
}

#[cfg(test)]
mod tests;
