//! How many records a sink is behind: the ends of its partitions, asked for beside the engine's task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tillrace_log::{Log, Offset, Partition, Topic};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the log is asked for the ends of partitions.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Knows the ends of the partitions that a sink reads, a few seconds late.
pub(crate) struct LagObserver {
    log: Arc<dyn Log>,
    topic: Topic,
    ends: Arc<Mutex<BTreeMap<Partition, Offset>>>,
    looked_at: Option<Instant>,
    looking: Option<JoinHandle<()>>,
}

impl LagObserver {
    pub(crate) fn new(log: &Arc<dyn Log>, topic: &Topic) -> Self {
        Self {
            log: Arc::clone(log),
            topic: topic.clone(),
            ends: Arc::default(),
            looked_at: None,
            looking: None,
        }
    }

    /// Asks for the ends of partitions if it is time, on a thread that may wait. One question at a time.
    pub(crate) fn look(&mut self, now: Instant, partitions: impl Iterator<Item = Partition>) {
        let is_due = self.looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_INTERVAL);
        if !is_due || self.looking.as_ref().is_some_and(|looking| !looking.is_finished()) {
            return;
        }
        self.looked_at = Some(now);
        let (log, topic, ends) =
            (Arc::clone(&self.log), self.topic.clone(), Arc::clone(&self.ends));
        let partitions: Vec<Partition> = partitions.collect();
        self.looking = Some(tokio::task::spawn_blocking(move || {
            for partition in partitions {
                // An outage of the log has a condition of its own; the last end is kept meanwhile.
                if let Ok(bounds) = log.bounds(&topic, partition) {
                    ends.lock().insert(partition, bounds.stable_end);
                }
            }
        }));
    }

    /// Returns the offsets between the given positions and the ends of their partitions.
    pub(crate) fn records(&self, positions: impl Iterator<Item = (Partition, Offset)>) -> u64 {
        let ends = self.ends.lock();
        positions
            .map(|(partition, next)| ends.get(&partition).map_or(0, |end| end.saturating_sub(next)))
            .sum()
    }
}
