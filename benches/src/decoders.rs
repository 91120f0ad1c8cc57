//! Ways to read an event, each by its name: our decoders and their rivals.

use tillrace_core::card::CardRules;
use tillrace_core::decode::Decoder;

use crate::rivals::{self, Event, Taper};

/// Reads a text, and returns something of what was read, lest that be optimized away.
pub type Read = Box<dyn FnMut(&[u8]) -> u64>;

/// A way to read, by its name.
pub type Way = (&'static str, fn() -> Read);

/// The ways in the order of tables.
pub const WAYS: [Way; 8] = [
    ("fast_path_index", || index(Decoder::new())),
    ("simd_json_tape", || tape(rivals::walk)),
    ("simd_json_tape_only", || tape(rivals::count)),
    ("serde_json", || Box::new(typed)),
    ("fast_path", || decode(Decoder::new())),
    ("fast_path_admit", || admit(Decoder::new())),
    ("reference", || decode(Decoder::reference())),
    ("reference_admit", || admit(Decoder::reference())),
];

/// Returns a way by its name.
pub fn way(name: &str) -> Option<Read> {
    WAYS.iter().find(|(known, _)| *known == name).map(|(_, make)| make())
}

#[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
fn index(mut decoder: Decoder) -> Read {
    // What the fast path leaves to the reference is read as far as it would be: whole.
    Box::new(move |text| {
        if let Some(members) = decoder.index_members(text) {
            return members.sum();
        }
        let event = decoder.decode(text).expect("a good event");
        let seen = event.sequence.unwrap_or_default();
        let buffers = event.into_buffers();
        decoder.reuse(buffers);
        seen
    })
}

#[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
fn decode(mut decoder: Decoder) -> Read {
    Box::new(move |text| {
        let event = decoder.decode(text).expect("a good event");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "half of it shows as well that it was made"
        )]
        let seen = event.hash as u64;
        let buffers = event.into_buffers();
        decoder.reuse(buffers);
        seen
    })
}

#[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
fn admit(mut decoder: Decoder) -> Read {
    let cards = CardRules::default();
    Box::new(move |text| {
        let event = decoder.admit(text, &cards).expect("a good event");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "half of it shows as well that it was made"
        )]
        let seen = event.hash as u64;
        let buffers = event.into_buffers();
        decoder.reuse(buffers);
        seen
    })
}

fn tape(look: fn(&[simd_json::Node<'_>]) -> u64) -> Read {
    let mut taper = Taper::default();
    Box::new(move |text| taper.read(text, look))
}

#[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
fn typed(text: &[u8]) -> u64 {
    let event: Event<'_> = serde_json::from_slice(text).expect("a good event");
    event.sequence.unwrap_or_default() + event.lines.len() as u64
}
