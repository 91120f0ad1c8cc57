//! Chooses the coverage of a recount: where flushes begin and end whose outputs all topics hold.
//!
//! The end is the aggregator's committed offset, read once. Everything that its flushes wrote was
//! committed with it, so journal and outputs must agree exactly below it, while both go on growing
//! above. The start is 0 as long as nothing is deleted; afterwards it is the first end of a flush
//! whose outputs all topics still hold. No topic may have lost records younger than the retention:
//! from the first such record of the journal on, nothing is taken as given.

use serde::Deserialize;
use tillrace_log::{Bounds, LogError, LogView, Offset, Partition, Topic};

use crate::topics::Topics;

use super::check::{Check, Difference};
use super::coverage::Coverage;
use super::record::{ConflictSource, CountRecord, Delta, Envelope};
use super::scan::Scan;
use super::sourced_records::RecordSource;
use super::totals::Checkpoints;

/// Chooses the coverage of a partition, given the aggregator's committed offset.
///
/// # Errors
/// When the log fails.
pub(super) fn choose_coverage(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    committed: Option<Offset>,
    kept_since_ms: i64,
    checkpoints: &Checkpoints,
    check: &mut Check,
) -> Result<Coverage, LogError> {
    let bounds = view.bounds(&topics.events, partition)?;
    let mut lowest = bounds.start;
    let to = clamp_committed(bounds, committed, &topics.events, partition, check);
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
        let must_hold = first_kept_since(view, topics, partition, bounds, kept_since_ms)?;
        if must_hold == 0 {
            let what = "its first records are missing, but their sources are not";
            check.differs(Difference::new(topic, partition, what).between(0, start));
        }
        lowest = lowest.max(first_complete_flush(view, topic, partition, after)?.min(must_hold));
    }
    if lowest == 0 {
        return Ok(Coverage { from: 0, to });
    }
    let by_checkpoint = checkpoints.offsets().find(|&next| next >= lowest);
    let by_delta = first_flush_from(view, topics, partition, lowest)?;
    let from = by_checkpoint.into_iter().chain(by_delta).min().unwrap_or(to);
    Ok(Coverage { from: from.min(to), to })
}

/// Returns the first offset of the journal whose record retention cannot have deleted anywhere.
fn first_kept_since(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    bounds: Bounds,
    kept_since_ms: i64,
) -> Result<Offset, LogError> {
    let mut scan = Scan::open(view, &topics.events, partition, bounds.start, bounds.stable_end)?;
    // Nothing precedes the first record, whatever its offset is.
    let mut from = bounds.start;
    while let Some(entry) = scan.next()? {
        if entry.appended_ms >= kept_since_ms {
            return Ok(from);
        }
        from = entry.offset + 1;
    }
    Ok(from)
}

/// Clamps a group's offset to the bounds of its topic. Reports an offset beyond the end, because
/// consumed records are missing then.
pub(super) fn clamp_committed(
    bounds: Bounds,
    committed: Option<Offset>,
    topic: &Topic,
    partition: Partition,
    check: &mut Check,
) -> Offset {
    let committed = committed.unwrap_or(bounds.start);
    if committed > bounds.end {
        let what = "consumed beyond its end: records are missing";
        check.differs(Difference::new(topic, partition, what).between(bounds.end, committed));
    }
    committed.clamp(bounds.start, bounds.end)
}

/// Returns the lowest journal offset whose outputs a topic holds completely, given its first kept
/// record.
type EndOfFlush = fn(&[u8]) -> Option<Offset>;

/// Returns the lowest offset whose outputs a truncated topic holds completely. An empty topic gives no
/// bound: the recount reports what is missing from it.
fn first_complete_flush(
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

/// Returns the first flush whose deltas begin at `lowest` or later.
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

/// Returns the source of a transaction.
pub(super) fn transaction_source(value: &[u8]) -> RecordSource {
    let Some(envelope) = Envelope::parse(value) else { return RecordSource::Unreadable };
    if envelope.text("verdict").as_deref() == Some("released") {
        return RecordSource::OutOfOrder;
    }
    let partition = envelope.whole("sourcepartition").and_then(|number| number.try_into().ok());
    match (partition, envelope.whole("sourceoffset")) {
        (Some(partition), Some(offset)) => RecordSource::At(partition, offset),
        _ => RecordSource::Unreadable,
    }
}

/// Returns the source of a conflict.
pub(super) fn conflict_source(value: &[u8]) -> RecordSource {
    read::<ConflictSource<'_>>(value)
        .map_or(RecordSource::Unreadable, |kept| RecordSource::At(kept.partition, kept.offset))
}

/// Returns the source of a count.
pub(super) fn count_source(value: &[u8]) -> RecordSource {
    read::<CountRecord<'_>>(value)
        .map_or(RecordSource::Unreadable, |count| RecordSource::At(count.partition, count.offset))
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

fn after(source: RecordSource) -> Option<Offset> {
    match source {
        RecordSource::At(_, offset) => Some(offset + 1),
        RecordSource::OutOfOrder | RecordSource::Unreadable => None,
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
