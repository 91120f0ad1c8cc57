//! The rows of deltas: one row a delta, with the values of its record.

use std::borrow::Cow;

use arrow_array::builder::{
    Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use serde::Deserialize;
use tillrace_core::text::{Date, Decimal, Timestamp};

use super::columns::{Column, QUANTITY, RowError, SkippedRecord, column, decimals};
use crate::record::{Record, read};

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    generation: Cow<'a, str>,
    from_offset: i64,
    to_offset: i64,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    window_start: Cow<'a, str>,
    window_seconds: i32,
    #[serde(borrow)]
    business_date: Cow<'a, str>,
    #[serde(borrow)]
    net: Cow<'a, str>,
    #[serde(borrow)]
    sold: Cow<'a, str>,
    #[serde(borrow)]
    returned: Cow<'a, str>,
    #[serde(borrow)]
    adjusted: Cow<'a, str>,
    events: i64,
}

/// How many columns the first version had.
pub(super) const FIRST_COLUMNS: usize = 19;

/// A delta's values as their columns hold them.
struct DeltaRow<'a> {
    offset: i64,
    delta: Delta<'a>,
    window_start: i64,
    business_date: i32,
    net: i128,
    sold: i128,
    returned: i128,
    adjusted: i128,
}

/// Converts deltas to columns; those without a row are skipped.
pub(super) fn columns(
    topic: &str,
    partition: i32,
    records: &[Record],
) -> (Vec<Column>, Vec<SkippedRecord>) {
    let mut rows = DeltaColumns::default();
    let mut skipped = Vec::new();
    for (index, record) in records.iter().enumerate() {
        match DeltaRow::read(record) {
            Ok(row) => {
                rows.topic.append_value(topic);
                rows.partition.append_value(partition);
                rows.append(&row);
            }
            Err(error) => skipped.push((index, error)),
        }
    }
    (rows.finish(), skipped)
}

impl<'a> DeltaRow<'a> {
    fn read(record: &'a Record) -> Result<Self, RowError> {
        let wrong = |column| RowError::Value { column };
        let quantity = |text: &str, column| {
            let quantity = Decimal::parse(text.as_bytes()).ok_or(wrong(column))?;
            Ok::<_, RowError>(i128::from(quantity.0))
        };
        let delta: Delta<'_> = read(&record.value)?;
        let start = Timestamp::parse(delta.window_start.as_bytes());
        let date = Date::parse(delta.business_date.as_bytes());
        Ok(Self {
            offset: i64::try_from(record.offset).map_err(|_beyond| wrong("offset"))?,
            window_start: start.ok_or(wrong("window_start"))?.micros,
            business_date: date.ok_or(wrong("business_date"))?.0,
            net: quantity(&delta.net, "net")?,
            sold: quantity(&delta.sold, "sold")?,
            returned: quantity(&delta.returned, "returned")?,
            adjusted: quantity(&delta.adjusted, "adjusted")?,
            delta,
        })
    }
}

struct DeltaColumns {
    topic: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    id: StringBuilder,
    generation: StringBuilder,
    from_offset: Int64Builder,
    to_offset: Int64Builder,
    tenant: StringBuilder,
    store: StringBuilder,
    sku: StringBuilder,
    unit: StringBuilder,
    window_start: TimestampMicrosecondBuilder,
    window_seconds: Int32Builder,
    business_date: Date32Builder,
    net: Decimal128Builder,
    sold: Decimal128Builder,
    returned: Decimal128Builder,
    adjusted: Decimal128Builder,
    events: Int64Builder,
    reason: StringBuilder,
    location: StringBuilder,
}

impl Default for DeltaColumns {
    fn default() -> Self {
        Self {
            topic: StringBuilder::default(),
            partition: Int32Builder::default(),
            offset: Int64Builder::default(),
            id: StringBuilder::default(),
            generation: StringBuilder::default(),
            from_offset: Int64Builder::default(),
            to_offset: Int64Builder::default(),
            tenant: StringBuilder::default(),
            store: StringBuilder::default(),
            sku: StringBuilder::default(),
            unit: StringBuilder::default(),
            window_start: TimestampMicrosecondBuilder::default(),
            window_seconds: Int32Builder::default(),
            business_date: Date32Builder::default(),
            net: decimals(QUANTITY),
            sold: decimals(QUANTITY),
            returned: decimals(QUANTITY),
            adjusted: decimals(QUANTITY),
            events: Int64Builder::default(),
            reason: StringBuilder::default(),
            location: StringBuilder::default(),
        }
    }
}

impl DeltaColumns {
    fn append(&mut self, row: &DeltaRow<'_>) {
        let delta = &row.delta;
        self.offset.append_value(row.offset);
        self.id.append_value(&delta.id);
        self.generation.append_value(&delta.generation);
        self.from_offset.append_value(delta.from_offset);
        self.to_offset.append_value(delta.to_offset);
        self.tenant.append_value(&delta.tenant);
        self.store.append_value(&delta.store);
        self.sku.append_value(&delta.sku);
        self.unit.append_value(&delta.unit);
        self.window_start.append_value(row.window_start);
        self.window_seconds.append_value(delta.window_seconds);
        self.business_date.append_value(row.business_date);
        self.net.append_value(row.net);
        self.sold.append_value(row.sold);
        self.returned.append_value(row.returned);
        self.adjusted.append_value(row.adjusted);
        self.events.append_value(delta.events);
        self.reason.append_option(delta.reason.as_deref());
        self.location.append_option(delta.location.as_deref());
    }

    fn finish(mut self) -> Vec<Column> {
        vec![
            column("topic", self.topic.finish(), false),
            column("partition", self.partition.finish(), false),
            column("offset", self.offset.finish(), false),
            column("id", self.id.finish(), false),
            column("generation", self.generation.finish(), false),
            column("from_offset", self.from_offset.finish(), false),
            column("to_offset", self.to_offset.finish(), false),
            column("tenant", self.tenant.finish(), false),
            column("store", self.store.finish(), false),
            column("sku", self.sku.finish(), false),
            column("unit", self.unit.finish(), false),
            column("window_start", self.window_start.finish().with_timezone("UTC"), false),
            column("window_seconds", self.window_seconds.finish(), false),
            column("business_date", self.business_date.finish(), false),
            column("net", self.net.finish(), false),
            column("sold", self.sold.finish(), false),
            column("returned", self.returned.finish(), false),
            column("adjusted", self.adjusted.finish(), false),
            column("events", self.events.finish(), false),
            column("reason", self.reason.finish(), true),
            column("location", self.location.finish(), true),
        ]
    }
}
