//! What is on its way: rows that librdkafka may be reading, and what it has said of them so far.
//!
//! This module is the safe half of what `native` rests on. A [`Hold`] owns the rows of one call.
//! Every row is *awaited* until librdkafka has refused it, has reported on it, or is gone. Nobody
//! gets at the rows while one is awaited, and a hold dropped before that leaks them. librdkafka is
//! given a number to name a row by, not a pointer: it is looked up, and settles a row once at most.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rdkafka::error::RDKafkaErrorCode;

use crate::{LogError, Offset, Row};

/// Bits of a row's name that say which row of its hold it is; the others number the holds, enough
/// for five years at 100,000 a second. What cannot be named is refused.
const ROW_BITS: u32 = 20;
/// Rows that fit one hold.
const MAX_ROWS: usize = 1 << ROW_BITS;
/// Stands for the offset of a row that is awaited.
const AWAITED: i64 = i64::MIN;
/// Stands for the offset of a row that has failed.
const FAILED: i64 = i64::MIN + 1;

const _: () = assert!(size_of::<usize>() == 8, "a row's name needs 64 bits");

/// What became of a row: its offset, or why it failed.
pub(super) type Outcome = Result<i64, RDKafkaErrorCode>;

/// Called once, when librdkafka is done with every row of a call.
pub(in crate::kafka) type OnReported = Box<dyn FnOnce(Reported) + Send>;

/// Rows that librdkafka is done with.
#[derive(Default)]
pub(in crate::kafka) struct Reported {
    rows: Vec<Row>,
    offsets: Vec<i64>,
    /// In the order in which they failed.
    failures: Vec<(usize, RDKafkaErrorCode)>,
}

impl Reported {
    /// The rows that failed, in the order in which they did.
    pub(in crate::kafka) fn failures(&self) -> impl Iterator<Item = (&Row, RDKafkaErrorCode)> {
        self.failures.iter().filter_map(|(row, code)| Some((self.rows.get(*row)?, *code)))
    }

    /// One outcome a row, in the order of the rows.
    pub(in crate::kafka) fn outcomes(
        &self,
        fault: impl Fn(&Row, RDKafkaErrorCode) -> LogError,
    ) -> Vec<Result<Offset, LogError>> {
        let offset = |offset: &i64| Ok(Offset::try_from(*offset).unwrap_or_default());
        let mut outcomes: Vec<_> = self.offsets.iter().map(offset).collect();
        for (row, code) in &self.failures {
            if let (Some(row), Some(outcome)) = (self.rows.get(*row), outcomes.get_mut(*row)) {
                *outcome = Err(fault(row, *code));
            }
        }
        outcomes
    }
}

/// The rows of one call, from before librdkafka sees them until it is done with all of them.
pub(super) struct Hold {
    /// Which client has them.
    client: u64,
    awaited: usize,
    reported: Reported,
    done: Option<OnReported>,
}

impl Hold {
    /// Settles a row, once.
    fn settle(&mut self, row: usize, outcome: Outcome) {
        let place = self.reported.offsets.get_mut(row);
        let Some(place) = place.filter(|place| **place == AWAITED) else { return };
        self.awaited -= 1;
        match outcome {
            Ok(offset) => *place = offset.max(0),
            Err(code) => {
                *place = FAILED;
                self.reported.failures.push((row, code));
            }
        }
    }

    fn answer(mut self) {
        if let Some(done) = self.done.take() {
            done(std::mem::take(&mut self.reported));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.awaited > 0 {
            // librdkafka may still read them. Never reached while `Holds` keeps what it is given.
            std::mem::forget(std::mem::take(&mut self.reported.rows));
        }
    }
}

/// Everything that is on its way, over the lives of the clients that carry it.
#[derive(Default)]
pub(in crate::kafka) struct Holds {
    held: Mutex<Held>,
    answered: Condvar,
    /// What was finished on a caller's thread, to be answered on the log's own.
    ready: Mutex<Vec<Finished>>,
}

#[derive(Default)]
struct Held {
    clients: u64,
    next: usize,
    /// `None` while the answer is being given.
    holds: BTreeMap<usize, Option<Hold>>,
}

/// A hold with nothing awaited, and its number.
pub(super) type Finished = (usize, Hold);

impl Holds {
    /// Takes rows in, all awaited, and numbers them; `None` if there is nothing to send, as when
    /// there are more than can be named: those fail.
    pub(super) fn enter(&self, client: u64, rows: Vec<Row>, done: OnReported) -> Option<usize> {
        let count = rows.len();
        let mut reported = Reported { rows, ..Reported::default() };
        let mut all = self.held.lock();
        let number = all.next;
        all.next += 1;
        let sent = (1..=MAX_ROWS).contains(&count) && number <= usize::MAX >> ROW_BITS;
        if sent {
            reported.offsets = vec![AWAITED; count];
            let hold = Hold { client, awaited: count, reported, done: Some(done) };
            all.holds.insert(number, Some(hold));
            return Some(number);
        }
        all.holds.insert(number, None);
        drop(all);
        reported.offsets = vec![FAILED; count];
        let code = RDKafkaErrorCode::InvalidArgument;
        reported.failures.extend((0..count).map(|row| (row, code)));
        self.ready.lock().push((number, Hold { client, awaited: 0, reported, done: Some(done) }));
        None
    }

    /// Answers later, from a thread of the log's own, without anything to send.
    pub(in crate::kafka) fn answer_later(&self, done: OnReported) {
        self.enter(0, Vec::new(), done);
    }

    /// Settles rows by their names; brings the holds that are finished by it.
    pub(super) fn settle(&self, outcomes: impl Iterator<Item = (usize, Outcome)>) -> Vec<Finished> {
        let mut finished = Vec::new();
        let mut outcomes = outcomes.peekable();
        if outcomes.peek().is_none() {
            return finished;
        }
        let all = &mut *self.held.lock();
        while let Some((first, outcome)) = outcomes.next() {
            let (number, row) = named(first);
            let Some(place) = all.holds.get_mut(&number) else { continue };
            let Some(hold) = place else { continue };
            hold.settle(row, outcome);
            while let Some((next, outcome)) = outcomes.next_if(|(next, _)| named(*next).0 == number)
            {
                hold.settle(named(next).1, outcome);
            }
            if hold.awaited == 0 {
                finished.extend(place.take().map(|hold| (number, hold)));
            }
        }
        finished
    }

    pub(super) fn give(&self, finished: Vec<Finished>) {
        if finished.is_empty() {
            return;
        }
        let mut numbers = Vec::with_capacity(finished.len());
        for (number, hold) in finished {
            numbers.push(number);
            hold.answer();
        }
        let mut all = self.held.lock();
        for number in numbers {
            all.holds.remove(&number);
        }
        drop(all);
        self.answered.notify_all();
    }

    /// Gives the answers that no report brings. For a thread of the log's own.
    pub(in crate::kafka) fn give_ready(&self) {
        let ready = std::mem::take(&mut *self.ready.lock());
        self.give(ready);
    }

    /// Keeps what was finished on a caller's thread.
    pub(super) fn give_later(&self, finished: Vec<Finished>) {
        if !finished.is_empty() {
            self.ready.lock().extend(finished);
        }
    }

    /// Numbers a client.
    pub(super) fn welcome(&self) -> u64 {
        let mut all = self.held.lock();
        all.clients += 1;
        all.clients
    }

    /// Waits until everything handed over before has been answered.
    pub(in crate::kafka) fn await_answers(&self, until: Instant) -> bool {
        let mut all = self.held.lock();
        let before = all.next;
        while all.holds.first_key_value().is_some_and(|(oldest, _)| *oldest < before) {
            if self.answered.wait_until(&mut all, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// Fails what a client that is gone has not reported on.
    pub(super) fn abandon(&self, client: u64) {
        let mut finished = Vec::new();
        for (number, place) in &mut self.held.lock().holds {
            if let Some(hold) = place.take_if(|hold| hold.client == client) {
                finished.push((*number, hold));
            }
        }
        for (_, hold) in &mut finished {
            for row in 0..hold.reported.rows.len() {
                hold.settle(row, Err(RDKafkaErrorCode::PurgeQueue));
            }
        }
        self.give(finished);
        self.give_ready();
    }
}

/// What librdkafka knows a row by.
pub(super) fn name(number: usize, row: usize) -> usize {
    (number << ROW_BITS) | row
}

fn named(name: usize) -> (usize, usize) {
    (name >> ROW_BITS, name & (MAX_ROWS - 1))
}
