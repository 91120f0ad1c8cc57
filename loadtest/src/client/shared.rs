//! State that the tasks of a run share: counters, the timeline, and the reason to stop early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::ClientError;
use super::request_batch::RequestBatch;
use crate::schedule::Phase;
use crate::timeline::{SettledEvents, Timeline};
use crate::traffic::TransmissionKind;

/// The counters only ever rise. They are read for display alone, so `Relaxed` is enough; the results
/// are in the return values of connections and in the timeline, which is locked twice for a batch.
#[derive(Debug)]
pub(super) struct RunState {
    sent: AtomicU64,
    copies: AtomicU64,
    acknowledged: AtomicU64,
    not_counted: AtomicU64,
    retries: AtomicU64,
    timeline: Mutex<Timeline>,
    aborted: AtomicBool,
    reason: Mutex<Option<ClientError>>,
}

/// Progress of a run.
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
    /// Events parked or refused.
    pub not_counted: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
}

impl RunState {
    pub(super) fn new(phases: &[Phase]) -> Self {
        Self {
            sent: AtomicU64::default(),
            copies: AtomicU64::default(),
            acknowledged: AtomicU64::default(),
            not_counted: AtomicU64::default(),
            retries: AtomicU64::default(),
            timeline: Mutex::new(Timeline::new(phases)),
            aborted: AtomicBool::default(),
            reason: Mutex::default(),
        }
    }

    pub(super) fn count_sent(&self, batch: &RequestBatch) {
        let is_copy = |item: &&super::request_batch::BatchItem| item.kind == TransmissionKind::Copy;
        let copies = batch.items.iter().filter(is_copy).count() as u64;
        self.copies.fetch_add(copies, Relaxed);
        self.sent.fetch_add(batch.items.len() as u64 - copies, Relaxed);
    }

    /// Records events that are sent for the first time.
    pub(super) fn note_sent(&self, at: Duration, events: u64) {
        self.timeline.lock().sent(at, events);
    }

    /// Records a reply.
    pub(super) fn note_settled(&self, settled: &SettledEvents) {
        self.timeline.lock().settled(settled);
    }

    pub(super) fn timeline(&self) -> Timeline {
        self.timeline.lock().clone()
    }

    pub(super) fn count_settled(&self, acknowledged: u64, not_counted: u64) {
        self.acknowledged.fetch_add(acknowledged, Relaxed);
        self.not_counted.fetch_add(not_counted, Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Aborts the run; the first reason is kept.
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
            not_counted: self.not_counted.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }
}
