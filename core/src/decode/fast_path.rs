//! The fast path of decoding: it reads an event of a usual shape straight from its text, in one pass.
//!
//! Terminals of one make send one shape. After each value the scan ([`mod@scan`]) compares the bytes up to the next one with
//! those of earlier events ([`shape_cache`]), and only parses them where they differ ([`parse`]). It finds the end of each
//! value sixteen bytes at a time ([`strings`]) and leaves the value where it is: the result ([`field_table`]) has the offset
//! of each member of the schema. The rules then read it like a tape.
//!
//! The fast path gives up on whatever it does not expect: members that the schema does not know, other types, anything that
//! is not JSON. The reference decoder then decides, so that every rejection is its own.

mod block;
mod field_table;
mod grammar;
mod member_index;
mod object_stack;
mod parse;
mod plain;
mod scan;
mod shape_cache;
mod strings;

use super::Scratch;
use super::header;
use super::unknown_members::DecodeContext;
use crate::card::CardRules;
use crate::event::{Event, EventBuffers};
use block::PaddedText;
use field_table::{FieldTable, Frame};
use plain::plain;
use scan::scan;
use shape_cache::ShapeCache;
use strings::TextTraits;

pub use member_index::MemberIndex;

/// Misses in a row after which texts are skipped.
const MISSES_BEFORE_SKIPPING: u32 = 4;
/// Most texts skipped before the next is tried, as a power of two.
const MAX_SKIPPED_LOG2: u32 = 6;

/// The fast path gave up; the reference decoder says whether and why the event is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Miss;

/// The fast path, and what it learned of the shapes that texts have.
#[derive(Debug, Default)]
pub(super) struct FastPath {
    finder: Finder,
    backoff: MissBackoff,
}

impl FastPath {
    /// Decodes an event if its shape is supported and it breaks no rule.
    #[inline]
    pub(super) fn decode<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
        scratch: &mut Scratch,
        cards: Option<&CardRules>,
        event_buffers: &mut EventBuffers,
    ) -> Option<Event<'d>> {
        if self.backoff.skips_next() {
            return None;
        }
        let event = self.finder.find::<HASHED>(text).and_then(|(frame, is_plain)| {
            let mut context = DecodeContext { scratch, cards, is_plain };
            header::event_of(frame, &mut context, event_buffers).ok()
        });
        self.backoff.record(event.is_some());
        event
    }

    /// Indexes the members of an event, which is the first half of decoding it.
    pub(super) fn index_members<'d>(&'d mut self, text: &'d [u8]) -> Option<MemberIndex<'d>> {
        self.finder.find::<true>(text).map(|(event, _is_plain)| MemberIndex { event })
    }
}

/// Finds the members of events in their texts.
#[derive(Debug, Default)]
struct Finder {
    copy: PaddedText,
    shapes: ShapeCache,
    table: FieldTable,
}

impl Finder {
    /// Returns the event's frame, and whether all its texts are printable ASCII.
    fn find<'d, const HASHED: bool>(
        &'d mut self,
        text: &'d [u8],
    ) -> Option<(Frame<'d, 'd, HASHED>, bool)> {
        let (copy, slots) = (self.copy.of(text)?, self.table.slots(text.len()));
        if let Some(text) = plain(text) {
            scan::<true>(copy, text.len(), slots, &mut self.shapes)?;
            return Some((self.table.event(text, copy), true));
        }
        let utf8 = simdutf8::basic::from_utf8(text).ok()?;
        let TextTraits { has_unprintable, has_escape } =
            scan::<false>(copy, text.len(), slots, &mut self.shapes)?;
        let copy = &*copy;
        // The scan decoded escapes in the copy, which is the text from here on; the types know no other proof that it is UTF-8.
        let utf8 = if has_escape {
            simdutf8::basic::from_utf8(copy.get(..text.len())?).ok()?
        } else {
            utf8
        };
        Some((self.table.event(utf8, copy), !has_unprintable))
    }
}

/// Skips ever more texts of a sender whose events all miss: trying them costs that sender and its neighbours next to nothing.
#[derive(Debug, Default)]
struct MissBackoff {
    misses: u32,
    /// Texts still to be skipped.
    to_skip: u32,
}

impl MissBackoff {
    /// Tells whether the next text is skipped.
    #[inline]
    fn skips_next(&mut self) -> bool {
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return true;
        }
        false
    }

    #[inline]
    fn record(&mut self, is_hit: bool) {
        if is_hit {
            self.misses = 0;
        } else {
            self.record_miss();
        }
    }

    #[cold]
    fn record_miss(&mut self) {
        self.misses = self.misses.saturating_add(1);
        if self.misses >= MISSES_BEFORE_SKIPPING {
            self.to_skip = 1 << (self.misses - MISSES_BEFORE_SKIPPING).min(MAX_SKIPPED_LOG2);
        }
    }
}

#[cfg(test)]
mod tests;
