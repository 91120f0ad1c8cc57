//! The sequence of a partition's files: each is named after the end of the one before, and its footer holds its own end.

use parquet::file::metadata::{FooterTail, KeyValue, ParquetMetaDataReader};
use tillrace_log::{Offset, Partition};

use super::body::COLUMNS_VERSION;
use super::file_store::{FileStore, FileStoreError};

/// Bytes read from the end of a file at first; enough for the footer of most.
const FIRST_TAIL_BYTES: u64 = 64 * 1_024;
const TAIL_BYTES: usize = 8;

const GENERATION: &str = "tillrace.generation";
const TOPIC: &str = "tillrace.topic";
const PARTITION: &str = "tillrace.partition";
const PREVIOUS: &str = "tillrace.previous";
const NEXT: &str = "tillrace.next";
const COLUMNS: &str = "tillrace.columns";

/// The files of one partition of one generation of the log.
#[derive(Debug, Clone)]
pub(super) struct FileSequence {
    pub(super) generation: String,
    pub(super) topic: String,
    pub(super) partition: Partition,
}

/// Why the end of a sequence cannot be determined.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileSequenceError {
    #[error(transparent)]
    Store(#[from] FileStoreError),
    #[error("{name} is not a Parquet file of Tillrace; move it away")]
    Foreign { name: String },
    #[error("failed to read the footer of {name}")]
    Footer { name: String, source: parquet::errors::ParquetError },
}

impl FileSequence {
    /// Returns the name of the file that follows one which ended at `previous`.
    pub(super) fn name(&self, previous: Offset) -> String {
        format!("{}{previous:020}.parquet", self.name_prefix())
    }

    pub(super) fn name_prefix(&self) -> String {
        format!("{}-p{:05}-", self.generation, self.partition)
    }

    /// Returns the footer entries of such a file.
    pub(super) fn footer(&self, previous: Offset, next: Offset) -> Vec<KeyValue> {
        [
            (GENERATION, self.generation.clone()),
            (TOPIC, self.topic.clone()),
            (PARTITION, self.partition.to_string()),
            (PREVIOUS, previous.to_string()),
            (NEXT, next.to_string()),
            (COLUMNS, COLUMNS_VERSION.to_string()),
        ]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .into()
    }

    /// Returns the end of the sequence: the next offset of its last file, 0 without files.
    pub(super) async fn end(&self, store: &FileStore) -> Result<Offset, FileSequenceError> {
        let Some(name) = store.last(&self.name_prefix()).await? else { return Ok(0) };
        let footer = read_footer(store, &name).await?;
        match self.bounds(&name, &footer) {
            Some((_, next)) => Ok(next),
            None => Err(FileSequenceError::Foreign { name }),
        }
    }

    /// Returns where a file begins and ends, if its footer says that it belongs to this sequence.
    pub(super) fn bounds(&self, name: &str, footer: &[KeyValue]) -> Option<(Offset, Offset)> {
        let says = |key| says(footer, key);
        let number = |key| says(key).and_then(|text| text.parse::<Offset>().ok());
        let is_ours = says(GENERATION) == Some(&self.generation)
            && says(TOPIC) == Some(&self.topic)
            && number(PARTITION) == Some(self.partition.into());
        let previous = number(PREVIOUS).filter(|&previous| self.name(previous) == name);
        Some((previous.filter(|_| is_ours)?, number(NEXT)?))
    }
}

/// Returns the version of a file's columns; `None` if its footer has no number there. The first version had no entry for it.
pub(super) fn columns_version(footer: &[KeyValue]) -> Option<u32> {
    says(footer, COLUMNS).map_or(Some(1), |text| text.parse().ok())
}

fn says<'a>(footer: &'a [KeyValue], key: &str) -> Option<&'a str> {
    footer.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
}

async fn read_footer(store: &FileStore, name: &str) -> Result<Vec<KeyValue>, FileSequenceError> {
    let broken = |source| FileSequenceError::Footer { name: name.to_owned(), source };
    let mut tail = store.tail(name, FIRST_TAIL_BYTES).await?;
    let last = tail.last_chunk::<TAIL_BYTES>();
    let last = last.ok_or_else(|| FileSequenceError::Foreign { name: name.to_owned() })?;
    let length = FooterTail::try_new(last).map_err(broken)?.metadata_length();
    if length + TAIL_BYTES > tail.len() {
        let bytes = u64::try_from(length + TAIL_BYTES).unwrap_or(u64::MAX);
        tail = store.tail(name, bytes).await?;
    }
    let from = tail.len().checked_sub(length + TAIL_BYTES);
    let metadata = from
        .and_then(|from| tail.get(from..from + length))
        .ok_or_else(|| FileSequenceError::Foreign { name: name.to_owned() })?;
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).map_err(broken)?;
    Ok(metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default())
}
