//! Reading a partition from one offset to another, record by record.
//!
//! The end is fixed when the scan is opened: records written during the recount are not read.

use std::time::Duration;

use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition, Reader, Topic};

const BATCH_RECORDS: usize = 1_024;
const READ_TIMEOUT: Duration = Duration::from_millis(100);
/// Consecutive empty reads, [`READ_TIMEOUT`] each, before a scan gives up.
const MAX_EMPTY_READS: u32 = 600;

/// A pass over one partition.
pub(super) struct Scan {
    reader: Box<dyn Reader>,
    batch: std::vec::IntoIter<ConsumerRecord>,
    until: Offset,
}

impl Scan {
    /// Opens a pass over everything from `from` to `until`, the latter excluded.
    pub(super) fn open(
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<Self, LogError> {
        let reader = view.reader(topic, partition, from)?;
        Ok(Self { reader, batch: Vec::new().into_iter(), until })
    }

    /// Opens a pass over everything that the partition holds now.
    ///
    /// The end includes open transactions: the scan waits for their outcome, because a group's offsets
    /// may be visible before the records committed with them.
    pub(super) fn whole(
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Self, LogError> {
        let bounds = view.bounds(topic, partition)?;
        Self::open(view, topic, partition, bounds.start, bounds.end)
    }

    /// Moves the end up to what the partition holds now.
    pub(super) fn extend(
        &mut self,
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
    ) -> Result<(), LogError> {
        self.until = view.bounds(topic, partition)?.end.max(self.until);
        Ok(())
    }

    /// Returns the next record, `None` at the end.
    ///
    /// # Errors
    /// When the log fails, or does not deliver records before the end for a minute.
    pub(super) fn next(&mut self) -> Result<Option<ConsumerRecord>, LogError> {
        for _ in 0..MAX_EMPTY_READS {
            if let Some(entry) = self.batch.next() {
                // A batch may reach beyond the end, which may be extended later: keep the rest.
                if entry.offset >= self.until {
                    let mut rest = vec![entry];
                    rest.extend(&mut self.batch);
                    self.batch = rest.into_iter();
                    return Ok(None);
                }
                return Ok(Some(entry));
            }
            if self.reader.position() >= self.until {
                return Ok(None);
            }
            self.batch = self.reader.read(BATCH_RECORDS, READ_TIMEOUT)?.into_iter();
        }
        Err(LogError::TimedOut { action: "read up to the end of a partition" })
    }
}
