//! Whose a place is: one sink of one log, as a file in it tells.
//!
//! Two sinks that write one place take the names of files from each other, and each takes the other's rows for its
//! own. So the first sink to use a place writes its name and its log's identity there, and every other is refused.
//! A place from before there was such a file is taken over by the first sink whose log wrote files of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tillrace_log::LogError;
use tillrace_log::explain::{Explained, Explanation};

use super::place::{Place, PlaceError};
use crate::failure::FailureCode;

/// Readers of tables pass over names that begin with an underscore.
pub(super) const OWNER_FILE: &str = "_tillrace.json";
/// Most bytes that are read of it.
const LARGEST_BYTES: u64 = 64 << 10;
const FILE_END: &str = ".parquet";

/// The owner of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// Name of the sink.
    pub(super) sink: String,
    /// Identity of the log it reads.
    pub(super) log: String,
}

/// Why a place cannot be used by a sink.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another sink or another log has it.
    #[error("{place} belongs to sink {sink} of log {log}, as {OWNER_FILE} there says")]
    Taken {
        /// The place.
        place: String,
        /// The sink that has it.
        sink: String,
        /// The log that has it.
        log: String,
    },
    /// It has no owner, and files that no partition of this log has written.
    #[error("{place} has no owner, and files of another log, such as {file}")]
    OtherFiles {
        /// The place.
        place: String,
        /// One of the files.
        file: String,
    },
    /// The file that tells cannot be read as such.
    #[error("{place}/{OWNER_FILE} does not say whose the place is")]
    Unreadable {
        /// The place.
        place: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The place cannot be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl OwnerError {
    /// Tells whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Place(_) | Self::Log(_))
    }
}

impl Explained for OwnerError {
    /// Those of its causes, and of [`FailureCode::PlaceTaken`].
    const EXPLANATIONS: &'static [Explanation] = &[];

    fn explanation(&self) -> &'static Explanation {
        match self {
            Self::Taken { .. } | Self::OtherFiles { .. } | Self::Unreadable { .. } => {
                FailureCode::PlaceTaken.explanation()
            }
            Self::Place(error) => error.explanation(),
            Self::Log(error) => error.explanation(),
        }
    }
}

impl Owner {
    /// Holds what the file in a place says against this owner.
    pub(super) fn compare(&self, place: &Place, content: &[u8]) -> Result<(), OwnerError> {
        let place = place.to_string();
        let found: Self = serde_json::from_slice(content)
            .map_err(|source| OwnerError::Unreadable { place: place.clone(), source })?;
        if found == *self {
            return Ok(());
        }
        let Self { sink, log } = found;
        Err(OwnerError::Taken { place, sink, log })
    }

    /// Takes a place that has no owner; false if somebody else took it meanwhile. `generations` are those of this
    /// log's partitions: files of an older version begin with one of them.
    pub(super) async fn take(
        &self,
        place: &Place,
        generations: &[String],
    ) -> Result<bool, OwnerError> {
        let mut files = place.names().await?;
        files.retain(|file| file.ends_with(FILE_END));
        let is_ours = |file: &String| generations.iter().any(|one| file.starts_with(one.as_str()));
        let ours = files.iter().filter(|file| is_ours(file)).count();
        if let Some(file) = files.iter().find(|file| !is_ours(file)) {
            let place = place.to_string();
            if ours == 0 {
                return Err(OwnerError::OtherFiles { place, file: file.clone() });
            }
            let others = files.len() - ours;
            tracing::warn!(
                code = FailureCode::PlaceTaken.as_str(),
                place,
                file,
                others,
                "the place holds files of another log too, whose rows count twice: move them away"
            );
        }
        let mut content = serde_json::to_vec(self)
            .map_err(|source| OwnerError::Unreadable { place: place.to_string(), source })?;
        content.push(b'\n');
        Ok(place.put_new(OWNER_FILE, Bytes::from(content)).await?)
    }
}

/// Reads the file that tells the owner.
pub(super) async fn read(place: &Place) -> Result<Option<Bytes>, PlaceError> {
    place.find(OWNER_FILE, LARGEST_BYTES).await
}
