//! A log in memory that holds back, fails or is full when told to.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tillrace_log::{
    Bounds, Committed, Consumer, Full, Log, LogError, LogView, Offset, OnDurable, Partition,
    Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer, Weaknesses,
    WritableLog,
};

const UNUSED: LogError = LogError::TimedOut { action: "do what a gateway does not" };

/// What the log does with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LogBehavior {
    #[default]
    Writes,
    /// Takes rows and says nothing until released.
    Holds,
    /// Fails every row.
    Fails,
    /// Writes this many more rows of events, then fails.
    WritesOnly(usize),
    /// Has no room.
    IsFull,
}

#[derive(Default)]
struct State {
    mood: LogBehavior,
    written: Vec<ProducerRecord>,
    held: Vec<(Vec<ProducerRecord>, OnDurable)>,
}

/// The log; clones are the same log.
#[derive(Clone, Default)]
pub(super) struct MemoryLog(Arc<Mutex<State>>);

impl MemoryLog {
    pub(super) fn set(&self, mood: LogBehavior) {
        self.0.lock().mood = mood;
    }

    /// Rows that were written, in order.
    pub(super) fn written(&self, topic: &str) -> Vec<ProducerRecord> {
        let state = self.0.lock();
        state.written.iter().filter(|row| row.topic.as_str() == topic).cloned().collect()
    }

    /// Values written to a topic, as JSON.
    pub(super) fn values(&self, topic: &str) -> Vec<serde_json::Value> {
        let rows = self.written(topic);
        rows.iter()
            .map(|row| serde_json::from_slice(row.value.as_ref().unwrap()).unwrap())
            .collect()
    }

    pub(super) fn held(&self) -> usize {
        self.0.lock().held.len()
    }

    /// Answers everything held back, as the mood now is.
    pub(super) fn release(&self, mood: LogBehavior) {
        let held = {
            let mut state = self.0.lock();
            state.mood = mood;
            std::mem::take(&mut state.held)
        };
        for (rows, done) in held {
            assert!(self.send(rows, done).is_ok());
        }
    }
}

impl Producer for MemoryLog {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        let mut state = self.0.lock();
        if state.mood == LogBehavior::IsFull {
            return Err(Full { rows, done });
        }
        if state.mood == LogBehavior::Holds {
            state.held.push((rows, done));
            return Ok(());
        }
        let mut outcomes = Vec::new();
        for row in rows {
            let fails = match &mut state.mood {
                LogBehavior::Fails | LogBehavior::WritesOnly(0) => true,
                LogBehavior::WritesOnly(left) => {
                    *left -= 1;
                    false
                }
                LogBehavior::Writes | LogBehavior::Holds | LogBehavior::IsFull => false,
            };
            if fails {
                outcomes.push(Err(LogError::TimedOut { action: "write" }));
            } else {
                outcomes.push(Ok(state.written.len() as Offset));
                state.written.push(row);
            }
        }
        drop(state);
        // As the seam has it: from a thread of the log's own.
        std::thread::spawn(move || done(outcomes));
        Ok(())
    }

    fn flush(&self, _wait: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

impl LogView for MemoryLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("memory".to_owned())
    }

    fn partitions(&self) -> Partition {
        4
    }

    fn bounds(&self, _topic: &Topic, _partition: Partition) -> Result<Bounds, LogError> {
        Err(UNUSED)
    }

    fn reader(&self, _: &Topic, _: Partition, _: Offset) -> Result<Box<dyn Reader>, LogError> {
        Err(UNUSED)
    }

    fn committed(&self, _: &str, _: &Topic, _: Partition) -> Result<Option<Committed>, LogError> {
        Err(UNUSED)
    }
}

impl WritableLog for MemoryLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(self.clone()))
    }
}

impl Log for MemoryLog {
    fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        Ok(Weaknesses::default())
    }

    fn consumer(&self, _group: &str, _topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Err(UNUSED)
    }

    fn transactional_consumer(
        &self,
        _group: &str,
        _topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        Err(UNUSED)
    }
}
