//! Waits until everything that was acknowledged has come out at the other end.
//!
//! Asks the log alone: the aggregator's offsets against the end of the journal, then each sink's
//! against the end of its topic. Offsets that say everything is consumed are the roles' own word;
//! whether they are right is for the checks that follow.

use std::time::Duration;

use tillrace_core::topics::Topics;
use tillrace_core::verify::SinkUnderTest;
use tillrace_log::{LogError, LogView, Topic};
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

#[cfg(test)]
mod tests {
    use tillrace_log::local::{LocalLog, LocalSettings};
    use tillrace_log::{Log, Polled, Position, ProducerRecord, WritableLog};

    use super::*;

    /// A log with three records to aggregate, and nothing for the sink.
    fn log_with_three(folder: &std::path::Path) -> (std::sync::Arc<LocalLog>, Topics) {
        let log = LocalLog::open(LocalSettings::new(folder, 1)).unwrap();
        let topics = Topics::new("");
        log.ensure_topics(&topics.specs(&["erp"], 1)).unwrap();
        let row = ProducerRecord {
            topic: topics.events.clone(),
            partition: 0,
            key: "k".into(),
            value: Some("v".into()),
        };
        let producer = log.producer().unwrap();
        producer.send(vec![row; 3], Box::new(|_outcomes| {})).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
        (log, topics)
    }

    fn sink(topics: &Topics) -> SinkUnderTest {
        let topic = topics.transactions.clone();
        SinkUnderTest {
            name: "erp".to_owned(),
            topic,
            group: topics.group("deliver.erp"),
            is_configured: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_that_stands_still_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (log, topics) = log_with_three(folder.path());
        let sinks = [sink(&topics)];
        let patience = Duration::from_secs(30);
        let left = settle(log.as_ref(), &topics, &sinks, patience, |_backlogs| {}).await.unwrap();
        assert_eq!(left, [Backlog { name: "aggregate".to_owned(), records: 3 }]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_everything_is_consumed() {
        let folder = tempfile::tempdir().unwrap();
        let (log, topics) = log_with_three(folder.path());
        let mut consumer = log.consumer(&topics.group("aggregate"), &topics.events).unwrap();
        let polled = consumer.poll(1, Duration::from_secs(10)).unwrap();
        assert!(matches!(polled, Polled::Assigned(_)), "{polled:?}");
        let mut next = 0;
        let patience = Duration::from_secs(30);
        let sinks = [sink(&topics)];
        let left = settle(log.as_ref(), &topics, &sinks, patience, |_backlogs| {
            if next < 3 {
                next += 1;
                let committed = tillrace_log::Committed { offset: next, metadata: String::new() };
                consumer.commit(&[Position { partition: 0, committed }]).unwrap();
            }
        });
        assert_eq!(left.await.unwrap(), []);
        assert_eq!(next, 3);
    }
}
