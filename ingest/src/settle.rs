//! From judged events to settled ones: published, waited for, counted.

use std::time::Duration;

use tillrace_core::log::{LogError, Offset, Row};
use tillrace_core::token_bucket::RateExceeded;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::intake::{Context, Fate, Spare, Verdict};
use crate::log_health::Partitions;
use crate::publish::{Flight, Landing, NotPublished};
use crate::recent::Claim;
use crate::route::Front;
use crate::split::Piece;
use crate::tally::{Setback, Tally};
use crate::tenant::Caller;

/// When to come back to a log that fails, or whose queue is full.
pub(crate) const LOG_RETRY: Duration = Duration::from_secs(5);
const QUEUE_RETRY: Duration = Duration::from_secs(2);
/// An event needs credit for as much text at least.
const LEAST_EVENT_BYTES: u64 = 256;
/// Copies of one event that a retry waits for, one after another, before it is put off.
const MAX_WAITS: usize = 3;

/// One request to take events: who sends, and what serves it.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) front: &'a Front,
    pub(crate) caller: &'a Caller,
    pub(crate) traceparent: Option<&'a str>,
}

/// Events that were judged and, where need be, handed to the log.
pub(crate) struct Submitted {
    first_index: u64,
    /// Credit that it needs until it is settled.
    credit_bytes: u64,
    fates: Vec<Fate>,
    spares: Vec<Spare>,
    landing: Result<Landing, NotPublished>,
}

impl Submitted {
    /// Returns the credit that it needs until it is settled.
    pub(crate) fn credit_bytes(&self) -> u64 {
        self.credit_bytes
    }

    /// Tells whether the next events may follow: nothing was put off so far.
    pub(crate) fn goes_on(&self) -> bool {
        let is_stopped =
            matches!(self.fates.last(), Some(Fate::PutOff(setback)) if setback.stops());
        self.landing.is_ok() && !is_stopped
    }
}

/// Returns the credit that a chunk needs: for its text, or for the envelopes of events that have next to none.
pub(crate) fn credit_bytes(bytes: u64, pieces: &[Piece]) -> u64 {
    bytes.max(pieces.len() as u64 * LEAST_EVENT_BYTES)
}

impl Request<'_> {
    /// Judges events and hands what is to be kept to the log. The caller pays for `bytes`: the events, and what was read
    /// beside them.
    pub(crate) async fn submit(
        &self,
        text: &[u8],
        pieces: &[Piece],
        bytes: u64,
        first_index: u64,
    ) -> Submitted {
        let front = self.front;
        let context =
            Context { caller: self.caller, traceparent: self.traceparent, now: front.clock.now() };
        let judged = front.intake.judge(&context, text, pieces, bytes);
        front.metrics.text_bytes.inc_by(bytes);
        let landing = front.publisher.send(judged.rows, judged.flight, judged.is_live).await;
        Submitted {
            first_index,
            credit_bytes: credit_bytes(bytes, pieces),
            fates: judged.fates,
            spares: judged.spares,
            landing,
        }
    }

    /// Lets the caller pay for text in which there is no event.
    ///
    /// # Errors
    /// When it can not, and must come back.
    pub(crate) fn pay_for_blank(&self, bytes: u64) -> Result<(), Setback> {
        self.front.metrics.text_bytes.inc_by(bytes);
        let paid = self.caller.pay(bytes, &[], self.front.clock.now().steady_ns);
        paid.exhausted.map_or(Ok(()), |RateExceeded { wait }| Err(Setback::Limited(wait)))
    }

    /// Waits for the outcomes of submitted events and counts them.
    pub(crate) async fn settle(&self, submitted: Submitted, tally: &mut Tally) {
        let outcomes = match submitted.landing {
            Ok(landing) => self.front.publisher.outcomes(landing).await,
            Err(not_published) => Err(not_published),
        };
        let mut spares = submitted.spares.into_iter();
        let mut deadline = None;
        for (index, fate) in (submitted.first_index..).zip(submitted.fates) {
            match fate {
                Fate::Duplicate => tally.duplicate += 1,
                Fate::PutOff(setback) => tally.put_off(index, setback),
                Fate::Publishing { row, and_row, verdict } => {
                    let mut rows = [Some(row), and_row].into_iter().flatten();
                    match (rows.try_for_each(|row| durable(&outcomes, row)), verdict) {
                        (Err(setback), _) => tally.put_off(index, setback),
                        (Ok(()), Verdict::Accepted) => tally.accepted += 1,
                        (Ok(()), Verdict::Rejected(reason, pointer)) => {
                            self.front.metrics.count_rejected(reason.code());
                            tally.reject(index, reason, pointer);
                        }
                    }
                }
                Fate::Waiting { first } => {
                    let wait = self.front.publisher.publish_timeout;
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + wait);
                    match self.wait_for_copy(first, spares.next(), deadline).await {
                        Ok(Claimed::Duplicate) => tally.duplicate += 1,
                        Ok(Claimed::Accepted) => tally.accepted += 1,
                        Err(setback) => tally.put_off(index, setback),
                    }
                }
            }
        }
    }

    /// Waits for the outcome of a copy in flight, and publishes this one if that failed. All events of a chunk have one
    /// deadline, or a request would wait once for each.
    async fn wait_for_copy(
        &self,
        first: oneshot::Receiver<bool>,
        spare: Option<Spare>,
        deadline: Instant,
    ) -> Result<Claimed, Setback> {
        let Some(spare) = spare else { return Err(Setback::Unavailable(LOG_RETRY)) };
        let front = self.front;
        front.metrics.waited_for_copy.inc();
        let mut copy = first;
        let partitions = Partitions::of(std::slice::from_ref(&spare.row));
        for _ in 0..MAX_WAITS {
            match front.publisher.wait(copy, &partitions, deadline).await {
                Some(Ok(true)) => return Ok(Claimed::Duplicate),
                Some(_) => {}
                None => break,
            }
            match front.intake.recent.claim(spare.mark) {
                Claim::Durable => return Ok(Claimed::Duplicate),
                Claim::InFlight(next) => copy = next,
                Claim::Mine => return self.publish_spare(spare).await,
            }
        }
        Err(Setback::Unavailable(LOG_RETRY))
    }

    async fn publish_spare(&self, spare: Spare) -> Result<Claimed, Setback> {
        let publisher = &self.front.publisher;
        let mut flight = Flight::new(std::sync::Arc::clone(&self.front.intake.recent));
        flight.carry(spare.mark, 0);
        let rows: Vec<Row> = vec![spare.row];
        let outcomes = match publisher.send(rows, flight, true).await {
            Ok(landing) => publisher.outcomes(landing).await,
            Err(not_published) => Err(not_published),
        };
        durable(&outcomes, 0).map(|()| Claimed::Accepted)
    }

    /// Adds a finished request to the metrics.
    pub(crate) fn count(&self, tally: &Tally) {
        let counted = [tally.accepted, tally.duplicate, tally.rejected, tally.retry];
        let counters = self.front.counters.get(self.caller.tenant.number);
        for (counter, events) in counters.into_iter().flatten().zip(counted) {
            counter.inc_by(events);
        }
        if let Some(setback) = tally.setback {
            self.front.metrics.count_turned_away(setback.name());
        }
    }
}

/// What became of an event that waited for its copy.
enum Claimed {
    Duplicate,
    Accepted,
}

fn durable(
    outcomes: &Result<Vec<Result<Offset, LogError>>, NotPublished>,
    row: usize,
) -> Result<(), Setback> {
    match outcomes {
        Ok(rows) if rows.get(row).is_some_and(Result::is_ok) => Ok(()),
        Err(NotPublished::QueueFull) => Err(Setback::Unavailable(QUEUE_RETRY)),
        Ok(_) | Err(NotPublished::Failed) => Err(Setback::Unavailable(LOG_RETRY)),
    }
}
