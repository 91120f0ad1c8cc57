//! Handles assignments and revocations, and routes records to their key queues.

use std::collections::BTreeMap;
use std::time::Duration;

use tillrace_log::{Committed, ConsumerRecord, Offset, Partition};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::partition::{AssignedPartition, PartitionStage, SettledRecord, WHOLE_PARTITION};
use super::progress::SettleKind;
use super::reader::{Epoch, ReaderCommand};
use super::{Engine, JobOutput, SinkError};
use crate::audit::{AuditEntry, AuditOutcome};
use crate::connector::Ordering;
use crate::dead_letter::{DeadLetterCause, DeadLetterReason};
use crate::engine::call::wall_clock;
use crate::failure::ErrorChain;
use crate::flow::RecordPosition;
use crate::record::{Record, RecordError};

/// Where a record goes.
enum RecordRoute {
    /// To the backend.
    Deliver,
    /// Nowhere: the filter or the connector does not accept it.
    Filter,
    /// To the dead letters, untried.
    DeadLetter(DeadLetterCause),
}

impl Engine {
    pub(super) fn assign(&mut self, partition: Partition, epoch: Epoch, committed: Committed) {
        let offset = committed.offset;
        tracing::info!(sink = self.spec.name, topic = %self.topic, partition, offset, "partition assigned");
        self.forget(partition);
        let assigned = AssignedPartition::new(epoch, committed, self.audit_writer.chain());
        self.partitions.insert(partition, assigned);
    }

    /// Writes to the audit where a new partition begins, so that `verify` counts from there.
    pub(super) fn begin(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        offset: Offset,
    ) -> Result<(), SinkError> {
        tracing::info!(sink = self.spec.name, topic = %self.topic, partition, offset, "sink begins a partition");
        if offset == 0 {
            // Nothing lies before it.
            self.to_begin.push((partition, epoch, offset));
            return Ok(());
        }
        let rows = vec![self.audit_writer.begun(partition, offset)?];
        let publishing = self.audit_writer.publish(rows);
        let writing =
            async move { JobOutput::Begun { partition, epoch, offset, outcome: publishing.await } };
        self.jobs.spawn(writing.in_current_span());
        Ok(())
    }

    /// Tells the reader which partitions may begin, as far as its queue takes it.
    pub(super) fn send_begun(&mut self) {
        while let Some(&(partition, epoch, offset)) = self.to_begin.last() {
            if !self.reader.send(ReaderCommand::Begin(partition, epoch, offset)) {
                return;
            }
            self.to_begin.pop();
        }
    }

    pub(super) fn revoke(&mut self, partitions: &[Partition]) {
        tracing::info!(sink = self.spec.name, topic = %self.topic, ?partitions, "partitions revoked");
        for &partition in partitions {
            self.forget(partition);
        }
        if self.partitions.is_empty() {
            // Without partitions, no record waits for the backend any more.
            self.conditions.breaker_closed();
        }
    }

    /// Drops the records in flight of a partition, calls under way included: its next owner sends them again.
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

    /// Puts records into their key queues. Filtered records go to the audit, unreadable ones to the
    /// dead letters.
    pub(super) fn receive_records(
        &mut self,
        entries: Vec<ConsumerRecord>,
        now: Instant,
    ) -> Result<(), SinkError> {
        let count = entries.len();
        let mut filtered: BTreeMap<Partition, Vec<Offset>> = BTreeMap::new();
        let mut dead: BTreeMap<Partition, Vec<(Record, DeadLetterCause)>> = BTreeMap::new();
        for entry in entries {
            let (partition, offset) = (entry.partition, entry.offset);
            let assigned = self.partitions.get(&partition);
            if assigned.is_none_or(|assigned| assigned.stage < PartitionStage::Flowing) {
                continue;
            }
            let has_value = entry.value.is_some();
            let record = Record::from_entry(entry);
            match self.route(partition, &record, has_value) {
                Ok(RecordRoute::DeadLetter(cause)) => {
                    let assigned = self.partitions.get_mut(&partition);
                    if assigned.is_some_and(|assigned| assigned.track(&record, record.bytes())) {
                        dead.entry(partition).or_default().push((record, cause));
                    }
                }
                Ok(route) => {
                    let accepted = matches!(route, RecordRoute::Deliver);
                    let passed = self.accept(partition, record, accepted, now);
                    if passed == Some(false) {
                        filtered.entry(partition).or_default().push(offset);
                    }
                }
                Err(source) => {
                    let topic = self.topic.clone();
                    let error = SinkError::Unreadable { topic, partition, offset, source };
                    self.halt(partition, PartitionStage::Ending, error);
                }
            }
        }
        self.reader.release(count, self.room());
        for (partition, offsets) in filtered {
            self.settle_filtered(partition, offsets)?;
        }
        dead.into_iter().try_for_each(|(partition, dead)| self.settle_dead(partition, &dead))
    }

    /// Decides where a record goes; an error halts its partition.
    fn route(
        &self,
        partition: Partition,
        record: &Record,
        has_value: bool,
    ) -> Result<RecordRoute, RecordError> {
        let spec = &self.spec;
        let position = RecordPosition { partition, offset: record.offset };
        if spec.flow.set_aside.contains(&position) {
            let error = "set_aside: the sink's configuration names it".to_owned();
            return Ok(RecordRoute::DeadLetter(DeadLetterCause {
                reason: DeadLetterReason::SetAside,
                error,
                attempts: 0,
            }));
        }
        let accepted = || {
            if !has_value {
                return Err(RecordError::NoValue);
            }
            Ok(spec.filter.passes(&spec.source.header(record)?)
                && spec.connector.accepts(record)?)
        };
        match accepted() {
            Ok(true) => Ok(RecordRoute::Deliver),
            Ok(false) => Ok(RecordRoute::Filter),
            Err(error) if error.may_be_newer() => Err(error),
            Err(error) => {
                let error = format!("unreadable: {}", ErrorChain(&error));
                Ok(RecordRoute::DeadLetter(DeadLetterCause {
                    reason: DeadLetterReason::Unreadable,
                    error,
                    attempts: 0,
                }))
            }
        }
    }

    /// Tracks a record, and puts it into its key queue if the sink accepts it. Returns `None` for a
    /// record that was settled before a restart.
    fn accept(
        &mut self,
        partition: Partition,
        record: Record,
        accepted: bool,
        now: Instant,
    ) -> Option<bool> {
        let assigned = self.partitions.get_mut(&partition)?;
        if !assigned.track(&record, if accepted { record.bytes() } else { 0 }) {
            return None;
        }
        if accepted {
            let key = match self.spec.connector.ordering() {
                Ordering::Key => record.key.clone(),
                Ordering::Partition => WHOLE_PARTITION,
            };
            assigned.key_queues.push(&key, record, now);
        }
        Some(accepted)
    }

    fn settle_filtered(
        &mut self,
        partition: Partition,
        offsets: Vec<Offset>,
    ) -> Result<(), SinkError> {
        let leaving = offsets
            .iter()
            .map(|&offset| SettledRecord { offset, bytes: 0, kind: SettleKind::Aside })
            .collect();
        let offsets = offsets.into_iter().map(|offset| (offset, None)).collect();
        self.write_audit(partition, &[], &[untried(AuditOutcome::Filtered, offsets)], leaving)
    }

    /// Settles records that go to the dead letters untried.
    fn settle_dead(
        &mut self,
        partition: Partition,
        dead: &[(Record, DeadLetterCause)],
    ) -> Result<(), SinkError> {
        let leaving = |record: &Record| SettledRecord {
            offset: record.offset,
            bytes: record.bytes(),
            kind: SettleKind::Aside,
        };
        let leaving = dead.iter().map(|(record, _)| leaving(record)).collect();
        let offsets = dead
            .iter()
            .map(|(record, cause)| (record.offset, Some(cause.reason.as_str().to_owned())))
            .collect();
        self.write_audit(partition, dead, &[untried(AuditOutcome::Dead, offsets)], leaving)
    }
}

/// The audit entry of records without a call.
fn untried(outcome: AuditOutcome, offsets: Vec<(Offset, Option<String>)>) -> AuditEntry {
    AuditEntry {
        outcome,
        status: None,
        attempts: 0,
        started: wall_clock(),
        elapsed: Duration::ZERO,
        offsets,
    }
}
