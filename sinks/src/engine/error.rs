//! Why a sink, or one of its partitions, stopped, and the remedies for operators.

use std::sync::Arc;

use tillrace_log::explain;
use tillrace_log::explain::Explanation;
use tillrace_log::{LogError, Partition, Topic};
use tokio::task::JoinError;

use super::audit_writer::AuditWriterError;
use crate::failure::FailureCode;
use crate::record::RecordError;

/// Why a sink, or one of its partitions, stopped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The log failed for good, or no longer holds the position; the cause names it.
    #[error("failed to read or commit")]
    Log(#[from] LogError),
    /// Audit or dead letters cannot be written.
    #[error(transparent)]
    AuditWriter(#[from] AuditWriterError),
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
        source: RecordError,
    },
    /// The connector reports that going on would lose or double records.
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
    #[error("task of the sink panicked")]
    Panicked(#[from] Arc<JoinError>),
    /// The thread that reads the topic ended without an error.
    #[error("reader thread of the sink ended")]
    ReaderEnded,
    /// The sink ended without being stopped.
    #[error("sink ended without being stopped")]
    Ended,
}

impl SinkError {
    fn code_explanation(&self) -> Option<&'static Explanation> {
        match self {
            Self::Connector { code, .. } => Some(code.explanation()),
            _ => None,
        }
    }
}

explain!(SinkError via code_explanation {
    => Log, AuditWriter;
    Unreadable: "record_of_newer_version",
        "A sink met a record of a type or schema that this version does not know. Its partition halts, so that a process that \
         is behind passes over nothing.",
        "Upgrade this process. If no version wrote the record, name its partition and offset in the sink's `flow.set_aside`: it then \
         goes to the dead letters.";
    Connector: "connector_halted",
        "Going on would lose or double records.",
        "See the code in the text.";
    Panicked: "sink_panicked",
        "A task of a sink panicked: a defect. Nothing is lost.",
        "Start the process again and report the text and the lines before. If it repeats, the same record may be the cause: name \
         its partition and offset in the sink's `flow.set_aside`.";
    ReaderEnded: "sink_reader_ended",
        "The thread that reads a sink's topic ended: a defect. Nothing is lost.",
        "Start the process again and report the lines before.";
    Ended: "sink_ended",
        "A sink ended without being stopped: a defect. Nothing is lost.",
        "Start the process again and report the lines before.";
});
