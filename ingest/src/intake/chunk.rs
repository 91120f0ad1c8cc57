//! One chunk of events on its way from text to rows.

use std::borrow::Cow;
use std::sync::Arc;

use tillrace_core::bucket::Exhausted;
use tillrace_core::card;
use tillrace_core::check;
use tillrace_core::decode::{Code, Decoder, Refusal};
use tillrace_core::envelope::{Admission, Scope};
use tillrace_core::event::Event;

use super::rows::{Draft, Rows};
use super::worker::{Words, Worker};
use super::{Context, Fate, Intake, Judged, Refused, Spare, Verdict};
use crate::problem::Reason;
use crate::publish::Flight;
use crate::recent::{Claim, Mark};
use crate::tally::Setback;
use crate::tenant::{Cap, Tenant};

/// Longest original of a refused event that is kept for people.
const MAX_ORIGINAL_BYTES: usize = 64 * 1024;

/// The events of a chunk so far.
pub(super) struct Chunk<'a> {
    intake: &'a Intake,
    context: &'a Context<'a>,
    rows: Rows<'a>,
    drafts: Vec<Draft>,
    spares: Vec<(Mark, Draft)>,
    flight: Flight,
    is_live: bool,
    text_bytes: u64,
    pub(super) fates: Vec<Fate>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(
        intake: &'a Intake,
        context: &'a Context<'a>,
        received_time: &'a str,
        [text_bytes, events]: [usize; 2],
    ) -> Self {
        let names = [intake.gateway.as_str(), received_time];
        Self {
            intake,
            context,
            rows: Rows::new(context, intake.partitions, names, [text_bytes, events]),
            drafts: Vec::with_capacity(events),
            spares: Vec::new(),
            flight: Flight::new(Arc::clone(&intake.recent)),
            is_live: false,
            text_bytes: 0,
            fates: Vec::with_capacity(events),
        }
    }

    /// Judges one event by its text.
    pub(super) fn event(&mut self, worker: &mut Worker, text: &[u8]) -> Fate {
        self.text_bytes += text.len() as u64;
        match self.take(worker, text) {
            Ok(fate) => fate,
            Err(refused) => self.refuse(&mut worker.words, text, *refused),
        }
    }

    /// Refuses one event whose text was too long to be kept.
    pub(super) fn too_large(&mut self, worker: &mut Worker) -> Fate {
        self.refuse(&mut worker.words, b"", Refused::too_large())
    }

    /// Makes the rows of all that was judged.
    pub(super) fn finish(mut self) -> Judged {
        let (marks, spares): (Vec<_>, Vec<_>) = self.spares.into_iter().unzip();
        let topics = &self.intake.topics;
        let finished = self.rows.finish(topics, &self.drafts, &spares, &mut self.flight);
        let place = |row: usize| finished.places.get(row).copied().unwrap_or(usize::MAX);
        for fate in &mut self.fates {
            if let Fate::Publishing { row, and_row, .. } = fate {
                *row = place(*row);
                *and_row = and_row.map(place);
            }
        }
        let spares = marks.into_iter().zip(finished.spares);
        Judged {
            rows: finished.rows,
            spares: spares.map(|(mark, row)| Spare { mark, row }).collect(),
            flight: self.flight,
            fates: self.fates,
            is_live: self.is_live,
            text_bytes: self.text_bytes,
        }
    }

    fn take(&mut self, worker: &mut Worker, text: &[u8]) -> Result<Fate, Box<Refused>> {
        let Worker { decoder, words } = worker;
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        words.flags.clear();
        let text = storable(decoder, words, tenant, text)?;
        let event = decoder.admit(&text, &tenant.settings.cards)?;
        let refused = |reason, pointer: &str| Err(Box::new(Refused::of(&event, reason, pointer)));
        if event.tenant.is_some_and(|named| named != tenant.settings.id) {
            return refused(Reason::Event(Code::TenantMismatch), "/tenant");
        }
        if !caller.may_send_for(event.store) {
            return refused(Reason::StoreNotAllowed, "/store");
        }
        match check::check(&event, &tenant.settings.rules) {
            Ok(flags) if flags.is_empty() => {}
            Ok(flags) => words.add_flag(flags),
            Err(refusal) => return refused(Reason::Event(refusal.code), &refusal.pointer),
        }
        let ahead_ms = event.occurred_at.millis().saturating_sub(self.context.now.wall_ms);
        if ahead_ms > tenant.clock_skew_ms {
            words.add_flag("clock_skew");
        }
        let store = match tenant.know(event.store, event.terminal) {
            Ok(store) => store,
            Err(Cap::Stores) => return refused(Reason::TooManyStores, "/store"),
            Err(Cap::Terminals) => return refused(Reason::TooManyTerminals, "/terminal"),
        };
        let fate = self.keep(words, &event, &text, store);
        let spare = event.into_spare();
        decoder.reuse(spare);
        Ok(fate)
    }

    /// Keeps a good event, unless it is known, too much, or must wait for live ones.
    fn keep(&mut self, words: &mut Words, event: &Event<'_>, text: &[u8], store: u32) -> Fate {
        let now = self.context.now;
        let age_ms = now.wall_ms.saturating_sub(event.occurred_at.millis());
        let is_flood = age_ms > self.intake.flood_after_ms;
        if is_flood && let Some(setback) = self.intake.flood_setback(now) {
            return Fate::PutOff(setback);
        }
        words.describe(
            self.context.caller.tenant.scope,
            &self.context.caller.tenant.settings.id,
            event,
        );
        let mark = words.mark(event.hash, self.intake.mark_seed);
        let first = match self.intake.recent.claim(mark) {
            Claim::Durable => return Fate::Duplicate,
            Claim::InFlight(first) => Some(first),
            Claim::Mine => None,
        };
        let bytes = text.len() as u64;
        if first.is_none()
            && let Err(Exhausted { wait }) =
                self.context.caller.charge(Some(store), bytes, now.steady_ns)
        {
            self.intake.recent.settle(mark, false);
            return Fate::PutOff(Setback::Limited(wait));
        }
        self.is_live |= !is_flood;
        let admission = if is_flood { Admission::Flood } else { Admission::Live };
        let draft = self.rows.event(words, event, admission, text);
        if let Some(first) = first {
            self.spares.push((mark, draft));
            return Fate::Waiting { first };
        }
        let row = self.drafts.len();
        self.flight.carry(mark, row);
        self.drafts.push(draft);
        Fate::Publishing { row, and_row: None, verdict: Verdict::Accepted }
    }

    /// Refuses an event for good: a record for people, and where the event can be placed a marker
    /// for the ledger. A refusal is charged like an event, or refusals would have no limit.
    fn refuse(&mut self, words: &mut Words, text: &[u8], refused: Refused) -> Fate {
        let place = self.place_of(words, &refused);
        let (caller, now) = (self.context.caller, self.context.now);
        let store = place.as_ref().map(|place| place.store_number);
        if let Err(Exhausted { wait }) = caller.charge(store, text.len() as u64, now.steady_ns) {
            return Fate::PutOff(Setback::Limited(wait));
        }
        self.is_live = true;
        let hides_loyalty = caller.tenant.loyalty.is_some();
        let rejected = self.rows.rejected(&refused, &shown(text, hides_loyalty));
        let row = self.drafts.len();
        self.drafts.push(rejected);
        let and_row = place.map(|place| {
            let names = [place.store.as_str(), place.terminal.as_str()];
            let draft = self.rows.marker(words, &refused, names, place.sequence);
            self.drafts.push(draft);
            row + 1
        });
        Fate::Publishing {
            row,
            and_row,
            verdict: Verdict::Rejected(refused.reason, refused.pointer),
        }
    }

    /// Says where in the ledger a refused event stands, if that is known and its sender's to say:
    /// a marker must not touch other stores, and names past the caps must not reach the ledger.
    fn place_of(&self, words: &mut Words, refused: &Refused) -> Option<LedgerPlace> {
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        let identity = &refused.identity;
        let (store, terminal) = (identity.store.as_deref()?, identity.terminal.as_deref()?);
        let sequence = identity.sequence?;
        let lost = tenant.scope == Scope::BusinessDate && identity.business_date.is_none();
        if lost || !refused.reason.leaves_marker() || !caller.may_send_for(store) {
            return None;
        }
        let store_number = tenant.know(store, terminal).ok()?;
        words.set_date(identity.business_date);
        words.set_epoch(tenant.scope, identity.epoch.as_deref());
        words.set_identity([&tenant.settings.id, store, terminal], Some(sequence), "");
        let (store, terminal) = (store.to_owned(), terminal.to_owned());
        Some(LedgerPlace { store_number, store, terminal, sequence })
    }
}

/// Where the marker of a refused event stands.
struct LedgerPlace {
    store_number: u32,
    store: String,
    terminal: String,
    sequence: u64,
}

/// Returns the text with what must not be stored replaced: card numbers where the tenant masks them,
/// and the loyalty id where it wants that hashed.
fn storable<'t>(
    decoder: &mut Decoder,
    words: &mut Words,
    tenant: &Tenant,
    text: &'t [u8],
) -> Result<Cow<'t, [u8]>, Box<Refused>> {
    let cards = &tenant.settings.cards;
    let text = card::mask(text, cards);
    if matches!(text, Cow::Owned(_)) {
        words.add_flag("card_masked");
    }
    let Some(hash) = &tenant.loyalty else { return Ok(text) };
    let id = decoder.admit(&text, cards)?.loyalty_id;
    match id {
        None => Ok(text),
        Some(id) => match hash.replace(&text, id) {
            Some(replaced) => Ok(Cow::Owned(replaced)),
            None => Err(Refusal::whole(Code::InvalidJson).into()),
        },
    }
}

/// Returns what people may see of a refused event's text.
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
