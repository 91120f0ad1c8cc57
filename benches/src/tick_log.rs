//! A log that keeps nothing and acknowledges at its next tick: what remains is the gateway.
//!
//! It batches as a producer with a linger does, so that answers go out in flocks, and costs next to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tillrace_log::{
    Bounds, Committed, Consumer, Full, Log, LogError, LogView, Offset, OnDurable, Partition,
    Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer, Weaknesses,
    WritableLog,
};

const TICK: Duration = Duration::from_millis(1);
const UNUSED: LogError = LogError::TimedOut { action: "do what a gateway does not" };

/// The log; clones are the same log.
#[derive(Clone)]
pub struct TickLog {
    partitions: Partition,
    waiting: Arc<Mutex<Vec<(usize, OnDurable)>>>,
}

impl TickLog {
    /// Makes a log and the thread that ticks as long as the process lives.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(partitions: Partition) -> std::io::Result<Self> {
        let log = Self { partitions, waiting: Arc::default() };
        let (waiting, next) = (Arc::clone(&log.waiting), AtomicU64::new(0));
        std::thread::Builder::new().name("tick".to_owned()).spawn(move || {
            let mut due = Vec::new();
            loop {
                std::thread::sleep(TICK);
                std::mem::swap(&mut due, &mut *waiting.lock());
                for (rows, done) in due.drain(..) {
                    let first = next.fetch_add(rows as u64, Ordering::Relaxed);
                    done((first..).take(rows).map(Ok).collect());
                }
            }
        })?;
        Ok(log)
    }
}

impl std::fmt::Debug for TickLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TickLog").finish_non_exhaustive()
    }
}

impl Producer for TickLog {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        self.waiting.lock().push((rows.len(), done));
        Ok(())
    }

    fn flush(&self, _wait: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

impl LogView for TickLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok("tick".to_owned())
    }

    fn partitions(&self) -> Partition {
        self.partitions
    }

    fn bounds(&self, _topic: &Topic, _partition: Partition) -> Result<Bounds, LogError> {
        Err(UNUSED)
    }

    fn reader(
        &self,
        _topic: &Topic,
        _partition: Partition,
        _from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Err(UNUSED)
    }

    fn committed(
        &self,
        _group: &str,
        _topic: &Topic,
        _partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        Err(UNUSED)
    }
}

impl WritableLog for TickLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(self.clone()))
    }
}

impl Log for TickLog {
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
