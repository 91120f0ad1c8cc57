//! Receipts: a transaction as the JSON text of a canonical event. What its lines do to stock is [`super::kind`]'s.

use rand::RngExt as _;

use super::FleetRng;
use super::basket::{Bill, Disposition, Line, LineType, bill};
use super::catalogue::Catalogue;
use super::country::Country;
use super::kind::Kind;
use crate::calendar::{Date, write_instant};
use crate::json;
use crate::source::QUANTITY_SCALE;

/// What stands at the head of every event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) store: &'a str,
    pub(super) terminal: &'a str,
    pub(super) epoch: Option<&'a str>,
    pub(super) sequence: u64,
    pub(super) kind: Kind,
    pub(super) occurred_ms: i64,
    pub(super) business_date: Date,
    pub(super) country: &'static Country,
    /// Of its amounts: the country's, or that of foreign notes which are declared.
    pub(super) currency: &'static str,
    pub(super) operator: u32,
}

impl Header<'_> {
    /// Opens the event's object and writes identity, kind, times and currency.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        json::text_member(out, "store", self.store);
        json::text_member(out, "terminal", self.terminal);
        json::member(out, "sequence");
        json::unsigned(out, self.sequence);
        if let Some(epoch) = self.epoch {
            json::text_member(out, "epoch", epoch);
        }
        json::member(out, "event_id");
        out.push(b'"');
        self.write_event_id(out);
        out.push(b'"');
        json::text_member(out, "kind", self.kind.name());
        json::member(out, "occurred_at");
        out.push(b'"');
        write_instant(out, self.occurred_ms, self.country.offset_minutes);
        out.push(b'"');
        json::member(out, "business_date");
        out.push(b'"');
        self.business_date.write(out);
        out.push(b'"');
        json::text_member(out, "currency", self.currency);
        json::member(out, "operator_id");
        out.extend_from_slice(b"\"op-");
        json::unsigned(out, self.operator.into());
        out.push(b'"');
    }

    fn write_event_id(&self, out: &mut Vec<u8>) {
        if let Some(epoch) = self.epoch {
            out.extend_from_slice(epoch.as_bytes());
            out.push(b'.');
        }
        out.extend_from_slice(self.store.as_bytes());
        out.push(b'.');
        out.extend_from_slice(self.terminal.as_bytes());
        out.push(b'.');
        json::unsigned(out, self.sequence);
    }
}

/// Appends the member `lines`.
pub(super) fn write_lines(
    out: &mut Vec<u8>,
    lines: &[Line],
    catalogue: &Catalogue,
    country: &Country,
) {
    json::member(out, "lines");
    out.push(b'[');
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.push(b'{');
        json::member(out, "line");
        json::unsigned(out, place as u64 + 1);
        write_line(out, line, catalogue, country);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_line(out: &mut Vec<u8>, line: &Line, catalogue: &Catalogue, country: &Country) {
    let item = catalogue.item(line.item);
    json::text_member(out, "type", line_type_name(line.what));
    out.push(b',');
    out.extend_from_slice(&item.members);
    json::member(out, "quantity");
    json::shortest(out, line.quantity, QUANTITY_SCALE);
    if line.pieces > 0 {
        json::text_member(out, "unit", "KGM");
        json::member(out, "pieces");
        json::shortest(out, line.pieces.into(), 0);
    }
    if let LineType::Return(disposition) = line.what {
        write_disposition(out, disposition);
    }
    if line.unit_price > 0 {
        write_money(out, "regular_unit_price", line.unit_price, country);
        write_money(out, "amount", line.amount, country);
        match line.class {
            None => write_discount_and_tax(out, line, item.reduced_tax, country),
            Some(class) => json::text_member(out, "class", class.name()),
        }
    }
    for (name, value) in
        [("reason", line.reason), ("location", line.location), ("to_location", line.to_location)]
    {
        if !value.is_empty() {
            json::text_member(out, name, value);
        }
    }
    if line.void {
        json::member(out, "void");
        out.extend_from_slice(b"true");
    }
}

fn line_type_name(line_type: LineType) -> &'static str {
    match line_type {
        LineType::Sale => "sale",
        LineType::Return(_) => "return",
        LineType::Service => "service",
        LineType::Adjustment => "adjustment",
        LineType::Count => "count",
        LineType::Transfer => "transfer",
    }
}

/// Restocking is what goods brought back mean by default, so it goes without saying.
fn write_disposition(out: &mut Vec<u8>, disposition: Disposition) {
    let name = match disposition {
        Disposition::Restock => return,
        Disposition::Damaged => "damaged",
        Disposition::Vendor => "vendor",
        Disposition::None => "none",
    };
    json::text_member(out, "disposition", name);
}

fn write_discount_and_tax(out: &mut Vec<u8>, line: &Line, reduced_tax: bool, country: &Country) {
    if line.discount > 0 {
        const REASONS: [&str; 3] = ["promotion", "markdown", "loyalty"];
        json::member(out, "discounts");
        out.extend_from_slice(b"[{");
        json::text_member(out, "reason", REASONS[line.item as usize % REASONS.len()]);
        write_money(out, "amount", line.discount, country);
        out.extend_from_slice(b"}]");
    }
    let rate = &country.rates[usize::from(reduced_tax)];
    json::member(out, "taxes");
    out.extend_from_slice(b"[{");
    json::text_member(out, "code", rate.code);
    json::text_member(out, "rate", rate.percent);
    write_money(out, "amount", line.tax, country);
    json::member(out, "inclusive");
    out.extend_from_slice(if country.inclusive { b"true" } else { b"false" });
    out.extend_from_slice(b"}]");
}

/// Appends a member that is an amount of money.
pub(super) fn write_money(out: &mut Vec<u8>, name: &str, minor: i64, country: &Country) {
    json::member(out, name);
    json::fixed(out, minor, country.exponent);
}

/// Appends the members `tenders` and `totals` as tills of the basic mix write them; they agree with the lines.
pub(super) fn write_basic_payment(
    out: &mut Vec<u8>,
    lines: &[Line],
    country: &Country,
    reversed: bool,
    rng: &mut FleetRng,
) {
    let bill = bill(lines, country, reversed);
    json::member(out, "tenders");
    out.push(b'[');
    write_tenders(out, bill.total, country, rng);
    out.push(b']');
    write_totals(out, &bill, lines.len(), &[], country);
}

/// Appends the member `totals`, and in it what stands beside the total where it is not nothing: tip and rounding.
pub(super) fn write_totals(
    out: &mut Vec<u8>,
    bill: &Bill,
    line_count: usize,
    beside: &[(&str, i64)],
    country: &Country,
) {
    json::member(out, "totals");
    out.push(b'{');
    write_money(out, "lines", bill.lines, country);
    write_money(out, "discounts", bill.discounts, country);
    write_money(out, "taxes", bill.taxes, country);
    write_money(out, "total", bill.total, country);
    json::member(out, "line_count");
    json::unsigned(out, line_count as u64);
    for (name, minor) in beside.iter().filter(|(_, minor)| *minor != 0) {
        write_money(out, name, *minor, country);
    }
    out.push(b'}');
}

/// Pays a bill: a third in cash with change, most by card, a few with a gift card first.
fn write_tenders(out: &mut Vec<u8>, total: i64, country: &Country, rng: &mut FleetRng) {
    let mut rest = total;
    if total > 0 && rng.random_bool(0.04) {
        let part = (total / 2).max(1);
        write_tender(out, "gift_card", part, country);
        rest -= part;
    }
    if rest > 0 && rng.random_bool(0.33) {
        let note = 10_i64.pow(country.exponent) * 5;
        let given = (rest + note - 1) / note * note;
        write_tender(out, "cash", given, country);
        if given > rest {
            write_tender(out, "change", rest - given, country);
        }
    } else if rest != 0 || total == 0 {
        write_card(out, rest, country, rng);
    }
}

fn write_tender(out: &mut Vec<u8>, name: &str, amount: i64, country: &Country) {
    open_element(out);
    json::text_member(out, "type", name);
    write_money(out, "amount", amount, country);
    out.push(b'}');
}

/// A payment provider's token: letters only, so that it can never look like a card number.
pub(super) fn write_card(out: &mut Vec<u8>, amount: i64, country: &Country, rng: &mut FleetRng) {
    open_element(out);
    json::text_member(out, "type", "card");
    write_money(out, "amount", amount, country);
    json::member(out, "token");
    out.extend_from_slice(b"\"tok_");
    let mut bits: u64 = rng.random();
    for _ in 0..13 {
        out.push(b'a' + u8::try_from(bits % 26).unwrap_or(0));
        bits /= 26;
    }
    out.push(b'"');
    json::member(out, "last_four");
    out.push(b'"');
    json::padded(out, rng.random_range(0..10_000), 4);
    out.extend_from_slice(b"\"}");
}

pub(super) fn open_element(out: &mut Vec<u8>) {
    if out.last() == Some(&b'}') {
        out.push(b',');
    }
    out.push(b'{');
}
