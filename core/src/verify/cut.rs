//! What a recount covers: from where, and up to which offset of the journal.
//!
//! The end is the aggregator's committed offset, read once. Everything that its flushes wrote was
//! committed with it, so that below it journal and outputs must agree to the last unit while both
//! go on growing above. The start is 0 as long as nothing is deleted; afterwards it is the first
//! end of a flush that all topics still hold. What is younger than the retention no topic may have lost:
//! from the first such record of the journal on, nothing is taken as given.

use serde::Deserialize;

use crate::log::{Bounds, LogError, LogView, Offset, Partition, Topic};
use crate::topics::Topics;

use super::check::{Check, Difference};
use super::claims::Source;
use super::record::{CountRecord, Delta, Envelope, KeptAside};
use super::scan::Scan;
use super::totals::Checkpoints;

/// The covered offsets of one journal partition, `to` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) from: Offset,
    pub(super) to: Offset,
}

impl Cut {
    /// Tells whether everything from the very first event is covered.
    pub(super) fn is_whole(self) -> bool {
        self.from == 0
    }

    /// Chooses the covered offsets of a partition, given where the aggregator is.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn choose(
        view: &dyn LogView,
        topics: &Topics,
        partition: Partition,
        committed: Option<Offset>,
        kept_since_ms: i64,
        checkpoints: &Checkpoints,
        check: &mut Check,
    ) -> Result<Self, LogError> {
        let bounds = view.bounds(&topics.events, partition)?;
        let mut lowest = bounds.start;
        let to = within(bounds, committed, &topics.events, partition, check);
        let outputs: [(&Topic, EndOfFlush); 4] = [
            (&topics.transactions, after_transaction),
            (&topics.conflicts, after_conflict),
            (&topics.counts, after_count),
            (&topics.deltas, after_delta),
        ];
        for (topic, after) in outputs {
            let start = view.bounds(topic, partition)?.start;
            if start == 0 {
                continue;
            }
            let must_hold = first_since(view, topics, partition, bounds, kept_since_ms)?;
            if must_hold == 0 {
                let what = "its first records are gone, but not what they were made of";
                check.differs(Difference::new(topic, partition, what).between(0, start));
            }
            lowest = lowest.max(first_whole(view, topic, partition, after)?.min(must_hold));
        }
        if lowest == 0 {
            return Ok(Self { from: 0, to });
        }
        let by_checkpoint = checkpoints.places().find(|&next| next >= lowest);
        let by_delta = first_flush_from(view, topics, partition, lowest)?;
        let from = by_checkpoint.into_iter().chain(by_delta).min().unwrap_or(to);
        Ok(Self { from: from.min(to), to })
    }
}

/// The first offset of the journal at which a record is too young to have been deleted anywhere.
fn first_since(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    bounds: Bounds,
    kept_since_ms: i64,
) -> Result<Offset, LogError> {
    let mut scan = Scan::open(view, &topics.events, partition, bounds.start, bounds.stable_end)?;
    // Before the first record there is nothing, whatever its offset is.
    let mut from = bounds.start;
    while let Some(entry) = scan.next()? {
        if entry.appended_ms >= kept_since_ms {
            return Ok(from);
        }
        from = entry.offset + 1;
    }
    Ok(from)
}

/// Returns a group's offset, cut to what the topic holds. Beyond the end it says that records are
/// gone which the group has consumed.
pub(super) fn within(
    bounds: Bounds,
    committed: Option<Offset>,
    topic: &Topic,
    partition: Partition,
    check: &mut Check,
) -> Offset {
    let committed = committed.unwrap_or(bounds.start);
    if committed > bounds.end {
        let what = "consumed beyond its end: records are gone";
        check.differs(Difference::new(topic, partition, what).between(bounds.end, committed));
    }
    committed.clamp(bounds.start, bounds.end)
}

/// Returns the lowest journal offset whose flush a record's topic holds whole, if that record is
/// the first kept one.
type EndOfFlush = fn(&[u8]) -> Option<Offset>;

/// The lowest offset that the first kept record of a cut topic leaves whole. A cut topic that is
/// empty says nothing: should something be missing from it, the recount reports it.
fn first_whole(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    after: EndOfFlush,
) -> Result<Offset, LogError> {
    let mut scan = Scan::whole(view, topic, partition)?;
    while let Some(entry) = scan.next()? {
        if let Some(offset) = entry.value.as_deref().and_then(after) {
            return Ok(offset);
        }
    }
    Ok(0)
}

/// The first flush whose deltas begin at `lowest` or later.
fn first_flush_from(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    lowest: Offset,
) -> Result<Option<Offset>, LogError> {
    let mut scan = Scan::whole(view, &topics.deltas, partition)?;
    while let Some(entry) = scan.next()? {
        let delta = entry.value.as_deref().and_then(read::<Delta<'_>>);
        if let Some(delta) = delta.filter(|delta| delta.from_offset >= lowest) {
            return Ok(Some(delta.from_offset));
        }
    }
    Ok(None)
}

/// Tells which journal record a transaction comes from.
pub(super) fn transaction_source(value: &[u8]) -> Source {
    let Some(envelope) = Envelope::parse(value) else { return Source::Unreadable };
    if envelope.text("verdict").as_deref() == Some("released") {
        return Source::Apart;
    }
    let partition = envelope.whole("sourcepartition").and_then(|number| number.try_into().ok());
    match (partition, envelope.whole("sourceoffset")) {
        (Some(partition), Some(offset)) => Source::At(partition, offset),
        _ => Source::Unreadable,
    }
}

/// Tells which journal record was kept aside.
pub(super) fn conflict_source(value: &[u8]) -> Source {
    read::<KeptAside<'_>>(value)
        .map_or(Source::Unreadable, |kept| Source::At(kept.partition, kept.offset))
}

/// Tells which journal record a count comes from.
pub(super) fn count_source(value: &[u8]) -> Source {
    read::<CountRecord<'_>>(value)
        .map_or(Source::Unreadable, |count| Source::At(count.partition, count.offset))
}

fn after_transaction(value: &[u8]) -> Option<Offset> {
    after(transaction_source(value))
}

fn after_conflict(value: &[u8]) -> Option<Offset> {
    after(conflict_source(value))
}

fn after_count(value: &[u8]) -> Option<Offset> {
    after(count_source(value))
}

fn after_delta(value: &[u8]) -> Option<Offset> {
    read::<Delta<'_>>(value).map(|delta| delta.to_offset)
}

fn after(source: Source) -> Option<Offset> {
    match source {
        Source::At(_, offset) => Some(offset + 1),
        Source::Apart | Source::Unreadable => None,
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
