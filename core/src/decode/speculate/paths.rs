//! What stood between one member and the next, learned from the texts before.
//!
//! For each state two ways on are kept; a new one takes the place of that not taken last. The memory is a few kilobytes
//! whatever is sent: a sender who changes his ways at every event only makes others read names once more.

use super::block::{BLOCK, number};
use super::grammar::STATES;

/// Longest stretch that is learned, bytes.
const LONGEST: usize = 2 * BLOCK;

/// What a way leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The end of the object.
    End,
    /// The first byte of a text.
    Text,
    /// The first digit of an integer.
    Integer,
    True,
    False,
    Null,
    /// The brace of an object.
    Object,
    /// What follows the bracket of a list.
    List,
}

/// A step from one member to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Which member follows; 0 at the end of the object.
    pub(super) field: u8,
    pub(super) then: Then,
}

/// A stretch of text that was met before, and where it led.
#[derive(Debug, Clone, Copy)]
struct Way {
    bytes: [u128; 2],
    masks: [u128; 2],
    length: usize,
    step: Step,
}

impl Way {
    /// Never taken: no text has this byte.
    const NONE: Self = Self {
        bytes: [0xff, 0],
        masks: [0xff, 0],
        length: 1,
        step: Step { field: 0, then: Then::End },
    };

    fn new(text: &[u8], step: Step) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mask = |at: usize| {
            let bytes = text.len().saturating_sub(at).min(BLOCK);
            if bytes == 0 { 0 } else { u128::MAX >> (8 * (BLOCK - bytes)) }
        };
        Some(Self {
            bytes: [number(text, 0), number(text, BLOCK)],
            masks: [mask(0), mask(BLOCK)],
            length: text.len(),
            step,
        })
    }

    /// Tells whether a text goes this way; `first` are its next bytes.
    #[inline]
    fn is_taken(&self, first: u128, text: &[u8], at: usize) -> bool {
        (first ^ self.bytes[0]) & self.masks[0] == 0
            && (self.length <= BLOCK || self.goes_on(text, at + BLOCK))
    }

    #[inline]
    fn goes_on(&self, text: &[u8], at: usize) -> bool {
        (number(text, at) ^ self.bytes[1]) & self.masks[1] == 0
    }
}

/// The ways on from a state.
#[derive(Debug, Clone, Copy)]
struct Fork {
    ways: [Way; 2],
    /// Which of them was taken last.
    last: usize,
}

/// All ways that were learned.
#[derive(Debug)]
pub(super) struct Paths {
    forks: Box<[Fork]>,
}

impl Default for Paths {
    fn default() -> Self {
        let fork = Fork { ways: [Way::NONE; 2], last: 1 };
        Self { forks: vec![fork; STATES].into_boxed_slice() }
    }
}

impl Paths {
    /// Returns the step that was taken before from a state over the same bytes, and their number.
    #[inline]
    pub(super) fn step(&mut self, state: usize, text: &[u8], at: usize) -> Option<(Step, usize)> {
        let fork = self.forks.get_mut(state)?;
        let first = number(text, at);
        let [one, other] = &fork.ways;
        if one.is_taken(first, text, at) {
            fork.last = 0;
            return Some((one.step, one.length));
        }
        if other.is_taken(first, text, at) {
            fork.last = 1;
            return Some((other.step, other.length));
        }
        None
    }

    /// Learns a way, in place of the one that was not taken for longer.
    pub(super) fn learn(&mut self, state: usize, text: &[u8], step: Step) {
        let (Some(fork), Some(way)) = (self.forks.get_mut(state), Way::new(text, step)) else {
            return;
        };
        fork.last = 1 - fork.last.min(1);
        if let Some(place) = fork.ways.get_mut(fork.last) {
            *place = way;
        }
    }
}
