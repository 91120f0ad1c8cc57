//! Lets the load test's verifier read this process's log, as it would read Kafka from outside.

use std::sync::Arc;
use std::time::Duration;

use tillrace_core::log::{LogError, LogView, Partition, Topic};
use tillrace_loadtest::topics::{Positions, ReadError, Record, TopicReader};

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
