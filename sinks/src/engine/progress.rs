//! How far one partition has come, and what of it can be committed.
//!
//! Records are noted in the order of receipt and settled in any order. What can be committed is
//! the prefix that is settled without a hole; *hole* means a record received and not settled, so
//! the gaps that commit markers leave in the numbers do not count. What is settled above the
//! prefix travels in the commit's metadata as runs of offsets, so that a restart sends little
//! again. Nothing here knows what settled a record.

use std::collections::VecDeque;
use std::fmt::Write as _;

use tillrace_log::{Committed, Offset};

/// Bytes of metadata that Kafka keeps with a committed offset by default.
const METADATA_LIMIT: usize = 4_096;
const VERSION: &str = "1";

/// Progress of one partition within one assignment.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Next offset to consume, were we to stop now.
    next: Offset,
    /// One past the highest offset that reached the backend.
    delivered_to: Offset,
    /// Received and not below `next`, in order of receipt, which is offset order.
    pending: VecDeque<Slot>,
    /// Settled before this assignment and not received again yet; rising, apart.
    earlier: VecDeque<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: Offset,
    appended_ms: i64,
    settled: bool,
}

/// Offsets `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    from: Offset,
    to: Offset,
}

/// What became of a record, as far as a commit cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The backend has it.
    Delivered,
    /// It is filtered or in the dead letters.
    Aside,
}

impl Progress {
    /// Goes on from a committed place.
    ///
    /// Metadata that this version did not write is ignored: what is above the place is sent again.
    pub(crate) fn resume(committed: &Committed) -> Self {
        let (delivered_to, earlier) =
            parse(&committed.metadata, committed.offset).unwrap_or_default();
        Self { next: committed.offset, delivered_to, pending: VecDeque::new(), earlier }
    }

    /// Notes a received record; false when it was settled before the restart.
    pub(crate) fn receive(&mut self, offset: Offset, appended_ms: i64) -> bool {
        while self.earlier.front().is_some_and(|run| run.to <= offset) {
            self.earlier.pop_front();
        }
        let settled = self.earlier.front().is_some_and(|run| run.from <= offset);
        self.pending.push_back(Slot { offset, appended_ms, settled });
        self.advance();
        !settled
    }

    /// Notes that a received record is settled.
    pub(crate) fn settle(&mut self, offset: Offset, settled: Settled) {
        if settled == Settled::Delivered {
            self.delivered_to = self.delivered_to.max(offset + 1);
        }
        if let Ok(place) = self.pending.binary_search_by_key(&offset, |slot| slot.offset)
            && let Some(slot) = self.pending.get_mut(place)
        {
            slot.settled = true;
        }
        self.advance();
    }

    /// Returns one past the highest offset that ever reached the backend, 0 if none is known.
    pub(crate) fn delivered_to(&self) -> Offset {
        self.delivered_to
    }

    /// Returns when the log appended the oldest record that is not settled.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.pending.front().map(|slot| slot.appended_ms)
    }

    /// Returns what to commit.
    pub(crate) fn committable(&self) -> Committed {
        let mut metadata = format!("{VERSION};{}", self.delivered_to);
        let mut from = self.next;
        let mut separator = ';';
        for run in self.runs_above() {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _infallible = write!(text, "{separator}{}+{}", run.from - from, run.to - run.from);
            if metadata.len() + text.len() > METADATA_LIMIT {
                break;
            }
            metadata.push_str(&text);
            separator = ',';
            from = run.to;
        }
        Committed { offset: self.next, metadata }
    }

    fn advance(&mut self) {
        while let Some(slot) = self.pending.front()
            && slot.settled
        {
            self.next = slot.offset + 1;
            self.pending.pop_front();
        }
    }

    /// Runs of settled offsets above the prefix: those received, then those of an earlier life.
    fn runs_above(&self) -> impl Iterator<Item = Run> {
        let mut received = Vec::new();
        let mut open: Option<Run> = None;
        for slot in &self.pending {
            if slot.settled {
                let from = open.map_or(slot.offset, |run| run.from);
                open = Some(Run { from, to: slot.offset + 1 });
            } else {
                received.extend(open.take());
            }
        }
        let seen_to = self.pending.back().map_or(self.next, |slot| slot.offset + 1);
        let ahead = self.earlier.iter().filter_map(move |run| {
            let from = run.from.max(seen_to);
            (from < run.to).then_some(Run { from, to: run.to })
        });
        received.into_iter().chain(open).chain(ahead)
    }
}

/// Reads `1;<delivered to>[;<gap>+<length>,…]`, gaps counted from the committed offset on.
fn parse(metadata: &str, offset: Offset) -> Option<(Offset, VecDeque<Run>)> {
    let mut parts = metadata.splitn(3, ';');
    if parts.next()? != VERSION {
        return None;
    }
    let delivered_to = parts.next()?.parse().ok()?;
    let mut runs = VecDeque::new();
    let mut at = offset;
    for run in parts.next().into_iter().flat_map(|runs| runs.split(',')) {
        let (gap, length) = run.split_once('+')?;
        let from = at.checked_add(gap.parse().ok()?)?;
        at = from.checked_add(length.parse().ok()?)?;
        runs.push_back(Run { from, to: at });
    }
    Some((delivered_to, runs))
}

#[cfg(test)]
mod tests;
