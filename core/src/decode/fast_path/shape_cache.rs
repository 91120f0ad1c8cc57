//! The bytes between one value and the next, learned from earlier texts.
//!
//! The cache keeps four transitions for each state; a new one replaces the oldest. It takes some hundred and sixty kilobytes whatever
//! is sent: a sender whose shape changes with every event only has the names of its members read once more.

use super::block::{COMPARE_BYTES, matches_at};
use super::grammar::STATES;

/// Longest stretch between two values that is learned, bytes.
const MAX_STRETCH_BYTES: usize = 96;
/// Transitions that are kept for a state.
const TRANSITIONS_PER_STATE: usize = 4;

/// What follows a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextValue {
    /// The first byte of a text.
    Text,
    /// The first digit of an integer.
    Integer,
    True,
    False,
    /// Whatever follows a null or an empty list.
    Absent,
    /// Whatever follows the event.
    End,
    /// One of these, in another object.
    OtherObject,
}

/// The transition from one value to the next: which objects end and begin between the two, and the field of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transition {
    /// The next member, as a bit.
    pub(super) bit: u32,
    /// Bytes between the two values.
    pub(super) length: u8,
    pub(super) next: NextValue,
    /// The index of the member's slot in the frame.
    pub(super) slot: u8,
    /// The state after the next value.
    pub(super) state: u8,
    pub(super) nesting: NestingChange,
}

impl NestingChange {
    /// Tells whether one object ends, and the next of the same list begins.
    #[inline]
    pub(super) fn is_only_next_element(self) -> bool {
        self.ends == 1 && self.is_next_element && self.begins == 0
    }
}

impl Transition {
    /// Makes a transition over a stretch; `None` where the stretch is longer than what is learned.
    pub(super) fn new(length: usize, field: u8, state: u8, nesting: NestingChange) -> Option<Self> {
        if length > MAX_STRETCH_BYTES {
            return None;
        }
        let bit = if nesting.next == NextValue::End { 0 } else { 1 << field };
        let is_same_object = nesting.ends == 0 && nesting.begins == 0;
        let next = if is_same_object { nesting.next } else { NextValue::OtherObject };
        let length = u8::try_from(length).ok()?;
        Some(Self { bit, length, next, slot: 1 + field, state, nesting })
    }
}

/// The objects that end and begin between two values.
#[derive(Debug, Clone, Copy)]
pub(super) struct NestingChange {
    /// What follows after them.
    pub(super) next: NextValue,
    /// How many objects end.
    pub(super) ends: u8,
    /// Whether the next object of the same list begins after that.
    pub(super) is_next_element: bool,
    /// How many objects begin after that, each inside the one before.
    pub(super) begins: u8,
    /// The fields that they are in.
    pub(super) fields: [u8; 2],
}

/// A stretch of text between two values, and the transition over it.
#[derive(Debug, Clone, Copy)]
// A cache line each: the scan touches one for nearly every value.
#[repr(align(64))]
struct CachedTransition {
    /// The bytes of the stretch, then arbitrary ones. Of a longer stretch, bytes that no text contains.
    bytes: [u8; COMPARE_BYTES],
    /// A bit for each of the bytes behind the stretch.
    ignored: u32,
    transition: Transition,
    /// Which entry of `long_stretches` holds the bytes of a longer stretch.
    long_index: u8,
}

impl CachedTransition {
    /// A transition that no text takes, as these bytes do not occur in UTF-8.
    const NONE: Self = Self {
        bytes: [u8::MAX; COMPARE_BYTES],
        ignored: 0,
        transition: Transition {
            bit: 0,
            length: 0,
            next: NextValue::End,
            slot: 0,
            state: 0,
            nesting: NestingChange {
                next: NextValue::End,
                ends: 0,
                is_next_element: false,
                begins: 0,
                fields: [0; 2],
            },
        },
        long_index: 0,
    };

    /// Tells whether its stretch is a longer one, and a text begins with it.
    fn is_long_prefix_of(
        &self,
        text: &[u8],
        long_stretches: &[[u8; MAX_STRETCH_BYTES]; TRANSITIONS_PER_STATE],
    ) -> bool {
        let length = usize::from(self.transition.length);
        let long = long_stretches.get(usize::from(self.long_index));
        let long = long.and_then(|long| long.get(..length));
        length > COMPARE_BYTES && long.is_some_and(|long| text.starts_with(long))
    }
}

/// The transitions from one state, the one that was learned or moved to the front last before the others.
type TransitionSet = [CachedTransition; TRANSITIONS_PER_STATE];

/// All transitions that were learned.
#[derive(Debug)]
pub(super) struct ShapeCache {
    states: Box<[TransitionSet; STATES]>,
    /// The bytes of stretches that are longer than `COMPARE_BYTES`, apart so that a transition fits a cache line.
    long_stretches: Box<[[[u8; MAX_STRETCH_BYTES]; TRANSITIONS_PER_STATE]; STATES]>,
}

impl Default for ShapeCache {
    #[expect(
        clippy::large_stack_arrays,
        reason = "made once for a decoder, and not deep in the stack"
    )]
    fn default() -> Self {
        let mut set = [CachedTransition::NONE; TRANSITIONS_PER_STATE];
        for (cached, index) in set.iter_mut().zip(0..) {
            cached.long_index = index;
        }
        Self {
            states: Box::new([set; STATES]),
            long_stretches: Box::new([[[0; MAX_STRETCH_BYTES]; TRANSITIONS_PER_STATE]; STATES]),
        }
    }
}

impl ShapeCache {
    /// Returns the first transition from a state, if a text takes it.
    #[expect(clippy::inline_always, reason = "a call for each value costs the scan a third")]
    #[inline(always)]
    pub(super) fn first(&self, state: usize, text: &[u8], at: u32) -> Option<&Transition> {
        // The remainder of a power of two is a mask, and spares the check of bounds.
        let cached = &self.states[state % STATES][0];
        matches_at(&cached.bytes, cached.ignored, text, at).then_some(&cached.transition)
    }

    /// Returns the second transition from a state, if a text takes it. It stays second: the last object of a list
    /// ends in another way than those before it, so that the two would swap places in every list.
    #[expect(clippy::inline_always, reason = "every list with several elements ends with it")]
    #[inline(always)]
    pub(super) fn second(&self, state: usize, text: &[u8], at: u32) -> Option<&Transition> {
        let cached = &self.states[state % STATES][1];
        matches_at(&cached.bytes, cached.ignored, text, at).then_some(&cached.transition)
    }

    /// Returns any other transition that a text takes from a state, and moves it to the front.
    #[cold]
    #[inline(never)]
    pub(super) fn other(&mut self, state: usize, text: &[u8], at: u32) -> Option<&Transition> {
        let set = &mut self.states[state % STATES];
        let long_stretches = &self.long_stretches[state % STATES];
        let is_taken =
            |cached: &CachedTransition| matches_at(&cached.bytes, cached.ignored, text, at);
        let [_first, _second, others @ ..] = &*set;
        let index = others.iter().position(is_taken).map(|index| index + 2).or_else(|| {
            let rest = text.get(at as usize..)?;
            set.iter().position(|cached| cached.is_long_prefix_of(rest, long_stretches))
        })?;
        set.swap(0, index);
        Some(&set[0].transition)
    }

    /// Learns a transition in place of the last one, and moves it to the front.
    pub(super) fn learn(&mut self, state: usize, stretch: &[u8], transition: Transition) {
        let set = &mut self.states[state % STATES];
        set.rotate_right(1);
        let long_index = set[0].long_index;
        let mut cached = CachedTransition { transition, long_index, ..CachedTransition::NONE };
        if let Some(bytes) = cached.bytes.get_mut(..stretch.len()) {
            bytes.copy_from_slice(stretch);
            cached.ignored = u32::MAX.checked_shl(u32::from(transition.length)).unwrap_or_default();
        } else if let Some(long) =
            self.long_stretches[state % STATES].get_mut(usize::from(long_index))
        {
            for (byte, learned) in long.iter_mut().zip(stretch) {
                *byte = *learned;
            }
        }
        set[0] = cached;
    }
}
