//! The speculative decoder: an event read straight from its text, in one pass, as fleets send it.
//!
//! Terminals of one make send one shape. After each value the scan compares the bytes that stood
//! between it and the next one before ([`paths`]), and only reads them where those differ ([`read`]). The
//! values between are found sixteen bytes at a time ([`strings`]) and left where they are: what comes
//! out ([`sheet`]) says where each member of the schema stands. The rules then read it like a tape.
//!
//! It gives up on whatever it does not expect: members that the schema does not know, other
//! types, anything that is not JSON. The reference decoder then decides, so that every refusal is its own.

mod block;
mod found;
mod grammar;
mod levels;
mod paths;
mod plain;
mod read;
mod scan;
mod sheet;
mod strings;

use super::Scratch;
use super::header;
use super::unknown::Walk;
use crate::card::CardRules;
use crate::event::{Event, Spare};
use block::Padded;
use paths::Paths;
use plain::plain;
use scan::scan;
use sheet::{Frame, Sheet};
use strings::Oddities;

pub use found::Found;

/// Misses in a row after which texts are passed by.
const PATIENCE: u32 = 4;
/// Most texts passed by before the next is tried, as a power of two.
const MOST_PASSED: u32 = 6;

/// The speculation gave up; the reference decoder will say what there is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed;

/// What was learned of the shapes that texts have.
#[derive(Debug, Default)]
pub(super) struct Speculation {
    finder: Finder,
    patience: Patience,
}

impl Speculation {
    /// Reads an event if it is as expected and breaks no rule.
    #[inline]
    pub(super) fn read<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
        scratch: &mut Scratch,
        cards: Option<&CardRules>,
        spare: &mut Spare,
    ) -> Option<Event<'d>> {
        if self.patience.passes() {
            return None;
        }
        let found = self.finder.find::<HASHED>(text).and_then(|(event, is_plain)| {
            let mut walk = Walk { scratch, cards, is_plain };
            header::event_of(event, &mut walk, spare).ok()
        });
        self.patience.note(found.is_some());
        found
    }

    /// Finds the members of an event, which is the first half of reading it.
    pub(super) fn find<'d>(&'d mut self, text: &'d [u8]) -> Option<Found<'d>> {
        self.finder.find::<true>(text).map(|(event, _is_plain)| Found { event })
    }
}

/// Finds the members of events in their texts.
#[derive(Debug, Default)]
struct Finder {
    copy: Padded,
    paths: Paths,
    sheet: Sheet,
}

impl Finder {
    /// Returns the event's frame, and whether all its texts are printable ASCII.
    fn find<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
    ) -> Option<(Frame<'d, 'd, HASHED>, bool)> {
        let (copy, slots) = (self.copy.of(text)?, self.sheet.slots(text.len()));
        if let Some(text) = plain(text) {
            scan::<true>(copy, text.len(), slots, &mut self.paths)?;
            return Some((self.sheet.event(text, copy), true));
        }
        let utf8 = simdutf8::basic::from_utf8(text).ok()?;
        let Oddities { is_any_beyond, is_any_escape } =
            scan::<false>(copy, text.len(), slots, &mut self.paths)?;
        let copy = &*copy;
        // Where there were escapes, the copy says what they stand for.
        let utf8 = if is_any_escape {
            simdutf8::basic::from_utf8(copy.get(..text.len())?).ok()?
        } else {
            utf8
        };
        Some((self.sheet.event(utf8, copy), !is_any_beyond))
    }
}

/// How long a sender of nothing but misses is borne with.
#[derive(Debug, Default)]
struct Patience {
    misses: u32,
    /// Texts still to be passed by.
    passing: u32,
}

impl Patience {
    /// Tells whether the next text is passed by.
    #[inline]
    fn passes(&mut self) -> bool {
        if self.passing > 0 {
            self.passing -= 1;
            return true;
        }
        false
    }

    #[inline]
    fn note(&mut self, is_hit: bool) {
        if is_hit {
            self.misses = 0;
        } else {
            self.miss();
        }
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
