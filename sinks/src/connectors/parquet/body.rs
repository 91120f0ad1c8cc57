//! Encodes records into the bytes of a Parquet file: rows of either shape, columns with their true types.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tillrace_log::Partition;

use super::columns::{SkippedRecord, batch};
use super::{deltas, lines};
use crate::record::{Record, SourceTopic};

/// zstd's default: files are written once and read often.
const ZSTD_LEVEL: i32 = 3;
/// Records whose columns are held in memory at once.
pub(super) const SLICE_RECORDS: usize = 1_000;

/// Version of the columns that is written. A version adds columns behind those of the one before, which stay as they are.
pub(super) const COLUMNS_VERSION: u32 = 2;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("partition {partition} is beyond what its column holds")]
    Partition { partition: Partition },
    #[error("failed to build columns")]
    Arrow(#[from] ArrowError),
    #[error("failed to encode a Parquet file")]
    Parquet(#[from] ParquetError),
}

/// The bytes of a file, absent if no record has rows, and the records that it leaves out.
pub(super) struct EncodedFile {
    pub(super) content: Option<Vec<u8>>,
    pub(super) skipped: Vec<SkippedRecord>,
}

/// The topic and partition that rows come from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) source: SourceTopic,
    pub(super) topic: &'a str,
    pub(super) partition: Partition,
}

/// Encodes records into the bytes of a file.
///
/// Works a slice at a time, because columns are several times as large as the text of their records.
pub(super) fn write(
    origin: Origin<'_>,
    records: &[Record],
    footer: Vec<KeyValue>,
) -> Result<EncodedFile, BodyError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_key_value_metadata(Some(footer))
        .set_created_by(concat!("tillrace ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let (empty, _) = rows(origin, &[])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), empty.schema(), Some(properties))?;
    let mut skipped = Vec::new();
    for (slice, records) in records.chunks(SLICE_RECORDS).enumerate() {
        let (rows, missing) = rows(origin, records)?;
        writer.write(&rows)?;
        let first = slice * SLICE_RECORDS;
        skipped.extend(missing.into_iter().map(|(index, error)| (first + index, error)));
    }
    let content = if skipped.len() < records.len() { Some(writer.into_inner()?) } else { None };
    Ok(EncodedFile { content, skipped })
}

/// Tells which of the records a file would leave out.
pub(super) fn skipped(
    origin: Origin<'_>,
    records: &[Record],
) -> Result<Vec<SkippedRecord>, BodyError> {
    let mut skipped = Vec::new();
    for (slice, records) in records.chunks(SLICE_RECORDS).enumerate() {
        let first = slice * SLICE_RECORDS;
        let missing = rows(origin, records)?.1;
        skipped.extend(missing.into_iter().map(|(index, error)| (first + index, error)));
    }
    Ok(skipped)
}

/// Converts records to columns; records without rows are skipped.
pub(super) fn rows(
    Origin { source, topic, partition }: Origin<'_>,
    records: &[Record],
) -> Result<(RecordBatch, Vec<SkippedRecord>), BodyError> {
    let number = i32::try_from(partition).map_err(|_beyond| BodyError::Partition { partition })?;
    let (columns, skipped) = match source {
        SourceTopic::Transactions => lines::columns(topic, number, records),
        SourceTopic::Deltas => deltas::columns(topic, number, records),
    };
    Ok((batch(columns)?, skipped))
}

/// Converts records to the columns that a version had; records without rows are skipped.
pub(super) fn rows_of_version(
    version: u32,
    origin: Origin<'_>,
    records: &[Record],
) -> Result<RecordBatch, BodyError> {
    let (rows, _) = rows(origin, records)?;
    if version == COLUMNS_VERSION {
        return Ok(rows);
    }
    let columns = match origin.source {
        SourceTopic::Transactions => lines::FIRST_COLUMNS,
        SourceTopic::Deltas => deltas::FIRST_COLUMNS,
    };
    Ok(rows.project(&(0..columns).collect::<Vec<_>>())?)
}
