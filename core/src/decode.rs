//! Bytes to [`Event`]: the decoder, with a fast path and a reference path of the same rules.
//!
//! The fast path (`fast_path`) decodes events of a usual shape. All others, and every rejected one, take the reference path:
//! simd-json builds a tape from a private copy of the text, in buffers that are used again. The rules then read the members
//! in the order of the schema, fill the typed event and hash its content. A broken rule gives a [`Rejection`]: a stable
//! [`RejectCode`], a JSON pointer, and the identity of the event.
//!
//! The decoder does not know tenants: the gateway checks that `tenant` is the key's own. It does not compare totals: see
//! [`crate::check`]. It allocates nothing for an event once its buffers have grown, provided that the caller returns the
//! event's lists by [`Event::into_buffers`] and [`Decoder::reuse`].
//!
//! Decoding is the first step of an event's path, in the gateway; the aggregator and sinks decode the journal with it again.

mod details;
mod event_fields;
mod fast_path;
mod fields;
mod header;
mod json_pointer;
mod kinds;
mod line;
mod members;
mod parts;
mod rejection;
mod sorted_members;
mod tape;
mod unknown_members;

use simd_json::{Buffers, ErrorType, Node, Tape};

use crate::card::CardRules;
use crate::content_hash::Fingerprint;
use crate::event::{Event, EventBuffers};
use fast_path::FastPath;

pub use crate::reject_code::RejectCode;
pub use fast_path::MemberIndex;
pub use rejection::{PartialIdentity, Rejection};

/// Longest event, in bytes of its text.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Deepest nesting of objects and arrays, the event itself included.
pub const MAX_DEPTH: usize = 64;
/// Most lines of an event.
pub const MAX_LINES: usize = 2_000;
/// Most tenders of an event.
pub const MAX_TENDERS: usize = 100;
/// Most amounts that an event declares.
pub const MAX_DECLARATIONS: usize = 200;
/// Most approvals of an event.
pub const MAX_APPROVALS: usize = 32;
/// Most components of a line.
pub const MAX_COMPONENTS: usize = 100;

/// Decodes events one after the other, in its own buffers.
pub struct Decoder {
    /// Absent in a reference decoder.
    fast_path: Option<FastPath>,
    tape_reader: TapeReader,
    scratch: Scratch,
    event_buffers: EventBuffers,
}

/// Builds the tapes of texts, in buffers that are used again.
struct TapeReader {
    text: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

/// A text that breaks a rule of the schema and may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LooseEvent<'d> {
    /// The loyalty id, which a tenant may want hashed.
    pub loyalty_id: Option<&'d str>,
    /// A loyalty id was given that is no text.
    pub is_loyalty_id_unclear: bool,
}

/// Memory that decoding one event writes into.
#[derive(Debug, Default)]
struct Scratch {
    fingerprint: Fingerprint,
    /// Line numbers with their indices, to be sorted.
    order: Vec<u64>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("buffer_bytes", &self.tape_reader.text.capacity())
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// Makes a decoder. Its buffers grow to fit the largest event met, which [`MAX_EVENT_BYTES`] bounds.
    pub fn new() -> Self {
        Self { fast_path: Some(FastPath::default()), ..Self::reference() }
    }

    /// Makes a decoder without the fast path, to be compared with.
    pub fn reference() -> Self {
        Self {
            fast_path: None,
            tape_reader: TapeReader {
                text: Vec::new(),
                buffers: Buffers::with_max_depth(4_096, MAX_DEPTH),
                tape: Tape(Vec::new()),
            },
            scratch: Scratch::default(),
            event_buffers: EventBuffers::default(),
        }
    }

    /// Decodes an event that was admitted before, as the journal has it.
    ///
    /// # Errors
    /// The first rule that the text breaks: those of JSON's grammar, then those of the schema in its
    /// order; a repeated member is found when its object is reached.
    pub fn decode<'d>(&'d mut self, text: &'d [u8]) -> Result<Event<'d>, Rejection> {
        self.run::<true>(text, None)
    }

    /// Decodes an event without its content hash, which the caller knows: [`Event::hash`] is meaningless then.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_unhashed<'d>(&'d mut self, text: &'d [u8]) -> Result<Event<'d>, Rejection> {
        self.run::<false>(text, None)
    }

    /// Decodes an event from outside: the same, and card data anywhere in it is refused.
    ///
    /// A tenant that masks gives its text to [`card::mask`](crate::card::mask) first.
    ///
    /// # Errors
    /// As [`Self::decode`], and [`RejectCode::CardData`] or [`RejectCode::AuthenticationData`].
    pub fn admit<'d>(
        &'d mut self,
        text: &'d [u8],
        cards: &CardRules,
    ) -> Result<Event<'d>, Rejection> {
        self.run::<true>(text, Some(cards))
    }

    /// Checks a text that breaks a rule of the schema, so that it may be kept all the same: it is JSON, no object in it names a
    /// member twice (RFC 7493, section 2.3), and it holds no card data.
    ///
    /// # Errors
    /// [`RejectCode::CardData`] or [`RejectCode::AuthenticationData`], or what is wrong with it as JSON.
    pub fn check_loose<'d>(
        &'d mut self,
        text: &[u8],
        cards: &CardRules,
    ) -> Result<LooseEvent<'d>, Rejection> {
        if text.len() > MAX_EVENT_BYTES {
            return Err(Rejection::whole(RejectCode::EventTooLarge));
        }
        let scratch = &mut self.scratch;
        self.tape_reader.read(text, |tape| header::loose_event(tape, scratch, cards))
    }

    /// Indexes the members of an event, which is the first half of decoding one of a usual shape.
    ///
    /// `None` where the shape is unusual or the text is no event: only [`Self::decode`] tells which.
    pub fn index_members<'d>(&'d mut self, text: &'d [u8]) -> Option<MemberIndex<'d>> {
        self.fast_path.as_mut()?.index_members(text)
    }

    /// Takes back the lists of an event, so that the next one need not allocate.
    pub fn reuse(&mut self, event_buffers: EventBuffers) {
        self.event_buffers = event_buffers;
    }

    fn run<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
        cards: Option<&CardRules>,
    ) -> Result<Event<'d>, Rejection> {
        if text.len() > MAX_EVENT_BYTES {
            return Err(Rejection::whole(RejectCode::EventTooLarge));
        }
        if let Some(fast_path) = &mut self.fast_path
            && let Some(event) =
                fast_path.decode::<HASHED>(text, &mut self.scratch, cards, &mut self.event_buffers)
        {
            return Ok(event);
        }
        let Self { tape_reader, scratch, event_buffers, .. } = self;
        tape_reader.read(text, |tape| header::event(tape, scratch, cards, event_buffers))
    }
}

impl TapeReader {
    /// Builds the tape of a text and reads it.
    fn read<'d, T>(
        &'d mut self,
        text: &[u8],
        read: impl FnOnce(&[Node<'d>]) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.text.clear();
        self.text.extend_from_slice(text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = simd_json::fill_tape(&mut self.text, &mut self.buffers, &mut tape);
        let outcome = match filled {
            Ok(()) => read(&tape.0),
            Err(error) => Err(Rejection::whole(malformed(text, error.error()))),
        };
        self.tape = tape.reset();
        outcome
    }
}

/// Returns the code for a text that simd-json does not accept.
#[cold]
fn malformed(text: &[u8], error: &ErrorType) -> RejectCode {
    if std::str::from_utf8(text).is_err() {
        return RejectCode::InvalidUtf8;
    }
    match error {
        ErrorType::DepthLimitExceeded => RejectCode::TooDeep,
        // A number may be well-formed and yet be more than 64 bits or a double can hold.
        ErrorType::InvalidNumber if is_json(text) => RejectCode::NumberOutOfRange,
        _ => RejectCode::InvalidJson,
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
