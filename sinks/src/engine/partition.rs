//! One assigned partition: what it has in hand, and how far it has come.

use bytes::Bytes;
use tillrace_log::{Committed, Offset};

use super::lanes::Lanes;
use super::progress::{Progress, Settled};
use super::reader::Epoch;
use crate::audit::Chain;
use crate::record::Record;

/// A partition from its assignment to its revocation.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// Tells this assignment from an earlier one of the same partition.
    pub(crate) epoch: Epoch,
    pub(crate) progress: Progress,
    pub(crate) lanes: Lanes,
    pub(crate) flow: Stage,
    pub(crate) in_hand: Held,
    pub(crate) chain: Chain,
    last_commit: Committed,
}

/// How far records of a partition get; once below `Flowing` it stays so, see the sink's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing of it is called any more.
    Halted,
    /// Nothing more is taken in; what is in hand goes on.
    Ending,
    /// All is well.
    Flowing,
}

/// Records read and not settled.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// A record on its way out of our hands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaving {
    pub(crate) offset: Offset,
    pub(crate) bytes: usize,
    pub(crate) settled: Settled,
}

impl Assigned {
    pub(crate) fn new(epoch: Epoch, committed: Committed, chain: Chain) -> Self {
        Self {
            epoch,
            progress: Progress::resume(&committed),
            lanes: Lanes::default(),
            flow: Stage::Flowing,
            in_hand: Held::default(),
            chain,
            last_commit: committed,
        }
    }

    /// Notes a record that was read and weighs so much in hand; false when it was settled before a
    /// restart.
    pub(crate) fn note(&mut self, record: &Record, bytes: usize) -> bool {
        if !self.progress.receive(record.offset, record.appended_ms) {
            return false;
        }
        self.in_hand.records += 1;
        self.in_hand.bytes += bytes;
        true
    }

    pub(crate) fn settle(&mut self, leaving: &[Leaving]) {
        for record in leaving {
            self.progress.settle(record.offset, record.settled);
            self.in_hand.records -= 1;
            self.in_hand.bytes -= record.bytes;
        }
    }

    /// Returns what to commit, if it says more than the last commit did.
    pub(crate) fn news(&mut self) -> Option<Committed> {
        let committed = self.progress.committable();
        if committed == self.last_commit {
            return None;
        }
        self.last_commit.clone_from(&committed);
        Some(committed)
    }

    /// Forgets that something was committed: the commit failed.
    pub(crate) fn forget_commit(&mut self) {
        self.last_commit.metadata.clear();
    }
}

/// The lane of a connector that writes a partition as one stream.
pub(crate) const WHOLE_PARTITION: Bytes = Bytes::new();
