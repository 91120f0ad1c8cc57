//! Taking in: assignments, and records up to their lane.

use std::collections::BTreeMap;
use std::time::Duration;

use tillrace_log::{Committed, Entry, Offset, Partition};
use tokio::time::Instant;

use super::partition::{Assigned, Leaving, Stage, WHOLE_PARTITION};
use super::progress::Settled;
use super::reader::Epoch;
use super::{Engine, SinkError};
use crate::audit::{self, Outcome};
use crate::connector::Ordering;
use crate::dead::{Cause, Reason};
use crate::engine::call::wall_clock;
use crate::failure::ErrorChain;
use crate::record::{Record, Unreadable};
use crate::settings::RecordPlace;

/// What is to become of a record that was read.
enum Sorted {
    /// It goes to the backend.
    Ours,
    /// It is none of this sink's business.
    Filtered,
    /// It goes to the dead letters untried.
    Dead(Cause),
}

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

    /// Puts records into their lanes. Those that are none of this sink's business go to the audit,
    /// those that nobody can read to the dead letters.
    pub(super) fn take_in(&mut self, entries: Vec<Entry>, now: Instant) -> Result<(), SinkError> {
        let count = entries.len();
        let mut filtered: BTreeMap<Partition, Vec<Offset>> = BTreeMap::new();
        let mut dead: BTreeMap<Partition, Vec<(Record, Cause)>> = BTreeMap::new();
        for entry in entries {
            let (partition, offset) = (entry.partition, entry.offset);
            let assigned = self.partitions.get(&partition);
            if assigned.is_none_or(|assigned| assigned.flow < Stage::Flowing) {
                continue;
            }
            let has_value = entry.value.is_some();
            let record = Record::from_entry(entry);
            match self.sort(partition, &record, has_value) {
                Ok(Sorted::Dead(cause)) => {
                    let assigned = self.partitions.get_mut(&partition);
                    if assigned.is_some_and(|assigned| assigned.note(&record, record.bytes())) {
                        dead.entry(partition).or_default().push((record, cause));
                    }
                }
                Ok(sorted) => {
                    let concerned = matches!(sorted, Sorted::Ours);
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
        for (partition, offsets) in filtered {
            self.set_aside(partition, offsets)?;
        }
        dead.into_iter().try_for_each(|(partition, dead)| self.give_up(partition, &dead))
    }

    /// Tells what is to become of a record; an error halts its partition.
    fn sort(
        &self,
        partition: Partition,
        record: &Record,
        has_value: bool,
    ) -> Result<Sorted, Unreadable> {
        let wiring = &self.wiring;
        let place = RecordPlace { partition, offset: record.offset };
        if wiring.flow.set_aside.contains(&place) {
            let error = "set_aside: the sink's configuration names it".to_owned();
            return Ok(Sorted::Dead(Cause { reason: Reason::SetAside, error, attempts: 0 }));
        }
        let concerned = || {
            if !has_value {
                return Err(Unreadable::NoValue);
            }
            Ok(wiring.filter.passes(&wiring.source.head(record)?)
                && wiring.connector.concerns(record)?)
        };
        match concerned() {
            Ok(true) => Ok(Sorted::Ours),
            Ok(false) => Ok(Sorted::Filtered),
            Err(error) if error.may_be_newer() => Err(error),
            Err(error) => {
                let error = format!("unreadable: {}", ErrorChain(&error));
                Ok(Sorted::Dead(Cause { reason: Reason::Unreadable, error, attempts: 0 }))
            }
        }
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
        if !assigned.note(&record, if concerned { record.bytes() } else { 0 }) {
            return None;
        }
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
        let offsets = offsets.into_iter().map(|offset| (offset, None)).collect();
        self.write_down(partition, &[], &[untried(Outcome::Filtered, offsets)], leaving)
    }

    /// Puts records into the dead letters that were not tried.
    fn give_up(&mut self, partition: Partition, dead: &[(Record, Cause)]) -> Result<(), SinkError> {
        let leaving = |record: &Record| Leaving {
            offset: record.offset,
            bytes: record.bytes(),
            settled: Settled::Aside,
        };
        let leaving = dead.iter().map(|(record, _)| leaving(record)).collect();
        let offsets = dead
            .iter()
            .map(|(record, cause)| (record.offset, Some(cause.reason.as_str().to_owned())))
            .collect();
        self.write_down(partition, dead, &[untried(Outcome::Dead, offsets)], leaving)
    }
}

/// The audit of what no call was made for.
fn untried(outcome: Outcome, offsets: Vec<(Offset, Option<String>)>) -> audit::Entry {
    audit::Entry {
        outcome,
        status: None,
        attempts: 0,
        started: wall_clock(),
        elapsed: Duration::ZERO,
        offsets,
    }
}
