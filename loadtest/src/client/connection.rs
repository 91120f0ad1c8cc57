//! One connection: sends its batches one after the other until each is settled.
//!
//! All events of a terminal go through one connection, so they are sent in the order of the traffic.
//! A connection owns its totals; tasks share only a few counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::post::EventPoster;
use super::reply::{Exception, ReplyAction, SettledReply};
use super::request_batch::RequestBatch;
use super::shared::RunState;
use super::{ClientError, NO_ANSWER, ParkedEvent, UnexpectedOutcome, UnsettledEvent};
use crate::acks::{Acks, StockMovements, fingerprint};
use crate::source::{Directory, ExpectedOutcome, PlannedEvent};
use crate::timeline::SettledEvents;
use crate::traffic::TransmissionKind;

/// Shortest and longest backoff without a Retry-After.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Unexpected outcomes that are kept with details; all are counted.
pub(super) const MAX_EXAMPLES: usize = 100;

/// The totals of one connection.
#[derive(Debug)]
pub(super) struct ConnectionTotals {
    pub(super) acks: Acks,
    pub(super) moved: StockMovements,
    pub(super) parked: BTreeMap<String, u64>,
    pub(super) parked_events: Vec<ParkedEvent>,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) answered_duplicate: u64,
    pub(super) requests: u64,
    pub(super) retries_by_status: BTreeMap<String, u64>,
    pub(super) surprises: Vec<UnexpectedOutcome>,
    pub(super) surprise_count: u64,
    pub(super) unsettled: Vec<UnsettledEvent>,
}

impl ConnectionTotals {
    fn new() -> Self {
        Self {
            acks: Acks::default(),
            moved: StockMovements::default(),
            parked: BTreeMap::new(),
            parked_events: Vec::new(),
            refused: BTreeMap::new(),
            answered_duplicate: 0,
            requests: 0,
            retries_by_status: BTreeMap::new(),
            surprises: Vec::new(),
            surprise_count: 0,
            unsettled: Vec::new(),
        }
    }
}

/// A connection with its settings and shared state.
pub(super) struct Connection {
    pub(super) post: EventPoster,
    pub(super) directory: Arc<Directory>,
    pub(super) shared: Arc<RunState>,
    /// When the run began.
    pub(super) run_begun: Instant,
    pub(super) give_up_after: Duration,
    pub(super) rng: Xoshiro256PlusPlus,
}

impl Connection {
    /// Sends batches until there are no more; after an abort it only drains the queue.
    pub(super) async fn run(mut self, mut batches: Receiver<RequestBatch>) -> ConnectionTotals {
        let mut totals = ConnectionTotals::new();
        while let Some(batch) = batches.recv().await {
            self.settle(batch, &mut totals).await;
        }
        totals
    }

    async fn settle(&mut self, mut batch: RequestBatch, totals: &mut ConnectionTotals) {
        let body = Bytes::from(std::mem::take(&mut batch.text));
        let begun = Instant::now();
        let sent_at = begun.duration_since(self.run_begun);
        let due = batch.due.unwrap_or(sent_at);
        self.shared.note_sent(sent_at, batch.items.len() as u64);
        let (mut from, mut tries) = (0, 0_u32);
        while from < batch.items.len() && !self.shared.is_aborted() {
            let rest = body.slice(batch.text_start(from)..);
            totals.requests += 1;
            let (status, action) = self.post.send(rest, batch.items.len() - from).await;
            let wait = match action {
                ReplyAction::Settled(answer) => {
                    tries = if answer.settled > 0 { 0 } else { tries };
                    self.note(&batch, &body, from, &answer, due, totals);
                    from += answer.settled;
                    answer.retry_after
                }
                ReplyAction::Retry { retry_after } => retry_after,
                ReplyAction::Fatal { status, body } => {
                    self.shared.abort(ClientError::Refused { status, body });
                    break;
                }
            };
            if from < batch.items.len() {
                if begun.elapsed() > self.give_up_after {
                    self.shared.abort(ClientError::GaveUp { after: self.give_up_after });
                    break;
                }
                self.shared.count_retry();
                *totals.retries_by_status.entry(named(status)).or_default() += 1;
                tokio::time::sleep(self.pause(wait, tries)).await;
                tries += 1;
            }
        }
        for index in from..batch.items.len() {
            totals.unsettled.push(unsettled(&batch, &body, index));
        }
    }

    /// Returns the requested wait, or an exponential backoff, plus up to half of it as jitter, so that a
    /// fleet does not return all at once.
    fn pause(&mut self, asked: Option<Duration>, tries: u32) -> Duration {
        let doubled = BACKOFF.0.saturating_mul(1 << tries.min(16)).min(BACKOFF.1);
        let least = asked.unwrap_or(doubled);
        least + least.max(BACKOFF.0).mul_f64(self.rng.random_range(0.0..0.5))
    }

    fn note(
        &self,
        batch: &RequestBatch,
        body: &[u8],
        from: usize,
        answer: &SettledReply,
        due: Duration,
        totals: &mut ConnectionTotals,
    ) {
        let settled = &batch.items[from..from + answer.settled];
        self.shared.note_settled(&SettledEvents {
            due,
            at: self.run_begun.elapsed(),
            events: settled.len() as u64,
            acknowledged: settled.len().saturating_sub(answer.exceptions.len()) as u64,
            held: settled.iter().filter(|item| item.planned.held).count() as u64,
        });
        totals.answered_duplicate += answer.duplicates;
        let mut exceptions: Vec<&Exception> = answer.exceptions.iter().collect();
        exceptions.sort_unstable_by_key(|exception| exception.index);
        let mut exceptions = exceptions.into_iter().peekable();
        let (mut acknowledged, mut not_counted) = (0, 0);
        for place in 0..answer.settled {
            let index = from + place;
            let item = batch.items[index];
            let exception = exceptions.next_if(|exception| exception.index == place);
            self.compare(item.planned, exception, totals);
            if let Some(Exception { code, is_parked, .. }) = exception {
                if item.kind != TransmissionKind::Copy {
                    not_counted += 1;
                    let codes = if *is_parked { &mut totals.parked } else { &mut totals.refused };
                    *codes.entry(code.clone()).or_default() += 1;
                    if *is_parked {
                        totals.parked_events.extend(parked(batch, body, index));
                    }
                }
            } else if item.planned.expected == ExpectedOutcome::Accepted {
                let PlannedEvent { terminal, sequence, .. } = item.planned;
                let print = fingerprint(batch.text_of(body, index));
                if totals.acks.acknowledge(terminal, sequence, print) {
                    acknowledged += 1;
                    let store = self.directory.terminals[terminal as usize].store;
                    totals.moved.add(store, batch.effects_of(index));
                }
            }
        }
        self.shared.count_settled(acknowledged, not_counted);
    }

    /// Notes an event that was not treated as planned.
    fn compare(
        &self,
        planned: PlannedEvent,
        exception: Option<&Exception>,
        totals: &mut ConnectionTotals,
    ) {
        let expected = match planned.expected {
            ExpectedOutcome::Accepted => None,
            ExpectedOutcome::Parked { code, .. } => Some((code, true)),
            ExpectedOutcome::Refused(code) => Some((code, false)),
        };
        let answered = exception.map(|exception| (exception.code.as_str(), exception.is_parked));
        if expected == answered {
            return;
        }
        totals.surprise_count += 1;
        if totals.surprises.len() < MAX_EXAMPLES {
            let terminal = &self.directory.terminals[planned.terminal as usize];
            totals.surprises.push(UnexpectedOutcome {
                store: self.directory.stores[terminal.store as usize].clone(),
                terminal: terminal.name.clone(),
                sequence: planned.sequence,
                expected: expected.map(outcome),
                code: answered.map(outcome),
            });
        }
    }
}

/// Says what became of an event that was not accepted.
fn outcome((code, is_parked): (&str, bool)) -> String {
    format!("{} for {code}", if is_parked { "parked" } else { "refused" })
}

/// Returns the name of a reply's status.
fn named(status: Option<StatusCode>) -> String {
    status.map_or(NO_ANSWER.to_owned(), |status| status.as_str().to_owned())
}

/// Remembers an event that was to be parked.
fn parked(batch: &RequestBatch, body: &[u8], index: usize) -> Option<ParkedEvent> {
    let planned = batch.items[index].planned;
    let ExpectedOutcome::Parked { mended, .. } = planned.expected else { return None };
    Some(ParkedEvent {
        terminal: planned.terminal,
        sequence: planned.sequence,
        fingerprint: fingerprint(batch.text_of(body, index)),
        mended,
        effects: batch.effects_of(index).to_vec(),
    })
}

fn unsettled(batch: &RequestBatch, body: &[u8], index: usize) -> UnsettledEvent {
    UnsettledEvent {
        planned: batch.items[index].planned,
        kind: batch.items[index].kind,
        fingerprint: fingerprint(batch.text_of(body, index)),
        effects: batch.effects_of(index).to_vec(),
    }
}
