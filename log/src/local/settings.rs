//! What can be set of the Local log, and what it refuses with.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::compression::Compression;
use crate::setting::{DurationText, Inspection, SettingErrors, SizeText};
use crate::{FrameLimits, Partition, Topic};

/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalTuning {
    /// Size past which a segment is closed and the next one begun.
    #[schemars(with = "SizeText")]
    pub segment_bytes: ByteSize,
    /// Largest frame, and so the largest transaction.
    #[schemars(with = "SizeText")]
    pub frame_bytes: ByteSize,
    /// Largest record, key and value together.
    #[schemars(with = "SizeText")]
    pub record_bytes: ByteSize,
    /// How frames are stored.
    pub compression: Compression,
    /// Size of the whole log past which its oldest segments go before their time, once every group has
    /// read them; dead letters and conflicts stay all the same. Without it only age counts.
    #[schemars(with = "Option<SizeText>")]
    pub retention_bytes: Option<ByteSize>,
    /// What stays free on the disk: when less is left, new events are refused until there is room.
    #[schemars(with = "SizeText")]
    pub reserve_bytes: ByteSize,
    /// What the producers' queue holds at most; past it a send is given back.
    #[schemars(with = "SizeText")]
    pub queue_bytes: ByteSize,
    /// Idle time after which the tail is sealed.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub seal_after: Duration,
    /// How often retention and compaction look for work.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub upkeep_every: Duration,
    /// Age of its oldest unread record past which a group is reported as stalled.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
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
    /// Names every key that is wrong and what it should be.
    pub fn validate(&self) -> Result<(), SettingErrors> {
        Inspection::of("log.local", |found| self.inspect(found))
    }

    /// Notes what cannot be.
    pub fn inspect(&self, found: &mut Inspection) {
        found.range("segment_bytes", self.segment_bytes, ByteSize::kib(64)..=ByteSize::gib(1));
        found.range("frame_bytes", self.frame_bytes, ByteSize::kib(16)..=ByteSize::gib(1));
        found.range("record_bytes", self.record_bytes, ByteSize::b(1)..);
        found.require(
            self.record_bytes.as_u64().saturating_add(4_096) <= self.frame_bytes.as_u64(),
            "record_bytes",
            "does not fit in a frame",
            "set it at least 4KiB below frame_bytes",
        );
        let segment = self.segment_bytes.as_u64();
        let whole = segment.saturating_add(self.frame_bytes.as_u64());
        found.require(
            self.retention_bytes.is_none_or(|bytes| bytes.as_u64() >= segment.saturating_mul(4)),
            "retention_bytes",
            "holds too few segments",
            "set it at least to four times segment_bytes, or remove it",
        );
        // Half of it is what opening after a crash may need.
        found.require(
            self.reserve_bytes.as_u64() >= whole.saturating_mul(2),
            "reserve_bytes",
            "does not hold what the log may need to be opened",
            "set it at least to twice segment_bytes and frame_bytes together",
        );
        found.require(
            self.queue_bytes >= self.record_bytes,
            "queue_bytes",
            "does not hold the largest record",
            "set it at least to record_bytes",
        );
        found.range("seal_after", self.seal_after, SHORTEST..);
        found.range("upkeep_every", self.upkeep_every, SHORTEST..);
    }

    /// What one record and one frame may hold.
    pub fn frame_limits(&self) -> FrameLimits {
        FrameLimits { record_bytes: self.record_bytes, frame_bytes: self.frame_bytes }
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
