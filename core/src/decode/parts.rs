//! The smaller parts of an event: reference, tender, totals.

use super::RejectCode;
use super::fields::Fields;
use super::json_pointer::JsonPointer;
use super::kinds;
use super::members::Element;
use super::unknown_members::DecodeContext;
use crate::event::{Kind, Reference, Tender, Totals};
use crate::text::Currency;

pub(super) const REFERENCE_NAMES: [&str; 7] =
    ["store", "terminal", "epoch", "sequence", "event_id", "business_date", "transfer_id"];
pub(super) const TENDER_NAMES: [&str; 4] = ["type", "amount", "token", "last_four"];
pub(super) const TOTALS_NAMES: [&str; 5] = ["lines", "discounts", "taxes", "total", "line_count"];

/// Reads which transaction an event refers to.
pub(super) fn reference<'d, E: Element<'d>>(
    context: &mut DecodeContext<'_>,
    element: E,
    kind: Kind,
    pointer: &JsonPointer<'_>,
) -> Result<Reference<'d>, E::Error> {
    const TRANSFER_ID: usize = 6;
    let mut fields = Fields::open(context, element, &REFERENCE_NAMES, pointer)?;
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
            return Err(fields.reject(TRANSFER_ID, RejectCode::ReferenceRequired));
        }
    } else if reference.sequence.is_none() && reference.event_id.is_none() {
        return Err(E::error(RejectCode::InvalidReference, pointer));
    }
    fields.finish()?;
    Ok(reference)
}

/// Reads one tender.
pub(super) fn tender<'d, E: Element<'d>>(
    context: &mut DecodeContext<'_>,
    element: E,
    currency: Option<Currency>,
    pointer: &JsonPointer<'_>,
) -> Result<Tender<'d>, E::Error> {
    const TYPE: usize = 0;
    const AMOUNT: usize = 1;
    const TOKEN: usize = 2;
    const LAST_FOUR: usize = 3;
    let mut fields = Fields::open(context, element, &TENDER_NAMES, pointer)?;
    let tender_type = fields.required_id(TYPE)?;
    let amount = fields.money(AMOUNT, currency)?;
    let amount = fields.required(AMOUNT, amount)?;
    let token = fields.token(TOKEN)?;
    let last_four = fields.known(LAST_FOUR, RejectCode::InvalidLastFour, |text| {
        let text = text.as_str();
        (text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
    })?;
    fields.finish()?;
    Ok(Tender { tender_type, amount, token, last_four })
}

/// Reads the totals that the terminal printed.
pub(super) fn totals<'d, E: Element<'d>>(
    context: &mut DecodeContext<'_>,
    element: E,
    currency: Option<Currency>,
    pointer: &JsonPointer<'_>,
) -> Result<Totals, E::Error> {
    const LINE_COUNT: usize = 4;
    let mut fields = Fields::open(context, element, &TOTALS_NAMES, pointer)?;
    let totals =
        Totals {
            lines: fields.money(0, currency)?,
            discounts: fields.money(1, currency)?,
            taxes: fields.money(2, currency)?,
            total: fields.money(3, currency)?,
            line_count: match fields.integer(LINE_COUNT, RejectCode::NumberOutOfRange)? {
                Some(count) => Some(u32::try_from(count).map_err(|_too_large| {
                    fields.reject(LINE_COUNT, RejectCode::NumberOutOfRange)
                })?),
                None => None,
            },
        };
    fields.finish()?;
    Ok(totals)
}
