//! Records that name their source, read in step with the journal.
//!
//! The aggregator writes what it derives in the order of the journal, so that one pass over both
//! is enough: at each journal record, everything that claims it as its source is at hand.

use crate::log::{Entry, LogError, LogView, Offset, Partition, Topic};

use super::check::{Check, Difference};
use super::cut::Cut;
use super::scan::Scan;

/// Where a record says it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A record of the journal, in order.
    At(Partition, Offset),
    /// Something that does not stand in the journal's order; kept apart.
    Apart,
    /// It cannot be read.
    Unreadable,
}

/// A derived topic's partition on its way along the journal.
pub(super) struct Claims {
    scan: Scan,
    topic: Topic,
    partition: Partition,
    cut: Cut,
    source: fn(&[u8]) -> Source,
    next: Option<(Offset, Entry)>,
    entered: bool,
    left: Left,
}

/// Records that were not met with their source.
#[derive(Default)]
pub(super) struct Left {
    /// Those that do not stand in the journal's order, by what they say.
    pub(super) apart: Vec<Entry>,
    /// Those that should, and the source they name.
    pub(super) astray: Vec<(Offset, Entry)>,
}

impl Claims {
    /// Opens a derived topic for the covered part of the journal.
    pub(super) fn open(
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
        cut: Cut,
        source: fn(&[u8]) -> Source,
    ) -> Result<Self, LogError> {
        Ok(Self {
            scan: Scan::whole(view, topic, partition)?,
            topic: topic.clone(),
            partition,
            cut,
            source,
            next: None,
            entered: false,
            left: Left::default(),
        })
    }

    /// Takes the records that name `offset`. Those naming a lower one go astray: the journal has no
    /// such record, or it was passed already.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn at(&mut self, offset: Offset, check: &mut Check) -> Result<Vec<Entry>, LogError> {
        let mut here = Vec::new();
        while let Some((source, entry)) = self.peek(check)? {
            if source > offset {
                self.next = Some((source, entry));
                break;
            }
            if source == offset {
                here.push(entry);
            } else {
                self.left.astray.push((source, entry));
            }
        }
        Ok(here)
    }

    /// Reads to the end, and returns what did not come in the journal's order. Behind records of
    /// later flushes there may be, in a damaged log, one that names an offset passed already:
    /// nothing is left unread.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn finish(mut self, check: &mut Check) -> Result<Left, LogError> {
        while let Some((source, entry)) = self.peek(check)? {
            if source < self.cut.to {
                self.left.astray.push((source, entry));
            }
        }
        Ok(self.left)
    }

    fn peek(&mut self, check: &mut Check) -> Result<Option<(Offset, Entry)>, LogError> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        while let Some(entry) = self.scan.next()? {
            match (self.source)(entry.value.as_deref().unwrap_or_default()) {
                Source::At(partition, offset) if partition == self.partition => {
                    if offset >= self.cut.from {
                        self.entered = true;
                    } else if !self.entered {
                        continue;
                    }
                    return Ok(Some((offset, entry)));
                }
                Source::At(partition, _) => check.differs(
                    Difference::new(&self.topic, self.partition, "comes from another partition")
                        .at(entry.offset)
                        .between(self.partition, partition),
                ),
                Source::Apart => self.left.apart.push(entry),
                Source::Unreadable => check.differs(
                    Difference::new(&self.topic, self.partition, "cannot be read").at(entry.offset),
                ),
            }
        }
        Ok(None)
    }
}
