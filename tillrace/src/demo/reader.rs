//! Lets the load test's verifier read this process's log, as it would read Kafka from outside.

use std::sync::Arc;
use std::time::Duration;

use tillrace_loadtest::topics::{Positions, ReadError, Record, TopicReader};
use tillrace_log::{LogError, LogView, Partition, Topic};

const BATCH: usize = 1_024;
const WAIT: Duration = Duration::from_millis(50);

/// A reader of topics over the log's own view.
pub(crate) struct ViewReader {
    view: Arc<dyn LogView>,
}

impl ViewReader {
    pub(crate) fn new(view: Arc<dyn LogView>) -> Self {
        Self { view }
    }

    fn read_partition(
        &self,
        topic: &Topic,
        partition: Partition,
        position: &mut i64,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), LogError> {
        let bounds = self.view.bounds(topic, partition)?;
        let from = u64::try_from(*position).unwrap_or(0).max(bounds.start);
        let mut reader = self.view.reader(topic, partition, from)?;
        while reader.position() < bounds.stable_end {
            for entry in reader.read(BATCH, WAIT)? {
                each(&Record {
                    partition: signed(u64::from(partition)),
                    offset: signed(entry.offset),
                    key: &entry.key,
                    value: entry.value.as_deref().unwrap_or_default(),
                });
            }
        }
        *position = signed(reader.position());
        Ok(())
    }
}

impl TopicReader for ViewReader {
    fn read(
        &mut self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError> {
        let name = Topic::new(topic);
        for partition in 0..self.view.partitions() {
            let position = positions.entry(signed(u64::from(partition))).or_default();
            self.read_partition(&name, partition, position, each).map_err(|error| {
                ReadError::Other { topic: topic.to_owned(), source: error.into() }
            })?;
        }
        Ok(())
    }
}

/// Kafka's clients count in signed numbers; ours never come near their ends.
fn signed<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tillrace_core::topics::Topics;
    use tillrace_log::local::{LocalLog, LocalSettings};
    use tillrace_log::{Log, ProducerRecord, WritableLog};

    use super::*;

    #[test]
    fn it_reads_on_from_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let log = LocalLog::open(LocalSettings::new(folder.path(), 2)).unwrap();
        let topics = Topics::new("");
        log.ensure_topics(&topics.specs(&[], 1)).unwrap();
        let producer = log.producer().unwrap();
        let append = |text: &'static str| {
            let row = ProducerRecord {
                topic: topics.events.clone(),
                partition: 1,
                key: "k".into(),
                value: Some(text.into()),
            };
            producer.send(vec![row], Box::new(|_outcomes| {})).unwrap();
            producer.flush(Duration::from_secs(10)).unwrap();
        };
        let mut reader = ViewReader::new(Arc::<LocalLog>::clone(&log));
        let mut positions = Positions::new();
        let mut read = |expected: &[(i32, i64, &str)]| {
            let mut found = Vec::new();
            reader
                .read("pos.events.v1", &mut positions, &mut |record| {
                    let value = String::from_utf8(record.value.to_vec()).unwrap();
                    found.push((record.partition, record.offset, value));
                })
                .unwrap();
            let found: Vec<_> = found.iter().map(|(p, o, text)| (*p, *o, text.as_str())).collect();
            assert_eq!(found, expected);
        };
        read(&[]);
        append("one");
        append("two");
        read(&[(1, 0, "one"), (1, 1, "two")]);
        append("three");
        read(&[(1, 2, "three")]);
        read(&[]);
    }
}
