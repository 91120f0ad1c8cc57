//! In-flight batches: rows that librdkafka may be reading, and their delivery reports so far.
//!
//! This module is the safe half of what `ffi` rests on. An [`InFlightBatch`] owns the rows of one call.
//! Every row is *awaited* until librdkafka has refused it, has reported on it, or is gone. Nobody
//! gets at the rows while one is awaited, and a batch dropped before that leaks them. librdkafka is
//! given an id for each row, not a pointer: it is looked up, and settles a row once at most.

use std::collections::BTreeMap;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use rdkafka::error::RDKafkaErrorCode;

use crate::{LogError, Offset, ProducerRecord};

/// Bits of a row's id that give its index in its batch; the others number the batches, enough for five
/// years at 100,000 a second. A row that has no id left is refused.
const ROW_BITS: u32 = 20;
/// Rows that fit one batch.
const MAX_ROWS: usize = 1 << ROW_BITS;
/// Stands for the offset of a row that is awaited.
const AWAITED: i64 = i64::MIN;
/// Stands for the offset of a row that has failed.
const FAILED: i64 = i64::MIN + 1;

const _: () = assert!(size_of::<usize>() == 8, "a row's id needs 64 bits");

/// The outcome of a row: its offset, or why it failed.
pub(super) type DeliveryOutcome = Result<i64, RDKafkaErrorCode>;

/// Called once, when librdkafka is done with every row of a call.
pub(in crate::kafka) type OnBatchReport = Box<dyn FnOnce(BatchReport) + Send>;

/// The rows of a batch that librdkafka is done with, and their outcomes.
#[derive(Default)]
pub(in crate::kafka) struct BatchReport {
    rows: Vec<ProducerRecord>,
    offsets: Vec<i64>,
    /// In the order in which they failed.
    failures: Vec<(usize, RDKafkaErrorCode)>,
}

impl BatchReport {
    /// The rows that failed, in the order in which they did.
    pub(in crate::kafka) fn failures(
        &self,
    ) -> impl Iterator<Item = (&ProducerRecord, RDKafkaErrorCode)> {
        self.failures.iter().filter_map(|(row, code)| Some((self.rows.get(*row)?, *code)))
    }

    /// One outcome a row, in the order of the rows.
    pub(in crate::kafka) fn outcomes(
        &self,
        error_of: impl Fn(&ProducerRecord, RDKafkaErrorCode) -> LogError,
    ) -> Vec<Result<Offset, LogError>> {
        let offset = |offset: &i64| Ok(Offset::try_from(*offset).unwrap_or_default());
        let mut outcomes: Vec<_> = self.offsets.iter().map(offset).collect();
        for (row, code) in &self.failures {
            if let (Some(row), Some(outcome)) = (self.rows.get(*row), outcomes.get_mut(*row)) {
                *outcome = Err(error_of(row, *code));
            }
        }
        outcomes
    }
}

/// The rows of one call, from before librdkafka sees them until it is done with all of them.
pub(super) struct InFlightBatch {
    /// Which client has them.
    client: u64,
    awaited: usize,
    report: BatchReport,
    done: Option<OnBatchReport>,
}

impl InFlightBatch {
    /// Settles a row, once.
    fn settle(&mut self, row: usize, outcome: DeliveryOutcome) {
        let slot = self.report.offsets.get_mut(row);
        let Some(slot) = slot.filter(|slot| **slot == AWAITED) else { return };
        self.awaited -= 1;
        match outcome {
            Ok(offset) => *slot = offset.max(0),
            Err(code) => {
                *slot = FAILED;
                self.report.failures.push((row, code));
            }
        }
    }

    fn call_back(mut self) {
        if let Some(done) = self.done.take() {
            done(std::mem::take(&mut self.report));
        }
    }
}

impl Drop for InFlightBatch {
    fn drop(&mut self) {
        if self.awaited > 0 {
            // librdkafka may still read them. Never reached while `InFlightBatches` keeps what it is given.
            std::mem::forget(std::mem::take(&mut self.report.rows));
        }
    }
}

/// All batches in flight, over the lives of the clients that carry them.
#[derive(Default)]
pub(in crate::kafka) struct InFlightBatches {
    table: Mutex<BatchTable>,
    answered: Condvar,
    /// Batches that finished on a caller's thread, to be called back for on the log's own.
    ready: Mutex<Vec<FinishedBatch>>,
}

#[derive(Default)]
struct BatchTable {
    clients: u64,
    next: usize,
    /// `None` while its callback runs.
    batches: BTreeMap<usize, Option<InFlightBatch>>,
}

/// A batch with nothing awaited, and its number.
pub(super) type FinishedBatch = (usize, InFlightBatch);

impl InFlightBatches {
    /// Adds a batch of rows, all awaited, and returns its number; `None` if there is nothing to send, as
    /// when there are more rows than ids: those fail.
    pub(super) fn add(
        &self,
        client: u64,
        rows: Vec<ProducerRecord>,
        done: OnBatchReport,
    ) -> Option<usize> {
        let count = rows.len();
        let mut report = BatchReport { rows, ..BatchReport::default() };
        let mut all = self.table.lock();
        let number = all.next;
        all.next += 1;
        let sent = (1..=MAX_ROWS).contains(&count) && number <= usize::MAX >> ROW_BITS;
        if sent {
            report.offsets = vec![AWAITED; count];
            let batch = InFlightBatch { client, awaited: count, report, done: Some(done) };
            all.batches.insert(number, Some(batch));
            return Some(number);
        }
        all.batches.insert(number, None);
        drop(all);
        report.offsets = vec![FAILED; count];
        let code = RDKafkaErrorCode::InvalidArgument;
        report.failures.extend((0..count).map(|row| (row, code)));
        self.ready
            .lock()
            .push((number, InFlightBatch { client, awaited: 0, report, done: Some(done) }));
        None
    }

    /// Calls back later, from a thread of the log's own, without anything to send.
    pub(in crate::kafka) fn call_back_later(&self, done: OnBatchReport) {
        self.add(0, Vec::new(), done);
    }

    /// Settles rows by their ids; returns the batches that this finishes.
    pub(super) fn settle(
        &self,
        outcomes: impl Iterator<Item = (usize, DeliveryOutcome)>,
    ) -> Vec<FinishedBatch> {
        let mut finished = Vec::new();
        let mut outcomes = outcomes.peekable();
        if outcomes.peek().is_none() {
            return finished;
        }
        let all = &mut *self.table.lock();
        while let Some((first, outcome)) = outcomes.next() {
            let (number, row) = split_row_id(first);
            let Some(slot) = all.batches.get_mut(&number) else { continue };
            let Some(batch) = slot else { continue };
            batch.settle(row, outcome);
            while let Some((next, outcome)) =
                outcomes.next_if(|(next, _)| split_row_id(*next).0 == number)
            {
                batch.settle(split_row_id(next).1, outcome);
            }
            if batch.awaited == 0 {
                finished.extend(slot.take().map(|batch| (number, batch)));
            }
        }
        finished
    }

    pub(super) fn complete(&self, finished: Vec<FinishedBatch>) {
        if finished.is_empty() {
            return;
        }
        let mut numbers = Vec::with_capacity(finished.len());
        for (number, batch) in finished {
            numbers.push(number);
            batch.call_back();
        }
        let mut all = self.table.lock();
        for number in numbers {
            all.batches.remove(&number);
        }
        drop(all);
        self.answered.notify_all();
    }

    /// Calls back for batches that no report completes. For a thread of the log's own.
    pub(in crate::kafka) fn complete_ready(&self) {
        let ready = std::mem::take(&mut *self.ready.lock());
        self.complete(ready);
    }

    /// Keeps batches that were finished on a caller's thread.
    pub(super) fn complete_later(&self, finished: Vec<FinishedBatch>) {
        if !finished.is_empty() {
            self.ready.lock().extend(finished);
        }
    }

    /// Returns the number of a new client.
    pub(super) fn register_client(&self) -> u64 {
        let mut all = self.table.lock();
        all.clients += 1;
        all.clients
    }

    /// Waits until all batches handed over before are called back for.
    pub(in crate::kafka) fn wait_until_answered(&self, until: Instant) -> bool {
        let mut all = self.table.lock();
        let before = all.next;
        while all.batches.first_key_value().is_some_and(|(oldest, _)| *oldest < before) {
            if self.answered.wait_until(&mut all, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// Fails what a client that is gone has not reported on.
    pub(super) fn abandon(&self, client: u64) {
        let mut finished = Vec::new();
        for (number, slot) in &mut self.table.lock().batches {
            if let Some(batch) = slot.take_if(|batch| batch.client == client) {
                finished.push((*number, batch));
            }
        }
        for (_, batch) in &mut finished {
            for row in 0..batch.report.rows.len() {
                batch.settle(row, Err(RDKafkaErrorCode::PurgeQueue));
            }
        }
        self.complete(finished);
        self.complete_ready();
    }
}

/// Returns the id by which librdkafka knows a row.
pub(super) fn row_id(number: usize, row: usize) -> usize {
    (number << ROW_BITS) | row
}

fn split_row_id(id: usize) -> (usize, usize) {
    (id >> ROW_BITS, id & (MAX_ROWS - 1))
}
