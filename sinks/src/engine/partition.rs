//! One assigned partition: its records in flight and its progress.

use bytes::Bytes;
use tillrace_log::{Committed, Offset};

use super::key_queues::KeyQueues;
use super::progress::{Progress, SettleKind};
use super::reader::Epoch;
use crate::audit::HashChain;
use crate::record::Record;

/// A partition from its assignment to its revocation.
#[derive(Debug)]
pub(crate) struct AssignedPartition {
    /// Tells this assignment from an earlier one of the same partition.
    pub(crate) epoch: Epoch,
    pub(crate) progress: Progress,
    pub(crate) key_queues: KeyQueues,
    pub(crate) stage: PartitionStage,
    pub(crate) in_flight: InFlight,
    pub(crate) chain: HashChain,
    last_commit: Committed,
}

/// How far records of a partition get. A partition never returns to an earlier stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartitionStage {
    /// No call is made any more.
    Halted,
    /// No record is accepted any more; records in flight go on.
    Ending,
    /// Records are read and delivered.
    Flowing,
}

/// Records read and not settled.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// A record that is settled once its audit record is durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettledRecord {
    pub(crate) offset: Offset,
    pub(crate) bytes: usize,
    pub(crate) kind: SettleKind,
}

impl AssignedPartition {
    pub(crate) fn new(epoch: Epoch, committed: Committed, chain: HashChain) -> Self {
        Self {
            epoch,
            progress: Progress::resume(&committed),
            key_queues: KeyQueues::default(),
            stage: PartitionStage::Flowing,
            in_flight: InFlight::default(),
            chain,
            last_commit: committed,
        }
    }

    /// Tracks a record that was read; returns false if it was settled before a restart.
    pub(crate) fn track(&mut self, record: &Record, bytes: usize) -> bool {
        if !self.progress.receive(record.offset, record.appended_ms) {
            return false;
        }
        self.in_flight.records += 1;
        self.in_flight.bytes += bytes;
        true
    }

    pub(crate) fn settle(&mut self, leaving: &[SettledRecord]) {
        for record in leaving {
            self.progress.settle(record.offset, record.kind);
            self.in_flight.records -= 1;
            self.in_flight.bytes -= record.bytes;
        }
    }

    /// Returns what to commit, if it differs from the last commit.
    pub(crate) fn news(&mut self) -> Option<Committed> {
        let committed = self.progress.committable();
        if committed == self.last_commit {
            return None;
        }
        self.last_commit.clone_from(&committed);
        Some(committed)
    }

    /// Records that the last commit failed.
    pub(crate) fn forget_commit(&mut self) {
        self.last_commit.metadata.clear();
    }
}

/// The key of all records for a connector that writes a partition as one stream.
pub(crate) const WHOLE_PARTITION: Bytes = Bytes::new();
