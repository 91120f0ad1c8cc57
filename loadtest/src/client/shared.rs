//! What a run's tasks share: a few counters, the run's course, and the reason to stop early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::ClientError;
use super::lane::Batch;
use crate::course::{Course, Settled};
use crate::schedule::Phase;
use crate::traffic::Passage;

/// The counters only ever rise. They are read for display alone, so `Relaxed` is enough; the results
/// travel with the lanes' return values, and in the course, which is locked twice for a batch.
#[derive(Debug)]
pub(super) struct Shared {
    sent: AtomicU64,
    copies: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    retries: AtomicU64,
    course: Mutex<Course>,
    aborted: AtomicBool,
    reason: Mutex<Option<ClientError>>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Time since the run began.
    pub elapsed: Duration,
    /// Events handed to a connection, copies left out.
    pub sent: u64,
    /// Copies of events handed to a connection.
    pub copies: u64,
    /// Events acknowledged for the first time.
    pub acknowledged: u64,
    /// Events refused for good.
    pub refused: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
}

impl Shared {
    pub(super) fn new(phases: &[Phase]) -> Self {
        Self {
            sent: AtomicU64::default(),
            copies: AtomicU64::default(),
            acknowledged: AtomicU64::default(),
            refused: AtomicU64::default(),
            retries: AtomicU64::default(),
            course: Mutex::new(Course::new(phases)),
            aborted: AtomicBool::default(),
            reason: Mutex::default(),
        }
    }

    pub(super) fn count_sent(&self, batch: &Batch) {
        let is_copy = |item: &&super::lane::Item| item.passage == Passage::Copy;
        let copies = batch.items.iter().filter(is_copy).count() as u64;
        self.copies.fetch_add(copies, Relaxed);
        self.sent.fetch_add(batch.items.len() as u64 - copies, Relaxed);
    }

    /// Notes that events go out for the first time.
    pub(super) fn note_sent(&self, at: Duration, events: u64) {
        self.course.lock().sent(at, events);
    }

    /// Notes a reply.
    pub(super) fn note_settled(&self, settled: &Settled) {
        self.course.lock().settled(settled);
    }

    pub(super) fn course(&self) -> Course {
        self.course.lock().clone()
    }

    pub(super) fn count_settled(&self, acknowledged: u64, refused: u64) {
        self.acknowledged.fetch_add(acknowledged, Relaxed);
        self.refused.fetch_add(refused, Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Stops the run; the first reason stands.
    pub(super) fn abort(&self, reason: ClientError) {
        self.reason.lock().get_or_insert(reason);
        self.aborted.store(true, Relaxed);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Relaxed)
    }

    pub(super) fn take_reason(&self) -> Option<ClientError> {
        self.reason.lock().take()
    }

    pub(super) fn progress(&self, elapsed: Duration) -> Progress {
        Progress {
            elapsed,
            sent: self.sent.load(Relaxed),
            copies: self.copies.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            refused: self.refused.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }
}
