//! The progress of one partition: the offset that can be committed.
//!
//! Records are received in offset order and settled in any order. The longest prefix without an
//! unsettled record can be committed. A gap in the offsets, as commit markers leave it, is not an
//! unsettled record. Ranges that are settled above the prefix travel in the commit's metadata, so
//! that a restart sends few records again.

use std::collections::VecDeque;
use std::fmt::Write as _;

use tillrace_log::{Committed, Offset};

/// Bytes of metadata that Kafka keeps with a committed offset by default.
const METADATA_LIMIT: usize = 4_096;
const VERSION: &str = "1";

/// Progress of one partition within one assignment.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Next offset to consume after a stop now.
    next: Offset,
    /// One past the highest offset that reached the backend.
    delivered_to: Offset,
    /// Received and not below `next`, in order of receipt, which is offset order.
    pending: VecDeque<PendingRecord>,
    /// Settled before this assignment and not received again yet; rising, apart.
    earlier: VecDeque<OffsetRange>,
}

#[derive(Debug, Clone, Copy)]
struct PendingRecord {
    offset: Offset,
    appended_ms: i64,
    settled: bool,
}

/// Offsets `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetRange {
    from: Offset,
    to: Offset,
}

/// How a record was settled, as far as a commit needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettleKind {
    /// The backend has it.
    Delivered,
    /// It is filtered or in the dead letters.
    Aside,
}

impl Progress {
    /// Resumes from a committed offset.
    ///
    /// Metadata of another version is ignored: all records above the offset are sent again.
    pub(crate) fn resume(committed: &Committed) -> Self {
        let (delivered_to, earlier) =
            parse(&committed.metadata, committed.offset).unwrap_or_default();
        Self { next: committed.offset, delivered_to, pending: VecDeque::new(), earlier }
    }

    /// Records that a record was received; returns false if it was settled before the restart.
    pub(crate) fn receive(&mut self, offset: Offset, appended_ms: i64) -> bool {
        while self.earlier.front().is_some_and(|range| range.to <= offset) {
            self.earlier.pop_front();
        }
        let settled = self.earlier.front().is_some_and(|range| range.from <= offset);
        self.pending.push_back(PendingRecord { offset, appended_ms, settled });
        self.advance();
        !settled
    }

    /// Records that a received record is settled.
    pub(crate) fn settle(&mut self, offset: Offset, kind: SettleKind) {
        if kind == SettleKind::Delivered {
            self.delivered_to = self.delivered_to.max(offset + 1);
        }
        if let Ok(index) = self.pending.binary_search_by_key(&offset, |record| record.offset)
            && let Some(record) = self.pending.get_mut(index)
        {
            record.settled = true;
        }
        self.advance();
    }

    /// Returns one past the highest offset that ever reached the backend, 0 if none is known.
    pub(crate) fn delivered_to(&self) -> Offset {
        self.delivered_to
    }

    /// Returns the offset below which all is settled.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    /// Returns when the log appended the oldest record that is not settled.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.pending.front().map(|record| record.appended_ms)
    }

    /// Returns what to commit.
    pub(crate) fn committable(&self) -> Committed {
        let mut metadata = format!("{VERSION};{}", self.delivered_to);
        let mut from = self.next;
        let mut separator = ';';
        for range in self.ranges_above() {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _infallible =
                write!(text, "{separator}{}+{}", range.from - from, range.to - range.from);
            if metadata.len() + text.len() > METADATA_LIMIT {
                break;
            }
            metadata.push_str(&text);
            separator = ',';
            from = range.to;
        }
        Committed { offset: self.next, metadata }
    }

    fn advance(&mut self) {
        while let Some(record) = self.pending.front()
            && record.settled
        {
            self.next = record.offset + 1;
            self.pending.pop_front();
        }
    }

    /// Ranges of settled offsets above the prefix: those received, then those of earlier assignments.
    fn ranges_above(&self) -> impl Iterator<Item = OffsetRange> {
        let mut received = Vec::new();
        let mut open: Option<OffsetRange> = None;
        for record in &self.pending {
            if record.settled {
                let from = open.map_or(record.offset, |range| range.from);
                open = Some(OffsetRange { from, to: record.offset + 1 });
            } else {
                received.extend(open.take());
            }
        }
        let seen_to = self.pending.back().map_or(self.next, |record| record.offset + 1);
        let ahead = self.earlier.iter().filter_map(move |range| {
            let from = range.from.max(seen_to);
            (from < range.to).then_some(OffsetRange { from, to: range.to })
        });
        received.into_iter().chain(open).chain(ahead)
    }
}

/// Reads `1;<delivered to>[;<gap>+<length>,…]`, gaps counted from the committed offset on.
fn parse(metadata: &str, offset: Offset) -> Option<(Offset, VecDeque<OffsetRange>)> {
    let mut parts = metadata.splitn(3, ';');
    if parts.next()? != VERSION {
        return None;
    }
    let delivered_to = parts.next()?.parse().ok()?;
    let mut ranges = VecDeque::new();
    let mut at = offset;
    for range in parts.next().into_iter().flat_map(|ranges| ranges.split(',')) {
        let (gap, length) = range.split_once('+')?;
        let from = at.checked_add(gap.parse().ok()?)?;
        at = from.checked_add(length.parse().ok()?)?;
        ranges.push_back(OffsetRange { from, to: at });
    }
    Some((delivered_to, ranges))
}

#[cfg(test)]
mod tests;
