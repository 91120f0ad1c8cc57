//! Check (d) of files: every record that the audit calls delivered is in one file once, with the values of the topic.
//!
//! Reads the audit first, then every file as a whole, because a running sink publishes before it audits. Rows are compared
//! with the topic as far as the log still has their records. Records that are neither in the log nor in a file cannot be
//! compared; the check notes their number.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{Array as _, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use tillrace_core::topics::Topics;
use tillrace_core::verify::{Amount, Check, Difference};
use tillrace_log::explain;
use tillrace_log::{LogError, LogView, Offset, Partition, Topic};

use super::body::{self, BodyError, COLUMNS_VERSION, Origin, SLICE_RECORDS};
use super::file_sequence::{FileSequence, columns_version};
use super::file_store::{FileStore, FileStoreError};
use super::generation;
use super::settings::ParquetSettings;
use crate::record::Record;

const READ_RECORDS: usize = 5_000;
const READ_WAIT: Duration = Duration::from_millis(200);

/// Why files cannot be recounted. Differences are part of the check instead.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// The file store cannot be read.
    #[error("failed to read the files of the sink")]
    Store(#[from] FileStoreError),
    /// The log cannot be read.
    #[error("failed to read the log")]
    Log(#[from] LogError),
}

explain!(RecountError {
    => Store, Log;
});

/// What is wrong with one file.
#[derive(Debug, thiserror::Error)]
enum FileFault {
    #[error("file cannot be read")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("file cannot be read")]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error("file is not of the sequence that its name says")]
    Foreign,
    #[error("file has no offsets, or they do not rise")]
    Offsets,
    #[error(
        "file has columns of a version that is not known here; recount it with the version that wrote it, or a later one"
    )]
    Columns,
}

/// Offsets from the first to before the second.
type OffsetRange = (Offset, Offset);

/// Compares the files of a sink with audit and topic.
///
/// # Errors
/// When the file store or the log cannot be read.
pub(super) async fn recount(
    settings: &ParquetSettings,
    view: Arc<dyn LogView>,
    topics: &Topics,
    sink: &str,
) -> Result<Check, RecountError> {
    let topic = settings.source.topic(topics).clone();
    let mut recount = Recount {
        settings,
        store: FileStore::open(settings, topic.as_str())?,
        view: view.as_ref(),
        topic,
        check: Check::new(format!("(d) files of sink {sink}")),
        totals: RecountTotals::default(),
    };
    for partition in 0..view.partitions() {
        let delivered = delivered(recount.view, topics, sink, &recount.topic, partition)?;
        if delivered.is_empty() {
            continue;
        }
        match generation::find(recount.view, &topics.state, partition)? {
            Some(generation) => {
                let topic = recount.topic.to_string();
                let sequence = FileSequence { generation, topic, partition };
                recount.partition(&sequence, &delivered).await?;
            }
            None => recount.differs(partition, "delivered before the first checkpoint", ""),
        }
    }
    Ok(recount.finish())
}

#[derive(Default)]
struct RecountTotals {
    files: u64,
    delivered: u64,
    in_files: u64,
    given: u64,
}

struct Recount<'a> {
    settings: &'a ParquetSettings,
    store: FileStore,
    view: &'a dyn LogView,
    topic: Topic,
    check: Check,
    totals: RecountTotals,
}

/// One file of a sequence.
struct File {
    range: OffsetRange,
    /// Version of its columns.
    version: u32,
    rows: RecordBatch,
    /// The offset of each row.
    offsets: Vec<Offset>,
}

impl Recount<'_> {
    async fn partition(
        &mut self,
        sequence: &FileSequence,
        delivered: &[OffsetRange],
    ) -> Result<(), RecountError> {
        let start = self.view.bounds(&self.topic, sequence.partition)?.start;
        let mut names = self.store.names().await?;
        names
            .retain(|name| name.starts_with(&sequence.name_prefix()) && name.ends_with(".parquet"));
        names.sort_unstable();
        let mut missing = delivered.to_vec();
        for name in &names {
            self.totals.files += 1;
            let content = self.store.read(name).await?;
            match File::read(sequence, name, content) {
                Ok(file) => {
                    self.compare(sequence.partition, name, &file, start)?;
                    missing = without(&missing, &file, &mut self.totals);
                }
                Err(fault) => self.differs(
                    sequence.partition,
                    "a file is not what it was",
                    &format!("{name}: {fault}"),
                ),
            }
        }
        self.totals.delivered += delivered.iter().map(|(from, end)| end - from).sum::<u64>();
        for (from, end) in missing {
            let held = from.max(start).min(end);
            self.totals.given += held - from;
            if held < end {
                let what = "delivered, but in no file";
                let difference = Difference::new(&self.topic, sequence.partition, what);
                self.check.differs(difference.of(format!("offsets {held} to {}", end - 1)));
            }
        }
        Ok(())
    }

    /// Compares the rows of a file with the records that they were made from.
    fn compare(
        &mut self,
        partition: Partition,
        name: &str,
        file: &File,
        start: Offset,
    ) -> Result<(), RecountError> {
        let mut at = file.offsets.partition_point(|&offset| offset < start);
        let records = self.records(partition, &file.offsets[at..])?;
        let origin = Origin { source: self.settings.source, topic: self.topic.as_str(), partition };
        for slice in records.chunks(SLICE_RECORDS) {
            let differing = match body::rows_of_version(file.version, origin, slice) {
                Ok(expected) => {
                    let first = first_difference(&expected, &file.rows, at);
                    at += expected.num_rows();
                    first
                }
                Err(BodyError::Partition { .. } | BodyError::Arrow(_) | BodyError::Parquet(_)) => {
                    Some(at)
                }
            };
            if let Some(row) = differing {
                let what = "a row does not match its record";
                let offset = file.offsets.get(row).copied().unwrap_or(file.range.1);
                let difference = Difference::new(&self.topic, partition, what).at(offset);
                self.check.differs(difference.of(name));
                return Ok(());
            }
        }
        if at != file.offsets.len() {
            self.differs(partition, "a file has rows that come from no record", name);
        }
        Ok(())
    }

    /// Reads the records at these offsets, which rise and may repeat.
    fn records(
        &self,
        partition: Partition,
        offsets: &[Offset],
    ) -> Result<Vec<Record>, RecountError> {
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
            return Ok(Vec::new());
        };
        let mut records = Vec::new();
        let mut wanted = offsets.iter().copied().peekable();
        let mut reader = self.view.reader(&self.topic, partition, first)?;
        while reader.position() <= last {
            let before = reader.position();
            for entry in reader.read(READ_RECORDS, READ_WAIT)? {
                while wanted.next_if(|&offset| offset < entry.offset).is_some() {}
                if wanted.peek() == Some(&entry.offset) {
                    records.push(Record::from_entry(entry));
                }
            }
            if reader.position() == before {
                return Err(LogError::TimedOut { action: "read what files were made of" }.into());
            }
        }
        Ok(records)
    }

    fn differs(&mut self, partition: Partition, what: &'static str, identity: &str) {
        self.check.differs(Difference::new(&self.topic, partition, what).of(identity));
    }

    fn finish(mut self) -> Check {
        let RecountTotals { files, delivered, in_files, given } = self.totals;
        self.check.figure("files", Amount::Count(files), Amount::Unknown);
        self.check.figure(
            "records in files, delivered",
            Amount::Count(in_files + given),
            Amount::Count(delivered),
        );
        if given > 0 {
            self.check
                .notes
                .push(format!("{given} records and their files are older than the log"));
        }
        self.check
    }
}

impl File {
    fn read(sequence: &FileSequence, name: &str, content: bytes::Bytes) -> Result<Self, FileFault> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(content)?;
        let metadata = builder.metadata().file_metadata();
        let footer = metadata.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
        let range = sequence.bounds(name, footer).ok_or(FileFault::Foreign)?;
        let version = columns_version(footer)
            .filter(|version| (1..=COLUMNS_VERSION).contains(version))
            .ok_or(FileFault::Columns)?;
        let rows = usize::try_from(metadata.num_rows()).map_err(|_negative| FileFault::Foreign)?;
        let mut batches = builder.with_batch_size(rows.max(1)).build()?;
        let rows = batches.next().ok_or(FileFault::Offsets)??;
        if batches.next().is_some() {
            return Err(FileFault::Offsets);
        }
        let column =
            rows.column_by_name("offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let column = column.filter(|column| column.null_count() == 0).ok_or(FileFault::Offsets)?;
        let offsets = column.values().iter().map(|&offset| Offset::try_from(offset));
        let offsets =
            offsets.collect::<Result<Vec<_>, _>>().map_err(|_negative| FileFault::Offsets)?;
        let within = offsets.iter().all(|offset| (range.0..range.1).contains(offset));
        if !within || !offsets.is_sorted() {
            return Err(FileFault::Offsets);
        }
        Ok(Self { range, version, rows, offsets })
    }
}

/// Returns the first of the rows from `at` on that is not as expected.
fn first_difference(expected: &RecordBatch, found: &RecordBatch, at: usize) -> Option<usize> {
    let rows = expected.num_rows();
    if at + rows > found.num_rows() || expected.num_columns() != found.num_columns() {
        return Some(at.min(found.num_rows()));
    }
    if expected.columns() == found.slice(at, rows).columns() {
        return None;
    }
    let differs =
        |row: &usize| expected.slice(*row, 1).columns() != found.slice(at + row, 1).columns();
    (0..rows).find(differs).map(|row| at + row)
}

/// Removes the offsets that a file holds from those that are missing.
fn without(missing: &[OffsetRange], file: &File, totals: &mut RecountTotals) -> Vec<OffsetRange> {
    let mut left = Vec::new();
    let mut held = file.offsets.iter().copied().peekable();
    for &(from, end) in missing {
        let mut next = from;
        while held.next_if(|&offset| offset < from).is_some() {}
        while let Some(offset) = held.next_if(|&offset| offset < end) {
            if offset < next {
                continue;
            }
            totals.in_files += 1;
            if next < offset {
                left.push((next, offset));
            }
            next = offset + 1;
        }
        if next < end {
            left.push((next, end));
        }
    }
    left
}

#[derive(Deserialize)]
struct AuditRecord {
    sink: String,
    topic: String,
    outcome: String,
    offsets: Vec<OffsetRange>,
}

/// Returns the offsets that the audit calls delivered, as sorted disjoint ranges.
fn delivered(
    view: &dyn LogView,
    topics: &Topics,
    sink: &str,
    topic: &Topic,
    partition: Partition,
) -> Result<Vec<OffsetRange>, LogError> {
    let bounds = view.bounds(&topics.audit, partition)?;
    let mut reader = view.reader(&topics.audit, partition, bounds.start)?;
    let mut ranges: Vec<OffsetRange> = Vec::new();
    while reader.position() < bounds.stable_end {
        let before = reader.position();
        for entry in reader.read(READ_RECORDS, READ_WAIT)? {
            let value = entry.value.as_deref().unwrap_or_default();
            // The recount of the audit itself reports records that cannot be read.
            let Ok(record) = serde_json::from_slice::<AuditRecord>(value) else { continue };
            if record.sink == sink
                && record.topic == topic.as_str()
                && record.outcome == "delivered"
            {
                ranges.extend(record.offsets.into_iter().filter(|(from, end)| from < end));
            }
        }
        if reader.position() == before {
            return Err(LogError::TimedOut { action: "read the audit" });
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<OffsetRange> = Vec::new();
    for (from, end) in ranges {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((from, end)),
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests;
