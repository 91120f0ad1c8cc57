//! The health of the log: a circuit breaker for each partition, and one for the whole.
//!
//! Acknowledgements decide. A partition is stalled from its first failure, or after some seconds without an acknowledgement
//! while rows wait, until it acknowledges a row again. Meanwhile one chunk at a time probes it, and all other events for it
//! are deferred at once. When all partitions are stalled the log is down: then requests are deferred before their body is
//! read. Without traffic, [`log_watch`](crate::log_watch) asks the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;
use tillrace_log::{LogError, Offset, Partition, ProducerRecord};

use crate::clock::Clock;

/// Time without an acknowledgement, while rows wait, after which a partition is stalled. A change of leader is mostly
/// shorter, and so are pauses of a sound disk; a terminal gives up later.
const STALLED_AFTER_MS: i64 = 3_000;
/// While the log is down, one request in this interval is admitted as a probe.
const TRIAL_EVERY_MS: i64 = 1_000;

/// The health of the log. Its fields are independent signals (hence relaxed ordering): one that is seen late only defers a
/// request, or lets it wait, needlessly.
#[derive(Debug)]
pub(crate) struct LogHealth {
    each_health: Box<[PartitionHealth]>,
    is_down: AtomicBool,
    next_trial_ms: AtomicI64,
    last_error: Mutex<Option<LogError>>,
    clock: Clock,
}

/// The health of one partition.
#[derive(Debug)]
struct PartitionHealth {
    /// Chunks that wait for their acknowledgement.
    in_flight: AtomicU32,
    /// Since when they wait, or the time of the last acknowledgement if that is later.
    waits_since_ms: AtomicI64,
    acknowledged_ms: AtomicI64,
    failed: AtomicBool,
}

impl PartitionHealth {
    fn is_stalled(&self, now_ms: i64) -> bool {
        let silent_ms = now_ms.saturating_sub(self.waits_since_ms.load(Relaxed));
        self.failed.load(Relaxed)
            || (self.in_flight.load(Relaxed) > 0 && silent_ms >= STALLED_AFTER_MS)
    }

    /// Admits a chunk, unless the partition is stalled and has a probe in flight.
    fn enter(&self, now_ms: i64) -> bool {
        if self.is_stalled(now_ms) {
            return self.in_flight.compare_exchange(0, 1, Relaxed, Relaxed).is_ok();
        }
        if self.in_flight.load(Relaxed) == 0 {
            self.waits_since_ms.store(now_ms, Relaxed);
        }
        self.in_flight.fetch_add(1, Relaxed);
        true
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    fn acknowledge(&self, now_ms: i64) {
        self.waits_since_ms.store(now_ms, Relaxed);
        self.acknowledged_ms.store(now_ms, Relaxed);
        self.failed.store(false, Relaxed);
    }
}

/// The partitions that the rows of a chunk go to.
#[derive(Debug, Clone)]
pub(crate) enum RowPartitions {
    /// All rows to one, as those of a store.
    One(Partition),
    /// The rows to several.
    Several {
        /// That of each row.
        rows: Arc<[Partition]>,
        /// Each of them once.
        distinct: Arc<[Partition]>,
    },
}

impl RowPartitions {
    pub(crate) fn of(rows: &[ProducerRecord]) -> Self {
        let first = rows.first().map_or(0, |row| row.partition);
        if rows.iter().all(|row| row.partition == first) {
            return Self::One(first);
        }
        Self::several(rows.iter().map(|row| row.partition).collect())
    }

    fn several(rows: Arc<[Partition]>) -> Self {
        let mut distinct = rows.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        Self::Several { rows, distinct: distinct.into() }
    }

    fn distinct(&self) -> &[Partition] {
        match self {
            Self::One(partition) => std::slice::from_ref(partition),
            Self::Several { distinct, .. } => distinct,
        }
    }
}

/// A chunk that waits for its acknowledgement. Dropped without an outcome, it changes nothing.
#[derive(Debug)]
pub(crate) struct InFlightChunk {
    health: Arc<LogHealth>,
    partitions: RowPartitions,
}

impl InFlightChunk {
    /// Records the outcomes of its rows.
    pub(crate) fn settle(self, outcomes: &[Result<Offset, LogError>]) {
        let now_ms = self.health.now_ms();
        match &self.partitions {
            RowPartitions::One(partition) => {
                for outcome in outcomes {
                    self.health.record(*partition, outcome, now_ms);
                }
            }
            RowPartitions::Several { rows, .. } => {
                for (partition, outcome) in rows.iter().zip(outcomes) {
                    self.health.record(*partition, outcome, now_ms);
                }
            }
        }
    }
}

impl Drop for InFlightChunk {
    fn drop(&mut self) {
        self.health.leave(self.partitions.distinct());
    }
}

impl LogHealth {
    pub(crate) fn new(partitions: Partition, clock: Clock) -> Self {
        let now_ms = now_ms(&clock);
        let partition_health = |_partition| PartitionHealth {
            in_flight: AtomicU32::new(0),
            waits_since_ms: AtomicI64::new(now_ms),
            acknowledged_ms: AtomicI64::new(now_ms),
            failed: AtomicBool::new(false),
        };
        Self {
            each_health: (0..partitions).map(partition_health).collect(),
            is_down: AtomicBool::new(false),
            next_trial_ms: AtomicI64::new(i64::MIN),
            last_error: Mutex::new(None),
            clock,
        }
    }

    /// Admits a chunk; returns `None` if one of its partitions is stalled and has a probe in flight.
    pub(crate) fn begin(self: &Arc<Self>, partitions: &RowPartitions) -> Option<InFlightChunk> {
        let now_ms = self.now_ms();
        let each = partitions.distinct();
        for (index, partition) in each.iter().enumerate() {
            if !self
                .health_of(*partition)
                .is_none_or(|partition_health| partition_health.enter(now_ms))
            {
                self.leave(each.get(..index).unwrap_or_default());
                return None;
            }
        }
        Some(InFlightChunk { health: Arc::clone(self), partitions: partitions.clone() })
    }

    /// Tells whether any of these partitions is stalled.
    pub(crate) fn is_any_stalled(&self, partitions: &RowPartitions) -> bool {
        let now_ms = self.now_ms();
        let mut each_health =
            partitions.distinct().iter().filter_map(|partition| self.health_of(*partition));
        each_health.any(|partition_health| partition_health.is_stalled(now_ms))
    }

    /// Tells whether a request may be read: always while the log is not down, otherwise now and then.
    pub(crate) fn admits_request(&self) -> bool {
        if !self.is_down.load(Relaxed) {
            return true;
        }
        let (now_ms, due_ms) = (self.now_ms(), self.next_trial_ms.load(Relaxed));
        let next_ms = now_ms.saturating_add(TRIAL_EVERY_MS);
        now_ms >= due_ms
            && self.next_trial_ms.compare_exchange(due_ms, next_ms, Relaxed, Relaxed).is_ok()
    }

    /// The partitions that are stalled, in their order.
    pub(crate) fn stalled(&self) -> Vec<Partition> {
        let now_ms = self.now_ms();
        (0..).zip(&self.each_health).filter(|(_, l)| l.is_stalled(now_ms)).map(|(p, _)| p).collect()
    }

    /// Number of partitions.
    pub(crate) fn partitions(&self) -> usize {
        self.each_health.len()
    }

    /// When a row of a partition was last acknowledged.
    pub(crate) fn acknowledged_ms(&self, partition: Partition) -> i64 {
        self.health_of(partition)
            .map_or(i64::MIN, |partition_health| partition_health.acknowledged_ms.load(Relaxed))
    }

    /// Records that the log reports a partition as not writable.
    pub(crate) fn fail(&self, partition: Partition) {
        if let Some(partition_health) = self.health_of(partition) {
            partition_health.failed.store(true, Relaxed);
        }
    }

    /// Tells whether the last outcome of a partition was a failure.
    pub(crate) fn has_failed(&self, partition: Partition) -> bool {
        self.health_of(partition)
            .is_some_and(|partition_health| partition_health.failed.load(Relaxed))
    }

    /// Clears the failure of a partition that the log reports as writable, unless rows in flight will decide. Returns whether
    /// it did.
    pub(crate) fn trust(&self, partition: Partition) -> bool {
        self.health_of(partition).is_some_and(|partition_health| {
            partition_health.in_flight.load(Relaxed) == 0
                && partition_health.failed.swap(false, Relaxed)
        })
    }

    /// Sets whether the log is down.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    /// Returns the last error of a row.
    pub(crate) fn last_error(&self) -> Option<LogError> {
        self.last_error.lock().clone()
    }

    /// Milliseconds of a clock that never goes back.
    pub(crate) fn now_ms(&self) -> i64 {
        now_ms(&self.clock)
    }

    fn health_of(&self, partition: Partition) -> Option<&PartitionHealth> {
        self.each_health.get(usize::try_from(partition).ok()?)
    }

    fn leave(&self, partitions: &[Partition]) {
        partitions
            .iter()
            .filter_map(|partition| self.health_of(*partition))
            .for_each(PartitionHealth::leave);
    }

    fn record(&self, partition: Partition, outcome: &Result<Offset, LogError>, now_ms: i64) {
        let Some(partition_health) = self.health_of(partition) else { return };
        match outcome {
            Ok(_offset) => partition_health.acknowledge(now_ms),
            // This error is about the row, not about the log.
            Err(LogError::TooLarge { .. }) => {}
            Err(error) => {
                partition_health.failed.store(true, Relaxed);
                *self.last_error.lock() = Some(error.clone());
            }
        }
    }
}

fn now_ms(clock: &Clock) -> i64 {
    i64::try_from(clock.now().steady_ns / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::clock::MANUAL_ORIGIN_MS;

    use super::*;

    fn health() -> (Arc<LogHealth>, impl Fn(i64)) {
        let clock = Arc::new(AtomicI64::new(MANUAL_ORIGIN_MS));
        let health = Arc::new(LogHealth::new(4, Clock::Manual(Arc::clone(&clock))));
        (health, move |ms| _ = clock.fetch_add(ms, Relaxed))
    }

    const FAILS: Result<Offset, LogError> = Err(LogError::TimedOut { action: "write" });
    const ONE: RowPartitions = RowPartitions::One(1);

    #[test]
    fn silence_stalls_a_partition_while_rows_wait_and_an_acknowledgement_ends_it() {
        let (health, pass) = health();
        let first = health.begin(&ONE).unwrap();
        pass(2_999);
        let second = health.begin(&ONE).unwrap();
        assert!(health.stalled().is_empty());
        pass(1);
        assert_eq!(health.stalled(), [1]);
        assert!(health.begin(&ONE).is_none(), "put off at once");
        assert!(health.begin(&RowPartitions::One(2)).is_some(), "the others go on");
        first.settle(&[Ok(7)]);
        assert!(health.stalled().is_empty());
        pass(3_000);
        assert_eq!(health.stalled(), [1], "the second still waits");
        second.settle(&[Ok(8)]);
        pass(60_000);
        assert!(health.stalled().is_empty(), "nothing waits");
    }

    #[test]
    fn a_failure_stalls_at_once_and_then_one_chunk_at_a_time_finds_out() {
        let (health, _pass) = health();
        health.begin(&ONE).unwrap().settle(&[Ok(1), FAILS]);
        assert_eq!(health.stalled(), [1]);
        assert!(matches!(health.last_error(), Some(LogError::TimedOut { .. })));
        let trial = health.begin(&ONE).unwrap();
        assert!(health.begin(&ONE).is_none());
        trial.settle(&[FAILS]);
        let trial = health.begin(&ONE).unwrap();
        trial.settle(&[Ok(2)]);
        let both = [health.begin(&ONE), health.begin(&ONE)];
        assert!(both.iter().all(Option::is_some));
    }

    #[test]
    fn a_row_that_is_too_large_says_nothing_about_the_log() {
        let (health, _pass) = health();
        let too_large = Err(LogError::TooLarge { bytes: 2, limit: 1 });
        health.begin(&ONE).unwrap().settle(&[too_large]);
        assert!(health.stalled().is_empty());
    }

    #[test]
    fn a_chunk_for_several_partitions_enters_all_or_none() {
        let (health, _pass) = health();
        let each = RowPartitions::several([0, 1, 1, 3].into());
        health.begin(&each).unwrap().settle(&[Ok(1), Ok(1), FAILS, Ok(1)]);
        assert_eq!(health.stalled(), [1]);
        let trial = health.begin(&each).unwrap();
        assert!(health.begin(&each).is_none());
        trial.settle(&[Ok(2), Ok(2), Ok(3), Ok(2)]);
        drop([health.begin(&each).unwrap(), health.begin(&ONE).unwrap()]);
        let free = health
            .each_health
            .iter()
            .all(|partition_health| partition_health.in_flight.load(Relaxed) == 0);
        assert!(free, "everything that entered has left");
    }

    #[test]
    fn while_the_log_is_down_one_request_a_second_finds_out() {
        let (health, pass) = health();
        assert!(health.admits_request() && health.admits_request());
        health.set_down(true);
        assert!(health.admits_request());
        assert!(!health.admits_request());
        pass(999);
        assert!(!health.admits_request());
        pass(1);
        assert!(health.admits_request() && !health.admits_request());
        health.set_down(false);
        assert!(health.admits_request() && health.admits_request());
    }
}
