//! Reading a partition from one offset to another, record by record.
//!
//! The end is fixed when the scan is opened: what is written while the recount runs is not read.

use std::time::Duration;

use crate::log::{Entry, LogError, LogView, Offset, Partition, Reader, Topic};

const BATCH: usize = 1_024;
const WAIT: Duration = Duration::from_millis(100);
/// Empty answers in a row, [`WAIT`] each, before a scan gives up on reaching its end.
const PATIENCE: u32 = 600;

/// A pass over one partition.
pub(super) struct Scan {
    reader: Box<dyn Reader>,
    batch: std::vec::IntoIter<Entry>,
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
    /// The end is that of everything written, open transactions included: their outcome is waited
    /// for, because a group's offsets may be visible before the records committed with them.
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
    /// When the log fails, or holds back what stands before the end for a minute.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, LogError> {
        for _ in 0..PATIENCE {
            if let Some(entry) = self.batch.next() {
                // A batch may run past an end that is moved up later: keep what lies beyond.
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
            self.batch = self.reader.read(BATCH, WAIT)?.into_iter();
        }
        Err(LogError::TimedOut { action: "read up to the end of a partition" })
    }
}
