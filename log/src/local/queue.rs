//! The bounded queue between those who commit and the one thread that writes.

use std::collections::VecDeque;
use std::time::Instant;

use crossbeam::channel::Sender;
use parking_lot::{Condvar, Mutex};

use super::catalog::Control;
use super::frame::row_cost;
use crate::{LogError, OnDurable, ProducerRecord};

/// Rows and controls that one caller hands over.
pub(super) struct Submission {
    pub(super) rows: Vec<ProducerRecord>,
    pub(super) controls: Vec<Control>,
    pub(super) done: Done,
}

/// Who hears of the outcome.
pub(super) enum Done {
    /// A producer: each row for itself; the rows may span frames.
    Rows(OnDurable),
    /// A caller that waits: all in one frame or nothing.
    Whole(Sender<Result<(), LogError>>),
}

impl Submission {
    /// Bytes it takes in a frame at most.
    pub(super) fn cost(&self) -> usize {
        self.rows.iter().map(cost_of).sum::<usize>()
            + self.controls.iter().map(Control::cost).sum::<usize>()
    }
}

/// Bytes a row takes in a frame at most.
pub(super) fn cost_of(row: &ProducerRecord) -> usize {
    row_cost(row.key.len(), row.value.as_ref().map(bytes::Bytes::len))
}

/// What the writer is to do next.
pub(super) enum Work {
    Batch(Vec<Submission>),
    /// Nothing came until the deadline.
    Idle,
    /// The queue is closed and empty.
    Closed,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<(Submission, usize)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Adds a producer's rows, or gives them back when there is no room. A submission larger than
    /// the bound is taken when the queue is empty, or it could never be sent.
    pub(super) fn offer(&self, submission: Submission, bound: usize) -> Result<(), Submission> {
        let cost = submission.cost();
        let mut waiting = self.waiting.lock();
        let room = waiting.bytes == 0 || waiting.bytes.saturating_add(cost) <= bound;
        if waiting.closed || !room {
            return Err(submission);
        }
        waiting.bytes += cost;
        waiting.submissions.push_back((submission, cost));
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Adds what a caller waits for; bounded by the number of callers.
    pub(super) fn push(&self, submission: Submission) -> Result<(), Submission> {
        let cost = submission.cost();
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(submission);
        }
        waiting.bytes += cost;
        waiting.submissions.push_back((submission, cost));
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes what fits one frame of `limit` bytes, at least one submission; waits for it.
    pub(super) fn take(&self, limit: usize, deadline: Option<Instant>) -> Work {
        let mut waiting = self.waiting.lock();
        while waiting.submissions.is_empty() {
            if waiting.closed {
                return Work::Closed;
            }
            match deadline {
                None => self.arrived.wait(&mut waiting),
                Some(at) => {
                    if self.arrived.wait_until(&mut waiting, at).timed_out()
                        && waiting.submissions.is_empty()
                    {
                        return if waiting.closed { Work::Closed } else { Work::Idle };
                    }
                }
            }
        }
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while let Some((_, cost)) = waiting.submissions.front() {
            if !batch.is_empty() && bytes.saturating_add(*cost) > limit {
                break;
            }
            let Some((submission, cost)) = waiting.submissions.pop_front() else { break };
            bytes += cost;
            waiting.bytes -= cost;
            batch.push(submission);
        }
        Work::Batch(batch)
    }

    /// Takes no more and lets go of what is in it: those who wait hear that nobody answers.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        let abandoned = std::mem::take(&mut waiting.submissions);
        drop(waiting);
        self.arrived.notify_all();
        drop(abandoned);
    }

    /// Takes no more; what is in it is still written.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.arrived.notify_all();
    }
}
