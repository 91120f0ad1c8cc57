//! The thread that reads: a blocking consumer on one side, the async engine on the other.
//!
//! It polls whether or not there is room, so that its member stays in the group; without room it
//! asks for no records. It settles the position of each partition it is given: the group's own, or
//! the start of the partition, committed before the first record is read. It never seeks past
//! anything: a position that the log no longer holds ends the sink, with the range in the error.
//!
//! It numbers assignments, since the engine hears of a revocation later than the thread: a commit
//! ordered under an assignment that is over is dropped here, and the next owner begins below it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tillrace_core::restart::PANICKED;
use tillrace_log::explain::code_of;
use tillrace_log::{Committed, Consumer, Entry, Log, LogError, Partition, Polled, Position, Topic};
use tokio::sync::mpsc;

use crate::failure::ErrorChain;

/// Longest wait in a poll, and so the longest that an order waits.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Wait in a poll that asks for no records: how long room that was just made may go unseen.
const FULL_WAIT: Duration = Duration::from_millis(5);
/// Most records of one poll.
const POLL_RECORDS: usize = 2_000;
/// Polls that may lie between the thread and the engine.
const POLLS_AHEAD: usize = 4;
const ORDERS_AHEAD: usize = 8;

/// Tells an assignment of a partition from an earlier one.
pub(crate) type Epoch = u64;

/// What the thread tells the engine.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A partition is ours, under an assignment of this number, and is read from here on.
    Assigned(Partition, Epoch, Committed),
    /// Partitions are not ours any more.
    Revoked(Vec<Partition>),
    Records(Vec<Entry>),
    /// A commit that was ordered has been answered.
    Committed(Result<(), LogError>),
    /// Reading ended.
    Failed(LogError),
}

/// What the engine orders.
#[derive(Debug)]
pub(crate) enum Order {
    /// Places, each with the assignment that it was reached under.
    Commit(Vec<(Epoch, Position)>),
    Stop,
}

/// How much the thread may read on.
///
/// The engine lowers `free` before it lowers `underway`, and the thread reads `underway` first (its
/// acquire pairs with the engine's release), so that what it sees errs towards too little room.
#[derive(Debug, Default)]
struct Room {
    /// Records the engine has room for beside those it has taken over.
    free: AtomicUsize,
    /// Records read and not taken over.
    underway: AtomicUsize,
}

impl Room {
    fn left(&self) -> usize {
        let underway = self.underway.load(Ordering::Acquire);
        self.free.load(Ordering::Acquire).saturating_sub(underway)
    }
}

/// The engine's end of the thread.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) heard: mpsc::Receiver<Heard>,
    orders: mpsc::Sender<Order>,
    room: Arc<Room>,
    outage: Arc<Mutex<Option<Outage>>>,
    thread: Option<JoinHandle<()>>,
}

/// A run of failures to read that time may heal.
#[derive(Debug)]
struct Outage {
    since: Instant,
    error: LogError,
}

impl Reader {
    /// Joins the group and starts the thread.
    pub(crate) fn start(log: &Arc<dyn Log>, group: &str, topic: Topic) -> Result<Self, LogError> {
        let consumer = log.consumer(group, &topic)?;
        let (tell, heard) = mpsc::channel(POLLS_AHEAD);
        let (orders, ordered) = mpsc::channel(ORDERS_AHEAD);
        let room = Arc::new(Room::default());
        let outage = Arc::new(Mutex::default());
        let reading = Reading {
            log: Arc::clone(log),
            topic,
            consumer,
            tell,
            ordered,
            room: Arc::clone(&room),
            outage: Arc::clone(&outage),
            epochs: 0,
            owned: BTreeMap::new(),
            to_start: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("read {group}"))
            .spawn(move || reading.run())
            .map_err(|error| LogError::Unavailable {
                action: "start a reading thread",
                cause: Arc::new(error),
            })?;
        Ok(Self { heard, orders, room, outage, thread: Some(thread) })
    }

    /// Says how many more records there is room for.
    pub(crate) fn set_room(&self, records: usize) {
        self.room.free.store(records, Ordering::Release);
    }

    /// Says that records were taken over, and how much room there is now that they were.
    pub(crate) fn took(&self, records: usize, room: usize) {
        self.set_room(room);
        self.room.underway.fetch_sub(records, Ordering::Release);
    }

    /// Hands an order over; false when the thread is behind, or gone.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Returns why reading has failed for so long or longer, if it has.
    pub(crate) fn failing(&self, at_least: Duration) -> Option<String> {
        let outage = self.outage.lock();
        let outage = outage.as_ref().filter(|outage| outage.since.elapsed() >= at_least)?;
        Some(ErrorChain(&outage.error).to_string())
    }

    /// Ends the thread and waits until it has left the group.
    pub(crate) async fn stop(mut self) {
        // A full queue holds commits only, and a thread that is gone needs no order.
        let _gone: Result<(), _> = self.orders.send(Order::Stop).await;
        self.heard.close();
        while self.heard.recv().await.is_some() {}
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!(code = PANICKED.code, "the reading thread of a sink panicked");
            }
        }
    }
}

struct Reading {
    log: Arc<dyn Log>,
    topic: Topic,
    consumer: Box<dyn Consumer>,
    tell: mpsc::Sender<Heard>,
    ordered: mpsc::Receiver<Order>,
    room: Arc<Room>,
    outage: Arc<Mutex<Option<Outage>>>,
    /// Number of the latest assignment.
    epochs: Epoch,
    /// Partitions that are ours, each with its assignment.
    owned: BTreeMap<Partition, Epoch>,
    /// Partitions that were assigned and are not read yet.
    to_start: VecDeque<(Partition, Epoch)>,
}

impl Reading {
    fn run(mut self) {
        loop {
            match self.turn() {
                Ok(true) => self.note_success(),
                Ok(false) => return,
                Err(error) if error.is_retryable() => {
                    self.note_failure(error);
                    std::thread::sleep(POLL_WAIT);
                }
                Err(error) => {
                    // The engine may be gone already; then nobody needs to know.
                    let _unheard: Result<(), _> = self.tell.blocking_send(Heard::Failed(error));
                    return;
                }
            }
        }
    }

    /// Logs the first failure of a run; the last one is kept for whoever asks.
    fn note_failure(&self, error: LogError) {
        let mut outage = self.outage.lock();
        if let Some(outage) = &mut *outage {
            outage.error = error;
            return;
        }
        let (code, topic) = (code_of(&error), &self.topic);
        tracing::warn!(code, %topic, %error, "reading failed, trying until it succeeds");
        *outage = Some(Outage { since: Instant::now(), error });
    }

    fn note_success(&self) {
        if let Some(Outage { since, .. }) = self.outage.lock().take() {
            let failed_ms = since.elapsed().as_millis();
            tracing::info!(topic = %self.topic, failed_ms, "reading goes on");
        }
    }

    /// One order or none, then one poll; false when it is time to go.
    fn turn(&mut self) -> Result<bool, LogError> {
        match self.ordered.try_recv() {
            Ok(Order::Commit(places)) => {
                let outcome = self.commit(places);
                if self.tell.blocking_send(Heard::Committed(outcome)).is_err() {
                    return Ok(false);
                }
            }
            Ok(Order::Stop) | Err(mpsc::error::TryRecvError::Disconnected) => return Ok(false),
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        // What the group says comes before the next partition is begun: it may be taken away.
        let starting = !self.to_start.is_empty();
        let room = if starting { 0 } else { self.room.left().min(POLL_RECORDS) };
        let wait = match (starting, room) {
            (true, _) => Duration::ZERO,
            (false, 0) => FULL_WAIT,
            (false, _) => POLL_WAIT,
        };
        let heard = match self.consumer.poll(room, wait)? {
            Polled::Idle => match self.to_start.front() {
                Some(&(partition, epoch)) => return self.begin(partition, epoch),
                None => return Ok(!self.tell.is_closed()),
            },
            Polled::Records(entries) => {
                self.room.underway.fetch_add(entries.len(), Ordering::Relaxed);
                Heard::Records(entries)
            }
            Polled::Revoked(partitions) => {
                self.owned.retain(|partition, _| !partitions.contains(partition));
                self.to_start.retain(|(partition, _)| !partitions.contains(partition));
                Heard::Revoked(partitions)
            }
            Polled::Assigned(partitions) => {
                for partition in partitions {
                    self.epochs += 1;
                    self.owned.insert(partition, self.epochs);
                    self.to_start.push_back((partition, self.epochs));
                }
                return Ok(true);
            }
        };
        Ok(self.tell.blocking_send(heard).is_ok())
    }

    /// Commits the places whose assignments still hold.
    fn commit(&mut self, places: Vec<(Epoch, Position)>) -> Result<(), LogError> {
        let (held, ended): (Vec<_>, Vec<_>) = places
            .into_iter()
            .partition(|(epoch, place)| self.owned.get(&place.partition) == Some(epoch));
        if !ended.is_empty() {
            tracing::debug!(topic = %self.topic, places = ended.len(), "too late to commit");
        }
        let held: Vec<Position> = held.into_iter().map(|(_, place)| place).collect();
        if held.is_empty() { Ok(()) } else { self.consumer.commit(&held) }
    }

    /// Begins to read a partition. When a step fails for now, all are done again: the engine has
    /// seen no record of it yet.
    fn begin(&mut self, partition: Partition, epoch: Epoch) -> Result<bool, LogError> {
        let committed = self.position(partition)?;
        let offset = committed.offset;
        if self.tell.blocking_send(Heard::Assigned(partition, epoch, committed)).is_err() {
            return Ok(false);
        }
        self.consumer.start(partition, offset)?;
        self.to_start.pop_front();
        Ok(true)
    }

    fn position(&mut self, partition: Partition) -> Result<Committed, LogError> {
        if let Some(committed) = self.consumer.committed(partition)? {
            return Ok(committed);
        }
        let offset = self.log.bounds(&self.topic, partition)?.start;
        let committed = Committed { offset, metadata: String::new() };
        let position = Position { partition, committed: committed.clone() };
        self.consumer.commit(std::slice::from_ref(&position))?;
        Ok(committed)
    }
}

#[cfg(test)]
mod tests;
