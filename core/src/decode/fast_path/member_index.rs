//! The offsets of an event's members in its text, before any of them is read.

use super::field_table::{Frame, FrameFields};
use crate::decode::json_pointer::JsonPointer;
use crate::decode::members::{Element, Members};
use crate::decode::{event_fields, line, parts};

/// The members of an event by their offsets in its text; none is read yet.
///
/// The text is UTF-8 and JSON; each member is one of the schema, occurs once and has its JSON type. Their values are not
/// checked.
#[derive(Debug, Clone, Copy)]
pub struct MemberIndex<'d> {
    pub(super) event: Frame<'d, 'd, true>,
}

impl MemberIndex<'_> {
    /// Reads each member that every sale has: adds up the lengths of the texts, and the integers.
    pub fn sum(&self) -> u64 {
        let Ok(event) = self.event.open(&event_fields::NAMES, &JsonPointer::ROOT) else { return 0 };
        // The identity up to the currency; line, type, SKU, GTIN, quantity, unit price and amount; a tender but its token.
        let mut sum = add_up(&event, [1, 2, 5, 6, 7, 8, 9]) + integer(&event, 3);
        for line in event.list(event_fields::LINES).ok().flatten().into_iter().flatten() {
            let Ok(line) = line.open(&line::NAMES, &JsonPointer::ROOT) else { continue };
            sum += add_up(&line, [1, 2, 3, 5, 9, 10]) + integer(&line, 0);
        }
        for tender in event.list(event_fields::TENDERS).ok().flatten().into_iter().flatten() {
            let Ok(tender) = tender.open(&parts::TENDER_NAMES, &JsonPointer::ROOT) else {
                continue;
            };
            sum += add_up(&tender, [0, 1, 3]);
        }
        if let Ok(Some(totals)) = event.object(event_fields::TOTALS)
            && let Ok(totals) = totals.open(&parts::TOTALS_NAMES, &JsonPointer::ROOT)
        {
            sum += add_up(&totals, [3]) + integer(&totals, 4);
        }
        sum
    }
}

#[inline]
fn add_up<const N: usize, const M: usize>(
    object: &FrameFields<'_, '_, N, true>,
    texts: [usize; M],
) -> u64 {
    texts.into_iter().map(|field| object.length(field)).sum()
}

#[inline]
fn integer<const N: usize>(object: &FrameFields<'_, '_, N, true>, field: usize) -> u64 {
    object.integer(field).ok().flatten().unwrap_or_default().cast_unsigned()
}
