//! The Local log: the embedded implementation of the log, a segmented commit log of one machine.
//!
//! All topics share one log. What is committed together is one frame, synced once; then it is
//! indexed, then acknowledged, so readers see synced records only. A transaction is a frame with
//! outputs and consumer offsets in it.
//!
//! The files stand in the order a record meets them: `queue`, `writer`, `frame`, `segment`, `disk`;
//! then `index`, `reader`, `consumer`; `recovery` opens, `maintenance` runs `retention`
//! and `compaction`.
//!
//! Deliberately absent: replication, groups with more than one member, open transactions. Those
//! are what Kafka is for.

mod blocks;
mod catalog;
mod commit;
mod compaction;
mod compression;
mod consumer;
mod disk;
mod errors;
mod frame;
mod groups;
mod holder;
pub mod identity;
mod index;
mod lines;
mod lock;
mod maintenance;
mod metrics;
mod open_log;
mod producer;
mod queue;
mod reader;
mod recovery;
mod remote;
mod retention;
mod run;
mod scan;
mod segment;
mod settings;
mod sidecar;
mod signal;
mod space;
mod state;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;

use self::catalog::Control;
use self::commit::commit_whole;
pub use self::compression::Compression;
use self::consumer::LocalConsumer;
use self::disk::RealDisk;
pub use self::errors::{FileError, LocalFault};
pub use self::groups::GroupReport;
pub use self::holder::{Holder, Purpose};
pub use self::lines::LINES;
use self::open_log::OpenLog;
use self::producer::LocalProducer;
use self::reader::LocalReader;
pub use self::remote::{RemoteLog, Serving, is_served, open_view, serve};
pub use self::settings::{LocalSettings, LocalTuning};
pub use self::space::{CONDITIONS, Outlook, outlook};
use crate::health::Health;

use super::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Producer, Reader,
    Topic, TopicSpec, TransactionalConsumer, Weaknesses, WritableLog,
};

/// An open Local log. Everything it hands out keeps it open.
#[derive(Debug)]
pub struct LocalLog {
    open_log: Arc<OpenLog>,
    dir: PathBuf,
}

impl LocalLog {
    /// Opens the log in a folder, or begins one there.
    ///
    /// # Errors
    /// [`LogError::Refused`] when another process owns the folder or a setting is wrong;
    /// [`LogError::Damaged`] when what was acknowledged is missing or does not hold;
    /// [`LogError::PartitionCount`] when its topics have another number of partitions;
    /// [`LogError::Unavailable`] when the disk fails.
    pub fn open(settings: LocalSettings) -> Result<Arc<Self>, LogError> {
        let lock = lock::lock(&settings.dir, Purpose::Own)?;
        identity::ensure(&settings.dir)?;
        let disk = Arc::new(RealDisk::open(&settings.dir)?);
        let LocalSettings { dir, partitions, tuning, keep_by_age } = settings;
        let clock = Arc::new(now_ms);
        let open_log =
            OpenLog::start(disk, Some(partitions), &tuning, clock, Some(lock), &keep_by_age)?;
        Ok(Arc::new(Self { open_log, dir }))
    }

    /// Tells a health from now on what stands still: a disk that fills, one that is full, a write
    /// that failed, a bound that cannot be held. The first health that is given counts.
    pub fn report_to(&self, health: Health) {
        if self.open_log.shared.health.set(health).is_ok() {
            self.open_log.shared.maintenance.notify();
        }
    }

    /// Registers the log's metrics, `tillrace_log_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.open_log.shared.metrics.register(registry);
    }

    /// Tells of every registered consumer group how far it is, and whether it stalled.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn groups(&self) -> Result<Vec<GroupReport>, LogError> {
        groups::report(&self.open_log.shared)
    }

    /// Forgets a consumer group: what it has not committed is no longer kept for it.
    ///
    /// # Errors
    /// [`LogError::Refused`] while the group has a live member; otherwise when the log fails.
    pub fn remove_group(&self, group: &str) -> Result<(), LogError> {
        let shared = &self.open_log.shared;
        let _one_at_a_time = shared.definitions.lock();
        let member = shared.members.lock().iter().find(|(name, _)| name == group).cloned();
        if let Some((group, id)) = member {
            let state = shared.state.read();
            if let Some(topic) = state.catalog.topic(id) {
                let fault = LocalFault::GroupInUse { group, topic: topic.name.clone() };
                return Err(fault.refusing("remove a consumer group"));
            }
        }
        commit_whole(shared, Vec::new(), vec![Control::Remove { group: group.to_owned() }])
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl LogView for LocalLog {
    fn identity(&self) -> Result<String, LogError> {
        identity::read(&self.dir)
    }

    fn partitions(&self) -> Partition {
        self.open_log.shared.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        let state = self.open_log.shared.state.read();
        Ok(state.bounds(state.lane(topic, partition)?))
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let lane = self.open_log.shared.lane(topic, partition)?;
        Ok(Box::new(LocalReader::open(&self.open_log, topic, lane, from)?))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        let state = self.open_log.shared.state.read();
        let lane = state.lane(topic, partition)?;
        Ok(state.catalog.committed(group, lane).map(|place| place.committed.clone()))
    }
}

impl WritableLog for LocalLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(LocalProducer { open_log: Arc::clone(&self.open_log) }))
    }
}

impl Log for LocalLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        let shared = &self.open_log.shared;
        let _one_at_a_time = shared.definitions.lock();
        let mut controls = Vec::new();
        {
            let state = shared.state.read();
            let mut next = (0..).nth(state.catalog.topics.len()).unwrap_or(u32::MAX);
            for spec in topics {
                let known = state.catalog.topic_id(&spec.topic);
                let unchanged = known
                    .and_then(|id| state.catalog.topic(id))
                    .is_some_and(|topic| topic.cleanup == spec.cleanup);
                let named = |control: &Control| matches!(control, Control::Topic { name, .. } if *name == spec.topic);
                if unchanged || controls.iter().any(named) {
                    continue;
                }
                let id = known.unwrap_or(next);
                next += u32::from(known.is_none());
                controls.push(Control::Topic {
                    id,
                    partitions: shared.partitions,
                    cleanup: spec.cleanup,
                    name: spec.topic.clone(),
                });
            }
        }
        if !controls.is_empty() {
            commit_whole(shared, Vec::new(), controls)?;
        }
        // The log applies the settings it is given and syncs every commit: none can be weaker.
        Ok(Weaknesses::default())
    }

    fn failure(&self) -> Option<LogError> {
        Some(self.open_log.shared.poison.get()?.clone().refusing("write"))
    }

    fn unwritable(&self, _topic: &Topic) -> Result<Vec<Partition>, LogError> {
        self.failure().or_else(|| space::refusal(&self.open_log.shared)).map_or(Ok(Vec::new()), Err)
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(LocalConsumer::join(&self.open_log, group, topic)?))
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        Ok(Box::new(LocalConsumer::join(&self.open_log, group, topic)?))
    }
}
