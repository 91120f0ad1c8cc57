//! Returns of the TPC-DS benchmark, each joined to the sale line it brings back.
//!
//! How a row of `returns.parquet` becomes a `return`:
//! - `store_sk` 4 is store `tpcds-4`. Where it is NULL, the sale's store; where that is too,
//!   `tpcds-unknown`. Ticket n went through terminal `t(n mod 4 + 1)`, whose numbers rise from 1 in
//!   order of time, ticket and item; the event's id is `tpcds-n-ITEM`.
//! - The reference names the sale by its store, its business date (both where known) and the event
//!   id `tpcds-n`. The sales themselves are not replayed.
//! - A NULL date becomes the sale's, or 1998-01-01 where that is NULL too; a NULL time noon. The
//!   clock is −05:00, the date the business date.
//! - The one line restocks `quantity` pieces of SKU `item_sk` at the sale's price. A NULL quantity
//!   becomes zero: nothing is made up that could be counted.
//! - `amount_cents` and `tax_cents` (on top) are the refund; NULLs are left out, and so are the
//!   totals where either is NULL. Cash, card and store credit refund the amount, the tax goes back
//!   in cash; with any of the four NULL there are no tenders. The return fee is left out.
//!
//! Each of these decisions is counted.

use std::path::Path;

use super::columns::{Columns, ReplayError, read};
use super::recording::{
    EventBuffers, EventNumber, Names, OFFSET_MINUTES, Recording, write_cents, write_tender,
};
use crate::calendar::{DAY_MS, Date, write_instant};
use crate::json;
use crate::source::{Movement, ONE, StockEffect};

const COLUMNS: [&str; 15] = [
    "ticket",
    "item_sk",
    "store_sk",
    "sale_store_sk",
    "customer_sk",
    "returned_on",
    "returned_second",
    "sold_on",
    "quantity",
    "price_cents",
    "amount_cents",
    "tax_cents",
    "cash_cents",
    "charge_cents",
    "credit_cents",
];

/// The day of a return that knows neither its own nor its sale's: 1998-01-01, the first of sales.
const UNKNOWN_DAY: i32 = 10_227;

/// The second of the day of a return that does not know it: noon.
const UNKNOWN_SECOND: i64 = 43_200;

/// The returns.
#[derive(Debug)]
pub(super) struct Returns {
    names: Names,
    rows: Vec<Row>,
    numbers: Vec<EventNumber>,
    decided: DecisionCounts,
}

/// What had to be decided, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct DecisionCounts {
    store_of_sale: u64,
    store_unknown: u64,
    date_of_sale: u64,
    date_unknown: u64,
    time_unknown: u64,
    quantity_unknown: u64,
    no_totals: u64,
    no_tenders: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    ticket: i64,
    item: i64,
    sku: u32,
    store: u32,
    sale_store: Option<i64>,
    customer: Option<i64>,
    day: i32,
    second: i64,
    sold_on: Option<i32>,
    quantity: i64,
    price_cents: Option<i64>,
    amount_cents: Option<i64>,
    tax_cents: Option<i64>,
    /// Cash without the tax, card, store credit.
    refund_cents: Option<[i64; 3]>,
}

impl Returns {
    /// Reads `returns.parquet`.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or holds what it never does.
    pub(super) fn read(path: &Path) -> Result<Self, ReplayError> {
        let (mut names, mut rows, mut decided) =
            (Names::default(), Vec::new(), DecisionCounts::default());
        read(path, &COLUMNS, |columns| append(columns, &mut names, &mut rows, &mut decided))?;
        rows.sort_by_key(|row| (row.day, row.second, row.ticket, row.item));
        let numbers = rows.iter().map(|row| names.number(row.store, row.ticket)).collect();
        Ok(Self { names, rows, numbers, decided })
    }
}

fn append(
    columns: &Columns,
    names: &mut Names,
    rows: &mut Vec<Row>,
    decided: &mut DecisionCounts,
) -> Result<(), ReplayError> {
    let ticket = columns.integers("ticket")?;
    let item = columns.integers("item_sk")?;
    let store = columns.optional_integers("store_sk")?;
    let sale_store = columns.optional_integers("sale_store_sk")?;
    let customer = columns.optional_integers("customer_sk")?;
    let returned_on = columns.optional_dates("returned_on")?;
    let second = columns.optional_integers("returned_second")?;
    let sold_on = columns.optional_dates("sold_on")?;
    let quantity = columns.optional_integers("quantity")?;
    let price = columns.optional_integers("price_cents")?;
    let amount = columns.optional_integers("amount_cents")?;
    let tax = columns.optional_integers("tax_cents")?;
    let refunds = ["cash_cents", "charge_cents", "credit_cents"]
        .into_iter()
        .map(|column| columns.optional_integers(column))
        .collect::<Result<Vec<_>, _>>()?;
    for row in 0..columns.rows() {
        let refund = (refunds[0][row], refunds[1][row], refunds[2][row]);
        let refund_cents = match refund {
            (Some(cash), Some(charge), Some(credit)) => Some([cash, charge, credit]),
            _ => None,
        };
        let day = decided.day(returned_on[row], sold_on[row]);
        rows.push(Row {
            ticket: ticket[row],
            item: item[row],
            sku: names.sku(item[row]),
            store: names.store(&decided.store(store[row], sale_store[row])),
            sale_store: sale_store[row],
            customer: customer[row],
            day,
            second: or_count(second[row], UNKNOWN_SECOND, &mut decided.time_unknown),
            sold_on: sold_on[row],
            quantity: or_count(quantity[row], 0, &mut decided.quantity_unknown) * ONE,
            price_cents: price[row],
            amount_cents: amount[row],
            tax_cents: tax[row],
            refund_cents,
        });
        decided.no_totals += u64::from(amount[row].is_none() || tax[row].is_none());
        decided.no_tenders += u64::from(tax[row].is_none() || refund_cents.is_none());
    }
    Ok(())
}

fn or_count(value: Option<i64>, instead: i64, count: &mut u64) -> i64 {
    value.unwrap_or_else(|| {
        *count += 1;
        instead
    })
}

impl DecisionCounts {
    fn store(&mut self, store: Option<i64>, sale_store: Option<i64>) -> String {
        match (store, sale_store) {
            (Some(store), _) => format!("tpcds-{store}"),
            (None, Some(store)) => {
                self.store_of_sale += 1;
                format!("tpcds-{store}")
            }
            (None, None) => {
                self.store_unknown += 1;
                "tpcds-unknown".to_owned()
            }
        }
    }

    fn day(&mut self, returned_on: Option<i32>, sold_on: Option<i32>) -> i32 {
        match (returned_on, sold_on) {
            (Some(day), _) => day,
            (None, Some(day)) => {
                self.date_of_sale += 1;
                day
            }
            (None, None) => {
                self.date_unknown += 1;
                UNKNOWN_DAY
            }
        }
    }
}

impl Recording for Returns {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn write(&self, index: usize, buffers: &mut EventBuffers<'_>) -> EventNumber {
        let (row, number) = (&self.rows[index], self.numbers[index]);
        let event_id = format!("tpcds-{}-{}", row.ticket, row.item);
        self.names.write_identity(number, buffers, &event_id);
        let text = &mut *buffers.text;
        json::text_member(text, "kind", "return");
        json::member(text, "occurred_at");
        text.push(b'"');
        let local_ms = i64::from(row.day) * DAY_MS + row.second * 1_000;
        write_instant(text, local_ms - i64::from(OFFSET_MINUTES) * 60_000, OFFSET_MINUTES);
        text.push(b'"');
        json::member(text, "business_date");
        text.push(b'"');
        Date(row.day).write(text);
        text.push(b'"');
        json::text_member(text, "currency", "USD");
        if let Some(customer) = row.customer {
            json::text_member(text, "loyalty_id", &format!("tpcds-{customer}"));
        }
        write_reference(row, text);
        self.write_line(row, text);
        write_refund(row, text);
        text.push(b'}');
        if row.quantity != 0 {
            let movement =
                Movement { net: row.quantity, returned: row.quantity, ..Movement::default() };
            buffers.effects.push(StockEffect {
                sku: buffers.first_sku + row.sku,
                unit: "C62",
                movement,
                ..StockEffect::default()
            });
        }
        number
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn notes(&self) -> Vec<(&'static str, u64)> {
        let decided = self.decided;
        vec![
            ("TPC-DS: returns", self.rows.len() as u64),
            ("TPC-DS: store NULL, the sale's taken", decided.store_of_sale),
            ("TPC-DS: store NULL in return and sale, tpcds-unknown", decided.store_unknown),
            ("TPC-DS: date NULL, the sale's taken", decided.date_of_sale),
            ("TPC-DS: date NULL in return and sale, 1998-01-01", decided.date_unknown),
            ("TPC-DS: time NULL, noon", decided.time_unknown),
            ("TPC-DS: quantity NULL, zero", decided.quantity_unknown),
            ("TPC-DS: amount or tax NULL, no totals", decided.no_totals),
            ("TPC-DS: tax or part of the refund NULL, no tenders", decided.no_tenders),
        ]
    }
}

impl Returns {
    fn write_line(&self, row: &Row, text: &mut Vec<u8>) {
        json::member(text, "lines");
        text.push(b'[');
        text.push(b'{');
        json::member(text, "line");
        text.push(b'1');
        json::text_member(text, "type", "return");
        json::text_member(text, "sku", &self.names.directory.skus[row.sku as usize]);
        json::member(text, "quantity");
        json::shortest(text, row.quantity, 6);
        if let Some(cents) = row.price_cents {
            write_cents(text, "unit_price", cents);
        }
        if let Some(cents) = row.amount_cents {
            write_cents(text, "amount", cents);
        }
        if let Some(cents) = row.tax_cents {
            json::member(text, "taxes");
            text.extend_from_slice(b"[{");
            json::text_member(text, "code", "sales-tax");
            write_cents(text, "amount", cents);
            text.extend_from_slice(b"}]");
        }
        json::text_member(text, "disposition", "restock");
        text.extend_from_slice(b"}]");
    }
}

fn write_reference(row: &Row, text: &mut Vec<u8>) {
    json::member(text, "reference");
    text.push(b'{');
    if let Some(store) = row.sale_store {
        json::text_member(text, "store", &format!("tpcds-{store}"));
    }
    json::text_member(text, "event_id", &format!("tpcds-{}", row.ticket));
    if let Some(day) = row.sold_on {
        json::member(text, "business_date");
        text.push(b'"');
        Date(day).write(text);
        text.push(b'"');
    }
    text.push(b'}');
}

fn write_refund(row: &Row, text: &mut Vec<u8>) {
    if let (Some(tax), Some([cash, charge, credit])) = (row.tax_cents, row.refund_cents) {
        json::member(text, "tenders");
        text.push(b'[');
        write_tender(text, "cash", -(cash + tax));
        write_tender(text, "card", -charge);
        write_tender(text, "store_credit", -credit);
        text.push(b']');
    }
    if let (Some(amount), Some(tax)) = (row.amount_cents, row.tax_cents) {
        json::member(text, "totals");
        text.push(b'{');
        write_cents(text, "lines", -amount);
        write_cents(text, "taxes", -tax);
        write_cents(text, "total", -(amount + tax));
        json::member(text, "line_count");
        text.extend_from_slice(b"1}");
    }
}
