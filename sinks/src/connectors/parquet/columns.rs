//! Columns of a file with their true types, and why a record has no rows in them.

use std::sync::Arc;

use arrow_array::builder::Decimal128Builder;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::record::RecordError;

/// Digits of a quantity and how many of them are decimals: an `i64` of millionths.
pub(super) const QUANTITY: (u8, i8) = (19, 6);

/// Why a record has no rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("record cannot be read")]
    Unreadable(#[from] RecordError),
    #[error("{column} cannot be read, or is beyond what its column holds")]
    Value { column: &'static str },
}

/// A record that a file leaves out: its index among the records, and the reason.
pub(super) type SkippedRecord = (usize, RowError);

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

/// Makes a builder of decimals with the given digits in all and after the point.
pub(super) fn decimals((digits, after_point): (u8, i8)) -> Decimal128Builder {
    Decimal128Builder::new().with_data_type(DataType::Decimal128(digits, after_point))
}

/// Makes rows of columns.
pub(super) fn batch(columns: Vec<Column>) -> Result<RecordBatch, ArrowError> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|Column { name, array, nullable }| {
            (Field::new(name, array.data_type().clone(), nullable), array)
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}
