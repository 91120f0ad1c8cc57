//! The speculative decoder: an event read straight from its text, in one pass, as fleets send it.
//!
//! Terminals of one make send one shape. After each member the scan compares the bytes that stood
//! between it and the next one before ([`paths`]), and only reads names where those differ. The
//! values between are found sixteen bytes at a time ([`block`]) and left where they are: what comes
//! out ([`sheet`]) says where each member of the schema stands. The rules then read it like a tape.
//!
//! It gives up on whatever it does not expect: escapes, members that the schema does not know, other
//! types, anything that is not JSON. The reference decoder then decides, so that every refusal is its own.

mod block;
mod grammar;
mod paths;
mod scan;
mod sheet;

use super::header;
use super::unknown::Walk;
use crate::card::CardRules;
use crate::event::{Event, Spare};

use super::Scratch;
use grammar::EVENT;
use paths::Paths;
use scan::Scan;
use sheet::Sheet;

/// Misses in a row after which texts are passed by.
const PATIENCE: u32 = 4;
/// Most texts passed by before the next is tried, as a power of two.
const MOST_PASSED: u32 = 6;

/// What was learned of the shapes that texts have.
#[derive(Debug, Default)]
pub(super) struct Speculation {
    paths: Paths,
    sheet: Sheet,
    misses: u32,
    /// Texts still to be passed by.
    passing: u32,
}

impl Speculation {
    /// Reads an event if it is as expected and breaks no rule.
    pub(super) fn read<'d>(
        &mut self,
        text: &'d [u8],
        scratch: &mut Scratch,
        cards: Option<&CardRules>,
        spare: &mut Spare,
    ) -> Option<Event<'d>> {
        if self.passing > 0 {
            self.passing -= 1;
            return None;
        }
        let event = self.attempt(text, scratch, cards, spare);
        if event.is_some() {
            self.misses = 0;
        } else {
            self.miss();
        }
        event
    }

    fn attempt<'d>(
        &mut self,
        text: &'d [u8],
        scratch: &mut Scratch,
        cards: Option<&CardRules>,
        spare: &mut Spare,
    ) -> Option<Event<'d>> {
        let text = simdutf8::basic::from_utf8(text).ok()?;
        let mut scan = Scan::new(text.as_bytes(), &mut self.paths, &mut self.sheet);
        let root = scan.whole(&EVENT)?;
        let mut walk = Walk { scratch, cards, is_plain: scan.is_plain() };
        header::event_of(self.sheet.frame(root, text), &mut walk, spare).ok()
    }

    /// Notes a miss. Whoever sends nothing else soon has most of his texts passed by: trying them
    /// costs him and his neighbours next to nothing.
    #[cold]
    fn miss(&mut self) {
        self.misses = self.misses.saturating_add(1);
        if self.misses >= PATIENCE {
            self.passing = 1 << (self.misses - PATIENCE).min(MOST_PASSED);
        }
    }
}

#[cfg(test)]
mod tests;
