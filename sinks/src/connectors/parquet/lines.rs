//! The rows of transactions: one row a line, and one for a transaction without lines.
//!
//! Each row repeats the values of its transaction, but holds only the amounts of its own line, so
//! that sums over rows are right. Amounts are in major units. A row also holds the stock effect of
//! its line, so that sums over rows can be compared with sums of deltas. What belongs to a transaction as a whole and is an
//! amount, its tenders and totals, is not here: a row a line would repeat it.

mod details;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::VerdictKind;
use tillrace_core::event::{Event, Line};
use tillrace_core::stock;
use tillrace_core::text::{Currency, Timestamp};

use self::details::DetailColumns;
use super::columns::{Column, QUANTITY, RowError, SkippedRecord, column, decimals};
use crate::record::{Record, RecordError, Transaction};

/// Amounts: four decimals hold the minor unit of every currency.
const AMOUNT: (u8, i8) = (24, 4);
/// Unit prices: four decimals more.
const PRICE: (u8, i8) = (28, 8);
const LARGEST_EXPONENT: u32 = 4;
/// How many columns the first version had.
pub(super) const FIRST_COLUMNS: usize = 38;

/// Converts transactions to columns; those without rows are skipped.
pub(super) fn columns(
    topic: &str,
    partition: i32,
    records: &[Record],
) -> (Vec<Column>, Vec<SkippedRecord>) {
    let mut decoder = Decoder::new();
    let (mut heads, mut lines) = (HeaderColumns::default(), LineColumns::default());
    let mut details = DetailColumns::default();
    let mut skipped = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let mut append = || {
            let transaction = Transaction::read(record)?;
            let event = decoder
                .decode_unhashed(transaction.envelope.data)
                .map_err(|refusal| RecordError::Refused { code: refusal.code.as_str() })?;
            let head = TransactionHeader::new(topic, partition, record, &transaction, &event)?;
            if event.lines.is_empty() {
                heads.append(&head);
                lines.append_none();
                details.append(&event, None);
            }
            for line in &event.lines {
                heads.append(&head);
                lines.append(&event, line);
                details.append(&event, Some(line));
            }
            let buffers = event.into_buffers();
            decoder.reuse(buffers);
            Ok(())
        };
        if let Err(error) = append() {
            skipped.push((index, error));
        }
    }
    let mut columns = heads.finish();
    columns.extend(lines.finish());
    columns.extend(details.finish());
    (columns, skipped)
}

/// Returns what amounts in minor units are multiplied by for the four decimals of a column: by what the currency lacks of four.
fn amount_factor(currency: Option<Currency>) -> i128 {
    let exponent = currency.map_or(LARGEST_EXPONENT, Currency::exponent);
    10_i128.pow(LARGEST_EXPONENT.saturating_sub(exponent))
}

/// Values that all rows of one transaction share, as their columns hold them.
struct TransactionHeader<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    sequence: Option<i64>,
    received_micros: i64,
    transaction: &'a Transaction<'a>,
    event: &'a Event<'a>,
}

impl<'a> TransactionHeader<'a> {
    fn new(
        topic: &'a str,
        partition: i32,
        record: &Record,
        transaction: &'a Transaction<'a>,
        event: &'a Event<'a>,
    ) -> Result<Self, RowError> {
        let wrong = |column| RowError::Value { column };
        let received = Timestamp::parse(transaction.envelope.received_time.as_bytes());
        Ok(Self {
            topic,
            partition,
            offset: i64::try_from(record.offset).map_err(|_beyond| wrong("offset"))?,
            sequence: event
                .sequence
                .map(i64::try_from)
                .transpose()
                .map_err(|_beyond| wrong("sequence"))?,
            received_micros: received.ok_or(wrong("received_at"))?.micros,
            transaction,
            event,
        })
    }
}

#[derive(Default)]
struct HeaderColumns {
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    tenant: StringBuilder,
    store: StringBuilder,
    terminal: StringBuilder,
    epoch: StringBuilder,
    sequence: Int64Builder,
    event_id: StringBuilder,
    kind: StringBuilder,
    verdict: StringBuilder,
    flags: StringBuilder,
    occurred_at: TimestampMicrosecondBuilder,
    utc_offset_minutes: Int32Builder,
    received_at: TimestampMicrosecondBuilder,
    business_date: Date32Builder,
    currency: StringBuilder,
    operator_id: StringBuilder,
    loyalty_id: StringBuilder,
}

impl HeaderColumns {
    fn append(&mut self, head: &TransactionHeader<'_>) {
        let TransactionHeader { transaction, event, .. } = head;
        let envelope = &transaction.envelope;
        let verdict = envelope.source_verdict.map(|source_verdict| match source_verdict.verdict {
            VerdictKind::First => "first",
            VerdictKind::Released => "released",
            VerdictKind::Parked => "parked",
        });
        self.topic.append_value(head.topic);
        self.partition.append_value(head.partition);
        self.offset.append_value(head.offset);
        self.tenant.append_value(&envelope.tenant);
        self.store.append_value(event.store);
        self.terminal.append_value(event.terminal);
        self.epoch.append_option(envelope.epoch.as_deref());
        self.sequence.append_option(head.sequence);
        self.event_id.append_value(event.event_id);
        self.kind.append_value(event.kind.as_str());
        self.verdict.append_option(verdict);
        self.flags.append_option(envelope.flags.as_deref());
        self.occurred_at.append_value(event.occurred_at.micros);
        self.utc_offset_minutes.append_value(event.occurred_at.offset_minutes.into());
        self.received_at.append_value(head.received_micros);
        self.business_date.append_value(event.business_date.0);
        self.currency.append_option(event.currency.map(|currency| currency.to_string()));
        self.operator_id.append_option(event.operator_id);
        self.loyalty_id.append_option(event.loyalty_id);
    }

    fn finish(mut self) -> Vec<Column> {
        vec![
            column("topic", self.topic.finish(), false),
            column("partition", self.partition.finish(), false),
            column("offset", self.offset.finish(), false),
            column("tenant", self.tenant.finish(), false),
            column("store", self.store.finish(), false),
            column("terminal", self.terminal.finish(), false),
            column("epoch", self.epoch.finish(), true),
            column("sequence", self.sequence.finish(), true),
            column("event_id", self.event_id.finish(), false),
            column("kind", self.kind.finish(), false),
            column("verdict", self.verdict.finish(), true),
            column("flags", self.flags.finish(), true),
            column("occurred_at", self.occurred_at.finish().with_timezone("UTC"), false),
            column("utc_offset_minutes", self.utc_offset_minutes.finish(), false),
            column("received_at", self.received_at.finish().with_timezone("UTC"), false),
            column("business_date", self.business_date.finish(), false),
            column("currency", self.currency.finish(), true),
            column("operator_id", self.operator_id.finish(), true),
            column("loyalty_id", self.loyalty_id.finish(), true),
        ]
    }
}

struct LineColumns {
    line: Int64Builder,
    line_type: StringBuilder,
    sku: StringBuilder,
    gtin: StringBuilder,
    unit: StringBuilder,
    disposition: StringBuilder,
    void: BooleanBuilder,
    quantity: Decimal128Builder,
    pieces: Decimal128Builder,
    regular_unit_price: Decimal128Builder,
    unit_price: Decimal128Builder,
    amount: Decimal128Builder,
    discount: Decimal128Builder,
    tax_exclusive: Decimal128Builder,
    tax_inclusive: Decimal128Builder,
    stock: Decimal128Builder,
    sold: Decimal128Builder,
    returned: Decimal128Builder,
    adjusted: Decimal128Builder,
}

impl Default for LineColumns {
    fn default() -> Self {
        Self {
            line: Int64Builder::default(),
            line_type: StringBuilder::default(),
            sku: StringBuilder::default(),
            gtin: StringBuilder::default(),
            unit: StringBuilder::default(),
            disposition: StringBuilder::default(),
            void: BooleanBuilder::default(),
            quantity: decimals(QUANTITY),
            pieces: decimals(QUANTITY),
            regular_unit_price: decimals(PRICE),
            unit_price: decimals(PRICE),
            amount: decimals(AMOUNT),
            discount: decimals(AMOUNT),
            tax_exclusive: decimals(AMOUNT),
            tax_inclusive: decimals(AMOUNT),
            stock: decimals(QUANTITY),
            sold: decimals(QUANTITY),
            returned: decimals(QUANTITY),
            adjusted: decimals(QUANTITY),
        }
    }
}

impl LineColumns {
    fn append(&mut self, event: &Event<'_>, line: &Line<'_>) {
        let factor = amount_factor(event.currency);
        let money = |minor: i64| i128::from(minor) * factor;
        let priced = event.currency.is_some();
        let some_money = |minor: i64| priced.then(|| money(minor));
        let effect = stock::effect(event.kind, line);
        self.line.append_value(line.line.into());
        self.line_type.append_value(line.line_type.as_str());
        self.sku.append_value(line.sku);
        self.gtin.append_option(line.gtin);
        self.unit.append_value(line.unit);
        self.disposition.append_value(line.disposition.as_str());
        self.void.append_value(line.void);
        self.quantity.append_value(line.quantity.0.into());
        self.pieces.append_option(line.pieces.map(|pieces| pieces.0.into()));
        self.regular_unit_price.append_option(line.regular_unit_price.map(money));
        self.unit_price.append_option(line.unit_price.map(money));
        self.amount.append_option(line.amount.map(money));
        self.discount.append_option(some_money(line.discount));
        self.tax_exclusive.append_option(some_money(line.tax_exclusive));
        self.tax_inclusive.append_option(some_money(line.tax_inclusive));
        self.stock.append_value(effect.stock.into());
        self.sold.append_value(effect.sold.into());
        self.returned.append_value(effect.returned.into());
        self.adjusted.append_value(effect.adjusted.into());
    }

    /// Appends what stands for no line: a transaction without lines has one row all the same.
    fn append_none(&mut self) {
        self.line.append_null();
        self.void.append_null();
        for text in [
            &mut self.line_type,
            &mut self.sku,
            &mut self.gtin,
            &mut self.unit,
            &mut self.disposition,
        ] {
            text.append_null();
        }
        for decimal in [
            &mut self.quantity,
            &mut self.pieces,
            &mut self.regular_unit_price,
            &mut self.unit_price,
            &mut self.amount,
            &mut self.discount,
            &mut self.tax_exclusive,
            &mut self.tax_inclusive,
            &mut self.stock,
            &mut self.sold,
            &mut self.returned,
            &mut self.adjusted,
        ] {
            decimal.append_null();
        }
    }

    fn finish(mut self) -> Vec<Column> {
        vec![
            column("line", self.line.finish(), true),
            column("line_type", self.line_type.finish(), true),
            column("sku", self.sku.finish(), true),
            column("gtin", self.gtin.finish(), true),
            column("quantity", self.quantity.finish(), true),
            column("unit", self.unit.finish(), true),
            column("pieces", self.pieces.finish(), true),
            column("regular_unit_price", self.regular_unit_price.finish(), true),
            column("unit_price", self.unit_price.finish(), true),
            column("amount", self.amount.finish(), true),
            column("discount", self.discount.finish(), true),
            column("tax_exclusive", self.tax_exclusive.finish(), true),
            column("tax_inclusive", self.tax_inclusive.finish(), true),
            column("disposition", self.disposition.finish(), true),
            column("void", self.void.finish(), true),
            column("stock", self.stock.finish(), true),
            column("sold", self.sold.finish(), true),
            column("returned", self.returned.finish(), true),
            column("adjusted", self.adjusted.finish(), true),
        ]
    }
}
