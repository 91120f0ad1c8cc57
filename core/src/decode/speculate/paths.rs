//! What stood between one value and the next, learned from the texts before.
//!
//! For each state four ways on are kept; a new one takes the place of the oldest. The memory is some eighty
//! kilobytes whatever is sent: a sender who changes his ways at every event only makes others read names once more.

use super::block::{SPAN, covers};
use super::grammar::STATES;

/// Longest stretch that is learned, bytes.
const LONGEST: usize = 96;
/// Ways that are kept for a state.
const WAYS: usize = 4;

/// What a way leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The first byte of a text.
    Text,
    /// The first digit of an integer.
    Integer,
    True,
    False,
    /// What follows a null or an empty list.
    Nothing,
    /// What follows the event.
    End,
    /// One of these, in another object.
    Turn,
}

/// A step from one value to the next: objects that end and begin between the two, and the field of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Which member follows, as a bit.
    pub(super) bit: u32,
    /// Bytes of the stretch.
    pub(super) length: u8,
    pub(super) then: Then,
    /// The place of the member's slot in the frame.
    pub(super) slot: u8,
    /// Which state follows the value.
    pub(super) state: u8,
    pub(super) turn: Turn,
}

impl Turn {
    /// Tells whether one object ends, and the next of the same list begins.
    #[inline]
    pub(super) fn is_only_next(self) -> bool {
        self.ends == 1 && self.is_next && self.begins == 0
    }
}

impl Step {
    /// Makes a step over a stretch, which must not be longer than what is learned.
    pub(super) fn new(length: usize, field: u8, state: u8, turn: Turn) -> Option<Self> {
        if length > LONGEST {
            return None;
        }
        let bit = if turn.then == Then::End { 0 } else { 1 << field };
        let then = if turn.ends == 0 && turn.begins == 0 { turn.then } else { Then::Turn };
        let length = u8::try_from(length).ok()?;
        Some(Self { bit, length, then, slot: 1 + field, state, turn })
    }
}

/// Objects that end and begin between two values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// What follows then.
    pub(super) then: Then,
    /// How many objects end.
    pub(super) ends: u8,
    /// Whether then the next object of the same list begins.
    pub(super) is_next: bool,
    /// How many objects begin then, each in the one before.
    pub(super) begins: u8,
    /// The fields that they are in.
    pub(super) fields: [u8; 2],
}

/// A stretch of text that was met before, and where it led.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Way {
    /// The bytes of the stretch, whatever behind its end; none that a text has where it is longer.
    bytes: [u8; SPAN],
    /// The bytes beyond the stretch, a bit for each.
    beyond: u32,
    step: Step,
    /// Where the bytes of a longer stretch are.
    place: u8,
}

impl Way {
    /// A way that no text takes, as UTF-8 has no such bytes.
    const NONE: Self = Self {
        bytes: [u8::MAX; SPAN],
        beyond: 0,
        step: Step {
            bit: 0,
            length: 0,
            then: Then::End,
            slot: 0,
            state: 0,
            turn: Turn { then: Then::End, ends: 0, is_next: false, begins: 0, fields: [0; 2] },
        },
        place: 0,
    };

    /// Tells whether it is a longer one, and a text goes on like it.
    fn is_long_and_taken(&self, long: &[[u8; LONGEST]; WAYS], text: &[u8]) -> bool {
        let length = usize::from(self.step.length);
        let long = long.get(usize::from(self.place)).and_then(|long| long.get(..length));
        length > SPAN && long.is_some_and(|long| text.starts_with(long))
    }
}

/// The ways on from a state. The first two are those taken or learned last, but that these two keep their order.
type Fork = [Way; WAYS];

/// All ways that were learned.
#[derive(Debug)]
pub(super) struct Paths {
    forks: Box<[Fork; STATES]>,
    /// The bytes of longer stretches, each at its way's place.
    long: Box<[[[u8; LONGEST]; WAYS]; STATES]>,
}

impl Default for Paths {
    #[expect(
        clippy::large_stack_arrays,
        reason = "made once for a decoder, and not deep in the stack"
    )]
    fn default() -> Self {
        let mut fork = [Way::NONE; WAYS];
        for (way, place) in fork.iter_mut().zip(0..) {
            way.place = place;
        }
        Self { forks: Box::new([fork; STATES]), long: Box::new([[[0; LONGEST]; WAYS]; STATES]) }
    }
}

impl Paths {
    /// Returns the step of the first way on from a state, if a text takes it.
    #[expect(clippy::inline_always, reason = "a call for each value costs the scan a third")]
    #[inline(always)]
    pub(super) fn step(&self, state: usize, text: &[u8], at: u32) -> Option<&Step> {
        let way = &self.forks[state % STATES][0];
        covers(&way.bytes, way.beyond, text, at).then_some(&way.step)
    }

    /// The same for the second way.
    #[expect(
        clippy::inline_always,
        reason = "a list's last object alone ends in another way than the others"
    )]
    #[inline(always)]
    pub(super) fn second_step(&self, state: usize, text: &[u8], at: u32) -> Option<&Step> {
        let way = &self.forks[state % STATES][1];
        covers(&way.bytes, way.beyond, text, at).then_some(&way.step)
    }

    /// Returns the step that was taken before from a state over the same bytes, and has it tried first from now on.
    #[cold]
    #[inline(never)]
    pub(super) fn other_step(&mut self, state: usize, text: &[u8], at: u32) -> Option<&Step> {
        let (fork, long) = (&mut self.forks[state % STATES], &self.long[state % STATES]);
        let taken = |way: &Way| covers(&way.bytes, way.beyond, text, at);
        let [_first, _second, others @ ..] = &*fork;
        let place = others.iter().position(taken).map(|place| place + 2).or_else(|| {
            let rest = text.get(at as usize..)?;
            fork.iter().position(|way| way.is_long_and_taken(long, rest))
        })?;
        fork.swap(0, place);
        Some(&fork[0].step)
    }

    /// Learns a way, in place of one that was not taken for longer, and has it tried first.
    pub(super) fn learn(&mut self, state: usize, stretch: &[u8], step: Step) {
        let (fork, long) = (&mut self.forks[state % STATES], &mut self.long[state % STATES]);
        fork.rotate_right(1);
        let place = fork[0].place;
        let mut way = Way { step, place, ..Way::NONE };
        if let Some(bytes) = way.bytes.get_mut(..stretch.len()) {
            bytes.copy_from_slice(stretch);
            way.beyond = u32::MAX.checked_shl(u32::from(step.length)).unwrap_or_default();
        } else if let Some(long) = long.get_mut(usize::from(place)) {
            for (byte, known) in long.iter_mut().zip(stretch) {
                *byte = *known;
            }
        }
        fork[0] = way;
    }
}
