//! Why letters cannot be sent again, and what an operator does about it.

use tillrace_log::explain;
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::{LogError, Offset, Partition, Topic};

use crate::connector::CallError;
use crate::delivery::StartError;
use crate::engine::JournalError;

/// Why letters cannot be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// Files go on without their dead letters.
    #[error(
        "sink {sink} writes files, which went on without its dead letters: no row can hold them"
    )]
    Files {
        /// The sink.
        sink: String,
    },
    /// The log failed.
    #[error("read dead letters and audit")]
    Log(#[from] LogError),
    /// A letter that this version cannot read.
    #[error("{topic}/{partition}: offset {offset} is no dead letter")]
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
    /// The connector cannot be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The backend failed as often as it may. What was delivered before is in the audit.
    #[error("the backend cannot be used now; run it again when it can")]
    Backend(#[source] CallError),
    /// The audit cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl RedriveError {
    fn told_by_source(&self) -> Option<&'static Explanation> {
        match self {
            Self::Backend(error) => Some(error.explanation()),
            _ => None,
        }
    }
}

explain!(RedriveError via told_by_source {
    => Log, Start, Journal;
    Files: "redrive_of_files",
        "A sink that writes files went on without its dead letters, and no row of a file can hold them any more. Nothing was sent.",
        "Read them with `tillrace tap SINK.dead.v1`, correct their cause, and account for them beside the files.";
    Unreadable: "dead_letter_unreadable",
        "A record on a sink's topic of dead letters is none: another program wrote it, or a newer version of Tillrace.",
        "Use the newest version that was ever used here. If it is, see with `tillrace tap` what stands at the offset.";
    Backend: "redrive_backend",
        "The backend failed as often as it may. What was delivered before is in the audit and not sent again.",
        "See the code in the text, and run the command again when the backend is well.";
});
