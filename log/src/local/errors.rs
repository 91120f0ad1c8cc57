//! What goes wrong with a Local log, each with its place and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;
use rustix::io::Errno;

use super::holder::Holder;
use crate::explain;
use crate::explain::{Explained, Explanation};
use crate::setting::SettingErrors;
use crate::{LogCause, LogError, Partition, Topic};

/// A file, folder or socket that could not be used; the cause inside a [`LogError::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[error("{place}: {error}; {}", self.explanation().remedy)]
pub struct FileError {
    /// Where it is.
    pub place: String,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

const DESCRIPTORS: Explanation = Explanation {
    code: "file_descriptors_exhausted",
    meaning: "This process, or the machine, has as many files and connections open as it may. Nothing was lost; what needed \
              another one is tried again.",
    remedy: "Raise the limit of open files: `ulimit -n`, or `LimitNOFILE` of the service.",
};
const NO_SPACE: Explanation = Explanation {
    code: "file_no_space",
    meaning: "The disk of the log, or a quota on it, is full. What was acknowledged is kept. Opening a log after a crash needs \
              room for one more segment.",
    remedy: "Make room on this disk: enlarge it or delete what else is there, never a file of the log. `log.retention_days` and \
             `log.local.retention_bytes` say how much the log keeps.",
};
const READ_ONLY: Explanation = Explanation {
    code: "file_read_only",
    meaning: "The file system of the log takes no writes, and even opening the log writes. Some systems turn a disk read-only \
              after an I/O error.",
    remedy: "See in the system's log why, mend that, and mount the file system for writing.",
};
const NOT_PERMITTED: Explanation = Explanation {
    code: "file_not_permitted",
    meaning: "The user of this process may not do that with a file or folder of the log.",
    remedy: "Give that user the right to read and write there.",
};
const NOT_FOUND: Explanation = Explanation {
    code: "file_not_found",
    meaning: "A file or folder of the log is not there.",
    remedy: "Check the path: `data` in the configuration, or `--data`. A file that is gone from a log comes back from a backup.",
};
const NOT_SERVED: Explanation = Explanation {
    code: "file_not_served",
    meaning: "The socket through which the owner of a log lets others read it is not answered.",
    remedy: "Start the process that owns the log, or wait until it has started.",
};
const DEVICE: Explanation = Explanation {
    code: "file_failed",
    meaning: "The system could not do that with a file or folder of the log; its words are in the text.",
    remedy: "Check this disk, and what the system's log says of it.",
};

impl Explained for FileError {
    const EXPLANATIONS: &'static [Explanation] =
        &[DESCRIPTORS, NO_SPACE, READ_ONLY, NOT_PERMITTED, NOT_FOUND, NOT_SERVED, DEVICE];

    fn explanation(&self) -> &'static Explanation {
        explanation(&self.error)
    }
}

impl LogCause for FileError {
    fn explained(&self) -> Option<&'static Explanation> {
        Some(self.explanation())
    }
}

fn explanation(error: &io::Error) -> &'static Explanation {
    if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
        return &DESCRIPTORS;
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => &NO_SPACE,
        io::ErrorKind::ReadOnlyFilesystem => &READ_ONLY,
        io::ErrorKind::PermissionDenied => &NOT_PERMITTED,
        io::ErrorKind::NotFound => &NOT_FOUND,
        io::ErrorKind::ConnectionRefused => &NOT_SERVED,
        _ => &DEVICE,
    }
}

/// Wraps a system error; the place is asked for only then.
pub(super) fn unavailable<P: Fn() -> String>(
    action: &'static str,
    place: P,
) -> impl Fn(io::Error) -> LogError {
    move |error| LogError::Unavailable {
        action,
        cause: Arc::new(FileError { place: place(), error }),
    }
}

/// Why a Local log refuses; the cause inside a [`LogError`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LocalFault {
    /// Settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingErrors),
    /// Another process has the log open.
    #[error("another process owns {dir}{}; wait for it or stop it", in_brackets(.holder.as_ref()))]
    Owned {
        /// The folder.
        dir: PathBuf,
        /// Who it is, where it has said so.
        holder: Option<Holder>,
    },
    /// A segment has a format that this program does not read.
    #[error(
        "{place} has format {found}, this program reads {expected}; \
         run the version that wrote it, or choose another folder (`data` in the configuration)"
    )]
    Format {
        /// The file.
        place: String,
        /// Its format.
        found: u32,
        /// The only one that can be read.
        expected: u32,
    },
    /// The disk has less left than the reserve: the log writes again when there is room.
    #[error(
        "{dir}: {available} left on this disk, reserved are {reserve} (log.local.reserve_bytes); \
         make room or lower log.local.retention_bytes or log.retention_days: it goes on by itself"
    )]
    DiskFull {
        /// The folder.
        dir: String,
        /// What is left.
        available: ByteSize,
        /// What is reserved.
        reserve: ByteSize,
    },
    /// A write or a sync failed before; nothing more is written until the log is opened anew.
    #[error(
        "the log stopped, because {place} could not be written or synced: {detail}; {} \
         Then start this process again",
        explanation(.detail).remedy
    )]
    Poisoned {
        /// The file.
        place: String,
        /// What the system said.
        detail: Arc<io::Error>,
    },
    /// A thread of the log panicked.
    #[error("the thread {thread} of the local log panicked")]
    ThreadEnded {
        /// Its name.
        thread: String,
    },
    /// The log is being closed.
    #[error("the log is closing")]
    Closing,
    /// The group has a live member.
    #[error(
        "group {group} already has a live member on {topic}; a Local log takes one: stop it, or use Kafka"
    )]
    GroupTaken {
        /// The group.
        group: String,
        /// The topic.
        topic: Topic,
    },
    /// A member asked to remove a group that is in use.
    #[error("group {group} has a live member on {topic}; stop it first")]
    GroupInUse {
        /// The group.
        group: String,
        /// The topic.
        topic: Topic,
    },
    /// No such partition.
    #[error(
        "topic {topic} has no partition {partition}; set log.partitions to what it was made with"
    )]
    NoPartition {
        /// The topic.
        topic: Topic,
        /// The number asked for.
        partition: Partition,
    },
    /// Partitions are assigned by the first poll.
    #[error("partition {partition} is not assigned; poll first")]
    NotAssigned {
        /// The number asked for.
        partition: Partition,
    },
    /// Offset metadata is limited as Kafka's is.
    #[error("offset metadata of {bytes} bytes exceeds {limit}")]
    Metadata {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

explain!(LocalFault {
    Settings: "local_log_settings",
        "Values below `log.local` cannot be used. Nothing was started.",
        "Set each key that the text names as it says; `tillrace check` names its line.";
    Owned: "local_log_owned",
        "Another process has this local log open; it has one owner at a time.",
        "Stop that process, whose number is in the text, or use another `data` folder. Commands such as `tap` and `release` work through a \
         process that runs on the log; without one they have it open themselves until they end.";
    Format: "local_log_format",
        "A segment has a format that this program does not read. Nothing was changed.",
        "Run the version that wrote it, or choose another folder (`data`). Format 1 was never released.";
    DiskFull: "local_log_disk_full",
        "The disk has less left than `log.local.reserve_bytes`, so that new events are answered 503 and stay with their senders; \
         below half of it, flushes wait too. What was acknowledged is kept, and opening the log stays possible.",
        "Make room: enlarge the disk, delete what else is on it, or lower `log.local.retention_bytes` or `log.retention_days`. \
         The log goes on by itself once an eighth more than the reserve is left.";
    Poisoned: "local_log_poisoned",
        "A write or a sync failed, so that nobody can say what is on the disk. Nothing more is written until the log is opened \
         anew, and the process ends so that it is. What was acknowledged before is kept.",
        "Mend what the text names: a full disk, a read-only mount, a failing device. Then start the process again.";
    ThreadEnded: "local_log_thread",
        "A thread of the local log met something it was not made for: a defect. Nothing more is written until the log is opened anew, and \
         the process ends so that it is. What was acknowledged before is kept.",
        "Start the process again, and report the text and the lines before.";
    Closing: "local_log_closing", "The process is ending; what was not acknowledged comes again.", "Nothing.";
    GroupTaken: "local_log_group_taken",
        "A part of this process reads for this group already.",
        "Give sinks different names; if they have, report a defect.";
    GroupInUse: "local_log_group_in_use",
        "A group cannot be removed while a part of the process reads for it.",
        "Stop the process first.";
    NoPartition: "local_log_no_partition",
        "A topic has fewer partitions than this process was told.",
        "Set `log.partitions` to the number that the log was made with.";
    NotAssigned: "local_log_not_assigned",
        "A part used a partition before it was given.",
        "Nothing: it starts again. If it repeats, report a defect.";
    Metadata: "local_log_offset_metadata",
        "What is kept beside a group's offset is too long.",
        "Report a defect.";
});

impl LogCause for LocalFault {
    fn explained(&self) -> Option<&'static Explanation> {
        Some(self.explanation())
    }
}

fn in_brackets(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" ({holder})")).unwrap_or_default()
}

impl LocalFault {
    /// Tells whether a log could not be opened because another process has it open.
    pub fn is_owned(error: &LogError) -> bool {
        let LogError::Refused { cause, .. } = error else { return false };
        matches!(cause.downcast_ref(), Some(Self::Owned { .. }))
    }

    /// Wraps it as the log's final refusal.
    pub(super) fn refusing(self, action: &'static str) -> LogError {
        LogError::Refused { action, cause: Arc::new(self) }
    }

    /// Wraps it as something that passes.
    pub(super) fn delaying(self, action: &'static str) -> LogError {
        LogError::Unavailable { action, cause: Arc::new(self) }
    }
}
