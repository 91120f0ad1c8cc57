//! One chunk of events on its way from text to rows.
//!
//! Each event is first judged by itself, and its rows written. What events share, recent marks and token buckets, is
//! asked for afterwards, for all of them in their order and under few locks: [`Chunk::finish`].

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

use super::known::{Known, Source};
use super::rows::{Draft, Rows};
use super::worker::{Words, Worker};
use super::{Context, Fate, Intake, Judged, Refused, Spare, Verdict};
use crate::loyalty::LoyaltyHash;
use crate::meter::Cost;
use crate::problem::Reason;
use crate::publish::Flight;
use crate::recent::{Claim, Mark};
use crate::split::Piece;
use crate::tally::Setback;
use crate::tenant::{Paid, cost_of, refund_of};

/// Longest original of a refused event that is kept for people.
pub(super) const MAX_ORIGINAL_BYTES: usize = 64 * 1024;

/// A business date that has its own ledger is at most so many days old or ahead for a refusal to be noted there: the
/// aggregator forgets such ledgers after 35 days, and a marker would begin them anew.
const MARKED_DAYS: RangeInclusive<i64> = -30..=1;
const DAY_MS: i64 = 86_400_000;

/// The events of a chunk so far.
pub(super) struct Chunk<'a> {
    intake: &'a Intake,
    context: &'a Context<'a>,
    rows: Rows<'a>,
    views: Vec<View>,
    /// Whether floods must wait, once that was asked.
    flood_setback: OnceCell<Option<Setback>>,
}

/// What an event is when it is looked at alone.
enum View {
    /// To be published, unless it is known or too much.
    Good { draft: Draft, mark: Mark, store: Option<u32>, is_flood: bool },
    /// Refused for good, unless even that is too much: a record for people, and where the event can
    /// be placed a marker for the ledger.
    Bad { record: Draft, marker: Option<Draft>, store: Option<u32>, verdict: Verdict },
    /// It must wait: for live ones, or for a place for its name.
    PutOff(Setback),
}

/// The events of a chunk as their fates are found.
#[derive(Default)]
struct Settling {
    drafts: Vec<Draft>,
    spares: Vec<(Mark, Draft)>,
    is_live: bool,
    /// What is given back for events that are not kept.
    refund: Cost,
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
            views: Vec::with_capacity(events),
            flood_setback: OnceCell::new(),
        }
    }

    /// Judges one event by its text; false when it is put off, and so all after it.
    pub(super) fn event(&mut self, worker: &mut Worker, text: &[u8]) -> bool {
        let view = match self.take(worker, text) {
            Ok(view) => view,
            Err(refused) => self.refuse(worker, text, *refused),
        };
        let goes_on = !matches!(view, View::PutOff(setback) if setback.stops());
        self.views.push(view);
        goes_on
    }

    /// Refuses one event whose text was too long to be kept.
    pub(super) fn too_large(&mut self, worker: &mut Worker) -> bool {
        let view = self.refuse(worker, b"", Refused::too_large());
        self.views.push(view);
        true
    }

    /// Finds the fates of all `pieces` and makes their rows. Those behind the first that is put off are put off too, and
    /// what was paid for them is given back.
    pub(super) fn finish(self, pieces: &[Piece], paid: Paid) -> Judged {
        let Self { intake, context, rows, views, flood_setback: _ } = self;
        let marks: Vec<Mark> = views.iter().filter_map(View::mark).collect();
        let mut claims = intake.recent.claim_all(&marks).into_iter().zip(marks);
        let mut flight = Flight::new(Arc::clone(&intake.recent));
        let mut settling = Settling::default();
        let mut fates = Vec::with_capacity(pieces.len());
        let mut setback = paid.exhausted.map(|RateExceeded { wait }| Setback::Limited(wait));
        let looked_at = views.len();
        for (view, piece) in views.into_iter().zip(pieces) {
            let claim = view.mark().and_then(|_mark| claims.next());
            match settling.settle(context, view, piece, claim, &mut flight) {
                Ok(fate) => fates.push(fate),
                Err(reason) => {
                    setback = Some(reason);
                    break;
                }
            }
        }
        if let Some(reason) = setback {
            for (place, piece) in pieces.iter().enumerate().take(paid.pieces).skip(fates.len()) {
                let not_kept = if place < looked_at { refund_of(piece) } else { cost_of(piece) };
                settling.refund += not_kept;
            }
            fates.resize_with(pieces.len(), || Fate::PutOff(reason));
            // What was claimed for events that are put off is let go.
            let mine = claims.filter(|(claim, _)| matches!(claim, Claim::Mine));
            intake.recent.settle_all(&mine.map(|(_, mark)| (mark, false)).collect::<Vec<_>>());
        }
        context.caller.refund(settling.refund);
        let (marks, spares): (Vec<_>, Vec<_>) = settling.spares.into_iter().unzip();
        let finished = rows.finish(&intake.topics, &settling.drafts, &spares, &mut flight);
        let place = |row: usize| finished.places.get(row).copied().unwrap_or(usize::MAX);
        for fate in &mut fates {
            if let Fate::Publishing { row, and_row, .. } = fate {
                *row = place(*row);
                *and_row = and_row.map(place);
            }
        }
        let spares = marks.into_iter().zip(finished.spares);
        Judged {
            rows: finished.rows,
            spares: spares.map(|(mark, row)| Spare { mark, row }).collect(),
            flight,
            fates,
            is_live: settling.is_live,
        }
    }

    fn take(&mut self, worker: &mut Worker, text: &[u8]) -> Result<View, Box<Refused>> {
        let Worker { decoder, words, known } = worker;
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        words.flags.clear();
        let cards = &tenant.settings.cards;
        let masked = card::mask(text, cards);
        if matches!(masked, Cow::Owned(_)) {
            words.add_flag("card_masked");
        }
        let hashed = match &tenant.loyalty {
            Some(hash) => with_loyalty_hashed(decoder, hash, &masked, cards)?,
            None => None,
        };
        let text = hashed.as_deref().unwrap_or(&masked);
        let event = match &hashed {
            None => decoder.admit(text, cards)?,
            // Admitted before: what is new is the hash, in which any digits may stand.
            Some(text) => decoder.decode(text)?,
        };
        let refused = |reason, pointer: &str| Err(Box::new(Refused::of(&event, reason, pointer)));
        if event.tenant.is_some_and(|named| named != tenant.settings.id) {
            return refused(Reason::Event(RejectCode::TenantMismatch), "/tenant");
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
        words.describe(tenant.scope, &event);
        let names = [event.store, event.terminal, &words.epoch];
        let source = match known.source(caller, names, self.intake.partitions) {
            Ok(source) => source,
            Err(cap) => {
                self.intake.note_cap(caller, cap);
                return Ok(View::PutOff(Setback::NoPlace(cap.named)));
            }
        };
        let view = self.keep(words, &event, text, source);
        let buffers = event.into_buffers();
        decoder.reuse(buffers);
        Ok(view)
    }

    /// Writes the row of a good event, unless it must wait for live ones.
    fn keep(&mut self, words: &mut Words, event: &Event<'_>, text: &[u8], source: &Source) -> View {
        let now = self.context.now;
        let age_ms = now.wall_ms.saturating_sub(event.occurred_at.millis());
        let is_flood = age_ms > self.intake.flood_after_ms;
        if is_flood && let Some(setback) = self.flood_setback() {
            return View::PutOff(setback);
        }
        let mark = words.mark(source.name(), event.hash, self.intake.mark_seed);
        let admission = if is_flood { Admission::Flood } else { Admission::Live };
        let draft = self.rows.event(words, event, admission, text, source);
        View::Good { draft, mark, store: source.store_id, is_flood }
    }

    /// Says whether floods must wait; asked once a chunk, for it takes a lock.
    fn flood_setback(&self) -> Option<Setback> {
        let Context { caller, now, .. } = self.context;
        *self.flood_setback.get_or_init(|| self.intake.flood_setback(caller, *now))
    }

    /// Writes the rows of a refused event. It is paid for like any that is kept, or refusals would have no limit.
    fn refuse(&mut self, worker: &mut Worker, text: &[u8], refused: Refused) -> View {
        let Worker { words, known, .. } = worker;
        let place = self.place_of(words, known, &refused);
        let hides_loyalty = self.context.caller.tenant.loyalty.is_some();
        let record = self.rows.rejected(&refused, &shown(text, hides_loyalty));
        let store = place.and_then(|(source, _)| source.store_id);
        let marker =
            place.map(|(source, sequence)| self.rows.marker(words, &refused, source, sequence));
        let verdict = Verdict::Rejected(refused.reason, refused.pointer);
        View::Bad { record, marker, store, verdict }
    }

    /// Says where in the ledger a refused event stands, by source and sequence, if that is known and its
    /// sender's to say: a marker must not touch other stores, and names made up by one sender must not fill the ledger.
    fn place_of<'k>(
        &self,
        words: &mut Words,
        known: &'k mut Known,
        refused: &Refused,
    ) -> Option<(&'k Source, u64)> {
        let caller = self.context.caller;
        let tenant = &caller.tenant;
        let identity = &refused.identity;
        let (store, terminal) = (identity.store.as_deref()?, identity.terminal.as_deref()?);
        let sequence = identity.sequence?;
        let today = self.context.now.wall_ms.div_euclid(DAY_MS);
        let has_ledger = tenant.scope != Scope::BusinessDate
            || identity
                .business_date
                .is_some_and(|date| MARKED_DAYS.contains(&(i64::from(date.0) - today)));
        let is_lost = identity.is_epoch_lost || !has_ledger;
        if is_lost || !refused.reason.leaves_marker() || !caller.may_send_for(store) {
            return None;
        }
        words.set_date(identity.business_date);
        words.set_epoch(tenant.scope, identity.epoch.as_deref());
        words.set_id(Some(sequence), "");
        let names = [store, terminal, &words.epoch];
        let source = known.source_of_refused(caller, names, self.intake.partitions)?;
        Some((source, sequence))
    }
}

impl View {
    fn mark(&self) -> Option<Mark> {
        match self {
            Self::Good { mark, .. } => Some(*mark),
            Self::Bad { .. } | Self::PutOff(_) => None,
        }
    }
}

impl Settling {
    /// Finds the fate of the next event.
    ///
    /// # Errors
    /// Why it is put off; nothing of it is kept then.
    fn settle(
        &mut self,
        context: &Context<'_>,
        view: View,
        piece: &Piece,
        claim: Option<(Claim, Mark)>,
        flight: &mut Flight,
    ) -> Result<Fate, Setback> {
        let charge = |store: Option<u32>| {
            let Some(store) = store else { return Ok(()) };
            let charged = context.caller.charge_store(store, piece, context.now.steady_ns);
            charged.map_err(|RateExceeded { wait }| Setback::Limited(wait))
        };
        let row = self.drafts.len();
        match (view, claim) {
            (View::PutOff(setback), _) if setback.stops() => Err(setback),
            (View::PutOff(setback), _) => Ok(Fate::PutOff(setback)),
            (View::Good { .. }, Some((Claim::Durable, _)) | None) => {
                self.refund += refund_of(piece);
                Ok(Fate::Duplicate)
            }
            (View::Good { draft, is_flood, .. }, Some((Claim::InFlight(first), mark))) => {
                self.refund += refund_of(piece);
                self.is_live |= !is_flood;
                self.spares.push((mark, draft));
                Ok(Fate::Waiting { first })
            }
            (View::Good { draft, store, is_flood, .. }, Some((Claim::Mine, mark))) => {
                charge(store).inspect_err(|_limited| flight.let_go(mark))?;
                self.is_live |= !is_flood;
                flight.carry(mark, row);
                self.drafts.push(draft);
                Ok(Fate::Publishing { row, and_row: None, verdict: Verdict::Accepted })
            }
            (View::Bad { record, marker, store, verdict }, _) => {
                charge(store)?;
                self.is_live = true;
                self.drafts.push(record);
                let and_row = marker.map(|marker| {
                    self.drafts.push(marker);
                    row + 1
                });
                Ok(Fate::Publishing { row, and_row, verdict })
            }
        }
    }
}

/// Admits an event, and returns its text with the loyalty id hashed if it has one.
fn with_loyalty_hashed(
    decoder: &mut Decoder,
    hash: &LoyaltyHash,
    text: &[u8],
    cards: &CardRules,
) -> Result<Option<Vec<u8>>, Box<Refused>> {
    let Some(id) = decoder.admit(text, cards)?.loyalty_id else { return Ok(None) };
    match hash.replace(text, id) {
        Some(hashed) => Ok(Some(hashed)),
        None => Err(Rejection::whole(RejectCode::InvalidJson).into()),
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
