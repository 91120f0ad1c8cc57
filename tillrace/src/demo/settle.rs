//! Waits until everything that was acknowledged has come out at the other end.
//!
//! Asks the log alone: the aggregator's offsets against the end of the journal, then each sink's
//! against the end of its topic. Offsets that say everything is consumed are the roles' own word;
//! whether they are right is for the checks that follow.

use std::time::Duration;

use tillrace_core::log::{LogError, LogView, Topic};
use tillrace_core::topics::Topics;
use tillrace_core::verify::SinkUnderTest;
use tokio::time::Instant;

const POLL_EVERY: Duration = Duration::from_millis(100);

/// Records that a group has yet to consume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// The aggregator, or the sink's name.
    pub(crate) name: String,
    /// Records between its offsets and the end of its topic.
    pub(crate) records: u64,
}

/// Counts what each stage has yet to consume, in the order of an event's path.
///
/// # Errors
/// When the log cannot be asked.
pub(crate) fn backlogs(
    view: &dyn LogView,
    topics: &Topics,
    sinks: &[SinkUnderTest],
) -> Result<Vec<Backlog>, LogError> {
    let aggregate = (String::from("aggregate"), topics.group("aggregate"), &topics.events);
    let sinks = sinks.iter().map(|sink| (sink.name.clone(), sink.group.clone(), &sink.topic));
    std::iter::once(aggregate)
        .chain(sinks)
        .map(|(name, group, topic)| Ok(Backlog { name, records: behind(view, &group, topic)? }))
        .collect()
}

fn behind(view: &dyn LogView, group: &str, topic: &Topic) -> Result<u64, LogError> {
    let mut records = 0;
    for partition in 0..view.partitions() {
        let bounds = view.bounds(topic, partition)?;
        let committed = view.committed(group, topic, partition)?;
        let next = committed.map_or(bounds.start, |committed| committed.offset);
        records += bounds.end.saturating_sub(next);
    }
    Ok(records)
}

/// Waits until nothing is left to consume; returns what is left if no stage consumed anything for
/// `patience`.
///
/// # Errors
/// When the log cannot be asked.
pub(crate) async fn settle(
    view: &dyn LogView,
    topics: &Topics,
    sinks: &[SinkUnderTest],
    patience: Duration,
    mut progress: impl FnMut(&[Backlog]),
) -> Result<Vec<Backlog>, LogError> {
    let mut last: Vec<Backlog> = Vec::new();
    let mut moved = Instant::now();
    loop {
        // Sinks are asked after the aggregator: what it wrote before is then in their ends.
        let now = backlogs(view, topics, sinks)?;
        progress(&now);
        let left: Vec<Backlog> = now.iter().filter(|stage| stage.records > 0).cloned().collect();
        if left.is_empty() || (now == last && moved.elapsed() >= patience) {
            return Ok(left);
        }
        if now != last {
            moved = Instant::now();
            last = now;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
