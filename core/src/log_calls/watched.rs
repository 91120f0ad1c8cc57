//! The log that notes calls: each trait of the log once more, around what the log itself hands out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tillrace_log::{
    Bounds, Committed, Consumer, ConsumerRecord, Full, Log, LogError, LogView, Offset, OnDurable,
    Partition, Polled, Position, Producer, ProducerRecord, Reader, Topic, TopicSpec,
    TransactionalConsumer, Weaknesses, WritableLog,
};

use super::Calls;

const AT_ONCE: Duration = Duration::ZERO;

/// A log, and the calls to it.
pub(super) struct WatchedLog {
    log: Arc<dyn Log>,
    calls: Arc<Calls>,
}

impl WatchedLog {
    pub(super) fn new(log: Arc<dyn Log>, calls: Arc<Calls>) -> Self {
        Self { log, calls }
    }

    fn call<T>(
        &self,
        action: &'static str,
        call: impl FnOnce(&(dyn Log + 'static)) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.calls.run(action, AT_ONCE, || call(&*self.log), |_| true)
    }

    fn watched<T: ?Sized>(&self, inner: Box<T>) -> Watched<T> {
        Watched { inner, calls: Arc::clone(&self.calls) }
    }
}

impl LogView for WatchedLog {
    fn identity(&self) -> Result<String, LogError> {
        self.call("ask which log it is", LogView::identity)
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.call("ask where a partition ends", |log| log.bounds(topic, partition))
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let reader = self.call("open a reader", |log| log.reader(topic, partition, from))?;
        Ok(Box::new(self.watched(reader)))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.call("ask for a group's place", |log| LogView::committed(log, group, topic, partition))
    }
}

impl WritableLog for WatchedLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        let producer = self.call("open a producer", WritableLog::producer)?;
        Ok(Box::new(self.watched(producer)))
    }
}

impl Log for WatchedLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        self.call("make topics", |log| log.ensure_topics(topics))
    }

    fn compare_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        self.call("compare topics", |log| log.compare_topics(topics))
    }

    fn failure(&self) -> Option<LogError> {
        self.log.failure()
    }

    fn unwritable(&self, topic: &Topic) -> Result<Vec<Partition>, LogError> {
        self.call("ask which partitions take rows", |log| log.unwritable(topic))
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        let consumer = self.call("join a group", |log| log.consumer(group, topic))?;
        Ok(Box::new(self.watched(consumer)))
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        let consumer = self.call("join a group", |log| log.transactional_consumer(group, topic))?;
        Ok(Box::new(self.watched(consumer)))
    }
}

impl fmt::Debug for WatchedLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WatchedLog").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// A producer, a reader or a member of a group.
struct Watched<T: ?Sized> {
    inner: Box<T>,
    calls: Arc<Calls>,
}

impl<T: ?Sized> Watched<T> {
    fn call<R>(
        &mut self,
        action: &'static str,
        call: impl FnOnce(&mut T) -> Result<R, LogError>,
    ) -> Result<R, LogError> {
        self.calls.run(action, AT_ONCE, || call(&mut self.inner), |_| true)
    }
}

/// A write is under way until its outcomes come: it has failed as long as one row has.
impl<T: Producer + ?Sized> Producer for Watched<T> {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        let write = self.calls.begin("write records", AT_ONCE);
        let answered: OnDurable = Box::new(move |outcomes| {
            let failed = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
            write.end(failed);
            done(outcomes);
        });
        self.inner.send(rows, answered)
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        self.calls.run("flush the producer", wait, || self.inner.flush(wait), |()| true)
    }
}

impl<T: Reader + ?Sized> Reader for Watched<T> {
    fn read(
        &mut self,
        max_records: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>, LogError> {
        let inner = &mut self.inner;
        self.calls.run("read records", wait, || inner.read(max_records, wait), |_| true)
    }

    fn position(&self) -> Offset {
        self.inner.position()
    }
}

impl<T: Consumer + ?Sized> Consumer for Watched<T> {
    /// A poll that brought nothing says nothing of the log: one that can not be reached brings nothing either.
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        let inner = &mut self.inner;
        let brought = |polled: &Polled| !matches!(polled, Polled::Idle);
        self.calls.run("poll records", wait, || inner.poll(max_records, wait), brought)
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        self.call("ask for the group's place", |inner| inner.committed(partition))
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.call("start a partition", |inner| inner.start(partition, offset))
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        self.call("commit the group's places", |inner| inner.commit(positions))
    }
}

impl<T: TransactionalConsumer + ?Sized> TransactionalConsumer for Watched<T> {
    fn commit_transaction(
        &mut self,
        rows: Vec<ProducerRecord>,
        positions: &[Position],
    ) -> Result<(), LogError> {
        self.call("commit outputs and places", |inner| inner.commit_transaction(rows, positions))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use parking_lot::Mutex;

    use super::super::TOLD_AFTER;
    use super::*;

    /// Keeps whom to tell the outcomes.
    #[derive(Default)]
    struct Silent(Arc<Mutex<Vec<OnDurable>>>);

    impl Producer for Silent {
        fn send(&self, _: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
            self.0.lock().push(done);
            Ok(())
        }

        fn flush(&self, _: Duration) -> Result<(), LogError> {
            Ok(())
        }
    }

    #[test]
    fn a_write_is_told_until_its_outcomes_come_and_all_are_good() {
        let calls = Arc::new(Calls::default());
        let sent = Arc::default();
        let inner: Box<dyn Producer> = Box::new(Silent(Arc::clone(&sent)));
        let producer = Watched { inner, calls: Arc::clone(&calls) };
        let told = || calls.unanswered(Instant::now() + TOLD_AFTER);
        let write = |outcomes: &[bool]| {
            assert!(producer.send(Vec::new(), Box::new(|_| ())).is_ok());
            assert!(told().is_some(), "outcomes are awaited");
            let timed_out = || LogError::TimedOut { action: "write" };
            let outcomes = outcomes.iter().map(|&good| good.then_some(0).ok_or_else(timed_out));
            sent.lock().pop().unwrap()(outcomes.collect());
        };
        write(&[true, true]);
        assert_eq!(told(), None);
        write(&[true, false]);
        assert!(told().unwrap().contains("write records"));
        write(&[true]);
        assert_eq!(told(), None);
    }
}
