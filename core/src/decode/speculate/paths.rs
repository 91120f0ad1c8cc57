//! What stood between one member and the next, learned from the texts before.
//!
//! For each state two ways on are kept, the one taken last first. The memory is a few kilobytes
//! whatever is sent: a sender who changes his ways at every event only makes others read names once more.

use super::block::{BLOCK, block};
use super::grammar::{Grammar, STATES};

/// Longest stretch that is learned, bytes.
const LONGEST: usize = 2 * BLOCK;

/// What a way leads to.
#[derive(Debug, Clone, Copy)]
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
    Object(&'static Grammar),
    /// What follows the bracket of a list.
    List(&'static Grammar),
}

/// A step from one member to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Which member follows; none at the end of the object.
    pub(super) field: usize,
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
    /// Never taken: no text has this byte where a way begins.
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
        let part = |at: usize| u128::from_le_bytes(block(text, at));
        let mask = |at: usize| {
            let bits = 8 * text.len().saturating_sub(at).min(BLOCK);
            if bits == 0 { 0 } else { u128::MAX >> (128 - bits) }
        };
        Some(Self {
            bytes: [part(0), part(BLOCK)],
            masks: [mask(0), mask(BLOCK)],
            length: text.len(),
            step,
        })
    }

    #[inline]
    fn is_taken(&self, text: &[u8], at: usize) -> bool {
        let [first, second] = self.bytes;
        let [first_mask, second_mask] = self.masks;
        (u128::from_le_bytes(block(text, at)) ^ first) & first_mask == 0
            && (self.length <= BLOCK
                || (u128::from_le_bytes(block(text, at + BLOCK)) ^ second) & second_mask == 0)
    }
}

/// All ways that were learned.
#[derive(Debug)]
pub(super) struct Paths {
    ways: Box<[[Way; 2]; STATES]>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { ways: Box::new([[Way::NONE; 2]; STATES]) }
    }
}

impl Paths {
    /// Returns the step that was taken before from a state over the same bytes, and their number.
    #[inline]
    pub(super) fn step(&mut self, state: usize, text: &[u8], at: usize) -> Option<(Step, usize)> {
        let ways = self.ways.get_mut(state)?;
        let [first, second] = ways;
        if first.is_taken(text, at) {
            return Some((first.step, first.length));
        }
        if second.is_taken(text, at) {
            std::mem::swap(first, second);
            return Some((first.step, first.length));
        }
        None
    }

    /// Learns a way, in place of the one that was not taken for longer.
    pub(super) fn learn(&mut self, state: usize, text: &[u8], step: Step) {
        let (Some([first, second]), Some(way)) = (self.ways.get_mut(state), Way::new(text, step))
        else {
            return;
        };
        *second = *first;
        *first = way;
    }
}
