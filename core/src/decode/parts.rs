//! The smaller parts of an event: reference, tender, totals.

use super::Code;
use super::fields::Fields;
use super::kinds;
use super::members::Element;
use super::place::Place;
use super::unknown::Walk;
use crate::event::{Kind, Reference, Tender, Totals};
use crate::text::Currency;

pub(super) const REFERENCE_NAMES: [&str; 7] =
    ["store", "terminal", "epoch", "sequence", "event_id", "business_date", "transfer_id"];
pub(super) const TENDER_NAMES: [&str; 4] = ["type", "amount", "token", "last_four"];
pub(super) const TOTALS_NAMES: [&str; 5] = ["lines", "discounts", "taxes", "total", "line_count"];

/// Reads which transaction an event refers to.
pub(super) fn reference<'d, E: Element<'d>>(
    walk: &mut Walk<'_>,
    element: E,
    kind: Kind,
    place: &Place<'_>,
) -> Result<Reference<'d>, E::Fault> {
    const TRANSFER_ID: usize = 6;
    let mut fields = Fields::open(walk, element, &REFERENCE_NAMES, place)?;
    let reference = Reference {
        store: fields.id(0)?,
        terminal: fields.id(1)?,
        epoch: fields.id(2)?,
        sequence: fields.sequence(3)?,
        event_id: fields.id(4)?,
        business_date: fields.date(5)?,
        transfer_id: fields.id(TRANSFER_ID)?,
    };
    if kinds::is_transfer(kind) {
        if reference.transfer_id.is_none() {
            return Err(fields.refuse(TRANSFER_ID, Code::ReferenceRequired));
        }
    } else if reference.sequence.is_none() && reference.event_id.is_none() {
        return Err(E::fault(Code::InvalidReference, place));
    }
    fields.finish()?;
    Ok(reference)
}

/// Reads one tender.
pub(super) fn tender<'d, E: Element<'d>>(
    walk: &mut Walk<'_>,
    element: E,
    currency: Option<Currency>,
    place: &Place<'_>,
) -> Result<Tender<'d>, E::Fault> {
    const TYPE: usize = 0;
    const AMOUNT: usize = 1;
    const TOKEN: usize = 2;
    const LAST_FOUR: usize = 3;
    let mut fields = Fields::open(walk, element, &TENDER_NAMES, place)?;
    let tender_type = fields.required_id(TYPE)?;
    let amount = fields.money(AMOUNT, currency)?;
    let amount = fields.required(AMOUNT, amount)?;
    let token = fields.token(TOKEN)?;
    let last_four = fields.known(LAST_FOUR, Code::InvalidLastFour, |word| {
        let text = word.text();
        (text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
    })?;
    fields.finish()?;
    Ok(Tender { tender_type, amount, token, last_four })
}

/// Reads the totals that the terminal printed.
pub(super) fn totals<'d, E: Element<'d>>(
    walk: &mut Walk<'_>,
    element: E,
    currency: Option<Currency>,
    place: &Place<'_>,
) -> Result<Totals, E::Fault> {
    const LINE_COUNT: usize = 4;
    let mut fields = Fields::open(walk, element, &TOTALS_NAMES, place)?;
    let totals = Totals {
        lines: fields.money(0, currency)?,
        discounts: fields.money(1, currency)?,
        taxes: fields.money(2, currency)?,
        total: fields.money(3, currency)?,
        line_count: match fields.integer(LINE_COUNT, Code::NumberOutOfRange)? {
            Some(count) => Some(
                u32::try_from(count)
                    .map_err(|_too_large| fields.refuse(LINE_COUNT, Code::NumberOutOfRange))?,
            ),
            None => None,
        },
    };
    fields.finish()?;
    Ok(totals)
}
