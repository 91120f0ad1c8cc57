//! The smaller parts of an event: reference, tender, totals.

use super::RejectCode;
use super::fields::Fields;
use super::json_pointer::JsonPointer;
use super::kinds;
use super::members::Element;
use super::unknown_members::DecodeContext;
use crate::event::{Foreign, Kind, Reference, Tender, Totals};
use crate::text::Currency;

pub(super) const REFERENCE_NAMES: [&str; 7] =
    ["store", "terminal", "epoch", "sequence", "event_id", "business_date", "transfer_id"];
pub(super) const TENDER_NAMES: [&str; 9] = [
    "type",
    "amount",
    "token",
    "last_four",
    "brand",
    "authorization",
    "stored_value",
    "points",
    "foreign",
];
pub(super) const STORED_VALUE_NAMES: [&str; 1] = ["account"];
pub(super) const FOREIGN_NAMES: [&str; 3] = ["currency", "amount", "rate"];
pub(super) const TOTALS_NAMES: [&str; 7] =
    ["lines", "discounts", "taxes", "total", "line_count", "tip", "rounding"];

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
    const BRAND: usize = 4;
    let mut fields = Fields::open(context, element, &TENDER_NAMES, pointer)?;
    let tender_type = fields.required_id(TYPE)?;
    let amount = fields.money(AMOUNT, currency)?;
    let amount = fields.required(AMOUNT, amount)?;
    let token = fields.token(TOKEN)?;
    let last_four = fields.known(LAST_FOUR, RejectCode::InvalidLastFour, |text| {
        let text = text.as_str();
        (text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
    })?;
    let (mut stored_value, mut foreign) = (None, None);
    if fields.has_from(BRAND) {
        (stored_value, foreign) = tender_details(&mut fields)?;
    }
    fields.finish()?;
    Ok(Tender { tender_type, amount, token, last_four, stored_value, foreign })
}

/// Reads what few tenders have: the stored value's account, and money of another currency.
#[cold]
fn tender_details<'d, E: Element<'d>>(
    tender: &mut Fields<'_, '_, 'd, E, { TENDER_NAMES.len() }>,
) -> Result<(Option<&'d str>, Option<Foreign>), E::Error> {
    const BRAND: usize = 4;
    const AUTHORIZATION: usize = 5;
    const STORED_VALUE: usize = 6;
    const POINTS: usize = 7;
    const FOREIGN: usize = 8;
    tender.id(BRAND)?;
    tender.token(AUTHORIZATION)?;
    let mut account = None;
    if let Some(element) = tender.object(STORED_VALUE)? {
        let pointer = tender.pointer.member("stored_value");
        let mut fields = Fields::open(tender.context, element, &STORED_VALUE_NAMES, &pointer)?;
        account = fields.token(0)?;
        account = Some(fields.required(0, account)?);
        fields.finish()?;
    }
    tender.quantity(POINTS)?;
    let mut foreign = None;
    if let Some(element) = tender.object(FOREIGN)? {
        let pointer = tender.pointer.member("foreign");
        let mut fields = Fields::open(tender.context, element, &FOREIGN_NAMES, &pointer)?;
        let currency = fields.currency(0)?;
        let currency = fields.required(0, currency)?;
        let amount = fields.money(1, Some(currency))?;
        let amount = fields.required(1, amount)?;
        foreign = Some(Foreign { currency, amount, rate: fields.rate(2)? });
        fields.finish()?;
    }
    Ok((account, foreign))
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
            tip: fields.money(LINE_COUNT + 1, currency)?,
            rounding: fields.money(LINE_COUNT + 2, currency)?,
        };
    fields.finish()?;
    Ok(totals)
}
