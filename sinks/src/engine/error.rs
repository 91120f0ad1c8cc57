//! Why a sink, or one of its partitions, stopped, and what an operator does about it.

use std::sync::Arc;

use tillrace_log::explain;
use tillrace_log::explain::Explanation;
use tillrace_log::{LogError, Partition, Topic};
use tokio::task::JoinError;

use super::journal::JournalError;
use crate::failure::FailureCode;
use crate::record::Unreadable;

/// Why a sink, or one of its partitions, stopped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The log failed for good, or no longer holds the position; the cause names it.
    #[error("read or commit")]
    Log(#[from] LogError),
    /// Audit or dead letters cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record that this version cannot read, and a newer one may.
    #[error("{topic}/{partition}: cannot read offset {offset}")]
    Unreadable {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// Offset of the record.
        offset: u64,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// The connector says that going on would lose or double records.
    #[error("partition {partition}: {code}")]
    Connector {
        /// Partition.
        partition: Partition,
        /// What kind of failure it is.
        code: FailureCode,
        /// Its reason.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A task of the sink panicked; its records would be missing from here on.
    #[error("a task of the sink panicked")]
    Panicked(#[from] Arc<JoinError>),
    /// The thread that reads the topic ended without an error.
    #[error("the thread that reads the topic ended")]
    ReaderEnded,
    /// The sink ended although nobody had told it to.
    #[error("the sink ended unasked")]
    Ended,
}

impl SinkError {
    fn told_by_code(&self) -> Option<&'static Explanation> {
        match self {
            Self::Connector { code, .. } => Some(code.explanation()),
            _ => None,
        }
    }
}

explain!(SinkError via told_by_code {
    => Log, Journal;
    Unreadable: "record_of_newer_version",
        "A sink met a record of a type or schema that this version does not know. Its partition halts, so that a process that \
         is behind passes over nothing.",
        "Upgrade this process. If no version wrote the record, name its partition and offset in the sink's `flow.set_aside`: it then \
         goes to the dead letters.";
    Connector: "connector_halted",
        "Going on would lose or double records.",
        "See the code in the text.";
    Panicked: "sink_panicked",
        "A task of a sink met something it was not made for: a defect. Nothing is lost.",
        "Start the process again and report the text and the lines before. If it repeats, the same record may be the cause: name \
         its partition and offset in the sink's `flow.set_aside`.";
    ReaderEnded: "sink_reader_ended",
        "The thread that reads a sink's topic ended: a defect. Nothing is lost.",
        "Start the process again and report the lines before.";
    Ended: "sink_ended",
        "A sink ended although nobody had told it to: a defect. Nothing is lost.",
        "Start the process again and report the lines before.";
});
