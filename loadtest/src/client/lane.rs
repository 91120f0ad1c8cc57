//! One connection's work: sends its batches one after the other until each is settled.
//!
//! All events of a terminal go through one lane, so their order on the wire is the order of the
//! traffic. A lane owns what it learns; nothing is shared while it works but a few counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::post::Post;
use super::reply::{Answer, Exception, Verdict};
use super::shared::Shared;
use super::{ClientError, NO_ANSWER, Surprise, Unsettled};
use crate::acks::{Acks, Moved, fingerprint};
use crate::course::Settled;
use crate::source::{Effect, Expected, Planned, Roster};
use crate::traffic::Passage;

/// Shortest and longest wait between two tries without a Retry-After.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Surprises kept with their details; all are counted.
pub(super) const KEPT_SURPRISES: usize = 100;

/// Events to send in one request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Their texts, a line end after each.
    pub(super) text: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) effects: Vec<Effect>,
    /// When to send it, from the start of the run; `None` where there is no schedule.
    pub(super) due: Option<Duration>,
}

/// One event of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) planned: Planned,
    pub(super) passage: Passage,
    /// Where its text ends, line end included.
    pub(super) text_end: usize,
    /// Where its effects end.
    pub(super) effects_end: usize,
}

impl Batch {
    /// Begins another batch with room for as much as this one holds, and a little more.
    pub(super) fn another(&self) -> Self {
        let room = |length: usize| length + length / 8;
        Self {
            text: Vec::with_capacity(room(self.text.len())),
            items: Vec::with_capacity(self.items.len()),
            effects: Vec::with_capacity(room(self.effects.len())),
            due: None,
        }
    }

    fn text_start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.items[before].text_end)
    }

    fn effects_of(&self, index: usize) -> &[Effect] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].effects_end);
        &self.effects[start..self.items[index].effects_end]
    }

    /// The text of one event without its line end.
    fn text_of<'a>(&self, body: &'a [u8], index: usize) -> &'a [u8] {
        &body[self.text_start(index)..self.items[index].text_end - 1]
    }
}

/// What a lane has learnt.
#[derive(Debug)]
pub(super) struct Learnt {
    pub(super) acks: Acks,
    pub(super) moved: Moved,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) answered_duplicate: u64,
    pub(super) requests: u64,
    pub(super) retries_by_status: BTreeMap<String, u64>,
    pub(super) surprises: Vec<Surprise>,
    pub(super) surprise_count: u64,
    pub(super) unsettled: Vec<Unsettled>,
}

impl Learnt {
    fn new() -> Self {
        Self {
            acks: Acks::default(),
            moved: Moved::default(),
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

/// A lane at work.
pub(super) struct Lane {
    pub(super) post: Post,
    pub(super) roster: Arc<Roster>,
    pub(super) shared: Arc<Shared>,
    /// When the run began.
    pub(super) run_begun: Instant,
    pub(super) give_up_after: Duration,
    pub(super) dice: Xoshiro256PlusPlus,
}

impl Lane {
    /// Sends batches until there are no more; after an abort it only takes them off the queue.
    pub(super) async fn run(mut self, mut batches: Receiver<Batch>) -> Learnt {
        let mut learnt = Learnt::new();
        while let Some(batch) = batches.recv().await {
            self.settle(batch, &mut learnt).await;
        }
        learnt
    }

    async fn settle(&mut self, mut batch: Batch, learnt: &mut Learnt) {
        let body = Bytes::from(std::mem::take(&mut batch.text));
        let begun = Instant::now();
        let sent_at = begun.duration_since(self.run_begun);
        let due = batch.due.unwrap_or(sent_at);
        self.shared.note_sent(sent_at, batch.items.len() as u64);
        let (mut from, mut tries) = (0, 0_u32);
        while from < batch.items.len() && !self.shared.is_aborted() {
            let rest = body.slice(batch.text_start(from)..);
            learnt.requests += 1;
            let (status, verdict) = self.post.send(rest, batch.items.len() - from).await;
            let wait = match verdict {
                Verdict::Settled(answer) => {
                    tries = if answer.settled > 0 { 0 } else { tries };
                    self.note(&batch, &body, from, &answer, due, learnt);
                    from += answer.settled;
                    answer.retry_after
                }
                Verdict::Again { retry_after } => retry_after,
                Verdict::Hopeless { status, body } => {
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
                *learnt.retries_by_status.entry(named(status)).or_default() += 1;
                tokio::time::sleep(self.pause(wait, tries)).await;
                tries += 1;
            }
        }
        for index in from..batch.items.len() {
            learnt.unsettled.push(unsettled(&batch, &body, index));
        }
    }

    /// Waits as long as asked, or twice as long as the last time; up to half as long again, so that
    /// a fleet does not come back all at once.
    fn pause(&mut self, asked: Option<Duration>, tries: u32) -> Duration {
        let doubled = BACKOFF.0.saturating_mul(1 << tries.min(16)).min(BACKOFF.1);
        let least = asked.unwrap_or(doubled);
        least + least.max(BACKOFF.0).mul_f64(self.dice.random_range(0.0..0.5))
    }

    fn note(
        &self,
        batch: &Batch,
        body: &[u8],
        from: usize,
        answer: &Answer,
        due: Duration,
        learnt: &mut Learnt,
    ) {
        let settled = &batch.items[from..from + answer.settled];
        self.shared.note_settled(&Settled {
            due,
            at: self.run_begun.elapsed(),
            events: settled.len() as u64,
            acknowledged: settled.len().saturating_sub(answer.exceptions.len()) as u64,
            held: settled.iter().filter(|item| item.planned.held).count() as u64,
        });
        learnt.answered_duplicate += answer.duplicates;
        let mut exceptions: Vec<&Exception> = answer.exceptions.iter().collect();
        exceptions.sort_unstable_by_key(|exception| exception.index);
        let mut exceptions = exceptions.into_iter().peekable();
        let (mut acknowledged, mut refused) = (0, 0);
        for place in 0..answer.settled {
            let index = from + place;
            let item = batch.items[index];
            let exception = exceptions.next_if(|exception| exception.index == place);
            let code = exception.map(|exception| exception.code.as_str());
            self.compare(item.planned, code, learnt);
            if let Some(code) = code {
                if item.passage != Passage::Copy {
                    refused += 1;
                    *learnt.refused.entry(code.to_owned()).or_default() += 1;
                }
            } else if item.planned.expected == Expected::Accepted {
                let Planned { terminal, sequence, .. } = item.planned;
                let print = fingerprint(batch.text_of(body, index));
                if learnt.acks.acknowledge(terminal, sequence, print) {
                    acknowledged += 1;
                    let store = self.roster.terminals[terminal as usize].store;
                    learnt.moved.add(store, batch.effects_of(index));
                }
            }
        }
        self.shared.count_settled(acknowledged, refused);
    }

    /// Notes an event that was not treated as planned.
    fn compare(&self, planned: Planned, code: Option<&str>, learnt: &mut Learnt) {
        let expected = match planned.expected {
            Expected::Accepted => None,
            Expected::Refused(code) => Some(code),
        };
        if expected == code {
            return;
        }
        learnt.surprise_count += 1;
        if learnt.surprises.len() < KEPT_SURPRISES {
            let terminal = &self.roster.terminals[planned.terminal as usize];
            learnt.surprises.push(Surprise {
                store: self.roster.stores[terminal.store as usize].clone(),
                terminal: terminal.name.clone(),
                sequence: planned.sequence,
                expected,
                code: code.map(str::to_owned),
            });
        }
    }
}

/// Names what a request was answered.
fn named(status: Option<StatusCode>) -> String {
    status.map_or(NO_ANSWER.to_owned(), |status| status.as_str().to_owned())
}

fn unsettled(batch: &Batch, body: &[u8], index: usize) -> Unsettled {
    Unsettled {
        planned: batch.items[index].planned,
        passage: batch.items[index].passage,
        fingerprint: fingerprint(batch.text_of(body, index)),
        effects: batch.effects_of(index).to_vec(),
    }
}
