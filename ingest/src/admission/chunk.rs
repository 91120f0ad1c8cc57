//! Evaluates one chunk of events, from text to rows.
//!
//! Each event is first evaluated by itself, and its rows are written. Shared state, the duplicate cache and token buckets,
//! is consulted afterwards, for all events in order and under few locks: [`Chunk::finish`].

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::RangeInclusive;
use std::sync::Arc;

use tillrace_core::card::{self, CardRules};
use tillrace_core::check;
use tillrace_core::decode::{Decoder, RejectCode, Rejection};
use tillrace_core::envelope::{Admission, Scope};
use tillrace_core::event::Event;
use tillrace_core::token_bucket::RateExceeded;

use super::outcomes::{EvaluatedEvent, OutcomeCollector};
use super::rows::RowWriter;
use super::source_cache::{CachedSource, SourceCache};
use super::worker::{EnvelopeText, WorkerState};
use super::{
    AdmissionPipeline, ChunkContext, DurableOutcome, EvaluatedChunk, EventOutcome, FallbackRow,
    RefusedEvent,
};
use crate::batch_result::Backpressure;
use crate::dedup_cache::{DedupKey, DedupState};
use crate::loyalty::LoyaltyHash;
use crate::problem::Reason;
use crate::publish::DedupClaims;
use crate::split::Piece;
use crate::tenant::{ChunkCharge, ParkedPermit, cost_of, refund_of};

/// Longest original of a refused event that is kept for people.
pub(super) const MAX_ORIGINAL_BYTES: usize = 64 * 1024;

/// Range of business dates with a ledger of their own for which refusals leave a marker, in days from today: the
/// aggregator deletes such ledgers after 35 days, and a marker would start them anew.
const MARKER_DAYS: RangeInclusive<i64> = -30..=1;
const DAY_MS: i64 = 86_400_000;

/// The events of a chunk so far.
pub(super) struct Chunk<'a> {
    pub(super) pipeline: &'a AdmissionPipeline,
    pub(super) context: &'a ChunkContext<'a>,
    pub(super) rows: RowWriter<'a>,
    pub(super) parked_permits: Vec<ParkedPermit>,
    events: Vec<EvaluatedEvent>,
    /// Backpressure for flood events, once it was determined.
    flood_backpressure: OnceCell<Option<Backpressure>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(
        pipeline: &'a AdmissionPipeline,
        context: &'a ChunkContext<'a>,
        received_time: &'a str,
        [text_bytes, events]: [usize; 2],
    ) -> Self {
        let names = [pipeline.gateway.as_str(), received_time];
        Self {
            pipeline,
            context,
            rows: RowWriter::new(context, pipeline.partitions, names, [text_bytes, events]),
            parked_permits: Vec::new(),
            events: Vec::with_capacity(events),
            flood_backpressure: OnceCell::new(),
        }
    }

    /// Evaluates one event by its text; returns false if it is deferred, and with it all after it.
    pub(super) fn event(&mut self, worker: &mut WorkerState, text: &[u8]) -> bool {
        let evaluated = match self.evaluate(worker, text) {
            Ok(evaluated) => evaluated,
            Err(refused) => match self.park(worker, text, &refused) {
                Some(parked) => parked,
                None => self.refuse(worker, text, *refused),
            },
        };
        let goes_on =
            !matches!(evaluated, EvaluatedEvent::Deferred(backpressure) if backpressure.stops());
        self.events.push(evaluated);
        goes_on
    }

    /// Refuses one event whose text was too long to be kept.
    pub(super) fn too_large(&mut self, worker: &mut WorkerState) -> bool {
        let evaluated = self.refuse(worker, b"", RefusedEvent::too_large());
        self.events.push(evaluated);
        true
    }

    /// Determines the outcomes of all `pieces` and makes their rows. Events behind the first deferred one are deferred too,
    /// and their charge is refunded.
    pub(super) fn finish(self, pieces: &[Piece], charged: ChunkCharge) -> EvaluatedChunk {
        let Self { pipeline, context, rows, parked_permits, events, flood_backpressure: _ } = self;
        let dedup_keys: Vec<DedupKey> =
            events.iter().filter_map(EvaluatedEvent::dedup_key).collect();
        let mut states = pipeline.dedup.claim_all(&dedup_keys).into_iter().zip(dedup_keys);
        let mut claims = DedupClaims::new(Arc::clone(&pipeline.dedup));
        let mut collector = OutcomeCollector::default();
        let mut outcomes = Vec::with_capacity(pieces.len());
        let mut backpressure =
            charged.exhausted.map(|RateExceeded { wait }| Backpressure::RateLimited(wait));
        let looked_at = events.len();
        for (evaluated, piece) in events.into_iter().zip(pieces) {
            let state = evaluated.dedup_key().and_then(|_key| states.next());
            match collector.collect(context, evaluated, piece, state, &mut claims) {
                Ok(outcome) => outcomes.push(outcome),
                Err(reason) => {
                    backpressure = Some(reason);
                    break;
                }
            }
        }
        if let Some(reason) = backpressure {
            for (index, piece) in
                pieces.iter().enumerate().take(charged.pieces).skip(outcomes.len())
            {
                let not_kept = if index < looked_at { refund_of(piece) } else { cost_of(piece) };
                collector.refund += not_kept;
            }
            outcomes.resize_with(pieces.len(), || EventOutcome::Deferred(reason));
            // Claims of deferred events are released.
            let mine = states.filter(|(state, _)| matches!(state, DedupState::New));
            pipeline
                .dedup
                .complete_all(&mine.map(|(_, dedup_key)| (dedup_key, false)).collect::<Vec<_>>());
        }
        context.caller.refund(collector.refund);
        let (dedup_keys, fallback_rows): (Vec<_>, Vec<_>) =
            collector.fallback_rows.into_iter().unzip();
        let finished =
            rows.finish(&pipeline.topics, &collector.drafts, &fallback_rows, &mut claims);
        let index = |row: usize| finished.row_indices.get(row).copied().unwrap_or(usize::MAX);
        for outcome in &mut outcomes {
            if let EventOutcome::Publish { row, and_row, .. } = outcome {
                *row = index(*row);
                *and_row = and_row.map(index);
            }
        }
        let fallback_rows = dedup_keys.into_iter().zip(finished.fallback_rows);
        EvaluatedChunk {
            rows: finished.rows,
            fallback_rows: fallback_rows
                .map(|(dedup_key, row)| FallbackRow { dedup_key, row })
                .collect(),
            claims,
            outcomes,
            is_live: collector.is_live,
            parked_permits,
        }
    }

    fn evaluate(
        &mut self,
        worker: &mut WorkerState,
        text: &[u8],
    ) -> Result<EvaluatedEvent, Box<RefusedEvent>> {
        let WorkerState { decoder, envelope_text, sources } = worker;
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        envelope_text.flags.clear();
        let cards = &tenant.settings.cards;
        let masked = card::mask(text, cards);
        if matches!(masked, Cow::Owned(_)) {
            envelope_text.add_flag("card_masked");
            self.pipeline.flagged.masked_cards.inc();
        }
        let hashed = match &tenant.loyalty {
            Some(hash) => with_loyalty_hashed(decoder, hash, &masked, cards)?,
            None => None,
        };
        let text = hashed.as_deref().unwrap_or(&masked);
        let event = match &hashed {
            None => decoder.admit(text, cards)?,
            // The text was admitted before; only the hash is new, and any digits in it are allowed.
            Some(text) => decoder.decode(text)?,
        };
        let refused =
            |reason, pointer: &str| Err(Box::new(RefusedEvent::of(&event, reason, pointer)));
        if event.tenant.is_some_and(|named| named != tenant.settings.id) {
            return refused(Reason::Event(RejectCode::TenantMismatch), "/tenant");
        }
        if !caller.may_send_for(event.store) {
            return refused(Reason::StoreNotAllowed, "/store");
        }
        if !caller.may_send_from(event.store, event.terminal) {
            return refused(Reason::TerminalNotAllowed, "/terminal");
        }
        match check::check(&event, &tenant.settings.rules) {
            Ok(flags) if flags.is_empty() => {}
            Ok(flags) => envelope_text.add_flag(flags),
            Err(refusal) => return refused(Reason::Event(refusal.code), &refusal.pointer),
        }
        let ahead_ms = event.occurred_at.millis().saturating_sub(self.context.now.wall_ms);
        if ahead_ms > tenant.clock_skew_ms {
            envelope_text.add_flag("clock_skew");
            self.pipeline.flagged.clocks_ahead.inc();
        }
        envelope_text.describe(tenant.scope, &event);
        let names = [event.store, event.terminal, &envelope_text.epoch];
        let source = match sources.source(caller, names, self.pipeline.partitions) {
            Ok(source) => source,
            Err(cap) => {
                self.pipeline.note_cap(caller, cap);
                return Ok(EvaluatedEvent::Deferred(Backpressure::NameLimit(cap.named)));
            }
        };
        let evaluated = self.keep(envelope_text, &event, text, source);
        let buffers = event.into_buffers();
        decoder.reuse(buffers);
        Ok(evaluated)
    }

    /// Writes the row of a good event, unless it must wait for live events.
    fn keep(
        &mut self,
        envelope_text: &mut EnvelopeText,
        event: &Event<'_>,
        text: &[u8],
        source: &CachedSource,
    ) -> EvaluatedEvent {
        let now = self.context.now;
        let age_ms = now.wall_ms.saturating_sub(event.occurred_at.millis());
        let is_flood = age_ms > self.pipeline.flood_after_ms;
        if is_flood && let Some(backpressure) = self.flood_backpressure() {
            return EvaluatedEvent::Deferred(backpressure);
        }
        let dedup_key =
            envelope_text.dedup_key(source.name(), event.hash, self.pipeline.dedup_seed);
        let admission = if is_flood { Admission::Flood } else { Admission::Live };
        let draft = self.rows.event(envelope_text, event, admission, text, source);
        let store = source.store_id;
        EvaluatedEvent::Good { draft, dedup_key, store, is_flood, parked: None }
    }

    /// Returns the backpressure for flood events; determined once a chunk, because it takes a lock.
    fn flood_backpressure(&self) -> Option<Backpressure> {
        let ChunkContext { caller, now, .. } = self.context;
        *self.flood_backpressure.get_or_init(|| self.pipeline.flood_backpressure(caller, *now))
    }

    /// Writes the rows of a refused event. Refused events are charged like others, or refusals would have no limit.
    fn refuse(
        &mut self,
        worker: &mut WorkerState,
        text: &[u8],
        refused: RefusedEvent,
    ) -> EvaluatedEvent {
        let WorkerState { envelope_text, sources, .. } = worker;
        let position = self.ledger_position(envelope_text, sources, &refused);
        let hides_loyalty = self.context.caller.tenant.loyalty.is_some();
        let record = self.rows.rejected(&refused, &shown(text, hides_loyalty));
        let store = position.and_then(|(source, _)| source.store_id);
        let marker = position
            .map(|(source, sequence)| self.rows.marker(envelope_text, &refused, source, sequence));
        let on_durable = DurableOutcome::Rejected(refused.reason, refused.pointer);
        EvaluatedEvent::Bad { record, marker, store, on_durable }
    }

    /// Returns source and sequence of a refused event in the ledger, if they are known and its sender may use them:
    /// a marker must not touch other stores, and invented names of one sender must not fill the ledger.
    fn ledger_position<'k>(
        &self,
        envelope_text: &mut EnvelopeText,
        sources: &'k mut SourceCache,
        refused: &RefusedEvent,
    ) -> Option<(&'k CachedSource, u64)> {
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        let identity = &refused.identity;
        let (store, terminal) = (identity.store.as_deref()?, identity.terminal.as_deref()?);
        let sequence = identity.sequence?;
        let today = self.context.now.wall_ms.div_euclid(DAY_MS);
        let has_ledger = tenant.scope != Scope::BusinessDate
            || identity
                .business_date
                .is_some_and(|date| MARKER_DAYS.contains(&(i64::from(date.0) - today)));
        let is_lost = identity.is_epoch_lost || !has_ledger;
        let is_own = caller.may_send_for(store) && caller.may_send_from(store, terminal);
        if is_lost || !refused.reason.leaves_marker() || !is_own {
            return None;
        }
        envelope_text.set_date(identity.business_date);
        envelope_text.set_epoch(tenant.scope, identity.epoch.as_deref());
        envelope_text.set_id(Some(sequence), "");
        let names = [store, terminal, &envelope_text.epoch];
        let source = sources.source_of_refused(caller, names, self.pipeline.partitions)?;
        Some((source, sequence))
    }
}

impl EvaluatedEvent {
    fn dedup_key(&self) -> Option<DedupKey> {
        match self {
            Self::Good { dedup_key, .. } => Some(*dedup_key),
            Self::Bad { .. } | Self::Deferred(_) => None,
        }
    }
}

/// Admits an event, and returns its text with the loyalty id hashed if it has one.
fn with_loyalty_hashed(
    decoder: &mut Decoder,
    hash: &LoyaltyHash,
    text: &[u8],
    cards: &CardRules,
) -> Result<Option<Vec<u8>>, Box<RefusedEvent>> {
    let Some(id) = decoder.admit(text, cards)?.loyalty_id else { return Ok(None) };
    match hash.replace(text, id) {
        Some(hashed) => Ok(Some(hashed)),
        None => Err(Rejection::whole(RejectCode::InvalidJson).into()),
    }
}

/// Returns the part of a refused event's text that people may see.
fn shown(text: &[u8], hides_loyalty: bool) -> String {
    let mut shown = card::redact(text);
    let mentions_loyalty =
        || shown.to_ascii_lowercase().contains("loyalty") || shown.contains("\\u00");
    if hides_loyalty && mentions_loyalty() {
        return String::new();
    }
    shown.truncate(shown.floor_char_boundary(MAX_ORIGINAL_BYTES));
    shown
}
