//! The owner of a location: one sink of one log, named by a file in the location.
//!
//! Two sinks that write to one location take the names of files from each other, and each takes the other's rows for
//! its own. So the first sink to use a location writes its name and its log's identity there, and others are refused.
//! A location without that file is from an older version; the first sink whose log wrote files there takes it over.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tillrace_core::topics::Topics;
use tillrace_log::LogError;
use tillrace_log::explain::{Explained, Explanation};

use super::file_store::{FileStore, FileStoreError};
use super::settings::ParquetSettings;
use crate::failure::FailureCode;

/// Readers of tables pass over names that begin with an underscore.
pub(super) const OWNER_FILE: &str = "_tillrace.json";
/// Most bytes that are read of the owner file.
const MAX_OWNER_BYTES: u64 = 64 << 10;
const FILE_SUFFIX: &str = ".parquet";

/// The owner of a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// Name of the sink.
    pub(super) sink: String,
    /// Identity of the log it reads.
    pub(super) log: String,
}

/// Why a sink cannot use a location.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another sink or another log owns it.
    #[error("{location} belongs to sink {sink} of log {log}, according to its {OWNER_FILE}")]
    OtherOwner {
        /// The location.
        location: String,
        /// The sink that has it.
        sink: String,
        /// The log that has it.
        log: String,
    },
    /// The location has no owner, and files that no partition of this log has written.
    #[error("{location} has no owner, and holds files of another log, such as {file}")]
    OtherFiles {
        /// The location.
        location: String,
        /// One of the files.
        file: String,
    },
    /// The owner file is malformed.
    #[error("{location}/{OWNER_FILE} does not name an owner")]
    Unreadable {
        /// The location.
        location: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The location cannot be read or written.
    #[error(transparent)]
    Store(#[from] FileStoreError),
    /// The log does not tell its identity or generations.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Compares the owner of a folder with a sink and its log, as far as a log's identity is known without asking it:
/// `log` is the prefix of the identity. Buckets, and folders that cannot be read, are checked when the sink starts.
///
/// # Errors
/// When the location belongs to another sink or log.
pub(super) fn check_owner(
    settings: &ParquetSettings,
    topics: &Topics,
    sink: &str,
    log: &str,
) -> Result<(), OwnerError> {
    if settings.bucket().is_some() {
        return Ok(());
    }
    let folder = Path::new(&settings.location).join(settings.source.topic(topics).as_str());
    let Ok(content) = fs::read(folder.join(OWNER_FILE)) else { return Ok(()) };
    let location = folder.display().to_string();
    let owner: Owner = serde_json::from_slice(&content)
        .map_err(|source| OwnerError::Unreadable { location: location.clone(), source })?;
    if owner.sink == sink && owner.log.starts_with(log) {
        return Ok(());
    }
    let Owner { sink, log } = owner;
    Err(OwnerError::OtherOwner { location, sink, log })
}

impl OwnerError {
    /// Tells whether trying again may help.
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Log(_))
    }
}

impl Explained for OwnerError {
    /// Those of its causes, and of [`FailureCode::LocationTaken`].
    const EXPLANATIONS: &'static [Explanation] = &[];

    fn explanation(&self) -> &'static Explanation {
        match self {
            Self::OtherOwner { .. } | Self::OtherFiles { .. } | Self::Unreadable { .. } => {
                FailureCode::LocationTaken.explanation()
            }
            Self::Store(error) => error.explanation(),
            Self::Log(error) => error.explanation(),
        }
    }
}

impl Owner {
    /// Compares the content of an owner file with this owner.
    pub(super) fn compare(&self, store: &FileStore, content: &[u8]) -> Result<(), OwnerError> {
        let location = store.to_string();
        let found: Self = serde_json::from_slice(content)
            .map_err(|source| OwnerError::Unreadable { location: location.clone(), source })?;
        if found == *self {
            return Ok(());
        }
        let Self { sink, log } = found;
        Err(OwnerError::OtherOwner { location, sink, log })
    }

    /// Claims a location that has no owner; returns false if another sink claimed it meanwhile. `generations` are
    /// those of this log's partitions: the names of its files begin with one of them.
    pub(super) async fn claim(
        &self,
        store: &FileStore,
        generations: &[String],
    ) -> Result<bool, OwnerError> {
        let mut files = store.names().await?;
        files.retain(|file| file.ends_with(FILE_SUFFIX));
        let is_ours = |file: &String| generations.iter().any(|one| file.starts_with(one.as_str()));
        let ours = files.iter().filter(|file| is_ours(file)).count();
        if let Some(file) = files.iter().find(|file| !is_ours(file)) {
            let location = store.to_string();
            if ours == 0 {
                return Err(OwnerError::OtherFiles { location, file: file.clone() });
            }
            let others = files.len() - ours;
            tracing::warn!(
                code = FailureCode::LocationTaken.as_str(),
                location,
                file,
                others,
                "location also holds files of another log, whose rows count twice: move them away"
            );
        }
        let mut content = serde_json::to_vec(self)
            .map_err(|source| OwnerError::Unreadable { location: store.to_string(), source })?;
        content.push(b'\n');
        Ok(store.put_if_absent(OWNER_FILE, Bytes::from(content)).await?)
    }
}

/// Reads the owner file.
pub(super) async fn read(store: &FileStore) -> Result<Option<Bytes>, FileStoreError> {
    store.find(OWNER_FILE, MAX_OWNER_BYTES).await
}
