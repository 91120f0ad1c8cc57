//! The admission pipeline: evaluates events by the policies, in their order.
//!
//! Card rule, decoding, tenant and store, rules and flags, admission class, duplicate cache, rate
//! limits; then the rows for the log. An event that breaks a rule is parked where its identity is known. This is the gateway's hot path: it is synchronous, runs a
//! whole chunk at a time on one thread, reads the clock once a chunk, and writes all envelopes into one
//! buffer. Other modules publish the rows.

mod chunk;
mod outcomes;
mod parking;
mod rows;
mod source_cache;
mod worker;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tillrace_core::decode::{PartialIdentity, RejectCode, Rejection};
use tillrace_core::event::Event;
use tillrace_core::text::Timestamp;
use tillrace_core::topics::Topics;
use tillrace_log::{Partition, ProducerRecord};
use tokio::sync::oneshot;

use crate::batch_result::{Backpressure, ParkedReason};
use crate::clock::CurrentTime;
use crate::dedup_cache::{DedupCache, DedupKey};
use crate::health::GatewayHealth;
use crate::memory_budget::MemoryBudget;
use crate::metrics::FlagCounters;
use crate::problem::Reason;
use crate::publish::DedupClaims;
use crate::settings::GatewaySettings;
use crate::split::Piece;
use crate::tenant::{NameCap, ParkedPermit, Principal};

use chunk::Chunk;
use worker::with_worker;

/// Above this part of what its sender may have in flight, percent, flood events are deferred.
const TIGHT_PERCENT: u64 = 50;
/// `Retry-After` of a flood just above the limit; up to six times as long when all of the budget is used.
const FLOOD_RETRY: Duration = Duration::from_secs(10);

/// The policies of a gateway, with their shared state.
pub(crate) struct AdmissionPipeline {
    pub(crate) dedup: Arc<DedupCache>,
    topics: Topics,
    partitions: Partition,
    gateway: String,
    flood_after_ms: i64,
    budget: Arc<MemoryBudget>,
    /// Most bytes of parked events that a tenant may have in flight.
    parked_limit: u64,
    health: Arc<GatewayHealth>,
    flagged: FlagCounters,
    /// Dedup keys differ from process to process, so that nobody can construct a collision.
    dedup_seed: u64,
}

/// What all events of a chunk have in common.
pub(crate) struct ChunkContext<'a> {
    pub(crate) caller: &'a Principal,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) now: CurrentTime,
}

/// A chunk of events after evaluation.
pub(crate) struct EvaluatedChunk {
    /// Rows for the log, grouped by partition.
    pub(crate) rows: Vec<ProducerRecord>,
    /// One for each event that waits for a copy, in order.
    pub(crate) fallback_rows: Vec<FallbackRow>,
    /// Claims in the duplicate cache that complete with the rows.
    pub(crate) claims: DedupClaims,
    /// One outcome an event, in the order of the events.
    pub(crate) outcomes: Vec<EventOutcome>,
    /// Whether some event is live, so that it is worth waiting for the log's queue.
    pub(crate) is_live: bool,
    /// The tenant's memory that parked events hold until they are durable.
    pub(crate) parked_permits: Vec<ParkedPermit>,
}

/// The outcome of one event.
pub(crate) enum EventOutcome {
    /// It is durable already.
    Duplicate,
    /// It is durable already, and parked.
    DuplicateParked(ParkedReason),
    /// It is settled as `on_durable` says once its rows are durable.
    Publish { row: usize, and_row: Option<usize>, on_durable: DurableOutcome },
    /// A copy of it is in flight.
    AwaitCopy { first: oneshot::Receiver<bool>, parked: Option<ParkedReason> },
    /// The event is not settled: its sender must send it again.
    Deferred(Backpressure),
}

/// The outcome of an event once its rows are durable.
pub(crate) enum DurableOutcome {
    Accepted,
    Parked(ParkedReason),
    Rejected(Reason, String),
}

/// The row of an event whose copy is in flight, to be published if that fails.
pub(crate) struct FallbackRow {
    pub(crate) dedup_key: DedupKey,
    pub(crate) row: ProducerRecord,
}

impl AdmissionPipeline {
    pub(crate) fn new(
        settings: &GatewaySettings,
        topics: Topics,
        partitions: Partition,
        budget: Arc<MemoryBudget>,
        health: Arc<GatewayHealth>,
        flagged: FlagCounters,
    ) -> Self {
        let made_up = || format!("gateway-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        Self {
            dedup: Arc::new(DedupCache::new(settings.recent_events)),
            topics,
            partitions,
            gateway: settings.name.clone().unwrap_or_else(made_up),
            flood_after_ms: i64::try_from(settings.flood_after.as_millis()).unwrap_or(i64::MAX),
            parked_limit: budget.parked_limit(),
            budget,
            health,
            flagged,
            dedup_seed: std::hash::RandomState::new().hash_one("mark"),
        }
    }

    /// Evaluates a chunk of events, as many of them as the caller's rate limits allow. The caller is charged for `bytes`:
    /// the events, and other text that was read with them.
    ///
    /// After the first deferred event all are deferred: reading stops, and the sender repeats what is
    /// not settled.
    pub(crate) fn evaluate(
        &self,
        context: &ChunkContext<'_>,
        text: &[u8],
        pieces: &[Piece],
        bytes: u64,
    ) -> EvaluatedChunk {
        let charged = context.caller.charge(bytes, pieces, context.now.steady_ns);
        let mut received_time = String::new();
        Timestamp::from_millis(context.now.wall_ms).push_to(&mut received_time);
        let mut chunk = Chunk::new(self, context, &received_time, [text.len(), pieces.len()]);
        with_worker(|worker| {
            for piece in pieces.iter().take(charged.pieces) {
                let event = match piece {
                    Piece::Event(range) => text.get(range.clone()),
                    Piece::TooLarge => None,
                };
                let goes_on = match event {
                    Some(text) => chunk.event(worker, text),
                    None => chunk.too_large(worker),
                };
                if !goes_on {
                    break;
                }
            }
        });
        chunk.finish(pieces, charged)
    }

    /// Reports a cap on names to the operator, the first time that it is reached.
    fn note_cap(&self, caller: &Principal, cap: NameCap) {
        if caller.record_cap(cap) {
            self.health.report_name_cap(&caller.tenant.settings.id, caller.client_name(), cap);
        }
    }

    /// Returns the backpressure for a caller's flood events, if any. Only the caller's own text in flight counts: as others
    /// use the budget, the caller's limit falls.
    fn flood_backpressure(&self, caller: &Principal, now: CurrentTime) -> Option<Backpressure> {
        let used = self.budget.pressure_percent(caller.holder());
        if used > TIGHT_PERCENT {
            let above = u32::try_from((used - TIGHT_PERCENT) / 10).unwrap_or(0);
            return Some(Backpressure::Flood(FLOOD_RETRY * (1 + above)));
        }
        self.health.is_queue_tight(now).then_some(Backpressure::Flood(FLOOD_RETRY))
    }
}

/// A refused event: reason, position, and the identity that could be read.
struct RefusedEvent {
    reason: Reason,
    pointer: String,
    identity: PartialIdentity,
    /// The content hash, where the event was decoded.
    content_hash: Option<u128>,
}

impl RefusedEvent {
    fn too_large() -> Self {
        *Box::from(Rejection::whole(RejectCode::EventTooLarge))
    }

    /// Refuses a decoded event.
    fn of(event: &Event<'_>, reason: Reason, pointer: &str) -> Self {
        let identity = PartialIdentity {
            store: Some(event.store.to_owned()),
            terminal: Some(event.terminal.to_owned()),
            epoch: event.epoch.map(str::to_owned),
            is_epoch_lost: false,
            is_unclear: false,
            sequence: event.sequence,
            event_id: Some(event.event_id.to_owned()),
            business_date: Some(event.business_date),
        };
        let content_hash = Some(event.hash);
        Self { reason, pointer: pointer.to_owned(), identity, content_hash }
    }
}

impl From<Rejection> for Box<RefusedEvent> {
    fn from(refusal: Rejection) -> Self {
        Self::new(RefusedEvent {
            reason: Reason::Event(refusal.code),
            pointer: refusal.pointer,
            identity: refusal.identity.map(|identity| *identity).unwrap_or_default(),
            content_hash: None,
        })
    }
}
