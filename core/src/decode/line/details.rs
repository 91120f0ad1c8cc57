//! What few lines say: their class, why and where goods move, what they are one by one, and who allowed it.

use std::num::NonZeroU16;

use super::{CLASS, LineFields, is_unit};
use crate::decode::fields::Fields;
use crate::decode::members::Element;
use crate::decode::{MAX_COMPONENTS, RejectCode};
use crate::event::{Kind, LineClass, LineDetails, LineType};

pub(in crate::decode) const COMPONENT_NAMES: [&str; 5] =
    ["sku", "quantity", "unit", "serial", "lot"];
pub(in crate::decode) const AGE_CHECK_NAMES: [&str; 2] = ["minimum", "method"];
pub(in crate::decode) const TAX_EXEMPTION_NAMES: [&str; 2] = ["reason", "certificate"];
const REASON: usize = 16;
const LOCATION: usize = 17;
const TO_LOCATION: usize = 18;
const SERIAL: usize = 19;
const LOT: usize = 20;
const EXPIRY: usize = 21;
const APPROVER: usize = 22;
const COMPONENTS: usize = 23;
const AGE_CHECK: usize = 24;
const TAX_EXEMPTION: usize = 25;
const PERSON: usize = 26;

/// Reads the class of a line. The one that a line of its type has anyway says the same as none.
#[cold]
pub(super) fn class<'d, E: Element<'d>>(
    fields: &mut LineFields<'_, '_, 'd, E>,
    line_type: LineType,
) -> Result<LineClass, E::Error> {
    let default = LineClass::default_of(line_type);
    let class = fields.known_but(CLASS, RejectCode::UnknownLineClass, default, |text| {
        LineClass::parse(text.as_str())
    })?;
    let has_money = matches!(line_type, LineType::Sale | LineType::Return | LineType::Service);
    if class != default && !has_money {
        return Err(fields.reject(CLASS, RejectCode::LineClassNotAllowed));
    }
    Ok(class)
}

/// Reads the other details of a line, and returns where they stand, counted from 1; `None` if it has none of those that are kept.
#[cold]
pub(super) fn details<'d, E: Element<'d>>(
    fields: &mut LineFields<'_, '_, 'd, E>,
    kind: Kind,
    all: &mut Vec<LineDetails<'d>>,
) -> Result<Option<NonZeroU16>, E::Error> {
    let details = LineDetails {
        reason: fields.id(REASON)?,
        location: fields.id(LOCATION)?,
        to_location: fields.id(TO_LOCATION)?,
        serial: fields.id(SERIAL)?,
        lot: fields.id(LOT)?,
        expiry: fields.date(EXPIRY)?,
        approver: fields.id(APPROVER)?,
    };
    if kind == Kind::StockMove {
        fields.required(LOCATION, details.location)?;
        fields.required(TO_LOCATION, details.to_location)?;
    }
    components(fields)?;
    age_check(fields)?;
    tax_exemption(fields)?;
    fields.personal_object(PERSON)?;
    if details == LineDetails::default() {
        return Ok(None);
    }
    all.push(details);
    Ok(u16::try_from(all.len()).ok().and_then(NonZeroU16::new))
}

/// Checks what a kit was made of. It moves nothing: the line's own SKU does.
fn components<'d, E: Element<'d>>(line: &mut LineFields<'_, '_, 'd, E>) -> Result<(), E::Error> {
    const QUANTITY: usize = 1;
    let list = line.pointer.member("components");
    for (index, element) in line.objects_within(COMPONENTS, MAX_COMPONENTS)? {
        let pointer = list.element(index);
        let mut fields = Fields::open(line.context, element, &COMPONENT_NAMES, &pointer)?;
        fields.required_id(0)?;
        let quantity = fields.quantity(QUANTITY)?;
        if fields.required(QUANTITY, quantity)?.0 < 0 {
            return Err(fields.reject(QUANTITY, RejectCode::QuantitySign));
        }
        fields.text_or_default(2, RejectCode::InvalidUnit, super::ONE, is_unit)?;
        fields.id(3)?;
        fields.id(4)?;
        fields.finish()?;
    }
    Ok(())
}

/// Checks how it was made sure that the customer is old enough.
fn age_check<'d, E: Element<'d>>(line: &mut LineFields<'_, '_, 'd, E>) -> Result<(), E::Error> {
    let Some(element) = line.object(AGE_CHECK)? else { return Ok(()) };
    let pointer = line.pointer.member("age_check");
    let mut fields = Fields::open(line.context, element, &AGE_CHECK_NAMES, &pointer)?;
    let minimum = fields.integer(0, RejectCode::NumberOutOfRange)?;
    fields.required(0, minimum)?;
    fields.id(1)?;
    fields.finish()
}

/// Checks why a line bears no tax; whose certificate it is, is personal.
fn tax_exemption<'d, E: Element<'d>>(line: &mut LineFields<'_, '_, 'd, E>) -> Result<(), E::Error> {
    let Some(element) = line.object(TAX_EXEMPTION)? else { return Ok(()) };
    let pointer = line.pointer.member("tax_exemption");
    let mut fields = Fields::open(line.context, element, &TAX_EXEMPTION_NAMES, &pointer)?;
    fields.required_id(0)?;
    fields.personal_id(1)?;
    fields.finish()
}
