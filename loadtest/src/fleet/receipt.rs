//! Receipts: a transaction as the JSON text of a canonical event, and what it does to stock.

use rand::RngExt as _;

use super::FleetRng;
use super::basket::{Bill, Disposition, Line, LineType, bill};
use super::catalogue::Catalogue;
use super::country::Country;
use crate::calendar::{Date, write_instant};
use crate::json;
use crate::source::{Movement, QUANTITY_SCALE, StockEffect};

/// Kinds of event that fleets send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Sale,
    Return,
    Exchange,
    Void,
    PostVoid,
    Suspend,
    Resume,
    NoSale,
    Training,
    Open,
    Close,
    PaidIn,
    PaidOut,
    Loan,
    Pickup,
    InventoryAdjustment,
    InventoryCount,
    TransferOut,
    TransferIn,
}

impl Kind {
    /// Returns the kind's name in an event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Return => "return",
            Self::Exchange => "exchange",
            Self::Void => "void",
            Self::PostVoid => "post_void",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::NoSale => "no_sale",
            Self::Training => "training",
            Self::Open => "open",
            Self::Close => "close",
            Self::PaidIn => "paid_in",
            Self::PaidOut => "paid_out",
            Self::Loan => "loan",
            Self::Pickup => "pickup",
            Self::InventoryAdjustment => "inventory_adjustment",
            Self::InventoryCount => "inventory_count",
            Self::TransferOut => "transfer_out",
            Self::TransferIn => "transfer_in",
        }
    }

    /// Returns what one line does to stock, as the person at the till meant it.
    fn movement(self, line: &Line) -> Movement {
        let quantity = line.quantity;
        let none = Movement::default();
        if line.void {
            return none;
        }
        let sold = Movement { net: -quantity, sold: quantity, ..none };
        let adjusted = |quantity| Movement { net: quantity, adjusted: quantity, ..none };
        let returned = |disposition| {
            let net = if disposition == Disposition::Restock { quantity } else { 0 };
            Movement { net, returned: quantity, ..none }
        };
        match (self, line.what) {
            (Self::Sale | Self::Exchange | Self::Return, LineType::Sale) => sold,
            (Self::Sale | Self::Exchange | Self::Return, LineType::Return(disposition)) => {
                returned(disposition)
            }
            (Self::PostVoid, LineType::Sale) => reversed(sold),
            (Self::PostVoid, LineType::Return(disposition)) => reversed(returned(disposition)),
            (Self::InventoryAdjustment, LineType::Adjustment)
            | (Self::TransferIn, LineType::Transfer) => adjusted(quantity),
            (Self::TransferOut, LineType::Transfer) => adjusted(-quantity),
            _ => none,
        }
    }
}

fn reversed(movement: Movement) -> Movement {
    Movement {
        net: -movement.net,
        sold: -movement.sold,
        returned: -movement.returned,
        adjusted: -movement.adjusted,
    }
}

/// Appends what an event does to stock.
pub(super) fn effects(
    kind: Kind,
    lines: &[Line],
    catalogue: &Catalogue,
    out: &mut Vec<StockEffect>,
) {
    for line in lines {
        let movement = kind.movement(line);
        if !movement.is_zero() {
            let unit = unit(catalogue, line);
            out.push(StockEffect { sku: line.item, unit, movement });
        }
    }
}

fn unit(catalogue: &Catalogue, line: &Line) -> &'static str {
    if catalogue.item(line.item).weighed && line.pieces > 0 { "KGM" } else { "C62" }
}

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
        json::text_member(out, "currency", self.country.currency);
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
        write_discount_and_tax(out, line, item.reduced_tax, country);
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

/// Appends the members `tenders` and `totals`, which agree with the lines.
pub(super) fn write_payment(
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
    write_totals(out, &bill, lines.len(), country);
}

fn write_totals(out: &mut Vec<u8>, bill: &Bill, line_count: usize, country: &Country) {
    json::member(out, "totals");
    out.push(b'{');
    write_money(out, "lines", bill.lines, country);
    write_money(out, "discounts", bill.discounts, country);
    write_money(out, "taxes", bill.taxes, country);
    write_money(out, "total", bill.total, country);
    json::member(out, "line_count");
    json::unsigned(out, line_count as u64);
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
fn write_card(out: &mut Vec<u8>, amount: i64, country: &Country, rng: &mut FleetRng) {
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

fn open_element(out: &mut Vec<u8>) {
    if out.last() == Some(&b'}') {
        out.push(b',');
    }
    out.push(b'{');
}
