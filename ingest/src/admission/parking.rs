//! Parks an event that breaks a rule: it is kept whole and answered 202, and people mend it.
//!
//! A till can not take a sale back, so that what the event says is no reason to refuse it. Refused is only what nobody could
//! mend or may keep: an identity that can not be read, another tenant's or store's event, a text that is no JSON or too large,
//! and card data. The aggregator keeps parked events apart, holds their numbers, and lets them in when they are readmitted.

use std::borrow::Cow;

use tillrace_core::card;
use tillrace_core::decode::PartialIdentity;
use tillrace_core::envelope::Scope;
use xxhash_rust::xxh3::xxh3_128;

use super::RefusedEvent;
use super::chunk::Chunk;
use super::outcomes::EvaluatedEvent;
use super::rows::ParkedEvent;
use super::worker::WorkerState;
use crate::batch_result::{Backpressure, ParkedReason};
use crate::loyalty::LoyaltyHash;
use crate::problem::Reason;
use crate::tenant::InvalidEvents;

/// The identity of an event that may be parked.
#[derive(Debug, Clone, Copy)]
struct ParkableIdentity<'a> {
    store: &'a str,
    terminal: &'a str,
    event_id: &'a str,
}

impl Chunk<'_> {
    /// Parks an event that breaks a rule; `None` if it must be refused.
    pub(super) fn park(
        &mut self,
        worker: &mut WorkerState,
        text: &[u8],
        refused: &RefusedEvent,
    ) -> Option<EvaluatedEvent> {
        let WorkerState { decoder, envelope_text, sources } = worker;
        let (pipeline, caller) = (self.pipeline, self.context.caller);
        let tenant = &caller.tenant;
        let Reason::Event(code) = refused.reason else { return None };
        if tenant.settings.invalid_events == InvalidEvents::Reject || !code.is_parkable() {
            return None;
        }
        let identity = parkable(&refused.identity, tenant.scope)?;
        let is_own = caller.may_send_for(identity.store)
            && caller.may_send_from(identity.store, identity.terminal);
        if !is_own {
            return None;
        }
        let text = card::mask(text, &tenant.settings.cards);
        envelope_text.flags.clear();
        if matches!(text, Cow::Owned(_)) {
            envelope_text.add_flag("card_masked");
        }
        let loose = decoder.check_loose(&text, &tenant.settings.cards).ok()?;
        let text = match (&tenant.loyalty, loose.loyalty_id) {
            (Some(_), _) if loose.is_loyalty_id_unclear => return None,
            (Some(hash), Some(id)) => Cow::Owned(LoyaltyHash::replace(hash, &text, id)?),
            _ => text,
        };
        envelope_text.set_date(refused.identity.business_date);
        envelope_text.set_epoch(tenant.scope, refused.identity.epoch.as_deref());
        envelope_text.set_id(refused.identity.sequence, identity.event_id);
        let names = [identity.store, identity.terminal, &envelope_text.epoch];
        let source = match sources.source(caller, names, pipeline.partitions) {
            Ok(source) => source,
            Err(cap) => {
                pipeline.note_cap(caller, cap);
                return Some(EvaluatedEvent::Deferred(Backpressure::NameLimit(cap.named)));
            }
        };
        let Some(permit) = tenant.parked_budget.reserve(text.len(), pipeline.parked_limit) else {
            return Some(EvaluatedEvent::Deferred(Backpressure::ParkedLimit));
        };
        self.parked_permits.push(permit);
        let parked = ParkedEvent {
            code,
            pointer: &refused.pointer,
            event_id: identity.event_id,
            sequence: refused.identity.sequence,
            content_hash: refused.content_hash,
            data_hash: xxh3_128(&text),
        };
        let dedup_key =
            envelope_text.dedup_key(source.name(), parked.data_hash, pipeline.dedup_seed);
        let draft = self.rows.parked(envelope_text, &parked, &text, source);
        Some(EvaluatedEvent::Good {
            draft,
            dedup_key,
            store: source.store_id,
            is_flood: false,
            parked: Some(ParkedReason { code, pointer: refused.pointer.clone() }),
        })
    }
}

/// Returns the identity of an event that may be parked: all of it is known, and which ledger its number belongs to.
fn parkable(identity: &PartialIdentity, scope: Scope) -> Option<ParkableIdentity<'_>> {
    if identity.is_unclear || (scope == Scope::BusinessDate && identity.business_date.is_none()) {
        return None;
    }
    Some(ParkableIdentity {
        store: identity.store.as_deref()?,
        terminal: identity.terminal.as_deref()?,
        event_id: identity.event_id.as_deref()?,
    })
}
