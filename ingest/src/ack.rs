//! Acknowledges events: submits evaluated chunks to the log, waits for the outcomes, counts them.

use std::time::Duration;

use tillrace_core::token_bucket::RateExceeded;
use tillrace_log::{LogError, Offset, ProducerRecord};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::{ChunkContext, DurableOutcome, EventOutcome, FallbackRow};
use crate::batch_result::{Backpressure, BatchResult, ParkedReason};
use crate::dedup_cache::DedupState;
use crate::domain::DomainState;
use crate::log_health::RowPartitions;
use crate::publish::{DedupClaims, PendingAck, PublishError};
use crate::split::Piece;
use crate::tenant::{ParkedPermit, Principal};

/// `Retry-After` when the log fails, or its queue is full.
pub(crate) const LOG_RETRY: Duration = Duration::from_secs(5);
const QUEUE_RETRY: Duration = Duration::from_secs(2);
/// Least memory budget of an event.
const MIN_EVENT_BYTES: u64 = 256;
/// Most copies of one event that a retry waits for, one after another, before it is deferred.
const MAX_COPY_WAITS: usize = 3;

/// One request with events: its caller, and the domain that serves it.
pub(crate) struct IngestRequest<'a> {
    pub(crate) state: &'a DomainState,
    pub(crate) caller: Principal,
    pub(crate) traceparent: Option<&'a str>,
}

/// A chunk that was evaluated and submitted to the log.
pub(crate) struct SubmittedChunk {
    first_index: u64,
    /// Memory budget that it needs until it is settled.
    budget_bytes: u64,
    outcomes: Vec<EventOutcome>,
    fallback_rows: Vec<FallbackRow>,
    parked_permits: Vec<ParkedPermit>,
    pending_ack: Result<PendingAck, PublishError>,
}

impl SubmittedChunk {
    /// Returns the memory budget that it needs until it is settled.
    pub(crate) fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// Tells whether the next events may follow: none was deferred so far.
    pub(crate) fn goes_on(&self) -> bool {
        let is_stopped = matches!(self.outcomes.last(), Some(EventOutcome::Deferred(backpressure)) if backpressure.stops());
        self.pending_ack.is_ok() && !is_stopped
    }
}

/// Returns the memory budget that a chunk needs: for its text, or for the envelopes of tiny events.
pub(crate) fn budget_bytes(bytes: u64, pieces: &[Piece]) -> u64 {
    bytes.max(pieces.len() as u64 * MIN_EVENT_BYTES)
}

impl IngestRequest<'_> {
    /// Evaluates events and submits their rows to the log. The caller is charged for `bytes`: the events, and other text that
    /// was read with them.
    pub(crate) async fn submit(
        &self,
        text: &[u8],
        pieces: &[Piece],
        bytes: u64,
        first_index: u64,
    ) -> SubmittedChunk {
        let state = self.state;
        let context = ChunkContext {
            caller: &self.caller,
            traceparent: self.traceparent,
            now: state.clock.now(),
        };
        let evaluated = state.admission.evaluate(&context, text, pieces, bytes);
        state.metrics.text_bytes.inc_by(bytes);
        let pending_ack =
            state.publisher.send(evaluated.rows, evaluated.claims, evaluated.is_live).await;
        SubmittedChunk {
            first_index,
            budget_bytes: budget_bytes(bytes, pieces),
            outcomes: evaluated.outcomes,
            fallback_rows: evaluated.fallback_rows,
            parked_permits: evaluated.parked_permits,
            pending_ack,
        }
    }

    /// Charges the caller for text without events.
    ///
    /// # Errors
    /// When a rate limit is exceeded.
    pub(crate) fn charge_blank(&self, bytes: u64) -> Result<(), Backpressure> {
        self.state.metrics.text_bytes.inc_by(bytes);
        let charged = self.caller.charge(bytes, &[], self.state.clock.now().steady_ns);
        charged
            .exhausted
            .map_or(Ok(()), |RateExceeded { wait }| Err(Backpressure::RateLimited(wait)))
    }

    /// Waits for the outcomes of a submitted chunk and counts them.
    pub(crate) async fn ack(&self, submitted: SubmittedChunk, batch_result: &mut BatchResult) {
        let outcomes = match submitted.pending_ack {
            Ok(pending_ack) => self.state.publisher.outcomes(pending_ack).await,
            Err(publish_error) => Err(publish_error),
        };
        let mut fallback_rows = submitted.fallback_rows.into_iter();
        drop(submitted.parked_permits);
        let mut deadline = None;
        for (index, outcome) in (submitted.first_index..).zip(submitted.outcomes) {
            match outcome {
                EventOutcome::Duplicate => batch_result.duplicate += 1,
                EventOutcome::DuplicateParked(reason) => self.park(batch_result, index, reason),
                EventOutcome::Deferred(backpressure) => batch_result.defer(index, backpressure),
                EventOutcome::Publish { row, and_row, on_durable } => {
                    let mut rows = [Some(row), and_row].into_iter().flatten();
                    match (rows.try_for_each(|row| durable(&outcomes, row)), on_durable) {
                        (Err(backpressure), _) => batch_result.defer(index, backpressure),
                        (Ok(()), DurableOutcome::Accepted) => batch_result.accepted += 1,
                        (Ok(()), DurableOutcome::Parked(reason)) => {
                            self.park(batch_result, index, reason);
                        }
                        (Ok(()), DurableOutcome::Rejected(reason, pointer)) => {
                            self.state.metrics.count_rejected(reason.code());
                            batch_result.reject(index, reason, pointer);
                        }
                    }
                }
                EventOutcome::AwaitCopy { first, parked } => {
                    let wait = self.state.publisher.publish_timeout;
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + wait);
                    let copy = self.wait_for_copy(first, fallback_rows.next(), deadline).await;
                    match (copy, parked) {
                        (Ok(_), Some(reason)) => self.park(batch_result, index, reason),
                        (Ok(CopyOutcome::Duplicate), None) => batch_result.duplicate += 1,
                        (Ok(CopyOutcome::Accepted), None) => batch_result.accepted += 1,
                        (Err(backpressure), _) => batch_result.defer(index, backpressure),
                    }
                }
            }
        }
    }

    fn park(&self, batch_result: &mut BatchResult, index: u64, reason: ParkedReason) {
        self.state.metrics.count_parked(reason.code.as_str());
        batch_result.park(index, reason);
    }

    /// Waits for the outcome of a copy in flight, and publishes this event if the copy failed. All events of a chunk share one
    /// deadline, or a request would wait once for each.
    async fn wait_for_copy(
        &self,
        first: oneshot::Receiver<bool>,
        fallback: Option<FallbackRow>,
        deadline: Instant,
    ) -> Result<CopyOutcome, Backpressure> {
        let Some(fallback) = fallback else { return Err(Backpressure::Unavailable(LOG_RETRY)) };
        let state = self.state;
        state.metrics.waited_for_copy.inc();
        let mut copy = first;
        let partitions = RowPartitions::of(std::slice::from_ref(&fallback.row));
        for _ in 0..MAX_COPY_WAITS {
            match state.publisher.wait(copy, &partitions, deadline).await {
                Some(Ok(true)) => return Ok(CopyOutcome::Duplicate),
                Some(_) => {}
                None => break,
            }
            match state.admission.dedup.claim(fallback.dedup_key) {
                DedupState::Durable => return Ok(CopyOutcome::Duplicate),
                DedupState::InFlight(next) => copy = next,
                DedupState::New => return self.publish_fallback(fallback).await,
            }
        }
        Err(Backpressure::Unavailable(LOG_RETRY))
    }

    async fn publish_fallback(&self, fallback: FallbackRow) -> Result<CopyOutcome, Backpressure> {
        let publisher = &self.state.publisher;
        let mut claims = DedupClaims::new(std::sync::Arc::clone(&self.state.admission.dedup));
        claims.attach(fallback.dedup_key, 0);
        let rows: Vec<ProducerRecord> = vec![fallback.row];
        let outcomes = match publisher.send(rows, claims, true).await {
            Ok(pending_ack) => publisher.outcomes(pending_ack).await,
            Err(publish_error) => Err(publish_error),
        };
        durable(&outcomes, 0).map(|()| CopyOutcome::Accepted)
    }

    /// Adds a finished request to the metrics.
    pub(crate) fn count(&self, batch_result: &BatchResult) {
        let counted = [
            batch_result.accepted,
            batch_result.duplicate,
            batch_result.parked,
            batch_result.rejected,
            batch_result.retry,
        ];
        let counters = self.caller.tenant.counters(|id| self.state.metrics.of_tenant(id));
        for (counter, events) in counters.iter().zip(counted) {
            counter.inc_by(events);
        }
        if let Some(backpressure) = batch_result.backpressure {
            self.state.metrics.count_backpressure(backpressure.name());
        }
    }
}

/// The outcome of an event that waited for its copy.
enum CopyOutcome {
    Duplicate,
    Accepted,
}

fn durable(
    outcomes: &Result<Vec<Result<Offset, LogError>>, PublishError>,
    row: usize,
) -> Result<(), Backpressure> {
    match outcomes {
        Ok(rows) if rows.get(row).is_some_and(Result::is_ok) => Ok(()),
        Err(PublishError::QueueFull) => Err(Backpressure::Unavailable(QUEUE_RETRY)),
        Ok(_) | Err(PublishError::Failed) => Err(Backpressure::Unavailable(LOG_RETRY)),
    }
}
