//! Keeps an open log open: its lock, its threads, its orderly end.
//!
//! The log, its producers, readers and consumers all hold the keeper; the last one to go closes
//! the queue, waits until everything handed over is written and answered, and seals the tail.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam::channel::bounded;
use parking_lot::{Mutex, RwLock};

use super::blocks::BlockCache;
use super::catalog::Control;
use super::disk::Disk;
use super::errors::{LocalFault, unavailable};
use super::frame::FRAME_OVERHEAD;
use super::lines;
use super::metrics::Metrics;
use super::queue::{Done, Queue, Submission};
use super::recovery;
use super::settings::LocalTuning;
use super::signal::Signal;
use super::state::{Clock, Shared};
use super::upkeep;
use super::writer::{self, Writer};
use crate::{LogError, Partition, Row, Topic};

/// Acknowledgements on their way; past it the writer waits for the callbacks.
const ACKNOWLEDGEMENTS: usize = 1_024;

/// The owner of an open log.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held locked; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl Keeper {
    /// Recovers the log on a disk and starts its threads.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        partitions: Option<Partition>,
        tuning: &LocalTuning,
        clock: Clock,
        lock: Option<File>,
        keep_by_age: &[Topic],
    ) -> Result<Arc<Self>, LogError> {
        let keeper = Self::start_writing(disk, partitions, tuning, clock, lock)?;
        // Nobody else has set it: the keeper is new.
        drop(keeper.shared.keep_by_age.set(keep_by_age.iter().cloned().collect()));
        let shared = Arc::clone(&keeper.shared);
        keeper.spawn("local-log-keep", move || upkeep::run(&shared))?;
        Ok(Arc::new(keeper))
    }

    /// Recovers the log on a disk and starts what writes, not what forgets. Without a number of
    /// partitions it takes what it finds.
    pub(super) fn start_writing(
        disk: Arc<dyn Disk>,
        partitions: Option<Partition>,
        tuning: &LocalTuning,
        clock: Clock,
        lock: Option<File>,
    ) -> Result<Self, LogError> {
        tuning
            .validate()
            .map_err(|errors| LocalFault::from(errors).refusing("open the local log"))?;
        let recovered = recovery::recover(&disk, partitions)?;
        let found = recovered.state.catalog.topics.first().map(|topic| topic.ends.len());
        let partitions = partitions.or(found.and_then(|count| Partition::try_from(count).ok()));
        let shared = Arc::new(Shared {
            disk,
            tuning: tuning.clone(),
            partitions: partitions.unwrap_or(1),
            clock,
            metrics: Metrics::new(),
            state: RwLock::new(recovered.state),
            queue: Queue::default(),
            blocks: BlockCache::default(),
            rebuilding: Mutex::new(()),
            keep_by_age: OnceLock::new(),
            disk_full: AtomicBool::new(false),
            health: OnceLock::new(),
            poison: OnceLock::new(),
            members: Mutex::default(),
            definitions: Mutex::new(()),
            upkeep: Signal::default(),
            stopping: AtomicBool::new(false),
        });
        let keeper = Self { shared: Arc::clone(&shared), threads: Mutex::default(), _lock: lock };
        let (acknowledged, outcomes) = bounded(ACKNOWLEDGEMENTS);
        let writer = Writer::new(shared, acknowledged, recovered.tail);
        keeper.spawn("local-log-write", move || writer.run())?;
        keeper.spawn("local-log-answer", move || writer::acknowledge(&outcomes))?;
        Ok(keeper)
    }

    /// Waits for the thread that was started last.
    #[cfg(test)]
    pub(super) fn join_last(&self) {
        let last = self.threads.lock().pop();
        // It may have panicked: that is what the test is about.
        drop(last.map(JoinHandle::join));
    }

    pub(super) fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), LogError> {
        let alarm = Alarm { shared: Arc::clone(&self.shared), thread: name.to_owned() };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _alarm = alarm;
            work();
        });
        let failed = unavailable("start a thread", || name.to_owned());
        self.threads.lock().push(thread.map_err(failed)?);
        Ok(())
    }
}

/// Poisons the log and lets go of what is queued when the thread that holds it panics: without one of its threads the log
/// would stand still, and nobody would know.
struct Alarm {
    shared: Arc<Shared>,
    thread: String,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The first fault stays.
            drop(self.shared.poison.set(LocalFault::ThreadEnded { thread: self.thread.clone() }));
            self.shared.metrics.stopped.set(1);
            // After the poison, so that whoever finds the queue closed finds the reason too.
            self.shared.queue.abandon();
            // Upkeep tells the health.
            self.shared.upkeep.ring();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.upkeep.ring();
        self.shared.queue.close();
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        let here = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == here) {
            // The last holder is a callback: its thread cannot wait for itself. The others end
            // when they have written and answered everything.
            return;
        }
        for thread in threads {
            if thread.join().is_err() {
                let code = lines::THREAD_PANICKED.code;
                tracing::error!(code, "a thread of the local log panicked");
            }
        }
    }
}

/// Writes rows and controls in one frame and waits until it is durable.
pub(super) fn commit_whole(
    shared: &Shared,
    rows: Vec<Row>,
    controls: Vec<Control>,
) -> Result<(), LogError> {
    let (done, outcome) = bounded(1);
    let submission = Submission { rows, controls, done: Done::Whole(done) };
    let (bytes, limit) = (submission.cost(), shared.tuning.frame_limit());
    if bytes > limit.saturating_sub(FRAME_OVERHEAD) {
        return Err(LogError::TooLarge { bytes, limit });
    }
    if shared.queue.push(submission).is_err() {
        return Err(shared.ended("commit"));
    }
    outcome.recv().unwrap_or_else(|_| Err(shared.ended("commit")))
}
