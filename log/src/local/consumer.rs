//! Consumer groups on one machine: one member a group, which has all partitions.
//!
//! There is no rebalance: a member gets everything at its first poll and keeps it until it is
//! dropped. Its places travel in frames like records do, and a transaction is a frame that holds
//! outputs and places together.

use std::sync::Arc;
use std::time::Duration;

use super::catalog::Control;
use super::commit::commit_whole;
use super::errors::LocalFault;
use super::frame::Lane;
use super::open_log::OpenLog;
use super::reader::{LocalReader, deadline};
use super::signal::Signal;
use crate::{
    Committed, Consumer, LogError, Offset, Partition, Polled, Position, ProducerRecord, Topic,
    TransactionalConsumer,
};

/// Longest metadata of a place, as Kafka has it.
const METADATA_BYTES: usize = 4_096;

/// The live member of a group on a topic.
pub(super) struct LocalConsumer {
    open_log: Arc<OpenLog>,
    group: String,
    topic: Topic,
    id: u32,
    signal: Arc<Signal>,
    assigned: bool,
    readers: Vec<Option<LocalReader>>,
    /// Partition whose turn it is to be read first.
    turn: usize,
}

impl LocalConsumer {
    /// Registers the group durably and becomes its member.
    pub(super) fn join(
        open_log: &Arc<OpenLog>,
        group: &str,
        topic: &Topic,
    ) -> Result<Self, LogError> {
        let shared = &open_log.shared;
        let lane = shared.lane(topic, 0)?;
        let signal = {
            let state = shared.state.read();
            state.catalog.topic(lane.topic).map(|topic| Arc::clone(&topic.signal))
        };
        let membership = (group.to_owned(), lane.topic);
        if !shared.members.lock().insert(membership) {
            let fault = LocalFault::GroupTaken { group: group.to_owned(), topic: topic.clone() };
            return Err(fault.refusing("join a consumer group"));
        }
        // From here on dropping the member frees the group, whatever fails.
        let member = Self {
            open_log: Arc::clone(open_log),
            group: group.to_owned(),
            topic: topic.clone(),
            id: lane.topic,
            signal: signal.unwrap_or_default(),
            assigned: false,
            readers: (0..shared.partitions).map(|_| None).collect(),
            turn: 0,
        };
        member.register()?;
        Ok(member)
    }

    fn register(&self) -> Result<(), LogError> {
        let shared = &self.open_log.shared;
        let _one_at_a_time = shared.definitions.lock();
        let known = {
            let state = shared.state.read();
            state
                .catalog
                .groups
                .get(&self.group)
                .is_some_and(|topics| topics.contains_key(&self.id))
        };
        if known {
            return Ok(());
        }
        let join = Control::Join { group: self.group.clone(), topic: self.id };
        commit_whole(&self.open_log.shared, Vec::new(), vec![join])
    }

    fn lane(&self, partition: Partition) -> Result<Lane, LogError> {
        if !self.assigned {
            return Err(LocalFault::NotAssigned { partition }.refusing("use a partition"));
        }
        self.open_log.shared.lane(&self.topic, partition)
    }

    fn controls(&self, positions: &[Position]) -> Result<Vec<Control>, LogError> {
        let control = |position: &Position| {
            let lane = self.lane(position.partition)?;
            let committed = position.committed.clone();
            let (bytes, limit) = (committed.metadata.len(), METADATA_BYTES);
            if bytes > limit {
                return Err(LocalFault::Metadata { bytes, limit }.refusing("commit offsets"));
            }
            Ok(Control::Commit { group: self.group.clone(), lane, lsn: 0, committed })
        };
        positions.iter().map(control).collect()
    }
}

impl Drop for LocalConsumer {
    fn drop(&mut self) {
        self.open_log.shared.members.lock().remove(&(self.group.clone(), self.id));
    }
}

impl Consumer for LocalConsumer {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        if !self.assigned {
            self.assigned = true;
            return Ok(Polled::Assigned((0..self.open_log.shared.partitions).collect()));
        }
        let until = deadline(wait);
        loop {
            let seen = self.signal.count();
            let (mut entries, mut bytes) = (Vec::new(), 0);
            let count = self.readers.len();
            let first = self.turn;
            for step in 0..count {
                let partition = (first + step) % count;
                if let Some(reader) = &mut self.readers[partition] {
                    let before = entries.len();
                    let read = reader.read_now(max_records, &mut entries, &mut bytes);
                    if entries.len() > before {
                        self.turn = (partition + 1) % count;
                    }
                    if let Err(error) = read {
                        if entries.is_empty() {
                            return Err(error);
                        }
                        // What was taken is delivered; the error's turn is the next poll.
                        self.turn = partition;
                        break;
                    }
                }
            }
            if !entries.is_empty() {
                return Ok(Polled::Records(entries));
            }
            if !self.signal.wait(seen, until) {
                return Ok(Polled::Idle);
            }
        }
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        let lane = self.open_log.shared.lane(&self.topic, partition)?;
        let state = self.open_log.shared.state.read();
        Ok(state.catalog.committed(&self.group, lane).map(|place| place.committed.clone()))
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        let lane = self.lane(partition)?;
        let reader = LocalReader::open(&self.open_log, &self.topic, lane, offset)?;
        self.readers[partition as usize] = Some(reader);
        Ok(())
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        let controls = self.controls(positions)?;
        commit_whole(&self.open_log.shared, Vec::new(), controls)
    }
}

impl TransactionalConsumer for LocalConsumer {
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError> {
        let controls = self.controls(positions)?;
        commit_whole(&self.open_log.shared, rows, controls)
    }
}
