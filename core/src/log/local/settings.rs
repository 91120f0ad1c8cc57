//! What can be set of the Local log, and what it refuses with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::explain;
use crate::log::{LogError, Partition, Topic};

/// Where a Local log is, and how it works.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Its folder; made if it does not exist.
    pub dir: PathBuf,
    /// Partitions of every topic; fixed when a topic is made.
    pub partitions: Partition,
    /// Sizes and times.
    pub tuning: LocalTuning,
}

impl LocalSettings {
    /// The defaults, in this folder, with so many partitions.
    pub fn new(dir: impl Into<PathBuf>, partitions: Partition) -> Self {
        Self { dir: dir.into(), partitions, tuning: LocalTuning::default() }
    }
}

/// Sizes and times of a Local log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalTuning {
    /// Size past which a segment is closed and the next one begun.
    pub segment_bytes: ByteSize,
    /// Largest frame, and so the largest transaction.
    pub frame_bytes: ByteSize,
    /// Largest record, key and value together.
    pub record_bytes: ByteSize,
    /// What the producers' queue holds at most; past it a send is given back.
    pub queue_bytes: ByteSize,
    /// Idle time after which the tail is sealed.
    #[serde(with = "humantime_serde")]
    pub seal_after: Duration,
    /// How often retention and compaction look for work.
    #[serde(with = "humantime_serde")]
    pub upkeep_every: Duration,
    /// Age of its oldest unread record past which a group is reported as stalled.
    #[serde(with = "humantime_serde")]
    pub stalled_after: Duration,
}

impl Default for LocalTuning {
    fn default() -> Self {
        Self {
            segment_bytes: ByteSize::mib(64),
            frame_bytes: ByteSize::mib(32),
            record_bytes: ByteSize::mib(1),
            queue_bytes: ByteSize::mib(64),
            seal_after: Duration::from_secs(1),
            upkeep_every: Duration::from_secs(30),
            stalled_after: Duration::from_hours(1),
        }
    }
}

impl LocalTuning {
    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Names the key that is wrong and what it should be.
    pub fn validate(&self) -> Result<(), LocalFault> {
        let wrong = |key, remedy| Err(LocalFault::Setting { key, remedy });
        if !(ByteSize::kib(64)..=ByteSize::gib(1)).contains(&self.segment_bytes) {
            return wrong("segment_bytes", "set it between 64 KiB and 1 GiB");
        }
        if !(ByteSize::kib(16)..=ByteSize::gib(1)).contains(&self.frame_bytes) {
            return wrong("frame_bytes", "set it between 16 KiB and 1 GiB");
        }
        if self.record_bytes.as_u64() == 0
            || self.record_bytes.as_u64().saturating_add(4_096) > self.frame_bytes.as_u64()
        {
            return wrong("record_bytes", "set it above 0 and at least 4 KiB below frame_bytes");
        }
        if self.queue_bytes < self.record_bytes {
            return wrong("queue_bytes", "set it at least to record_bytes");
        }
        if self.seal_after.is_zero() || self.upkeep_every.is_zero() {
            return wrong("seal_after, upkeep_every", "set them above 0");
        }
        Ok(())
    }

    /// The frame cap in bytes; an aggregator flushes at half of it.
    pub fn frame_limit(&self) -> usize {
        usize::try_from(self.frame_bytes.as_u64()).unwrap_or(usize::MAX)
    }

    pub(super) fn record_limit(&self) -> usize {
        usize::try_from(self.record_bytes.as_u64()).unwrap_or(usize::MAX)
    }

    pub(super) fn queue_limit(&self) -> usize {
        usize::try_from(self.queue_bytes.as_u64()).unwrap_or(usize::MAX)
    }
}

/// Why a Local log refuses; the cause inside a [`LogError`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LocalFault {
    /// A setting cannot be.
    #[error("setting {key} is wrong: {remedy}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Another process has the log open.
    #[error("another process owns {dir}; stop it, or read through it")]
    Owned {
        /// The folder.
        dir: PathBuf,
    },
    /// A write or a sync failed before; nothing more is written until the log is opened anew.
    #[error("the log stopped after a failed write or sync ({kind}: {detail}); open it again")]
    Poisoned {
        /// What the system said.
        kind: io::ErrorKind,
        /// In its words.
        detail: Arc<io::Error>,
    },
    /// The log is being closed.
    #[error("the log is closing")]
    Closing,
    /// The group has a live member.
    #[error("group {group} already has a live member on {topic}; a Local log takes one")]
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
    #[error("topic {topic} has no partition {partition}")]
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
    Setting: "local_log_setting",
        "A value below `log.local` cannot be used. Nothing was started.",
        "Set the key that the text names as it says.";
    Owned: "local_log_owned",
        "Another process has this local log open; it has one owner at a time.",
        "Stop that process (`fuser FOLDER/lock` names it), or use another `data` folder. `tap` and `verify` read beside an owner.";
    Poisoned: "local_log_poisoned",
        "A write or a sync failed, so that nobody can say what is on the disk. Nothing more is written until the log is opened \
         anew, and the process ends so that it is. What was acknowledged before is kept.",
        "Mend what the text names: a full disk, a read-only mount, a failing device. Then start the process again.";
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

impl LocalFault {
    /// Wraps it as the log's final refusal.
    pub(super) fn refusing(self, action: &'static str) -> LogError {
        LogError::Refused { action, cause: Arc::new(self) }
    }
}

/// Wraps a system error.
pub(super) fn unavailable(action: &'static str) -> impl Fn(io::Error) -> LogError {
    move |error| LogError::Unavailable { action, cause: Arc::new(error) }
}
