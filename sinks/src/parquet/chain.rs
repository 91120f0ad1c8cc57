//! The chain of a partition's files: how they are named, and what their footers say.

use parquet::file::metadata::{FooterTail, KeyValue, ParquetMetaDataReader};
use tillrace_log::{Offset, Partition};

use super::place::{Place, PlaceError};

/// Bytes read from the end of a file at first; enough for the footer of most.
const FIRST_TAIL_BYTES: u64 = 64 * 1_024;
const TAIL_BYTES: usize = 8;

const GENERATION: &str = "tillrace.generation";
const TOPIC: &str = "tillrace.topic";
const PARTITION: &str = "tillrace.partition";
const PREVIOUS: &str = "tillrace.previous";
const NEXT: &str = "tillrace.next";

/// The files of one partition of one generation of the log.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) generation: String,
    pub(super) topic: String,
    pub(super) partition: Partition,
}

/// Why the end of a chain cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChainError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("{name} is not a Parquet file of ours; move it away")]
    Foreign { name: String },
    #[error("read the footer of {name}")]
    Footer { name: String, source: parquet::errors::ParquetError },
}

impl Chain {
    /// Names the file that goes on where the one before it ended.
    pub(super) fn name(&self, previous: Offset) -> String {
        format!("{}{previous:020}.parquet", self.name_start())
    }

    pub(super) fn name_start(&self) -> String {
        format!("{}-p{:05}-", self.generation, self.partition)
    }

    /// What the footer of such a file says.
    pub(super) fn footer(&self, previous: Offset, next: Offset) -> Vec<KeyValue> {
        [
            (GENERATION, self.generation.clone()),
            (TOPIC, self.topic.clone()),
            (PARTITION, self.partition.to_string()),
            (PREVIOUS, previous.to_string()),
            (NEXT, next.to_string()),
        ]
        .map(|(key, value)| KeyValue::new(key.to_owned(), value))
        .into()
    }

    /// Returns where the chain ends: the next offset of its last file, 0 without files.
    pub(super) async fn end(&self, place: &Place) -> Result<Offset, ChainError> {
        let Some(name) = place.last(&self.name_start()).await? else { return Ok(0) };
        let footer = read_footer(place, &name).await?;
        match self.bounds(&name, &footer) {
            Some((_, next)) => Ok(next),
            None => Err(ChainError::Foreign { name }),
        }
    }

    /// Returns where a file begins and ends, if its footer says that it is one of this chain.
    pub(super) fn bounds(&self, name: &str, footer: &[KeyValue]) -> Option<(Offset, Offset)> {
        let says = |key: &str| {
            footer.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
        };
        let number = |key| says(key).and_then(|text| text.parse::<Offset>().ok());
        let is_ours = says(GENERATION) == Some(&self.generation)
            && says(TOPIC) == Some(&self.topic)
            && number(PARTITION) == Some(self.partition.into());
        let previous = number(PREVIOUS).filter(|&previous| self.name(previous) == name);
        Some((previous.filter(|_| is_ours)?, number(NEXT)?))
    }
}

async fn read_footer(place: &Place, name: &str) -> Result<Vec<KeyValue>, ChainError> {
    let broken = |source| ChainError::Footer { name: name.to_owned(), source };
    let mut tail = place.tail(name, FIRST_TAIL_BYTES).await?;
    let last = tail.last_chunk::<TAIL_BYTES>();
    let last = last.ok_or_else(|| ChainError::Foreign { name: name.to_owned() })?;
    let length = FooterTail::try_new(last).map_err(broken)?.metadata_length();
    if length + TAIL_BYTES > tail.len() {
        let bytes = u64::try_from(length + TAIL_BYTES).unwrap_or(u64::MAX);
        tail = place.tail(name, bytes).await?;
    }
    let from = tail.len().checked_sub(length + TAIL_BYTES);
    let metadata = from
        .and_then(|from| tail.get(from..from + length))
        .ok_or_else(|| ChainError::Foreign { name: name.to_owned() })?;
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).map_err(broken)?;
    Ok(metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default())
}
