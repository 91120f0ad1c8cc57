//! A batch of rows on its way, and the room that all batches share.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::fault::KafkaFault;
use crate::log::{LogError, Offset, OnDurable};

/// Rows handed over together. Gathers their outcomes and passes them on when the last is known.
pub(super) struct Batch {
    /// Its number among the batches of a producer.
    pub(super) number: u64,
    gathered: Mutex<Gathered>,
}

struct Gathered {
    outcomes: Vec<Result<Offset, LogError>>,
    unsettled: usize,
    done: Option<OnDurable>,
}

/// All outcomes of a batch, and whom to tell.
pub(super) struct Answer {
    outcomes: Vec<Result<Offset, LogError>>,
    done: OnDurable,
}

impl Answer {
    /// Tells the outcomes.
    pub(super) fn give(self) {
        (self.done)(self.outcomes);
    }
}

impl Batch {
    pub(super) fn new(number: u64, rows: usize, done: OnDurable) -> Self {
        let closing = KafkaFault::Closing.passing("write to the log");
        let outcomes = vec![Err(closing); rows];
        Self {
            number,
            gathered: Mutex::new(Gathered { outcomes, unsettled: rows, done: Some(done) }),
        }
    }

    /// Notes the outcome of a row; the last one brings the answer.
    pub(super) fn settle(&self, row: usize, outcome: Result<Offset, LogError>) -> Option<Answer> {
        let mut gathered = self.gathered.lock();
        if let Some(place) = gathered.outcomes.get_mut(row) {
            *place = outcome;
        }
        gathered.unsettled = gathered.unsettled.saturating_sub(1);
        (gathered.unsettled == 0).then(|| take(&mut gathered)).flatten()
    }

    /// Brings the answer of a batch that has no rows.
    pub(super) fn answer_if_empty(&self) -> Option<Answer> {
        let mut gathered = self.gathered.lock();
        (gathered.unsettled == 0).then(|| take(&mut gathered)).flatten()
    }
}

fn take(gathered: &mut Gathered) -> Option<Answer> {
    let done = gathered.done.take()?;
    Some(Answer { outcomes: std::mem::take(&mut gathered.outcomes), done })
}

/// What may wait for its acknowledgement at once.
///
/// Both counts are only limits and publish nothing, so relaxed atomics do.
#[derive(Debug)]
pub(super) struct Room {
    rows: AtomicUsize,
    bytes: AtomicUsize,
    max_rows: usize,
    max_bytes: usize,
}

impl Room {
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_rows, max_bytes }
    }

    /// Refuses for good what could not be taken even by an empty queue.
    pub(super) fn fits_ever(&self, rows: usize, bytes: usize) -> Result<(), LogError> {
        if bytes > self.max_bytes {
            return Err(LogError::TooLarge { bytes, limit: self.max_bytes });
        }
        if rows > self.max_rows {
            let fault = KafkaFault::BatchTooLong { rows, limit: self.max_rows };
            return Err(fault.refusing("queue rows"));
        }
        Ok(())
    }

    /// Takes room for all, or none.
    pub(super) fn reserve(&self, rows: usize, bytes: usize) -> bool {
        if !take_below(&self.rows, rows, self.max_rows) {
            return false;
        }
        let taken = take_below(&self.bytes, bytes, self.max_bytes);
        if !taken {
            self.rows.fetch_sub(rows, Ordering::Relaxed);
        }
        taken
    }

    /// Gives room back.
    pub(super) fn release(&self, rows: usize, bytes: usize) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn take_below(count: &AtomicUsize, more: usize, limit: usize) -> bool {
    let taken = |now: usize| now.checked_add(more).filter(|sum| *sum <= limit);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_batch_answers_once_with_outcomes_in_row_order() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&heard);
        let batch = Batch::new(7, 3, Box::new(move |outcomes| tell.lock().push(outcomes)));
        assert!(batch.answer_if_empty().is_none());
        assert!(batch.settle(2, Ok(12)).is_none());
        assert!(batch.settle(0, Ok(10)).is_none());
        let last = batch.settle(1, Err(LogError::TimedOut { action: "write" }));
        last.expect("the last outcome brings the answer").give();
        let heard = heard.lock();
        assert_eq!(heard.len(), 1);
        assert!(matches!(heard[0][0], Ok(10)));
        assert!(matches!(heard[0][1], Err(LogError::TimedOut { .. })));
        assert!(matches!(heard[0][2], Ok(12)));
    }

    #[test]
    fn an_empty_batch_answers_at_once() {
        let batch = Batch::new(0, 0, Box::new(|outcomes| assert!(outcomes.is_empty())));
        batch.answer_if_empty().expect("nothing is waited for").give();
        assert!(batch.answer_if_empty().is_none());
    }

    #[test]
    fn room_is_taken_whole_or_not_at_all() {
        let room = Room::new(10, 1_000);
        assert!(room.reserve(6, 600));
        assert!(!room.reserve(5, 1), "rows");
        assert!(!room.reserve(1, 401), "bytes");
        assert!(room.reserve(4, 400), "what failed took nothing");
        room.release(10, 1_000);
        assert!(room.reserve(10, 1_000));
    }

    #[test]
    fn what_never_fits_is_refused_for_good() {
        let room = Room::new(10, 1_000);
        assert!(room.fits_ever(10, 1_000).is_ok());
        let error = room.fits_ever(1, 1_001).expect_err("too many bytes");
        assert!(matches!(error, LogError::TooLarge { bytes: 1_001, limit: 1_000 }));
        let error = room.fits_ever(11, 1).expect_err("too many rows");
        assert!(matches!(error, LogError::Refused { .. }) && !error.is_retryable());
    }
}
