//! The outcomes of a chunk's events: what the duplicate cache and the store's rate limit make of each.

use tillrace_core::token_bucket::RateExceeded;

use super::rows::RowDraft;
use super::{ChunkContext, DurableOutcome, EventOutcome};
use crate::batch_result::{Backpressure, ParkedReason};
use crate::dedup_cache::{DedupKey, DedupState};
use crate::publish::DedupClaims;
use crate::rate_limits::Cost;
use crate::split::Piece;
use crate::tenant::refund_of;

/// An event that was evaluated by itself.
pub(super) enum EvaluatedEvent {
    /// To be published, unless it is a duplicate or over a rate limit; perhaps parked.
    Good {
        draft: RowDraft,
        dedup_key: DedupKey,
        store: Option<u32>,
        is_flood: bool,
        parked: Option<ParkedReason>,
    },
    /// Refused for good, unless over a rate limit: a record for people, and a marker for the ledger if the
    /// event's ledger and number are known.
    Bad {
        record: RowDraft,
        marker: Option<RowDraft>,
        store: Option<u32>,
        on_durable: DurableOutcome,
    },
    /// Deferred, because live events go first or its name is over a cap.
    Deferred(Backpressure),
}

/// Collects the outcomes of a chunk's events.
#[derive(Default)]
pub(super) struct OutcomeCollector {
    pub(super) drafts: Vec<RowDraft>,
    pub(super) fallback_rows: Vec<(DedupKey, RowDraft)>,
    pub(super) is_live: bool,
    /// The refund for events that are not kept.
    pub(super) refund: Cost,
}

impl OutcomeCollector {
    /// Determines the outcome of the next event.
    ///
    /// # Errors
    /// The backpressure that defers it; nothing of it is kept then.
    pub(super) fn collect(
        &mut self,
        context: &ChunkContext<'_>,
        evaluated: EvaluatedEvent,
        piece: &Piece,
        state: Option<(DedupState, DedupKey)>,
        claims: &mut DedupClaims,
    ) -> Result<EventOutcome, Backpressure> {
        let charge = |store: Option<u32>| {
            let Some(store) = store else { return Ok(()) };
            let charged = context.caller.charge_store(store, piece, context.now.steady_ns);
            charged.map_err(|RateExceeded { wait }| Backpressure::RateLimited(wait))
        };
        let row = self.drafts.len();
        match (evaluated, state) {
            (EvaluatedEvent::Deferred(backpressure), _) if backpressure.stops() => {
                Err(backpressure)
            }
            (EvaluatedEvent::Deferred(backpressure), _) => Ok(EventOutcome::Deferred(backpressure)),
            (EvaluatedEvent::Good { parked, .. }, Some((DedupState::Durable, _)) | None) => {
                self.refund += refund_of(piece);
                Ok(parked.map_or(EventOutcome::Duplicate, EventOutcome::DuplicateParked))
            }
            (
                EvaluatedEvent::Good { draft, is_flood, parked, .. },
                Some((DedupState::InFlight(first), dedup_key)),
            ) => {
                self.refund += refund_of(piece);
                self.is_live |= !is_flood;
                self.fallback_rows.push((dedup_key, draft));
                Ok(EventOutcome::AwaitCopy { first, parked })
            }
            (
                EvaluatedEvent::Good { draft, store, is_flood, parked, .. },
                Some((DedupState::New, dedup_key)),
            ) => {
                charge(store).inspect_err(|_limited| claims.release(dedup_key))?;
                self.is_live |= !is_flood;
                claims.attach(dedup_key, row);
                self.drafts.push(draft);
                Ok(EventOutcome::Publish {
                    row,
                    and_row: None,
                    on_durable: parked.map_or(DurableOutcome::Accepted, DurableOutcome::Parked),
                })
            }
            (EvaluatedEvent::Bad { record, marker, store, on_durable }, _) => {
                charge(store)?;
                self.is_live = true;
                self.drafts.push(record);
                let and_row = marker.map(|marker| {
                    self.drafts.push(marker);
                    row + 1
                });
                Ok(EventOutcome::Publish { row, and_row, on_durable })
            }
        }
    }
}
