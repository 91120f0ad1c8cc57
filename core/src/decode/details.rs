//! What few events say: reason, channel, drawer session, order, fiscal block, approvals, declared amounts.

use super::event_fields::{
    APPROVALS, CHANNEL, DECLARATIONS, EventFields, FISCAL, ORDER, REASON, SESSION,
};
use super::fields::Fields;
use super::json_pointer::JsonPointer;
use super::kinds;
use super::members::Element;
use super::{MAX_APPROVALS, MAX_DECLARATIONS, RejectCode};
use crate::event::{Declaration, EventDetails, Fiscal, Kind};
use crate::text::Currency;

pub(super) const SESSION_NAMES: [&str; 2] = ["id", "drawer"];
pub(super) const ORDER_NAMES: [&str; 1] = ["id"];
pub(super) const FISCAL_NAMES: [&str; 6] =
    ["scheme", "device", "counter", "start", "end", "signature"];
pub(super) const APPROVAL_NAMES: [&str; 3] = ["approver", "reason", "method"];
pub(super) const DECLARATION_NAMES: [&str; 4] = ["tender", "denomination", "count", "amount"];

/// Longest signature of a fiscal device, bytes.
const MAX_SIGNATURE_BYTES: usize = 1_024;

/// Reads the details of an event, up to its approvals.
#[cold]
pub(super) fn details<'d, E: Element<'d>>(
    event: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
) -> Result<EventDetails<'d>, E::Error> {
    let (reason, channel) = (event.id(REASON)?, event.id(CHANNEL)?);
    let session_id = session(event)?;
    let order_id = order(event)?;
    if order_id.is_none() && kinds::needs_order(kind) {
        return Err(event.reject(ORDER, RejectCode::MissingField));
    }
    let fiscal = fiscal(event)?;
    approvals(event)?;
    Ok(EventDetails { reason, channel, session_id, order_id, fiscal })
}

fn session<'d, E: Element<'d>>(
    event: &mut EventFields<'_, '_, 'd, E>,
) -> Result<Option<&'d str>, E::Error> {
    let Some(element) = event.object(SESSION)? else { return Ok(None) };
    let pointer = JsonPointer::ROOT.member("session");
    let mut fields = Fields::open(event.context, element, &SESSION_NAMES, &pointer)?;
    let id = fields.required_id(0)?;
    fields.id(1)?;
    fields.finish()?;
    Ok(Some(id))
}

fn order<'d, E: Element<'d>>(
    event: &mut EventFields<'_, '_, 'd, E>,
) -> Result<Option<&'d str>, E::Error> {
    let Some(element) = event.object(ORDER)? else { return Ok(None) };
    let pointer = JsonPointer::ROOT.member("order");
    let mut fields = Fields::open(event.context, element, &ORDER_NAMES, &pointer)?;
    let id = fields.required_id(0)?;
    fields.finish()?;
    Ok(Some(id))
}

fn fiscal<'d, E: Element<'d>>(
    event: &mut EventFields<'_, '_, 'd, E>,
) -> Result<Option<Fiscal<'d>>, E::Error> {
    let Some(element) = event.object(FISCAL)? else { return Ok(None) };
    let pointer = JsonPointer::ROOT.member("fiscal");
    let mut fields = Fields::open(event.context, element, &FISCAL_NAMES, &pointer)?;
    let fiscal = Fiscal {
        scheme: fields.required_id(0)?,
        device: fields.required_id(1)?,
        counter: fields.integer(2, RejectCode::NumberOutOfRange)?.map(i64::cast_unsigned),
        start: fields.time(3)?,
        end: fields.time(4)?,
        signature: fields.text_within(5, MAX_SIGNATURE_BYTES)?,
    };
    fields.finish()?;
    Ok(Some(fiscal))
}

/// Checks who approved the event.
fn approvals<'d, E: Element<'d>>(event: &mut EventFields<'_, '_, 'd, E>) -> Result<(), E::Error> {
    let list = JsonPointer::ROOT.member("approvals");
    for (index, element) in event.objects_within(APPROVALS, MAX_APPROVALS)? {
        let pointer = list.element(index);
        let mut fields = Fields::open(event.context, element, &APPROVAL_NAMES, &pointer)?;
        fields.required_id(0)?;
        fields.id(1)?;
        fields.id(2)?;
        fields.finish()?;
    }
    Ok(())
}

/// Reads the amounts that an event declares.
#[cold]
pub(super) fn declarations<'d, E: Element<'d>>(
    event: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
    currency: Option<Currency>,
    declarations: &mut Vec<Declaration<'d>>,
) -> Result<(), E::Error> {
    const AMOUNT: usize = 3;
    let list = JsonPointer::ROOT.member("declarations");
    for (index, element) in event.objects_within(DECLARATIONS, MAX_DECLARATIONS)? {
        let pointer = list.element(index);
        let mut fields = Fields::open(event.context, element, &DECLARATION_NAMES, &pointer)?;
        let tender = fields.required_id(0)?;
        let denomination = fields.money(1, currency)?;
        let count = fields.integer(2, RejectCode::NumberOutOfRange)?.map(i64::cast_unsigned);
        let amount = fields.money(AMOUNT, currency)?;
        let amount = fields.required(AMOUNT, amount)?;
        fields.finish()?;
        declarations.push(Declaration { tender, denomination, count, amount });
    }
    if declarations.is_empty() && kind == Kind::TillDeclaration {
        return Err(event.reject(DECLARATIONS, RejectCode::MissingField));
    }
    Ok(())
}
