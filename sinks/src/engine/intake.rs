//! Taking in: assignments, and records up to their lane.

use std::collections::BTreeMap;
use std::time::Duration;

use tillrace_core::log::{Committed, Entry, Offset, Partition};
use tokio::time::Instant;

use super::partition::{Assigned, Leaving, Stage, WHOLE_PARTITION};
use super::progress::Settled;
use super::reader::Epoch;
use super::{Engine, SinkError};
use crate::audit::{self, Outcome};
use crate::connector::Ordering;
use crate::engine::call::wall_clock;
use crate::record::{Record, Unreadable};

impl Engine {
    pub(super) fn assign(&mut self, partition: Partition, epoch: Epoch, committed: Committed) {
        let offset = committed.offset;
        tracing::info!(sink = self.wiring.name, topic = %self.topic, partition, offset, "reading");
        self.forget(partition);
        let assigned = Assigned::new(epoch, committed, self.journal.chain());
        self.partitions.insert(partition, assigned);
    }

    pub(super) fn revoke(&mut self, partitions: &[Partition]) {
        tracing::info!(sink = self.wiring.name, topic = %self.topic, ?partitions, "gave back");
        for &partition in partitions {
            self.forget(partition);
        }
        if self.partitions.is_empty() {
            // Nothing of ours waits for the backend any more.
            self.conditions.breaker_closed();
        }
    }

    /// Drops what a partition has in hand, calls under way included: its next owner sends again.
    fn forget(&mut self, partition: Partition) {
        self.partitions.remove(&partition);
        for (of, call) in self.calls.values() {
            if *of == partition {
                call.abort();
            }
        }
        self.conditions.partition_left(partition);
        self.health.send_if_modified(|health| health.halted.remove(&partition).is_some());
    }

    /// Puts records into their lanes; those that are none of this sink's business go to the audit.
    pub(super) fn take_in(&mut self, entries: Vec<Entry>, now: Instant) -> Result<(), SinkError> {
        let count = entries.len();
        let mut filtered: BTreeMap<Partition, Vec<Offset>> = BTreeMap::new();
        for entry in entries {
            let (partition, offset) = (entry.partition, entry.offset);
            let assigned = self.partitions.get(&partition);
            if assigned.is_none_or(|assigned| assigned.flow < Stage::Flowing) {
                continue;
            }
            match self.sort(entry) {
                Ok((record, concerned)) => {
                    let passed = self.accept(partition, record, concerned, now);
                    if passed == Some(false) {
                        filtered.entry(partition).or_default().push(offset);
                    }
                }
                Err(source) => {
                    let topic = self.topic.clone();
                    let error = SinkError::Unreadable { topic, partition, offset, source };
                    self.halt(partition, Stage::Ending, error);
                }
            }
        }
        self.reader.took(count, self.room());
        filtered.into_iter().try_for_each(|(partition, offsets)| self.set_aside(partition, offsets))
    }

    fn sort(&self, entry: Entry) -> Result<(Record, bool), Unreadable> {
        let record = Record::from_entry(entry)?;
        let wiring = &self.wiring;
        let concerned = wiring.filter.passes(&wiring.source.head(&record)?)
            && wiring.connector.concerns(&record)?;
        Ok((record, concerned))
    }

    /// Notes a record and puts it into its lane if it concerns us. Returns nothing for a record
    /// that was settled before a restart.
    fn accept(
        &mut self,
        partition: Partition,
        record: Record,
        concerned: bool,
        now: Instant,
    ) -> Option<bool> {
        let assigned = self.partitions.get_mut(&partition)?;
        if !assigned.progress.receive(record.offset, record.appended_ms) {
            return None;
        }
        assigned.hold(if concerned { record.bytes() } else { 0 });
        if concerned {
            let lane = match self.wiring.connector.ordering() {
                Ordering::Key => record.key.clone(),
                Ordering::Partition => WHOLE_PARTITION,
            };
            assigned.lanes.push(&lane, record, now);
        }
        Some(concerned)
    }

    fn set_aside(&mut self, partition: Partition, offsets: Vec<Offset>) -> Result<(), SinkError> {
        let leaving = offsets
            .iter()
            .map(|&offset| Leaving { offset, bytes: 0, settled: Settled::Aside })
            .collect();
        let entry = audit::Entry {
            outcome: Outcome::Filtered,
            status: None,
            attempts: 0,
            started: wall_clock(),
            elapsed: Duration::ZERO,
            offsets: offsets.into_iter().map(|offset| (offset, None)).collect(),
        };
        self.write_down(partition, &[], &[entry], leaving)
    }
}
