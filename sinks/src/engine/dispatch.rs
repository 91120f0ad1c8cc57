//! When and what to call: partitions in turn, within what backend, pace and room allow.

use tillrace_log::Partition;
use tokio::time::Instant;

use super::Engine;
use super::lanes::Load;
use super::partition::{Held, Stage};

impl Engine {
    /// Starts as many calls as backend, pace and settings allow.
    pub(super) fn dispatch(&mut self, now: Instant, draining: bool) {
        while self.calls.len() < self.wiring.flow.concurrency
            && self.breaker.admits(now).is_ok()
            && self.pacer.next_call(now) <= now
        {
            let Some((partition, load)) = self.next_load(now, draining) else { return };
            self.call(partition, load, now);
        }
    }

    /// Takes the next batch, partitions in turn. Without room to read on, the partition with most
    /// in hand gives what it has, whatever its batch was waiting for.
    fn next_load(&mut self, now: Instant, draining: bool) -> Option<(Partition, Load)> {
        let crowded = (self.room() == 0).then(|| self.most_ready()).flatten();
        let after = self.partitions.range(self.turn + 1..).map(|(&partition, _)| partition);
        let before = self.partitions.range(..=self.turn).map(|(&partition, _)| partition);
        let order: Vec<Partition> = after.chain(before).collect();
        for partition in order {
            let Some(assigned) = self.partitions.get_mut(&partition) else { continue };
            if assigned.flow == Stage::Halted {
                continue;
            }
            let now_or_never = draining || crowded == Some(partition);
            if let Some(load) = assigned.lanes.take(now, self.limits, now_or_never) {
                self.turn = partition;
                return Some((partition, load));
            }
        }
        None
    }

    fn most_ready(&self) -> Option<Partition> {
        self.partitions
            .iter()
            .filter(|(_, assigned)| assigned.flow > Stage::Halted)
            .max_by_key(|(_, assigned)| assigned.lanes.ready_bytes())
            .map(|(&partition, _)| partition)
    }

    pub(super) fn has_ready(&self) -> bool {
        self.partitions
            .values()
            .any(|assigned| assigned.flow > Stage::Halted && assigned.lanes.ready_bytes() > 0)
    }

    /// Returns what takes room; a halted partition has let go of what it had in hand.
    pub(super) fn held(&self) -> Held {
        let partitions = self.partitions.values().filter(|assigned| assigned.flow > Stage::Halted);
        partitions.fold(Held::default(), |held, assigned| Held {
            records: held.records + assigned.in_hand.records,
            bytes: held.bytes + assigned.in_hand.bytes,
        })
    }

    /// Returns how many more records may be read.
    pub(super) fn room(&self) -> usize {
        let (held, most) = (self.held(), self.wiring.flow.in_hand);
        let bytes = u64::try_from(held.bytes).unwrap_or(u64::MAX);
        if bytes >= most.max_bytes.as_u64() {
            0
        } else {
            most.max_records.saturating_sub(held.records)
        }
    }

    /// Returns when the passing of time alone may next allow something.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        if self.calls.len() >= self.wiring.flow.concurrency {
            return self.commit_due;
        }
        let earliest = match self.breaker.admits(now) {
            Ok(()) => self.pacer.next_call(now),
            Err(Some(until)) => until,
            Err(None) => return self.commit_due,
        };
        self.partitions
            .values()
            .filter(|assigned| assigned.flow > Stage::Halted)
            .filter_map(|assigned| assigned.lanes.next_due(self.limits))
            .map(|due| due.max(earliest))
            .fold(self.commit_due, Instant::min)
    }
}
