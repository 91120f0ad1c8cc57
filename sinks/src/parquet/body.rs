//! The bytes of a file: rows of either shape, columns with their true types.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use tillrace_core::log::{Offset, Partition};
use tillrace_core::text::{Date, Decimal, Timestamp};

use super::lines;
use crate::record::{Record, Source, Unreadable, read};

/// Digits of a quantity, six of them decimals, as an `i64` of millionths needs.
pub(super) const QUANTITY_DIGITS: u8 = 19;
pub(super) const QUANTITY_DECIMALS: i8 = 6;
/// zstd's fast end: files are read more often than they are archived.
const ZSTD_LEVEL: i32 = 3;

/// Why rows cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("read offset {offset}")]
    Unreadable { offset: Offset, source: Unreadable },
    #[error("offset {offset}: {column} cannot be read")]
    Value { offset: Offset, column: &'static str },
    #[error("arrange columns")]
    Arrow(#[from] ArrowError),
    #[error("write a Parquet file")]
    Parquet(#[from] ParquetError),
}

/// Writes records into the bytes of a file.
pub(super) fn write(
    source: Source,
    topic: &str,
    partition: Partition,
    records: &[Record],
    footer: Vec<KeyValue>,
) -> Result<Vec<u8>, BodyError> {
    let columns = match source {
        Source::Transactions => lines::columns(topic, partition, records)?,
        Source::Deltas => deltas(topic, partition, records)?,
    };
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|Column { name, array, nullable }| {
            (Field::new(name, array.data_type().clone(), nullable), array)
        })
        .unzip();
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_key_value_metadata(Some(footer))
        .set_created_by(concat!("tillrace ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    writer.write(&rows)?;
    Ok(writer.into_inner()?)
}

/// A column of a file.
pub(super) struct Column {
    name: &'static str,
    array: ArrayRef,
    nullable: bool,
}

pub(super) fn text<'a>(
    name: &'static str,
    values: impl Iterator<Item = Option<&'a str>>,
    nullable: bool,
) -> Column {
    Column { name, array: Arc::new(values.collect::<StringArray>()), nullable }
}

pub(super) fn int(
    name: &'static str,
    values: impl Iterator<Item = Option<i32>>,
    nullable: bool,
) -> Column {
    Column { name, array: Arc::new(values.collect::<Int32Array>()), nullable }
}

pub(super) fn long(
    name: &'static str,
    values: impl Iterator<Item = Option<i64>>,
    nullable: bool,
) -> Column {
    Column { name, array: Arc::new(values.collect::<Int64Array>()), nullable }
}

pub(super) fn date(name: &'static str, values: impl Iterator<Item = Date>) -> Column {
    let array: Date32Array = values.map(|date| Some(date.0)).collect();
    Column { name, array: Arc::new(array), nullable: false }
}

pub(super) fn time(name: &'static str, values: impl Iterator<Item = Timestamp>) -> Column {
    let array: TimestampMicrosecondArray = values.map(|time| Some(time.micros)).collect();
    Column { name, array: Arc::new(array.with_timezone("UTC")), nullable: false }
}

pub(super) fn decimal(
    name: &'static str,
    (digits, decimals): (u8, i8),
    values: impl Iterator<Item = Option<i128>>,
    nullable: bool,
) -> Result<Column, ArrowError> {
    let array = values.collect::<Decimal128Array>().with_precision_and_scale(digits, decimals)?;
    Ok(Column { name, array: Arc::new(array), nullable })
}

/// A delta as it stands on its topic.
#[derive(Deserialize)]
struct Delta {
    id: String,
    generation: String,
    from_offset: i64,
    to_offset: i64,
    tenant: String,
    store: String,
    sku: String,
    unit: String,
    window_start: String,
    window_seconds: i32,
    business_date: String,
    net: String,
    sold: String,
    returned: String,
    adjusted: String,
    events: i64,
}

fn deltas(topic: &str, partition: Partition, records: &[Record]) -> Result<Vec<Column>, BodyError> {
    let mut rows: Vec<(Offset, Delta)> = Vec::with_capacity(records.len());
    for record in records {
        let offset = record.offset;
        let delta =
            read(&record.value).map_err(|source| BodyError::Unreadable { offset, source })?;
        rows.push((offset, delta));
    }
    let starts: Vec<Timestamp> = rows
        .iter()
        .map(|(offset, row)| {
            Timestamp::parse(row.window_start.as_bytes())
                .ok_or(BodyError::Value { offset: *offset, column: "window_start" })
        })
        .collect::<Result<_, _>>()?;
    let dates: Vec<Date> = rows
        .iter()
        .map(|(offset, row)| {
            Date::parse(row.business_date.as_bytes())
                .ok_or(BodyError::Value { offset: *offset, column: "business_date" })
        })
        .collect::<Result<_, _>>()?;
    let quantity = |column: &'static str, of: fn(&Delta) -> &String| {
        let values: Vec<i128> = rows
            .iter()
            .map(|(offset, row)| {
                Decimal::parse(of(row).as_bytes())
                    .map(|quantity| i128::from(quantity.0))
                    .ok_or(BodyError::Value { offset: *offset, column })
            })
            .collect::<Result<_, _>>()?;
        let shape = (QUANTITY_DIGITS, QUANTITY_DECIMALS);
        Ok::<_, BodyError>(decimal(column, shape, values.into_iter().map(Some), false)?)
    };
    let of =
        |field: fn(&Delta) -> &String| rows.iter().map(move |(_, row)| Some(field(row).as_str()));
    let mut columns = place(topic, partition, rows.iter().map(|&(offset, _)| offset));
    columns.extend([
        text("id", of(|row| &row.id), false),
        text("generation", of(|row| &row.generation), false),
        long("from_offset", rows.iter().map(|(_, row)| Some(row.from_offset)), false),
        long("to_offset", rows.iter().map(|(_, row)| Some(row.to_offset)), false),
        text("tenant", of(|row| &row.tenant), false),
        text("store", of(|row| &row.store), false),
        text("sku", of(|row| &row.sku), false),
        text("unit", of(|row| &row.unit), false),
        time("window_start", starts.into_iter()),
        int("window_seconds", rows.iter().map(|(_, row)| Some(row.window_seconds)), false),
        date("business_date", dates.into_iter()),
        quantity("net", |row| &row.net)?,
        quantity("sold", |row| &row.sold)?,
        quantity("returned", |row| &row.returned)?,
        quantity("adjusted", |row| &row.adjusted)?,
        long("events", rows.iter().map(|(_, row)| Some(row.events)), false),
    ]);
    Ok(columns)
}

/// The columns that say where each row came from.
pub(super) fn place(
    topic: &str,
    partition: Partition,
    offsets: impl Iterator<Item = Offset> + Clone,
) -> Vec<Column> {
    let rows = offsets.clone().count();
    // Neither number can leave these types on any log that exists; they saturate if it could.
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    let offsets = offsets.map(|offset| Some(i64::try_from(offset).unwrap_or(i64::MAX)));
    vec![
        text("topic", std::iter::repeat_n(Some(topic), rows), false),
        int("partition", std::iter::repeat_n(Some(partition), rows), false),
        long("offset", offsets, false),
    ]
}
