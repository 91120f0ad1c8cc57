//! What can be set of the Local log, and what it refuses with.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use super::compression::Compression;
use super::errors::LocalFault;
use crate::log::{Partition, Topic};

/// Where a Local log is, and how it works.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Its folder; made if it does not exist.
    pub dir: PathBuf,
    /// Partitions of every topic; fixed when a topic is made.
    pub partitions: Partition,
    /// Sizes and times.
    pub tuning: LocalTuning,
    /// Topics that the bound in bytes leaves alone: what waits there for a person, and no group reads.
    pub keep_by_age: Vec<Topic>,
}

impl LocalSettings {
    /// The defaults, in this folder, with so many partitions.
    pub fn new(dir: impl Into<PathBuf>, partitions: Partition) -> Self {
        Self {
            dir: dir.into(),
            partitions,
            tuning: LocalTuning::default(),
            keep_by_age: Vec::new(),
        }
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
    /// How frames are stored.
    pub compression: Compression,
    /// Size of the whole log past which its oldest segments go before their time, once every group has
    /// read them; dead letters and conflicts stay all the same. Without it only age counts.
    pub retention_bytes: Option<ByteSize>,
    /// What stays free on the disk: when less is left, new events are refused until there is room.
    pub reserve_bytes: ByteSize,
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
            compression: Compression::Zstd,
            retention_bytes: None,
            reserve_bytes: ByteSize::mib(512),
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
        let segment = self.segment_bytes.as_u64();
        let whole = segment.saturating_add(self.frame_bytes.as_u64());
        if self.retention_bytes.is_some_and(|bytes| bytes.as_u64() < segment.saturating_mul(4)) {
            return wrong("retention_bytes", "set it at least to four times segment_bytes");
        }
        if self.reserve_bytes.as_u64() < whole.saturating_mul(2) {
            // Half of it is what opening after a crash may need.
            return wrong(
                "reserve_bytes",
                "set it at least to twice segment_bytes and frame_bytes together",
            );
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
