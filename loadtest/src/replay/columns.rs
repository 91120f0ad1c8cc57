//! Typed columns of a Parquet file, batch by batch.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Float64Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 16_384;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file is not there or cannot be opened.
    #[error("failed to open {path:?} (the script loadtest/datasets/install makes it)")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no Parquet, or broken.
    #[error("failed to read Parquet from {path:?}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A batch could not be decoded.
    #[error("failed to decode Parquet from {path:?}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: arrow_schema::ArrowError,
    },
    /// A column is absent or has another type than the data set's.
    #[error("column {column} is absent or not of the expected type")]
    Column {
        /// Its name.
        column: &'static str,
    },
    /// A column that is never NULL in this data set is.
    #[error("column {column} is NULL in row {row}, which it never is in this data set")]
    Null {
        /// Its name.
        column: &'static str,
        /// Row within its batch.
        row: usize,
    },
    /// An amount is not a whole number of cents.
    #[error("column {column} holds {value} in row {row}, which is not a number of cents")]
    Cents {
        /// Its name.
        column: &'static str,
        /// Row within its batch.
        row: usize,
        /// The value.
        value: f64,
    },
}

/// Reads the named columns of a file.
pub(super) fn read(
    path: &Path,
    columns: &[&str],
    mut each: impl FnMut(&Columns) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let path = || path.to_owned();
    let file = File::open(path()).map_err(|source| ReplayError::Open { path: path(), source })?;
    let parquet = |source| ReplayError::Parquet { path: path(), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(parquet)?;
    for batch in reader {
        let batch = batch.map_err(|source| ReplayError::Decode { path: path(), source })?;
        each(&Columns { batch })?;
    }
    Ok(())
}

/// One batch of rows.
#[derive(Debug)]
pub(super) struct Columns {
    batch: RecordBatch,
}

impl Columns {
    pub(super) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn column(&self, column: &'static str) -> Result<&ArrayRef, ReplayError> {
        self.batch.column_by_name(column).ok_or(ReplayError::Column { column })
    }

    /// Integers, NULL where the file has it.
    pub(super) fn optional_integers(
        &self,
        column: &'static str,
    ) -> Result<Vec<Option<i64>>, ReplayError> {
        let array = self.column(column)?;
        let array = array.as_primitive_opt::<Int64Type>().ok_or(ReplayError::Column { column })?;
        Ok(array.iter().collect())
    }

    /// Dates as days since 1970, NULL where the file has it.
    pub(super) fn optional_dates(
        &self,
        column: &'static str,
    ) -> Result<Vec<Option<i32>>, ReplayError> {
        let array = self.column(column)?;
        let array = array.as_primitive_opt::<Date32Type>().ok_or(ReplayError::Column { column })?;
        Ok(array.iter().collect())
    }

    /// Integers that are never NULL.
    pub(super) fn integers(&self, column: &'static str) -> Result<Vec<i64>, ReplayError> {
        never_null(column, self.optional_integers(column)?)
    }

    /// Amounts kept as floating-point numbers, in cents; each must be a whole number of them.
    pub(super) fn cents(&self, column: &'static str) -> Result<Vec<i64>, ReplayError> {
        let array = self.column(column)?;
        let array =
            array.as_primitive_opt::<Float64Type>().ok_or(ReplayError::Column { column })?;
        never_null(column, array.iter().collect())?
            .into_iter()
            .enumerate()
            .map(|(row, value)| cents(value).ok_or(ReplayError::Cents { column, row, value }))
            .collect()
    }

    /// Instants in milliseconds since 1970, from nanoseconds or microseconds.
    pub(super) fn instants_ms(&self, column: &'static str) -> Result<Vec<i64>, ReplayError> {
        let array = self.column(column)?;
        let values: Vec<Option<i64>> =
            if let Some(nanos) = array.as_primitive_opt::<TimestampNanosecondType>() {
                nanos.iter().map(|value| value.map(|ns| ns.div_euclid(1_000_000))).collect()
            } else if let Some(micros) = array.as_primitive_opt::<TimestampMicrosecondType>() {
                micros.iter().map(|value| value.map(|us| us.div_euclid(1_000))).collect()
            } else {
                return Err(ReplayError::Column { column });
            };
        never_null(column, values)
    }
}

fn never_null<T>(column: &'static str, values: Vec<Option<T>>) -> Result<Vec<T>, ReplayError> {
    values
        .into_iter()
        .enumerate()
        .map(|(row, value)| value.ok_or(ReplayError::Null { column, row }))
        .collect()
}

/// Converts a number of dollars to cents; `None` where it is not within a millionth of a cent of a
/// whole number of them. The source kept money as doubles; this is the one place that sees them.
#[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
fn cents(dollars: f64) -> Option<i64> {
    let scaled = dollars * 100.0;
    let whole = scaled.round();
    ((scaled - whole).abs() < 1e-6 && whole.abs() < 1e15).then_some(whole as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_exact_or_none() {
        assert_eq!(cents(0.29), Some(29));
        assert_eq!(cents(8.881_784e-16), Some(0), "what a sum of doubles leaves of nothing");
        assert_eq!(cents(130.02), Some(13_002));
        assert_eq!(cents(0.125), None);
        assert_eq!(cents(f64::NAN), None);
        assert_eq!(cents(1e300), None);
    }
}
