//! The thread that reads: a blocking consumer on one side, the async engine on the other.
//!
//! The thread always polls, so that its member stays in the group; without a read budget it asks for
//! no records. It resolves the start position of each assigned partition: the group's offset, or
//! where the sink's `start` says, committed before the first record is read and after the audit holds it. It never seeks past
//! records: a position that the log no longer holds ends the sink, with the range in the error.
//!
//! The thread numbers assignments, because the engine learns of a revocation later than the thread: a
//! commit under an ended assignment is dropped here, and the next owner begins below it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tillrace_core::restart::PANICKED;
use tillrace_log::explain::code_of;
use tillrace_log::{
    Committed, Consumer, ConsumerRecord, Log, LogError, Offset, Partition, Polled, Position, Topic,
};
use tokio::sync::mpsc;
use tracing::Span;

use crate::failure::ErrorChain;
use crate::start::Start;

/// Longest wait in a poll, and so the longest delay of a command.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Wait in a poll that asks for no records: the longest delay until a new budget is seen.
const PAUSED_POLL_WAIT: Duration = Duration::from_millis(5);
/// Most records of one poll.
const MAX_POLL_RECORDS: usize = 2_000;
/// Events that may be queued between the thread and the engine.
const EVENT_QUEUE_LENGTH: usize = 4;
const COMMAND_QUEUE_LENGTH: usize = 8;

/// Tells an assignment of a partition from an earlier one.
pub(crate) type Epoch = u64;

/// An event of the thread for the engine.
#[derive(Debug)]
pub(crate) enum ReaderEvent {
    /// The member got a partition that its group never committed, and would begin it at this offset; it waits for
    /// [`ReaderCommand::Begin`].
    Beginning(Partition, Epoch, Offset),
    /// The member got a partition, under an assignment of this number, and reads it from this position.
    Assigned(Partition, Epoch, Committed),
    /// The member lost partitions.
    Revoked(Vec<Partition>),
    Records(Vec<ConsumerRecord>),
    /// The result of a commit.
    Committed(Result<(), LogError>),
    /// Reading ended.
    Failed(LogError),
}

/// A command of the engine for the thread.
#[derive(Debug)]
pub(crate) enum ReaderCommand {
    /// Positions, each with the assignment that it was reached under.
    Commit(Vec<(Epoch, Position)>),
    /// The audit says where the partition begins, so it may.
    Begin(Partition, Epoch, Offset),
    Stop,
}

/// How many more records the thread may read.
///
/// The engine lowers `free` before it lowers `underway`, and the thread reads `underway` first (its
/// acquire pairs with the engine's release), so the thread may see too small a budget, never too large a one.
#[derive(Debug, Default)]
struct ReadBudget {
    /// Records that the engine may receive beside those it has received.
    free: AtomicUsize,
    /// Records that were read and that the engine has not received.
    underway: AtomicUsize,
}

impl ReadBudget {
    fn left(&self) -> usize {
        let underway = self.underway.load(Ordering::Acquire);
        self.free.load(Ordering::Acquire).saturating_sub(underway)
    }
}

/// The engine's end of the thread.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) events: mpsc::Receiver<ReaderEvent>,
    commands: mpsc::Sender<ReaderCommand>,
    budget: Arc<ReadBudget>,
    outage: Arc<Mutex<Option<Outage>>>,
    thread: Option<JoinHandle<()>>,
}

/// A series of retryable read failures.
#[derive(Debug)]
struct Outage {
    since: Instant,
    error: LogError,
}

impl Reader {
    /// Joins the group and starts the thread.
    pub(crate) fn start(
        log: &Arc<dyn Log>,
        group: &str,
        topic: Topic,
        start: Start,
    ) -> Result<Self, LogError> {
        let consumer = log.consumer(group, &topic)?;
        let (event_sender, events) = mpsc::channel(EVENT_QUEUE_LENGTH);
        let (commands, command_receiver) = mpsc::channel(COMMAND_QUEUE_LENGTH);
        let budget = Arc::new(ReadBudget::default());
        let outage = Arc::new(Mutex::default());
        let reading = ReadLoop {
            log: Arc::clone(log),
            topic,
            start,
            audited: BTreeMap::new(),
            consumer,
            events: event_sender,
            commands: command_receiver,
            budget: Arc::clone(&budget),
            outage: Arc::clone(&outage),
            epochs: 0,
            owned: BTreeMap::new(),
            to_start: VecDeque::new(),
        };
        let span = Span::current();
        let thread = std::thread::Builder::new()
            .name(format!("read {group}"))
            .spawn(move || span.in_scope(|| reading.run()))
            .map_err(|error| LogError::Unavailable {
                action: "start a reading thread",
                cause: Arc::new(error),
            })?;
        Ok(Self { events, commands, budget, outage, thread: Some(thread) })
    }

    /// Sets how many more records may be read.
    pub(crate) fn set_budget(&self, records: usize) {
        self.budget.free.store(records, Ordering::Release);
    }

    /// Records that the engine received records, and sets how many more may be read.
    pub(crate) fn release(&self, records: usize, room: usize) {
        self.set_budget(room);
        self.budget.underway.fetch_sub(records, Ordering::Release);
    }

    /// Sends a command; returns false when the queue is full or the thread has ended.
    pub(crate) fn send(&self, command: ReaderCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Returns the error of an outage that has lasted at least this long.
    pub(crate) fn failing(&self, at_least: Duration) -> Option<String> {
        let outage = self.outage.lock();
        let outage = outage.as_ref().filter(|outage| outage.since.elapsed() >= at_least)?;
        Some(ErrorChain(&outage.error).to_string())
    }

    /// Ends the thread and waits until it has left the group.
    pub(crate) async fn stop(mut self) {
        // A full queue holds only commits, and an ended thread needs no command.
        let _gone: Result<(), _> = self.commands.send(ReaderCommand::Stop).await;
        self.events.close();
        while self.events.recv().await.is_some() {}
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!(code = PANICKED.code, "reader thread of a sink panicked");
            }
        }
    }
}

struct ReadLoop {
    log: Arc<dyn Log>,
    topic: Topic,
    start: Start,
    /// Where partitions begin according to the audit, each with the assignment under which that was written.
    audited: BTreeMap<Partition, (Epoch, Offset)>,
    consumer: Box<dyn Consumer>,
    events: mpsc::Sender<ReaderEvent>,
    commands: mpsc::Receiver<ReaderCommand>,
    budget: Arc<ReadBudget>,
    outage: Arc<Mutex<Option<Outage>>>,
    /// Number of the latest assignment.
    epochs: Epoch,
    /// Assigned partitions, each with its assignment number.
    owned: BTreeMap<Partition, Epoch>,
    /// Partitions that were assigned and are not read yet.
    to_start: VecDeque<(Partition, Epoch)>,
}

impl ReadLoop {
    fn run(mut self) {
        loop {
            match self.step() {
                Ok(true) => self.note_success(),
                Ok(false) => return,
                Err(error) if error.is_retryable() => {
                    self.note_failure(error);
                    std::thread::sleep(POLL_WAIT);
                }
                Err(error) => {
                    // The engine may have ended already.
                    let _unheard: Result<(), _> =
                        self.events.blocking_send(ReaderEvent::Failed(error));
                    return;
                }
            }
        }
    }

    /// Logs the first failure of an outage, and keeps the last one.
    fn note_failure(&self, error: LogError) {
        let mut outage = self.outage.lock();
        if let Some(outage) = &mut *outage {
            outage.error = error;
            return;
        }
        let (code, topic) = (code_of(&error), &self.topic);
        tracing::warn!(code, %topic, %error, "reading failed, retrying");
        *outage = Some(Outage { since: Instant::now(), error });
    }

    fn note_success(&self) {
        if let Some(Outage { since, .. }) = self.outage.lock().take() {
            let failed_ms = since.elapsed().as_millis();
            tracing::info!(topic = %self.topic, failed_ms, "reading resumed");
        }
    }

    /// Handles at most one command, then polls once; returns false when the thread must end.
    fn step(&mut self) -> Result<bool, LogError> {
        match self.commands.try_recv() {
            Ok(ReaderCommand::Commit(positions)) => {
                let outcome = self.commit(positions);
                if self.events.blocking_send(ReaderEvent::Committed(outcome)).is_err() {
                    return Ok(false);
                }
            }
            Ok(ReaderCommand::Begin(partition, epoch, offset)) => {
                if self.owned.get(&partition) == Some(&epoch) {
                    self.audited.insert(partition, (epoch, offset));
                    self.to_start.push_back((partition, epoch));
                }
            }
            Ok(ReaderCommand::Stop) | Err(mpsc::error::TryRecvError::Disconnected) => {
                return Ok(false);
            }
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        // Group events come before the next partition is started, because it may have been revoked.
        let starting = !self.to_start.is_empty();
        let room = if starting { 0 } else { self.budget.left().min(MAX_POLL_RECORDS) };
        let wait = match (starting, room) {
            (true, _) => Duration::ZERO,
            (false, 0) => PAUSED_POLL_WAIT,
            (false, _) => POLL_WAIT,
        };
        let event = match self.consumer.poll(room, wait)? {
            Polled::Idle => match self.to_start.front() {
                Some(&(partition, epoch)) => return self.begin(partition, epoch),
                None => return Ok(!self.events.is_closed()),
            },
            Polled::Records(entries) => {
                self.budget.underway.fetch_add(entries.len(), Ordering::Relaxed);
                ReaderEvent::Records(entries)
            }
            Polled::Revoked(partitions) => {
                self.owned.retain(|partition, _| !partitions.contains(partition));
                self.to_start.retain(|(partition, _)| !partitions.contains(partition));
                ReaderEvent::Revoked(partitions)
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
        Ok(self.events.blocking_send(event).is_ok())
    }

    /// Commits the positions whose assignments still hold.
    fn commit(&mut self, positions: Vec<(Epoch, Position)>) -> Result<(), LogError> {
        let (held, ended): (Vec<_>, Vec<_>) = positions
            .into_iter()
            .partition(|(epoch, position)| self.owned.get(&position.partition) == Some(epoch));
        if !ended.is_empty() {
            tracing::debug!(topic = %self.topic, positions = ended.len(), "dropped positions of ended assignments");
        }
        let held: Vec<Position> = held.into_iter().map(|(_, position)| position).collect();
        if held.is_empty() { Ok(()) } else { self.consumer.commit(&held) }
    }

    /// Starts reading a partition. A retryable failure repeats all steps, because the engine has
    /// seen no record of the partition yet.
    fn begin(&mut self, partition: Partition, epoch: Epoch) -> Result<bool, LogError> {
        let Some(committed) = self.position(partition, epoch)? else {
            let offset = self.start.offset(&*self.log, &self.topic, partition)?;
            self.to_start.pop_front();
            let beginning = ReaderEvent::Beginning(partition, epoch, offset);
            return Ok(self.events.blocking_send(beginning).is_ok());
        };
        let offset = committed.offset;
        if self.events.blocking_send(ReaderEvent::Assigned(partition, epoch, committed)).is_err() {
            return Ok(false);
        }
        self.consumer.start(partition, offset)?;
        self.to_start.pop_front();
        Ok(true)
    }

    /// Returns where the group stands; `None` if it never committed and the audit does not say yet where it begins.
    fn position(
        &mut self,
        partition: Partition,
        epoch: Epoch,
    ) -> Result<Option<Committed>, LogError> {
        if let Some(committed) = self.consumer.committed(partition)? {
            return Ok(Some(committed));
        }
        let Some(&(_, offset)) = self.audited.get(&partition).filter(|(under, _)| *under == epoch)
        else {
            return Ok(None);
        };
        let committed = Committed { offset, metadata: String::new() };
        let position = Position { partition, committed: committed.clone() };
        self.consumer.commit(std::slice::from_ref(&position))?;
        Ok(Some(committed))
    }
}

#[cfg(test)]
mod tests;
