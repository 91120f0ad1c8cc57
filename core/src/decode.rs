//! Bytes to [`Event`]: the reference decoder.
//!
//! simd-json builds its tape from a private copy of the text, in buffers that are used again; a walk
//! over the tape in the order of the schema checks every rule, fills the typed event and collects
//! what its content hash covers. What a rule refuses comes back as a [`Refusal`] with a stable [`Code`],
//! a JSON pointer, and whose event it was.
//!
//! It does not know tenants: whether `tenant` is the key's own is the gateway's question. It does not
//! compare totals: see [`crate::check`]. It allocates nothing for an event once its buffers have
//! grown, provided that [`Event::into_spare`] brings back what the event held.
//!
//! Stands first in the event's path, in the gateway; the aggregator and sinks read the journal by it again.

mod fields;
mod header;
mod kinds;
mod line;
mod members;
mod parts;
mod place;
mod refusal;
mod sorted;
mod speculate;
mod tape;
mod unknown;

use simd_json::{Buffers, ErrorType, Tape};

use crate::card::CardRules;
use crate::event::{Event, Spare};
use crate::hash::Fingerprint;
use speculate::Speculation;

pub use refusal::{Code, PartialIdentity, Refusal};
pub use speculate::Found;

/// Longest event, in bytes of its text.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Deepest nesting of objects and arrays, the event itself included.
pub const MAX_DEPTH: usize = 64;
/// Most lines of an event.
pub const MAX_LINES: usize = 2_000;
/// Most tenders of an event.
pub const MAX_TENDERS: usize = 100;

/// Decodes events one after the other, in buffers of its own.
pub struct Decoder {
    /// What was learned of the texts before; none in a reference decoder.
    speculation: Option<Speculation>,
    text: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    scratch: Scratch,
    spare: Spare,
}

/// What a walk over one event writes into.
#[derive(Debug, Default)]
struct Scratch {
    fingerprint: Fingerprint,
    /// Line numbers with their places, or members of an object, to be sorted.
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
            .field("buffer_bytes", &self.text.capacity())
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// Makes a decoder. Its buffers grow to fit the largest event met, which [`MAX_EVENT_BYTES`] bounds.
    pub fn new() -> Self {
        Self { speculation: Some(Speculation::default()), ..Self::reference() }
    }

    /// Makes a decoder that does not speculate, to be compared with.
    pub fn reference() -> Self {
        Self {
            speculation: None,
            text: Vec::new(),
            buffers: Buffers::with_max_depth(4_096, MAX_DEPTH),
            tape: Tape(Vec::new()),
            scratch: Scratch::default(),
            spare: Spare::default(),
        }
    }

    /// Decodes an event that was admitted before, as it stands in the journal.
    ///
    /// # Errors
    /// The first rule that the text breaks: those of JSON's grammar, then those of the schema in its
    /// order; a repeated member is found when its object is reached.
    pub fn decode<'d>(&'d mut self, text: &'d [u8]) -> Result<Event<'d>, Refusal> {
        self.run::<true>(text, None)
    }

    /// Decodes an event whose content hash is known, which spares making it: [`Event::hash`] means nothing then.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_unhashed<'d>(&'d mut self, text: &'d [u8]) -> Result<Event<'d>, Refusal> {
        self.run::<false>(text, None)
    }

    /// Decodes an event from outside: the same, and card data anywhere in it is refused.
    ///
    /// A tenant that masks gives its text to [`card::mask`](crate::card::mask) first.
    ///
    /// # Errors
    /// As [`Self::decode`], and [`Code::CardData`] or [`Code::AuthenticationData`].
    pub fn admit<'d>(
        &'d mut self,
        text: &'d [u8],
        cards: &CardRules,
    ) -> Result<Event<'d>, Refusal> {
        self.run::<true>(text, Some(cards))
    }

    /// Finds where the members of an event stand, which is the first half of decoding one of a usual shape.
    ///
    /// `None` where the text is of another shape, or no event at all: that takes a whole [`Self::decode`] to say.
    pub fn find<'d>(&'d mut self, text: &'d [u8]) -> Option<Found<'d>> {
        self.speculation.as_mut()?.find(text)
    }

    /// Takes back what an event held, so that the next one need not allocate.
    pub fn reuse(&mut self, spare: Spare) {
        self.spare = spare;
    }

    fn run<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
        cards: Option<&CardRules>,
    ) -> Result<Event<'d>, Refusal> {
        if text.len() > MAX_EVENT_BYTES {
            return Err(Refusal::whole(Code::EventTooLarge));
        }
        if let Some(speculation) = &mut self.speculation
            && let Some(event) =
                speculation.read::<HASHED>(text, &mut self.scratch, cards, &mut self.spare)
        {
            return Ok(event);
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = simd_json::fill_tape(&mut self.text, &mut self.buffers, &mut tape);
        let event = match filled {
            Ok(()) => header::event(&tape.0, &mut self.scratch, cards, &mut self.spare),
            Err(error) => Err(Refusal::whole(malformed(text, error.error()))),
        };
        self.tape = tape.reset();
        event
    }
}

/// Says what is wrong with a text that simd-json refused.
#[cold]
fn malformed(text: &[u8], error: &ErrorType) -> Code {
    if std::str::from_utf8(text).is_err() {
        return Code::InvalidUtf8;
    }
    match error {
        ErrorType::DepthLimitExceeded => Code::TooDeep,
        // A number may be well-formed and yet be more than 64 bits or a double can hold.
        ErrorType::InvalidNumber if is_json(text) => Code::NumberOutOfRange,
        _ => Code::InvalidJson,
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
