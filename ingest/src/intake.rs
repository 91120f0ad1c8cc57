//! What becomes of one event: the policies in the order it meets them.
//!
//! Card rule, decoding, tenant and store, rules and flags, admission class, duplicate cache, rate
//! limits; then the rows for the log. This is the gateway's hot path: it is synchronous, runs a
//! whole chunk at a time on one thread, takes the time once for all of it, and writes all envelopes
//! into one buffer. What happens to the rows is not known here.

mod chunk;
mod known;
mod rows;
mod worker;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tillrace_core::decode::{PartialIdentity, RejectCode, Rejection};
use tillrace_core::event::Event;
use tillrace_core::log::{Partition, Row};
use tillrace_core::text::Timestamp;
use tillrace_core::topics::Topics;
use tokio::sync::oneshot;

use crate::clock::Now;
use crate::credit::Credit;
use crate::health::Health;
use crate::problem::Reason;
use crate::publish::Flight;
use crate::recent::{Mark, Recent};
use crate::settings::GatewaySettings;
use crate::split::Piece;
use crate::tally::Setback;
use crate::tenant::{Caller, Cap};

use chunk::Chunk;
use worker::with_worker;

/// Above this part of what its sender may have in flight, percent, a flood is turned away.
const TIGHT_PERCENT: u64 = 50;
/// A flood is asked to come back after this when it is only just tight, and up to six times as
/// long when all of it is used.
const FLOOD_RETRY: Duration = Duration::from_secs(10);

/// The policies of a gateway, and what they need to know.
pub(crate) struct Intake {
    pub(crate) recent: Arc<Recent>,
    topics: Topics,
    partitions: Partition,
    gateway: String,
    flood_after_ms: i64,
    credit: Arc<Credit>,
    health: Arc<Health>,
    /// Marks differ from process to process, so that none can be aimed at another.
    mark_seed: u64,
}

/// What all events of a chunk have in common.
pub(crate) struct Context<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) now: Now,
}

/// A chunk of events, judged.
pub(crate) struct Judged {
    /// Rows for the log, grouped by partition.
    pub(crate) rows: Vec<Row>,
    /// One for each event that waits, in their order.
    pub(crate) spares: Vec<Spare>,
    /// Claims on recent events that go with the rows.
    pub(crate) flight: Flight,
    /// One fate an event, in the order of the events.
    pub(crate) fates: Vec<Fate>,
    /// Some event of it is live: worth waiting for room in the log's queue.
    pub(crate) is_live: bool,
}

/// What becomes of one event.
pub(crate) enum Fate {
    /// It is durable already.
    Duplicate,
    /// It is settled as `verdict` says once its rows are durable.
    Publishing { row: usize, and_row: Option<usize>, verdict: Verdict },
    /// A copy of it is in flight.
    Waiting { first: oneshot::Receiver<bool> },
    /// Neither: its sender must come again.
    PutOff(Setback),
}

/// What an event is once its rows are durable.
pub(crate) enum Verdict {
    Accepted,
    Rejected(Reason, String),
}

/// The row of an event whose copy is in flight, to be published if that fails.
pub(crate) struct Spare {
    pub(crate) mark: Mark,
    pub(crate) row: Row,
}

impl Intake {
    pub(crate) fn new(
        settings: &GatewaySettings,
        topics: Topics,
        partitions: Partition,
        credit: Arc<Credit>,
        health: Arc<Health>,
    ) -> Self {
        let made_up = || format!("gateway-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        Self {
            recent: Arc::new(Recent::new(settings.recent_events)),
            topics,
            partitions,
            gateway: settings.name.clone().unwrap_or_else(made_up),
            flood_after_ms: i64::try_from(settings.flood_after.as_millis()).unwrap_or(i64::MAX),
            credit,
            health,
            mark_seed: std::hash::RandomState::new().hash_one("mark"),
        }
    }

    /// Judges a chunk of events, as many of them as the caller can pay for. It pays for `bytes`: the events, and what was
    /// read beside them.
    ///
    /// After the first event that is put off all are: reading will stop, and what is not settled
    /// is sent again.
    pub(crate) fn judge(
        &self,
        context: &Context<'_>,
        text: &[u8],
        pieces: &[Piece],
        bytes: u64,
    ) -> Judged {
        let paid = context.caller.pay(bytes, pieces, context.now.steady_ns);
        let mut received_time = String::new();
        Timestamp::from_millis(context.now.wall_ms).push_to(&mut received_time);
        let mut chunk = Chunk::new(self, context, &received_time, [text.len(), pieces.len()]);
        with_worker(|worker| {
            for piece in pieces.iter().take(paid.pieces) {
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
        chunk.finish(pieces, paid)
    }

    /// Tells the operator of a cap on names, the first time that it is met.
    fn note_cap(&self, caller: &Caller, cap: Cap) {
        if caller.meets(cap) {
            self.health.names_ran_out(&caller.tenant.settings.id, caller.key_name(), cap);
        }
    }

    /// Says whether a caller's floods must wait now, and for how long. Only its own text in flight speaks against it: as
    /// others fill the credit, it may hold less.
    fn flood_setback(&self, caller: &Caller, now: Now) -> Option<Setback> {
        let used = self.credit.pressure_percent(caller.holder());
        if used > TIGHT_PERCENT {
            let above = u32::try_from((used - TIGHT_PERCENT) / 10).unwrap_or(0);
            return Some(Setback::Flood(FLOOD_RETRY * (1 + above)));
        }
        self.health.is_queue_tight(now).then_some(Setback::Flood(FLOOD_RETRY))
    }
}

/// An event refused: why, where, and who it says it is.
struct Refused {
    reason: Reason,
    pointer: String,
    identity: PartialIdentity,
}

impl Refused {
    fn too_large() -> Self {
        *Box::from(Rejection::whole(RejectCode::EventTooLarge))
    }

    /// Refuses an event that was decoded.
    fn of(event: &Event<'_>, reason: Reason, pointer: &str) -> Self {
        let identity = PartialIdentity {
            store: Some(event.store.to_owned()),
            terminal: Some(event.terminal.to_owned()),
            epoch: event.epoch.map(str::to_owned),
            is_epoch_lost: false,
            sequence: event.sequence,
            event_id: Some(event.event_id.to_owned()),
            business_date: Some(event.business_date),
        };
        Self { reason, pointer: pointer.to_owned(), identity }
    }
}

impl From<Rejection> for Box<Refused> {
    fn from(refusal: Rejection) -> Self {
        Self::new(Refused {
            reason: Reason::Event(refusal.code),
            pointer: refusal.pointer,
            identity: refusal.identity.map(|identity| *identity).unwrap_or_default(),
        })
    }
}
