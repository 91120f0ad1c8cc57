//! Derived records that name their source, read in step with the journal.
//!
//! The aggregator writes derived records in the order of the journal, so one pass over both is
//! enough: at each journal record, all records that name it as their source are available.

use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition, Topic};

use super::check::{Check, Difference};
use super::coverage::Coverage;
use super::scan::Scan;

/// The source that a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordSource {
    /// A record of the journal, in order.
    At(Partition, Offset),
    /// A record outside the journal's order, such as a released one.
    OutOfOrder,
    /// The record cannot be read.
    Unreadable,
}

/// One partition of a derived topic, read in step with the journal.
pub(super) struct SourcedRecords {
    scan: Scan,
    topic: Topic,
    partition: Partition,
    coverage: Coverage,
    source: fn(&[u8]) -> RecordSource,
    next: Option<(Offset, ConsumerRecord)>,
    entered: bool,
    unmatched: UnmatchedRecords,
}

/// Records that were not matched with their source.
#[derive(Default)]
pub(super) struct UnmatchedRecords {
    /// Records outside the journal's order, such as released ones.
    pub(super) out_of_order: Vec<ConsumerRecord>,
    /// Records whose source the journal does not hold, with the source that they name.
    pub(super) orphaned: Vec<(Offset, ConsumerRecord)>,
}

impl SourcedRecords {
    /// Opens a derived topic for the covered part of the journal.
    pub(super) fn open(
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
        coverage: Coverage,
        source: fn(&[u8]) -> RecordSource,
    ) -> Result<Self, LogError> {
        Ok(Self {
            scan: Scan::whole(view, topic, partition)?,
            topic: topic.clone(),
            partition,
            coverage,
            source,
            next: None,
            entered: false,
            unmatched: UnmatchedRecords::default(),
        })
    }

    /// Returns the records that name `offset` as their source. Those that name a lower one are orphaned:
    /// the journal has no such record, or the scan has passed it.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn at(
        &mut self,
        offset: Offset,
        check: &mut Check,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let mut here = Vec::new();
        while let Some((source, entry)) = self.peek(check)? {
            if source > offset {
                self.next = Some((source, entry));
                break;
            }
            if source == offset {
                here.push(entry);
            } else {
                self.unmatched.orphaned.push((source, entry));
            }
        }
        Ok(here)
    }

    /// Reads to the end, and returns the unmatched records. Every record is read, because in a damaged log
    /// one that names an earlier offset may follow records of later flushes.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn finish(mut self, check: &mut Check) -> Result<UnmatchedRecords, LogError> {
        while let Some((source, entry)) = self.peek(check)? {
            if source < self.coverage.to {
                self.unmatched.orphaned.push((source, entry));
            }
        }
        Ok(self.unmatched)
    }

    fn peek(&mut self, check: &mut Check) -> Result<Option<(Offset, ConsumerRecord)>, LogError> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        while let Some(entry) = self.scan.next()? {
            match (self.source)(entry.value.as_deref().unwrap_or_default()) {
                RecordSource::At(partition, offset) if partition == self.partition => {
                    if offset >= self.coverage.from {
                        self.entered = true;
                    } else if !self.entered {
                        continue;
                    }
                    return Ok(Some((offset, entry)));
                }
                RecordSource::At(partition, _) => check.differs(
                    Difference::new(&self.topic, self.partition, "comes from another partition")
                        .at(entry.offset)
                        .between(self.partition, partition),
                ),
                RecordSource::OutOfOrder => self.unmatched.out_of_order.push(entry),
                RecordSource::Unreadable => check.differs(
                    Difference::new(&self.topic, self.partition, "cannot be read").at(entry.offset),
                ),
            }
        }
        Ok(None)
    }
}
