//! The lookup of quarantined events for a release, in `pos.conflicts` and `pos.events`.
//!
//! An offset can be released if `pos.conflicts` has it: that proves that it was counted nowhere. Records are there in the
//! order of the journal, so that a binary search finds one in some twenty reads, and the state need not have them. Releases
//! are rare; this may be slow.

use std::time::Duration;

use serde::Deserialize;
use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition, Topic};

use crate::topics::Topics;

const WAIT: Duration = Duration::from_secs(10);

/// Looks quarantined events up in the log.
#[derive(Clone, Copy)]
pub(super) struct QuarantineLookup<'a> {
    pub(super) log: &'a dyn LogView,
    pub(super) topics: &'a Topics,
}

#[derive(Deserialize)]
struct ConflictHeader {
    offset: Offset,
    reason: String,
}

impl QuarantineLookup<'_> {
    /// Tells whether a committed record of `pos.conflicts` has the event at this offset of the journal.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn is_quarantined(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> Result<bool, LogError> {
        let topic = &self.topics.conflicts;
        let bounds = self.log.bounds(topic, partition)?;
        let (mut low, mut high) = (bounds.start, bounds.stable_end);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(entry) = self.first_from(topic, partition, middle)? else {
                high = middle;
                continue;
            };
            match header_of(&entry) {
                Some(header) if header.offset == offset => return Ok(header.reason != "unreadable"),
                Some(header) if header.offset < offset => low = entry.offset + 1,
                _ => high = middle,
            }
        }
        Ok(false)
    }

    /// Reads one record of the journal; `None` if the log no longer holds it.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn event(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> Result<Option<ConsumerRecord>, LogError> {
        let topic = &self.topics.events;
        let bounds = self.log.bounds(topic, partition)?;
        if !(bounds.start..bounds.stable_end).contains(&offset) {
            return Ok(None);
        }
        let entry = self.first_from(topic, partition, offset)?;
        Ok(entry.filter(|entry| entry.offset == offset))
    }

    fn first_from(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Option<ConsumerRecord>, LogError> {
        let end = self.log.bounds(topic, partition)?.stable_end;
        let mut reader = self.log.reader(topic, partition, from)?;
        let entry = reader.read(1, WAIT)?.into_iter().next();
        if entry.is_none() && reader.position() < end {
            return Err(LogError::TimedOut { action: "read the quarantined events" });
        }
        Ok(entry)
    }
}

impl std::fmt::Debug for QuarantineLookup<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("QuarantineLookup").finish_non_exhaustive()
    }
}

fn header_of(entry: &ConsumerRecord) -> Option<ConflictHeader> {
    serde_json::from_slice(entry.value.as_deref()?).ok()
}
