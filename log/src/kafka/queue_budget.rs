//! The budget of a producer's queue: how many rows and bytes may wait for their acknowledgement at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::KafkaFault;
use crate::{LogError, ProducerRecord};

/// Bytes that a row takes.
pub(super) fn size_of(row: &ProducerRecord) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len)
}

/// The rows and bytes that may wait for their acknowledgement at once.
///
/// Both counts are only limits and publish nothing, so relaxed atomics do.
#[derive(Debug)]
pub(super) struct QueueBudget {
    rows: AtomicUsize,
    bytes: AtomicUsize,
    max_rows: usize,
    max_bytes: usize,
}

impl QueueBudget {
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { rows: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_rows, max_bytes }
    }

    /// Refuses for good what not even an empty queue could take.
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

    /// Reserves budget for all rows, or for none.
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

    /// Returns budget.
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
    use super::*;

    #[test]
    fn room_is_taken_whole_or_not_at_all() {
        let budget = QueueBudget::new(10, 1_000);
        assert!(budget.reserve(6, 600));
        assert!(!budget.reserve(5, 1), "rows");
        assert!(!budget.reserve(1, 401), "bytes");
        assert!(budget.reserve(4, 400), "what failed took nothing");
        budget.release(10, 1_000);
        assert!(budget.reserve(10, 1_000));
    }

    #[test]
    fn what_never_fits_is_refused_for_good() {
        let budget = QueueBudget::new(10, 1_000);
        assert!(budget.fits_ever(10, 1_000).is_ok());
        let error = budget.fits_ever(1, 1_001).expect_err("too many bytes");
        assert!(matches!(error, LogError::TooLarge { bytes: 1_001, limit: 1_000 }));
        let error = budget.fits_ever(11, 1).expect_err("too many rows");
        assert!(matches!(error, LogError::Refused { .. }) && !error.is_retryable());
    }
}
