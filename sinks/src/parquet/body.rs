//! The bytes of a file: rows of either shape, columns with their true types.

use std::sync::Arc;

use arrow_array::builder::Decimal128Builder;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tillrace_core::log::{Offset, Partition};

use super::{deltas, lines};
use crate::record::{Record, Source, Unreadable};

/// Digits of a quantity and how many of them are decimals: an `i64` of millionths.
pub(super) const QUANTITY: (u8, i8) = (19, 6);
/// zstd's default: files are written once and read often.
const ZSTD_LEVEL: i32 = 3;
/// Records whose columns are in memory at once.
const SLICE_RECORDS: usize = 1_000;

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

/// A column of a file.
pub(super) struct Column {
    name: &'static str,
    array: ArrayRef,
    nullable: bool,
}

/// Makes a column.
pub(super) fn column(name: &'static str, array: impl Array + 'static, nullable: bool) -> Column {
    Column { name, array: Arc::new(array), nullable }
}

/// Makes a builder of decimals with so many digits, and so many of them after the point.
pub(super) fn decimals((digits, after_point): (u8, i8)) -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(DataType::Decimal128(digits, after_point))
}

/// Writes records into the bytes of a file.
///
/// They are arranged a slice at a time, since their columns are several times as large as their text.
pub(super) fn write(
    source: Source,
    topic: &str,
    partition: Partition,
    records: &[Record],
    footer: Vec<KeyValue>,
) -> Result<Vec<u8>, BodyError> {
    let rows = |records: &[Record]| {
        batch(match source {
            Source::Transactions => lines::columns(topic, partition, records)?,
            Source::Deltas => deltas::columns(topic, partition, records)?,
        })
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_key_value_metadata(Some(footer))
        .set_created_by(concat!("tillrace ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows(&[])?.schema(), Some(properties))?;
    for slice in records.chunks(SLICE_RECORDS) {
        writer.write(&rows(slice)?)?;
    }
    Ok(writer.into_inner()?)
}

fn batch(columns: Vec<Column>) -> Result<RecordBatch, BodyError> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|Column { name, array, nullable }| {
            (Field::new(name, array.data_type().clone(), nullable), array)
        })
        .unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
