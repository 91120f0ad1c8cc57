//! Publishes rows to the log, and reports their outcomes to requests.
//!
//! Claims in the duplicate cache are completed in the log's callback, not in the request's future, which
//! is dropped when its client goes away. When a callback is dropped without being called, its claims
//! are completed as failed.

use std::sync::Arc;
use std::time::Duration;

use tillrace_log::{LogError, Offset, Producer, ProducerRecord};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock::Clock;
use crate::dedup_cache::{DedupCache, DedupKey};
use crate::health::GatewayHealth;
use crate::log_health::{LogHealth, RowPartitions};

/// Pauses between attempts to send to a full queue.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How often a wait for outcomes checks whether the log has stalled, and how long rows may take that probe a stalled log.
const STALL_CHECK_INTERVAL: Duration = Duration::from_millis(250);
const STALLED_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes rows to the log.
pub(crate) struct Publisher {
    pub(crate) producer: Box<dyn Producer>,
    pub(crate) health: Arc<GatewayHealth>,
    pub(crate) log: Arc<LogHealth>,
    pub(crate) clock: Clock,
    pub(crate) queue_wait: Duration,
    pub(crate) publish_timeout: Duration,
}

/// Claims in the duplicate cache that complete with their rows.
#[derive(Debug)]
pub(crate) struct DedupClaims {
    dedup: Arc<DedupCache>,
    claims: Vec<(DedupKey, usize)>,
}

/// The pending outcomes of published rows; `None` without rows.
#[derive(Debug)]
pub(crate) struct PendingAck(Option<PendingOutcomes>);

#[derive(Debug)]
struct PendingOutcomes {
    outcomes: oneshot::Receiver<Vec<Result<Offset, LogError>>>,
    partitions: RowPartitions,
}

/// Why rows were not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// The log's queue is full.
    QueueFull,
    /// The log failed, has stalled, or did not answer in time.
    Failed,
}

impl DedupClaims {
    pub(crate) fn new(dedup: Arc<DedupCache>) -> Self {
        Self { dedup, claims: Vec::new() }
    }

    /// Attaches a claim to the row at `row`: the row's outcome completes it.
    pub(crate) fn attach(&mut self, dedup_key: DedupKey, row: usize) {
        self.claims.push((dedup_key, row));
    }

    /// Releases the claim of an event that is not published after all.
    pub(crate) fn release(&self, dedup_key: DedupKey) {
        self.dedup.complete(dedup_key, false);
    }

    /// Reorders rows: the claim on row `n` becomes one on row `row_indices[n]`.
    pub(crate) fn reorder(&mut self, row_indices: &[usize]) {
        for (_, row) in &mut self.claims {
            *row = row_indices.get(*row).copied().unwrap_or(usize::MAX);
        }
    }

    fn complete(mut self, outcomes: &[Result<Offset, LogError>]) {
        self.finish(|row| outcomes.get(row).is_some_and(Result::is_ok));
    }

    fn finish(&mut self, durable: impl Fn(usize) -> bool) {
        let settled: Vec<_> =
            self.claims.drain(..).map(|(dedup_key, row)| (dedup_key, durable(row))).collect();
        self.dedup.complete_all(&settled);
    }
}

impl Drop for DedupClaims {
    fn drop(&mut self) {
        self.finish(|_row| false);
    }
}

impl Publisher {
    /// Hands rows to the log, offering them again while its queue is full, if `may_wait`.
    ///
    /// # Errors
    /// [`PublishError::QueueFull`] when there was no room, [`PublishError::Failed`] when the log has stalled; nothing was
    /// published.
    pub(crate) async fn send(
        &self,
        rows: Vec<ProducerRecord>,
        claims: DedupClaims,
        may_wait: bool,
    ) -> Result<PendingAck, PublishError> {
        if rows.is_empty() {
            return Ok(PendingAck(None));
        }
        let partitions = RowPartitions::of(&rows);
        let in_flight = self.log.begin(&partitions).ok_or(PublishError::Failed)?;
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |outcomes: Vec<Result<Offset, LogError>>| {
            in_flight.settle(&outcomes);
            claims.complete(&outcomes);
            // The request may be gone; its claims are completed all the same.
            drop(sender.send(outcomes));
        });
        let pending_ack = PendingAck(Some(PendingOutcomes { outcomes: receiver, partitions }));
        let Err(mut full) = self.producer.send(rows, done) else { return Ok(pending_ack) };
        let deadline = Instant::now() + self.queue_wait;
        let mut pause = FIRST_PAUSE;
        loop {
            self.health.queue_was_full(self.clock.now());
            if !may_wait || Instant::now() >= deadline {
                return Err(PublishError::QueueFull);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.producer.send(full.rows, full.done) {
                Ok(()) => return Ok(pending_ack),
                Err(again) => full = again,
            }
        }
    }

    /// Waits for the outcomes of rows, in the order of the rows.
    ///
    /// # Errors
    /// [`PublishError::Failed`] when they are not known in time: rows may be durable or not.
    pub(crate) async fn outcomes(
        &self,
        pending_ack: PendingAck,
    ) -> Result<Vec<Result<Offset, LogError>>, PublishError> {
        let Some(PendingOutcomes { outcomes, partitions }) = pending_ack.0 else {
            return Ok(Vec::new());
        };
        let deadline = Instant::now() + self.publish_timeout;
        let outcomes = self.wait(outcomes, &partitions, deadline).await;
        outcomes.and_then(Result::ok).ok_or(PublishError::Failed)
    }

    /// Waits for a future that follows the outcomes of rows of these partitions. Returns `None` after the deadline, or when
    /// the log has stalled, so that the sender gets an answer while it still waits.
    pub(crate) async fn wait<F: Future + Unpin>(
        &self,
        mut future: F,
        partitions: &RowPartitions,
        deadline: Instant,
    ) -> Option<F::Output> {
        let stall_grace_until = Instant::now() + STALLED_TIMEOUT;
        loop {
            let next_check = (Instant::now() + STALL_CHECK_INTERVAL).min(deadline);
            if let Ok(output) = timeout_at(next_check, &mut future).await {
                return Some(output);
            }
            let now = Instant::now();
            if now >= deadline || (now >= stall_grace_until && self.log.is_any_stalled(partitions))
            {
                return None;
            }
        }
    }
}
