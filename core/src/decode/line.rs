//! One line of a transaction, with its discounts and taxes.

mod details;

use super::RejectCode;
use super::fields::Fields;
use super::json_pointer::JsonPointer;
use super::kinds;
use super::members::Element;
use super::unknown_members::DecodeContext;
use crate::event::{Disposition, Kind, Line, LineClass, LineDetails, LineType};
use crate::text::Currency;

pub(super) const NAMES: [&str; 27] = [
    "line",
    "type",
    "sku",
    "gtin",
    "description",
    "quantity",
    "unit",
    "pieces",
    "regular_unit_price",
    "unit_price",
    "amount",
    "discounts",
    "taxes",
    "disposition",
    "void",
    "class",
    "reason",
    "location",
    "to_location",
    "serial",
    "lot",
    "expiry",
    "approver",
    "components",
    "age_check",
    "tax_exemption",
    "person",
];
pub(super) use details::{AGE_CHECK_NAMES, COMPONENT_NAMES, TAX_EXEMPTION_NAMES};

pub(super) const DISCOUNT_NAMES: [&str; 2] = ["reason", "amount"];
pub(super) const TAX_NAMES: [&str; 4] = ["code", "rate", "amount", "inclusive"];
const LINE: usize = 0;
const TYPE: usize = 1;
const SKU: usize = 2;
const GTIN: usize = 3;
const DESCRIPTION: usize = 4;
const QUANTITY: usize = 5;
const UNIT: usize = 6;
const PIECES: usize = 7;
const REGULAR_UNIT_PRICE: usize = 8;
const UNIT_PRICE: usize = 9;
const AMOUNT: usize = 10;
const DISCOUNTS: usize = 11;
const TAXES: usize = 12;
const DISPOSITION: usize = 13;
const VOID: usize = 14;
const CLASS: usize = 15;

/// The unit of a line that states none: one piece.
const ONE: &str = "C62";
/// Largest sum of a line's discounts or taxes, minor units.
const MAX_SUM: i64 = 1_000_000_000_000_000;

type LineFields<'r, 's, 'd, E> = Fields<'r, 's, 'd, E, { NAMES.len() }>;

#[expect(clippy::inline_always, reason = "a line is built where it will stand")]
#[inline(always)]
pub(super) fn line<'d, E: Element<'d>>(
    context: &mut DecodeContext<'_>,
    element: E,
    kind: Kind,
    currency: Option<Currency>,
    pointer: &JsonPointer<'_>,
    all_details: &mut Vec<LineDetails<'d>>,
) -> Result<Line<'d>, E::Error> {
    let mut fields = Fields::open(context, element, &NAMES, pointer)?;
    let number = number(&mut fields)?;
    let line_type =
        fields.known(TYPE, RejectCode::UnknownLineType, |text| LineType::parse(text.as_str()))?;
    let line_type = fields.required(TYPE, line_type)?;
    if !kinds::allows(kind, line_type) {
        return Err(fields.reject(TYPE, RejectCode::LineTypeNotAllowed));
    }
    let sku = fields.required_id(SKU)?;
    let gtin = fields.gtin(GTIN)?;
    fields.text(DESCRIPTION)?;
    let quantity = fields.quantity(QUANTITY)?;
    let quantity = fields.required(QUANTITY, quantity)?;
    let unit = fields.text_or_default(UNIT, RejectCode::InvalidUnit, ONE, is_unit)?;
    let pieces = fields.quantity(PIECES)?;
    let regular_unit_price = fields.price(REGULAR_UNIT_PRICE, currency)?;
    let unit_price = fields.price(UNIT_PRICE, currency)?;
    let amount = fields.money(AMOUNT, currency)?;
    let discount = if fields.has(DISCOUNTS) { discounts(&mut fields, currency)? } else { 0 };
    let taxes = if fields.has(TAXES) { taxes(&mut fields, currency)? } else { Taxes::default() };
    let disposition = disposition(&mut fields, line_type)?;
    let void = fields.flag(VOID)?;
    if !kinds::allows_negative(kind, line_type, void) {
        for (field, quantity) in [(QUANTITY, Some(quantity)), (PIECES, pieces)] {
            if quantity.is_some_and(|quantity| quantity.0 < 0) {
                return Err(fields.reject(field, RejectCode::QuantitySign));
            }
        }
    }
    let (mut class, mut details) = (LineClass::default_of(line_type), None);
    if fields.has_from(CLASS) || kind == Kind::StockMove {
        class = details::class(&mut fields, line_type)?;
        details = details::details(&mut fields, kind, all_details)?;
    }
    fields.finish()?;
    Ok(Line {
        line: number,
        line_type,
        class,
        sku,
        gtin,
        quantity,
        unit,
        pieces,
        regular_unit_price,
        unit_price,
        amount,
        discount,
        tax_exclusive: taxes.exclusive,
        tax_inclusive: taxes.inclusive,
        disposition,
        void,
        details,
    })
}

fn number<'d, E: Element<'d>>(fields: &mut LineFields<'_, '_, 'd, E>) -> Result<u32, E::Error> {
    let number = fields.integer(LINE, RejectCode::NumberOutOfRange)?;
    let number = fields.required(LINE, number)?;
    u32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| fields.reject(LINE, RejectCode::NumberOutOfRange))
}

fn disposition<'d, E: Element<'d>>(
    fields: &mut LineFields<'_, '_, 'd, E>,
    line_type: LineType,
) -> Result<Disposition, E::Error> {
    let default = if line_type == LineType::Return { "restock" } else { "none" };
    let name =
        fields.text_or_default(DISPOSITION, RejectCode::UnknownDisposition, default, |name| {
            Disposition::parse(name).is_some()
        })?;
    Ok(Disposition::parse(name).unwrap_or(Disposition::None))
}

pub(super) fn is_unit(text: &str) -> bool {
    matches!(text.len(), 2 | 3)
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Adds up the discounts of a line.
fn discounts<'d, E: Element<'d>>(
    line: &mut LineFields<'_, '_, 'd, E>,
    currency: Option<Currency>,
) -> Result<i64, E::Error> {
    const REASON: usize = 0;
    const AMOUNT: usize = 1;
    let list = line.pointer.member("discounts");
    let mut sum = 0;
    for (index, element) in line.objects(DISCOUNTS)? {
        let pointer = list.element(index);
        let mut fields = Fields::open(line.context, element, &DISCOUNT_NAMES, &pointer)?;
        fields.required_id(REASON)?;
        let amount = fields.money(AMOUNT, currency)?;
        let amount = fields.required(AMOUNT, amount)?;
        sum = add_within_limit(sum, amount)
            .ok_or_else(|| fields.reject(AMOUNT, RejectCode::InvalidMoney))?;
        fields.finish()?;
    }
    Ok(sum)
}

/// Taxes of a line, minor units.
#[derive(Debug, Default)]
struct Taxes {
    exclusive: i64,
    inclusive: i64,
}

/// Adds up the taxes of a line.
fn taxes<'d, E: Element<'d>>(
    line: &mut LineFields<'_, '_, 'd, E>,
    currency: Option<Currency>,
) -> Result<Taxes, E::Error> {
    const CODE: usize = 0;
    const RATE: usize = 1;
    const AMOUNT: usize = 2;
    const INCLUSIVE: usize = 3;
    let mut taxes = Taxes::default();
    let list = line.pointer.member("taxes");
    for (index, element) in line.objects(TAXES)? {
        let pointer = list.element(index);
        let mut fields = Fields::open(line.context, element, &TAX_NAMES, &pointer)?;
        fields.required_id(CODE)?;
        fields.rate(RATE)?;
        let amount = fields.money(AMOUNT, currency)?;
        let amount = fields.required(AMOUNT, amount)?;
        let sum = if fields.flag(INCLUSIVE)? { &mut taxes.inclusive } else { &mut taxes.exclusive };
        *sum = add_within_limit(*sum, amount)
            .ok_or_else(|| fields.reject(AMOUNT, RejectCode::InvalidMoney))?;
        fields.finish()?;
    }
    Ok(taxes)
}

fn add_within_limit(sum: i64, amount: i64) -> Option<i64> {
    sum.checked_add(amount).filter(|sum| (-MAX_SUM..=MAX_SUM).contains(sum))
}

/// Returns the index of a line whose number an earlier one has.
///
/// Numbers nearly always rise. Where they do not, they are sorted, so that two thousand of them cost n log n.
pub(super) fn repeated_number(lines: &[Line<'_>], order: &mut Vec<u64>) -> Option<usize> {
    if lines.is_sorted_by(|one, next| one.line < next.line) {
        return None;
    }
    order.clear();
    order.extend(
        lines.iter().enumerate().map(|(index, line)| u64::from(line.line) << 32 | index as u64),
    );
    order.sort_unstable();
    order.windows(2).find_map(|pair| match pair {
        [one, other] if one >> 32 == other >> 32 => usize::try_from(other & 0xffff_ffff).ok(),
        _ => None,
    })
}
