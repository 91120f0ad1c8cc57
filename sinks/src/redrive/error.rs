//! Why dead letters cannot be redriven, and the remedies for operators.

use tillrace_log::explain;
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::{LogError, Offset, Partition, Topic};

use crate::connector::CallError;
use crate::delivery::StartError;
use crate::engine::AuditWriterError;

/// Why dead letters cannot be redriven.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// A sink of files cannot redrive.
    #[error("sink {sink} writes files, which cannot hold the records of its dead letters")]
    Files {
        /// The sink.
        sink: String,
    },
    /// The log failed.
    #[error("failed to read dead letters and audit")]
    Log(#[from] LogError),
    /// A letter that this version cannot read.
    #[error("{topic}/{partition}: offset {offset} is not a dead letter")]
    Unreadable {
        /// Topic of dead letters.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// Offset of the letter.
        offset: Offset,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The connector cannot be created.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The backend used up its attempts. Earlier deliveries are in the audit.
    #[error("backend is unavailable; run redrive again when it is back")]
    Backend(#[source] CallError),
    /// The audit cannot be written.
    #[error(transparent)]
    AuditWriter(#[from] AuditWriterError),
}

impl RedriveError {
    fn source_explanation(&self) -> Option<&'static Explanation> {
        match self {
            Self::Backend(error) => Some(error.explanation()),
            _ => None,
        }
    }
}

explain!(RedriveError via source_explanation {
    => Log, Start, AuditWriter;
    Files: "redrive_of_files",
        "The sink writes files, and a file cannot hold the records of earlier dead letters. Nothing was sent.",
        "Read them with `tillrace tap SINK.dead.v1`, correct their cause, and account for them beside the files.";
    Unreadable: "dead_letter_unreadable",
        "A record on a sink's dead-letter topic is not a dead letter: another program wrote it, or a newer version of Tillrace.",
        "Use the newest version that was ever used here. If it is, look at the record at that offset with `tillrace tap`.";
    Backend: "redrive_backend",
        "The backend used up its attempts. Earlier deliveries are in the audit and are not sent again.",
        "See the code in the text, and run the command again when the backend is back.";
});
