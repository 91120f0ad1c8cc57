//! An open log: its lock, its threads, its orderly end.
//!
//! The log, its producers, readers and consumers all hold it; the last one to go closes
//! the queue, waits until everything handed over is written and answered, and seals the tail.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam::channel::bounded;
use parking_lot::{Mutex, RwLock};
use tracing::Span;

use super::blocks::BlockCache;
use super::disk::Disk;
use super::errors::{LocalFault, unavailable};
use super::lines;
use super::maintenance;
use super::metrics::Metrics;
use super::queue::Queue;
use super::recovery;
use super::settings::LocalTuning;
use super::signal::Signal;
use super::state::{Clock, Shared};
use super::writer::{self, Writer};
use crate::{LogError, Partition, Topic};

/// Acknowledgements on their way; past it the writer waits for the callbacks.
const ACKNOWLEDGEMENTS: usize = 1_024;

/// An open log and its threads.
#[derive(Debug)]
pub(super) struct OpenLog {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held locked; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl OpenLog {
    /// Recovers the log on a disk and starts its threads.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        partitions: Option<Partition>,
        tuning: &LocalTuning,
        clock: Clock,
        lock: Option<File>,
        keep_by_age: &[Topic],
    ) -> Result<Arc<Self>, LogError> {
        let open_log = Self::start_writing(disk, partitions, tuning, clock, lock)?;
        // Nobody else has set it: the log is new.
        drop(open_log.shared.keep_by_age.set(keep_by_age.iter().cloned().collect()));
        let shared = Arc::clone(&open_log.shared);
        open_log.spawn("local-log-maint", move || maintenance::run(&shared))?;
        Ok(Arc::new(open_log))
    }

    /// Recovers the log on a disk and starts its writer, without maintenance. Without a number of
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
            maintenance: Signal::default(),
            stopping: AtomicBool::new(false),
        });
        let open_log = Self { shared: Arc::clone(&shared), threads: Mutex::default(), _lock: lock };
        let (acknowledged, outcomes) = bounded(ACKNOWLEDGEMENTS);
        let writer = Writer::new(shared, acknowledged, recovered.tail);
        open_log.spawn("local-log-write", move || writer.run())?;
        open_log.spawn("local-log-answer", move || writer::acknowledge(&outcomes))?;
        Ok(open_log)
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
        let span = Span::current();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _entered = span.enter();
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
            // Maintenance tells the health.
            self.shared.maintenance.notify();
        }
    }
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.maintenance.notify();
        self.shared.queue.close();
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        let here = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == here) {
            // The last owner is a callback: its thread cannot wait for itself. The others end
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
