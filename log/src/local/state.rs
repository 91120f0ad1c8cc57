//! What writer, readers and maintenance share.
//!
//! Everything in [`State`] is durable: the writer changes it after the sync, under a lock it holds
//! for as long as it takes to append a few runs. No file is touched under that lock.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::blocks::BlockCache;
use super::catalog::Catalog;
use super::disk::{Disk, DiskFile};
use super::errors::{LocalFault, unavailable};
use super::frame::{Lane, Salt};
use super::index::Index;
use super::metrics::Metrics;
use super::queue::Queue;
use super::run::Run;
use super::segment::{Segment, SegmentName};
use super::settings::LocalTuning;
use super::signal::Signal;
use crate::health::Health;
use crate::{Bounds, Cleanup, LogError, Offset, Partition, Topic};

/// Milliseconds since the Unix epoch, injected.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One open log.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tuning: LocalTuning,
    pub(super) partitions: Partition,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) state: RwLock<State>,
    pub(super) queue: Queue,
    /// Blocks unpacked lately.
    pub(super) blocks: BlockCache,
    /// Held by who makes a sidecar anew.
    pub(super) rebuilding: Mutex<()>,
    /// Topics that the bound in bytes leaves alone.
    pub(super) keep_by_age: OnceLock<HashSet<Topic>>,
    /// Set while the disk has less left than the reserve.
    pub(super) disk_full: AtomicBool,
    /// Hears of what stands still.
    pub(super) health: OnceLock<Health>,
    /// The first failed write or sync.
    pub(super) poison: OnceLock<LocalFault>,
    /// Live members: group and topic.
    pub(super) members: Mutex<HashSet<(String, u32)>>,
    /// Held by those who define topics or join and remove groups, one at a time.
    pub(super) definitions: Mutex<()>,
    /// Notified when a segment was closed or maintenance should stop.
    pub(super) maintenance: Signal,
    /// Set when the log closes.
    pub(super) stopping: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Shared {
    /// The durable state of one partition's topic.
    pub(super) fn lane(&self, topic: &Topic, partition: Partition) -> Result<Lane, LogError> {
        self.state.read().lane(topic, partition)
    }

    /// Why the queue takes nothing any more.
    pub(super) fn ended(&self, action: &'static str) -> LogError {
        self.poison.get().cloned().unwrap_or(LocalFault::Closing).refusing(action)
    }

    /// Replaces neighbouring segments by one, or by none.
    pub(super) fn replace(&self, old: &[SegmentName], new: Option<Segment>) {
        let mut state = self.state.write();
        let first = state.sealed.iter().position(|segment| old.contains(&segment.name));
        let Some(first) = first else { return };
        state.sealed.splice(first..first + old.len(), new.map(Arc::new));
    }

    /// Makes names made and removed durable.
    pub(super) fn sync_folder(&self) -> Result<(), LogError> {
        let failed = unavailable("sync the folder", || self.disk.place(""));
        self.disk.sync_folder().map_err(failed)
    }
}

/// The durable state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    /// Closed segments, oldest first.
    pub(super) sealed: Vec<Arc<Segment>>,
    pub(super) active: Active,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) name: SegmentName,
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) index: Index,
}

/// Where the next records of a partition stand.
#[derive(Debug)]
pub(super) enum RecordLocation {
    Sealed(Arc<Segment>),
    Active {
        name: SegmentName,
        salt: Salt,
        file: Arc<dyn DiskFile>,
        runs: Arc<[Run]>,
    },
    /// No record from there on; this is the end.
    End(Offset),
}

/// Runs copied out of the active segment at a time.
const RUNS_AT_A_TIME: usize = 1_024;

impl State {
    /// Bytes of records in the segment that is written.
    pub(super) fn active_bytes(&self) -> u64 {
        self.active.index.lanes.values().map(|lane| lane.summary.bytes).sum()
    }

    pub(super) fn lane(&self, topic: &Topic, partition: Partition) -> Result<Lane, LogError> {
        let unknown = || LogError::UnknownTopic { topic: topic.clone() };
        let lane = Lane { topic: self.catalog.topic_id(topic).ok_or_else(unknown)?, partition };
        let missing = || LocalFault::NoPartition { topic: topic.clone(), partition };
        self.catalog.end(lane).ok_or_else(|| missing().refusing("find a partition"))?;
        Ok(lane)
    }

    /// First and next offset of a partition.
    pub(super) fn bounds(&self, lane: Lane) -> Bounds {
        let end = self.catalog.end(lane).unwrap_or(0);
        let start = match self.catalog.topic(lane.topic).map(|topic| topic.cleanup) {
            Some(Cleanup::Delete { .. }) => {
                let sealed = self.sealed.iter().find_map(|segment| segment.lanes.get(&lane));
                let active = || self.active.index.lanes.get(&lane).map(|lane| &lane.summary);
                sealed.or_else(active).map_or(end, |summary| summary.first)
            }
            _ => 0,
        };
        Bounds { start, stable_end: end, end }
    }

    /// Finds the next records of a partition at or behind an offset.
    pub(super) fn locate(&self, lane: Lane, from: Offset) -> RecordLocation {
        let end = self.catalog.end(lane).unwrap_or(0);
        if from >= end {
            return RecordLocation::End(end);
        }
        let active = self.active.index.lanes.get(&lane);
        if active.is_none_or(|active| from < active.summary.first) {
            let sealed = self.sealed.iter().find(|segment| {
                segment.lanes.get(&lane).is_some_and(|summary| summary.last >= from)
            });
            if let Some(segment) = sealed {
                return RecordLocation::Sealed(Arc::clone(segment));
            }
        }
        let Some(active) = active else { return RecordLocation::End(end) };
        let at = active.runs.partition_point(|run| run.last() < from);
        let runs = &active.runs[at..(at + RUNS_AT_A_TIME).min(active.runs.len())];
        if runs.is_empty() {
            return RecordLocation::End(end);
        }
        RecordLocation::Active {
            name: self.active.name,
            salt: self.active.salt,
            file: Arc::clone(&self.active.file),
            runs: Arc::from(runs),
        }
    }
}
