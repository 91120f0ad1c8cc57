//! Where the members of an event stand, before any of them is read.

use super::sheet::{Frame, Opened};
use crate::decode::members::{Element, Members};
use crate::decode::place::Place;
use crate::decode::{header, line, parts};

/// The members of an event, found in its text and not read yet.
///
/// The text is UTF-8 and JSON; each member is one of the schema, stands there once and is of its JSON type. What
/// they say is not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Found<'d> {
    pub(super) event: Frame<'d, 'd, true>,
}

impl Found<'_> {
    /// Looks at each member that every sale has: adds up the lengths of the texts, and the integers.
    pub fn sum(&self) -> u64 {
        let Ok(event) = self.event.open(&header::NAMES, &Place::ROOT) else { return 0 };
        // The identity up to the currency; line, type, SKU, GTIN, quantity, unit price and amount; a tender but its token.
        let mut sum = add_up(&event, [1, 2, 5, 6, 7, 8, 9]) + integer(&event, 3);
        for line in event.list(header::LINES).ok().flatten().into_iter().flatten() {
            let Ok(line) = line.open(&line::NAMES, &Place::ROOT) else { continue };
            sum += add_up(&line, [1, 2, 3, 5, 9, 10]) + integer(&line, 0);
        }
        for tender in event.list(header::TENDERS).ok().flatten().into_iter().flatten() {
            let Ok(tender) = tender.open(&parts::TENDER_NAMES, &Place::ROOT) else { continue };
            sum += add_up(&tender, [0, 1, 3]);
        }
        if let Ok(Some(totals)) = event.object(header::TOTALS)
            && let Ok(totals) = totals.open(&parts::TOTALS_NAMES, &Place::ROOT)
        {
            sum += add_up(&totals, [3]) + integer(&totals, 4);
        }
        sum
    }
}

#[inline]
fn add_up<const N: usize, const M: usize>(
    object: &Opened<'_, '_, N, true>,
    texts: [usize; M],
) -> u64 {
    texts.into_iter().map(|field| object.length(field)).sum()
}

#[inline]
fn integer<const N: usize>(object: &Opened<'_, '_, N, true>, field: usize) -> u64 {
    object.integer(field).ok().flatten().unwrap_or_default().cast_unsigned()
}
