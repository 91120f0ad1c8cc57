//! The thread against a scripted member of a group, which refuses as Kafka's does.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use tillrace_log::{
    Bounds, LogView, Offset, Producer, Reader as LogReader, TopicSpec, TransactionalConsumer,
    Weaknesses, WritableLog,
};

use super::*;

const TOPIC: &str = "pos.transactions.v1";

/// What the group does next, in order; `Idle` where there is nothing.
struct Group {
    script: Mutex<Option<Receiver<Polled>>>,
    seen: Arc<Mutex<GroupState>>,
}

#[derive(Default)]
struct GroupState {
    owned: Vec<Partition>,
    committed: Vec<(Partition, Offset)>,
    /// Positions of partitions that others own.
    strange: Vec<(Partition, Offset)>,
    started: Vec<Partition>,
    /// Starts that fail for now.
    failing: u32,
}

struct Member {
    script: Receiver<Polled>,
    seen: Arc<Mutex<GroupState>>,
}

impl Consumer for Member {
    fn poll(&mut self, _: usize, wait: Duration) -> Result<Polled, LogError> {
        let Ok(polled) = self.script.recv_timeout(wait) else { return Ok(Polled::Idle) };
        let mut seen = self.seen.lock();
        match &polled {
            Polled::Assigned(partitions) => seen.owned.extend(partitions),
            Polled::Revoked(partitions) => seen.owned.retain(|mine| !partitions.contains(mine)),
            _ => {}
        }
        Ok(polled)
    }

    fn committed(&mut self, _: Partition) -> Result<Option<Committed>, LogError> {
        Ok(Some(Committed { offset: 0, metadata: String::new() }))
    }

    fn start(&mut self, partition: Partition, _: Offset) -> Result<(), LogError> {
        let mut seen = self.seen.lock();
        if seen.failing > 0 {
            seen.failing -= 1;
            return Err(LogError::TimedOut { action: "start a partition" });
        }
        seen.started.push(partition);
        Ok(())
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        let mut seen = self.seen.lock();
        for Position { partition, committed } in positions {
            let position = (*partition, committed.offset);
            if seen.owned.contains(partition) {
                seen.committed.push(position);
            } else {
                seen.strange.push(position);
            }
        }
        Ok(())
    }
}

impl LogView for Group {
    fn identity(&self) -> Result<String, LogError> {
        Ok("group".to_owned())
    }

    fn partitions(&self) -> Partition {
        4
    }

    fn bounds(&self, _: &Topic, _: Partition) -> Result<Bounds, LogError> {
        Ok(Bounds { start: 0, stable_end: 0, end: 0 })
    }

    fn reader(&self, _: &Topic, _: Partition, _: Offset) -> Result<Box<dyn LogReader>, LogError> {
        unreachable!("the thread reads by its membership")
    }

    fn committed(&self, _: &str, _: &Topic, _: Partition) -> Result<Option<Committed>, LogError> {
        unreachable!("the thread asks its membership")
    }
}

impl WritableLog for Group {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        unreachable!("the thread writes nothing")
    }
}

impl Log for Group {
    fn ensure_topics(&self, _: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        Ok(Weaknesses::default())
    }

    fn consumer(&self, _: &str, _: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        let script = self.script.lock().take().unwrap();
        Ok(Box::new(Member { script, seen: Arc::clone(&self.seen) }))
    }

    fn transactional_consumer(
        &self,
        _: &str,
        _: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        unreachable!("deliveries are at least once")
    }
}

fn join() -> (Reader, SyncSender<Polled>, Arc<Mutex<GroupState>>) {
    let (tell, script) = sync_channel(16);
    let seen = Arc::new(Mutex::new(GroupState::default()));
    let group = Group { script: Mutex::new(Some(script)), seen: Arc::clone(&seen) };
    let log: Arc<dyn Log> = Arc::new(group);
    (Reader::start(&log, "g", Topic::new(TOPIC), Start::Earliest).unwrap(), tell, seen)
}

fn position(epoch: Epoch, partition: Partition, offset: Offset) -> (Epoch, Position) {
    let committed = Committed { offset, metadata: String::new() };
    (epoch, Position { partition, committed })
}

async fn assigned(reader: &mut Reader) -> (Partition, Epoch) {
    match reader.events.recv().await {
        Some(ReaderEvent::Assigned(partition, epoch, _)) => (partition, epoch),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_ordered_before_a_revocation_was_heard_reaches_only_what_is_still_ours() {
    let (mut reader, group, seen) = join();
    group.send(Polled::Assigned(vec![0, 1])).unwrap();
    let (zero, one) = (assigned(&mut reader).await, assigned(&mut reader).await);
    assert_eq!((zero.0, one.0), (0, 1));
    group.send(Polled::Revoked(vec![0, 1])).unwrap();
    group.send(Polled::Assigned(vec![1])).unwrap();
    assert!(
        matches!(reader.events.recv().await, Some(ReaderEvent::Revoked(gone)) if gone == [0, 1])
    );
    let again = assigned(&mut reader).await;
    assert_eq!(again.0, 1);
    assert_ne!(again.1, one.1, "an assignment that comes back is another one");
    let positions = vec![position(zero.1, 0, 7), position(one.1, 1, 8), position(again.1, 1, 9)];
    assert!(reader.send(ReaderCommand::Commit(positions)));
    assert!(matches!(reader.events.recv().await, Some(ReaderEvent::Committed(Ok(())))));
    reader.stop().await;
    let seen = seen.lock();
    assert_eq!((&*seen.committed, &*seen.strange), (&[(1, 9)][..], &[][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_cannot_be_begun_is_given_up_when_the_group_takes_it_away() {
    let (mut reader, group, seen) = join();
    seen.lock().failing = u32::MAX;
    group.send(Polled::Assigned(vec![0])).unwrap();
    assert_eq!(assigned(&mut reader).await.0, 0);
    group.send(Polled::Revoked(vec![0])).unwrap();
    loop {
        match reader.events.recv().await {
            Some(ReaderEvent::Assigned(0, ..)) => {}
            Some(ReaderEvent::Revoked(gone)) => break assert_eq!(gone, [0]),
            other => panic!("{other:?}"),
        }
    }
    seen.lock().failing = 0;
    group.send(Polled::Assigned(vec![2])).unwrap();
    assert_eq!(assigned(&mut reader).await.0, 2);
    reader.stop().await;
    assert_eq!(seen.lock().started, [2]);
}
