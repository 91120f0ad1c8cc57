//! A member of the group on the log in memory: what it is assigned, reads and commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{CommitOutcome, GroupChange, MemoryLog};
use crate::{
    Committed, Consumer, LogError, LogView, Offset, Partition, Polled, Position, ProducerRecord,
    RECORD_LIMIT_BYTES, Reader, Topic, TransactionalConsumer,
};

/// The member; it reads nothing of a partition before that is started.
pub(super) struct MemoryConsumer {
    pub(super) log: MemoryLog,
    pub(super) topic: Topic,
    pub(super) member: usize,
    pub(super) readers: BTreeMap<Partition, Box<dyn Reader>>,
}

impl Consumer for MemoryConsumer {
    fn poll(&mut self, max_records: usize, _wait: Duration) -> Result<Polled, LogError> {
        let news = self.log.shared.lock().news.entry(self.member).or_default().pop_front();
        match news {
            Some(GroupChange::Assigned(partitions)) => return Ok(Polled::Assigned(partitions)),
            Some(GroupChange::Revoked(partitions)) => {
                for partition in &partitions {
                    self.readers.remove(partition);
                }
                return Ok(Polled::Revoked(partitions));
            }
            None => {}
        }
        let mut entries = Vec::new();
        for reader in self.readers.values_mut() {
            entries.extend(reader.read(max_records, Duration::ZERO)?);
        }
        Ok(if entries.is_empty() { Polled::Idle } else { Polled::Records(entries) })
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        LogView::committed(&self.log, "", &self.topic, partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        let reader = self.log.reader(&self.topic, partition, offset)?;
        self.readers.insert(partition, reader);
        Ok(())
    }

    fn commit(&mut self, _positions: &[Position]) -> Result<(), LogError> {
        Err(LogError::TimedOut { action: "commit outside a transaction" })
    }
}

impl TransactionalConsumer for MemoryConsumer {
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError> {
        let mut shared = self.log.shared.lock();
        let cause = |what: &str| Arc::new(std::io::Error::other(what.to_owned()));
        for row in &rows {
            let owned = positions.iter().any(|position| position.partition == row.partition);
            assert!(owned, "{row:?} goes out without its partition's offset");
        }
        if positions.iter().any(|p| shared.owners.get(&p.partition) != Some(&self.member)) {
            return Err(LogError::Aborted { cause: cause("another member owns the partition") });
        }
        for row in &rows {
            let bytes = row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
            if bytes > RECORD_LIMIT_BYTES {
                return Err(LogError::TooLarge { bytes, limit: RECORD_LIMIT_BYTES });
            }
            shared.largest_row = shared.largest_row.max(bytes);
        }
        let lost = LogError::TimedOut { action: "commit" };
        match shared.endings.pop_front().unwrap_or(CommitOutcome::Committed) {
            CommitOutcome::Committed => {
                shared.commit(rows, positions);
                Ok(())
            }
            CommitOutcome::Aborted => Err(LogError::Aborted { cause: cause("as the test says") }),
            CommitOutcome::LostBefore => Err(lost),
            CommitOutcome::LostAfter => {
                shared.commit(rows, positions);
                Err(lost)
            }
        }
    }
}
