//! Starts calls: partitions in turn, as far as breaker, rate limit and concurrency allow.

use tillrace_log::Partition;
use tokio::time::Instant;

use super::Engine;
use super::key_queues::BatchDraft;
use super::partition::{InFlight, PartitionStage};

impl Engine {
    /// Starts as many calls as breaker, rate limit and settings allow.
    pub(super) fn dispatch(&mut self, now: Instant, draining: bool) {
        while self.calls.len() < self.concurrency.calls()
            && self.breaker.admits(now).is_ok()
            && self.rate_limiter.next_call(now) <= now
        {
            let Some((partition, draft)) = self.next_batch(now, draining) else { return };
            self.call(partition, draft, now);
        }
    }

    /// Takes the next batch, partitions in turn. When no more may be read, the partition with most
    /// ready bytes gives what it has without further linger.
    fn next_batch(&mut self, now: Instant, draining: bool) -> Option<(Partition, BatchDraft)> {
        let crowded = (self.room() == 0).then(|| self.most_ready()).flatten();
        let after = self.partitions.range(self.turn + 1..).map(|(&partition, _)| partition);
        let before = self.partitions.range(..=self.turn).map(|(&partition, _)| partition);
        let order: Vec<Partition> = after.chain(before).collect();
        for partition in order {
            let Some(assigned) = self.partitions.get_mut(&partition) else { continue };
            if assigned.stage == PartitionStage::Halted {
                continue;
            }
            let flush = draining || crowded == Some(partition);
            if let Some(draft) = assigned.key_queues.next_batch(now, self.limits, flush) {
                self.turn = partition;
                return Some((partition, draft));
            }
        }
        None
    }

    fn most_ready(&self) -> Option<Partition> {
        self.partitions
            .iter()
            .filter(|(_, assigned)| assigned.stage > PartitionStage::Halted)
            .max_by_key(|(_, assigned)| assigned.key_queues.ready_bytes())
            .map(|(&partition, _)| partition)
    }

    pub(super) fn has_ready(&self) -> bool {
        self.partitions.values().any(|assigned| {
            assigned.stage > PartitionStage::Halted && assigned.key_queues.has_ready()
        })
    }

    /// Returns the records in flight; a halted partition has dropped its own.
    pub(super) fn in_flight(&self) -> InFlight {
        let partitions =
            self.partitions.values().filter(|assigned| assigned.stage > PartitionStage::Halted);
        partitions.fold(InFlight::default(), |held, assigned| InFlight {
            records: held.records + assigned.in_flight.records,
            bytes: held.bytes + assigned.in_flight.bytes,
        })
    }

    /// Returns how many more records may be read.
    pub(super) fn room(&self) -> usize {
        let (held, most) = (self.in_flight(), self.spec.flow.in_flight);
        let bytes = u64::try_from(held.bytes).unwrap_or(u64::MAX);
        if bytes >= most.max_bytes.as_u64() {
            0
        } else {
            most.max_records.saturating_sub(held.records)
        }
    }

    /// Returns the next time at which a call or a commit may become possible without any event.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        if self.calls.len() >= self.concurrency.calls() {
            return self.commit_due;
        }
        let earliest = match self.breaker.admits(now) {
            Ok(()) => self.rate_limiter.next_call(now),
            Err(Some(until)) => until,
            Err(None) => return self.commit_due,
        };
        self.partitions
            .values()
            .filter(|assigned| assigned.stage > PartitionStage::Halted)
            .filter_map(|assigned| assigned.key_queues.next_due(self.limits))
            .map(|due| due.max(earliest))
            .fold(self.commit_due, Instant::min)
    }
}
