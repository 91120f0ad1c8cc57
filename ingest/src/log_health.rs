//! Whether the log takes events now: a circuit breaker on each partition, and one on the whole.
//!
//! What counts is what the log acknowledges. A partition is stalled from its first failure, or from a silence of some
//! seconds while rows wait, until it acknowledges a row again. Meanwhile it takes one chunk at a time, to find out, and
//! everything else for it is put off at once. When all partitions are stalled the log is down: then a request is turned away
//! before its body is read. What the log says of itself in silence comes from [`log_watch`](crate::log_watch).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;
use tillrace_core::log::{LogError, Offset, Partition, Row};

use crate::clock::Clock;

/// Silence, while rows wait, after which a partition is stalled. A change of leader is mostly shorter, and so is any pause of
/// a disk that is well; a till gives up later.
const STALLED_AFTER_MS: i64 = 3_000;
/// While the log is down, one request in this time is let through to find out.
const TRIAL_EVERY_MS: i64 = 1_000;

/// The health of the log. Its fields are independent signals (hence relaxed ordering): one that is seen late puts a request
/// off, or lets it wait, needlessly.
#[derive(Debug)]
pub(crate) struct LogHealth {
    lanes: Box<[Lane]>,
    is_down: AtomicBool,
    next_trial_ms: AtomicI64,
    last_error: Mutex<Option<LogError>>,
    clock: Clock,
}

/// What is known of one partition.
#[derive(Debug)]
struct Lane {
    /// Chunks that wait for their acknowledgement.
    in_flight: AtomicU32,
    /// Since when they wait, or when the last was acknowledged if that is later.
    waits_since_ms: AtomicI64,
    acknowledged_ms: AtomicI64,
    failed: AtomicBool,
}

impl Lane {
    fn is_stalled(&self, now_ms: i64) -> bool {
        let silent_ms = now_ms.saturating_sub(self.waits_since_ms.load(Relaxed));
        self.failed.load(Relaxed)
            || (self.in_flight.load(Relaxed) > 0 && silent_ms >= STALLED_AFTER_MS)
    }

    /// Takes a chunk in, unless the partition is stalled and has one to find out with.
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
pub(crate) enum Partitions {
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

impl Partitions {
    pub(crate) fn of(rows: &[Row]) -> Self {
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

/// A chunk that waits for its acknowledgement. Dropped without an outcome it says nothing about the log.
#[derive(Debug)]
pub(crate) struct InFlight {
    health: Arc<LogHealth>,
    partitions: Partitions,
}

impl InFlight {
    /// Takes note of the outcomes of its rows.
    pub(crate) fn settle(self, outcomes: &[Result<Offset, LogError>]) {
        let now_ms = self.health.now_ms();
        match &self.partitions {
            Partitions::One(partition) => {
                for outcome in outcomes {
                    self.health.hear(*partition, outcome, now_ms);
                }
            }
            Partitions::Several { rows, .. } => {
                for (partition, outcome) in rows.iter().zip(outcomes) {
                    self.health.hear(*partition, outcome, now_ms);
                }
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.health.leave(self.partitions.distinct());
    }
}

impl LogHealth {
    pub(crate) fn new(partitions: Partition, clock: Clock) -> Self {
        let now_ms = now_ms(&clock);
        let lane = |_partition| Lane {
            in_flight: AtomicU32::new(0),
            waits_since_ms: AtomicI64::new(now_ms),
            acknowledged_ms: AtomicI64::new(now_ms),
            failed: AtomicBool::new(false),
        };
        Self {
            lanes: (0..partitions).map(lane).collect(),
            is_down: AtomicBool::new(false),
            next_trial_ms: AtomicI64::new(i64::MIN),
            last_error: Mutex::new(None),
            clock,
        }
    }

    /// Takes a chunk in; `None` when one of its partitions is stalled, and another chunk finds out already how it goes on.
    pub(crate) fn begin(self: &Arc<Self>, partitions: &Partitions) -> Option<InFlight> {
        let now_ms = self.now_ms();
        let each = partitions.distinct();
        for (place, partition) in each.iter().enumerate() {
            if !self.lane(*partition).is_none_or(|lane| lane.enter(now_ms)) {
                self.leave(each.get(..place).unwrap_or_default());
                return None;
            }
        }
        Some(InFlight { health: Arc::clone(self), partitions: partitions.clone() })
    }

    /// Tells whether any of these partitions is stalled.
    pub(crate) fn is_any_stalled(&self, partitions: &Partitions) -> bool {
        let now_ms = self.now_ms();
        let mut lanes = partitions.distinct().iter().filter_map(|partition| self.lane(*partition));
        lanes.any(|lane| lane.is_stalled(now_ms))
    }

    /// Tells whether a request may be read: always while the log is not down, then now and then.
    pub(crate) fn lets_through(&self) -> bool {
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
        (0..).zip(&self.lanes).filter(|(_, l)| l.is_stalled(now_ms)).map(|(p, _)| p).collect()
    }

    /// Number of partitions.
    pub(crate) fn partitions(&self) -> usize {
        self.lanes.len()
    }

    /// When a row of a partition was last acknowledged.
    pub(crate) fn acknowledged_ms(&self, partition: Partition) -> i64 {
        self.lane(partition).map_or(i64::MIN, |lane| lane.acknowledged_ms.load(Relaxed))
    }

    /// Takes note that the log says a partition takes no rows.
    pub(crate) fn fail(&self, partition: Partition) {
        if let Some(lane) = self.lane(partition) {
            lane.failed.store(true, Relaxed);
        }
    }

    /// Tells whether the last that is known of a partition is a failure.
    pub(crate) fn has_failed(&self, partition: Partition) -> bool {
        self.lane(partition).is_some_and(|lane| lane.failed.load(Relaxed))
    }

    /// Trusts a failed partition again that the log says is well. One with rows in flight is left to their outcomes; tells
    /// whether there was anything to do.
    pub(crate) fn trust(&self, partition: Partition) -> bool {
        self.lane(partition).is_some_and(|lane| {
            lane.in_flight.load(Relaxed) == 0 && lane.failed.swap(false, Relaxed)
        })
    }

    /// Opens or closes the way in for requests.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    /// What a row failed with last.
    pub(crate) fn last_error(&self) -> Option<LogError> {
        self.last_error.lock().clone()
    }

    /// Milliseconds of a clock that never goes back.
    pub(crate) fn now_ms(&self) -> i64 {
        now_ms(&self.clock)
    }

    fn lane(&self, partition: Partition) -> Option<&Lane> {
        self.lanes.get(usize::try_from(partition).ok()?)
    }

    fn leave(&self, partitions: &[Partition]) {
        partitions.iter().filter_map(|partition| self.lane(*partition)).for_each(Lane::leave);
    }

    fn hear(&self, partition: Partition, outcome: &Result<Offset, LogError>, now_ms: i64) {
        let Some(lane) = self.lane(partition) else { return };
        match outcome {
            Ok(_offset) => lane.acknowledge(now_ms),
            // Speaks of the row, not of the log.
            Err(LogError::TooLarge { .. }) => {}
            Err(error) => {
                lane.failed.store(true, Relaxed);
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
    const ONE: Partitions = Partitions::One(1);

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
        assert!(health.begin(&Partitions::One(2)).is_some(), "the others go on");
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
        let each = Partitions::several([0, 1, 1, 3].into());
        health.begin(&each).unwrap().settle(&[Ok(1), Ok(1), FAILS, Ok(1)]);
        assert_eq!(health.stalled(), [1]);
        let trial = health.begin(&each).unwrap();
        assert!(health.begin(&each).is_none());
        trial.settle(&[Ok(2), Ok(2), Ok(3), Ok(2)]);
        drop([health.begin(&each).unwrap(), health.begin(&ONE).unwrap()]);
        let free = health.lanes.iter().all(|lane| lane.in_flight.load(Relaxed) == 0);
        assert!(free, "everything that entered has left");
    }

    #[test]
    fn while_the_log_is_down_one_request_a_second_finds_out() {
        let (health, pass) = health();
        assert!(health.lets_through() && health.lets_through());
        health.set_down(true);
        assert!(health.lets_through());
        assert!(!health.lets_through());
        pass(999);
        assert!(!health.lets_through());
        pass(1);
        assert!(health.lets_through() && !health.lets_through());
        health.set_down(false);
        assert!(health.lets_through() && health.lets_through());
    }
}
