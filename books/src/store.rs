//! The seam of the data store: what a database must do for the reader.

use std::path::PathBuf;

use tillrace_log::explain;
use tillrace_log::{LogError, Offset, Partition};

use crate::change::{Batch, ReadTo};

/// A database with the schema of [`crate::migrations`], and this process its only writer.
pub trait Store: Send {
    /// Says which log and namespace this store is of, the first time; checks it every other time.
    ///
    /// # Errors
    /// [`StoreError::OtherLog`] when it is of another; when the database fails.
    fn claim(&mut self, log_identity: &str, namespace: &str) -> Result<(), StoreError>;

    /// Returns how far each partition was read.
    ///
    /// # Errors
    /// When the database fails.
    fn positions(&mut self) -> Result<Vec<ReadTo>, StoreError>;

    /// Applies changes and positions in one durable transaction.
    ///
    /// # Errors
    /// When the database fails; nothing of the batch is visible then.
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError>;
}

/// Why the data store cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("{action} in the data store {path}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A file beside the database could not be made or locked.
    #[error("{action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes to this store.
    #[error("another process owns the data store {path}")]
    Owned {
        /// The file.
        path: PathBuf,
    },
    /// No data store is there.
    #[error("there is no data store at {path}")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The schema is not one that this version knows.
    #[error("migration {number} of the data store {path} is not the one that this version knows")]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Number of the migration.
        number: i64,
    },
    /// The store is of another log.
    #[error("the data store {path} is of log {found}, this process reads {expected}")]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What is read.
        expected: String,
    },
    /// The log ends below what was read of it.
    #[error(
        "partition {partition} of {topic} ends at {end}, the data store has read it to {position}"
    )]
    LogBehind {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: Partition,
        /// Where the log ends.
        end: Offset,
        /// How far the store has read.
        position: Offset,
    },
    /// A rebuild would lack what the log no longer has.
    #[error(
        "partition {partition} of {topic} begins at {start}: a rebuild would lack what was before it"
    )]
    Incomplete {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: Partition,
        /// Where the log begins.
        start: Offset,
    },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl StoreError {
    /// Tells whether it may go on after a pause: a full disk is emptied, a lock is let go, a broker comes back.
    pub fn is_restartable(&self) -> bool {
        match self {
            Self::Database { .. } | Self::File { .. } | Self::LogBehind { .. } => true,
            Self::Log(error) => error.is_restartable(),
            _ => false,
        }
    }
}

explain!(StoreError {
    => Log;
    Database: "data_store_failed",
        "The database of the data store refused a statement: the disk is full, the file is damaged, or another program holds it. Nothing \
         of the batch is in it; the log has everything, and the reader goes on where it was.",
        "Look at the cause. Give the disk room, or end what holds the file; the role tries again by itself. A damaged file is made anew by \
         `tillrace books rebuild`, while the role is stopped.";
    File: "data_store_file",
        "The folder of the data store, or the lock file beside it, could not be made or opened.",
        "Give the process the right to write to the folder of books.path, or set another path.";
    Owned: "data_store_owned",
        "Another process writes to this data store. One process reads all partitions for it; a second would count everything twice, so it \
         does not begin.",
        "Run one `tillrace up` or `tillrace books` for a data store. Where the roles run in several processes, set books.enabled to false in \
         all but one, or give each a books.path of its own.";
    Missing: "data_store_missing",
        "There is no data store at this path yet, so there is nothing to ask.",
        "Run `tillrace up` or `tillrace books` with the same configuration first, or name its folder with --data or books.path.";
    OtherSchema: "data_store_schema",
        "The data store was made by another version of Tillrace. It is left as it is.",
        "Use the version that made it, or make it anew from the log with `tillrace books rebuild`.";
    OtherLog: "data_store_other_log",
        "The data store holds another log's events, or another namespace's. Adding to it would mix them.",
        "Set books.path to a path of this log's own, or move the old file away.";
    LogBehind: "data_store_ahead",
        "The log ends below what the data store has read of it, as after the log was restored from an older backup. What the store has \
         beyond that is no longer in the log. Nothing is added until this is settled.",
        "If brokers have only just come back, wait. Otherwise restore the right log, or make the data store anew with `tillrace books rebuild`.";
    Incomplete: "data_store_incomplete",
        "A topic no longer begins at its first record, as its retention has passed. A store made from it would lack what is gone, and its sums \
         would be too low. The store that is there was left as it is.",
        "Keep the data store that is there, or restore it from a backup. To make one of what is left, with holes that are recorded, say \
         --allow-holes.";
});
