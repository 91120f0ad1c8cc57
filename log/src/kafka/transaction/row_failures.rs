//! Rows of a transaction that were not delivered: the first tells why the transaction fails.

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode;

use crate::Topic;
use crate::kafka::batch_producer::BatchReport;
use crate::kafka::queue_budget::size_of;

/// A row that was not delivered.
pub(super) struct FailedRow {
    pub(super) topic: Topic,
    pub(super) bytes: usize,
    pub(super) code: RDKafkaErrorCode,
}

/// Keeps why a transaction's rows failed.
#[derive(Default)]
pub(super) struct RowFailures {
    first: Mutex<Option<FailedRow>>,
    /// That a row was not taken because one before it had failed.
    later: Mutex<Option<FailedRow>>,
}

impl RowFailures {
    pub(super) fn note(&self, reported: &BatchReport) {
        for (row, code) in reported.failures() {
            let kept = if code == RDKafkaErrorCode::State { &self.later } else { &self.first };
            let failed = || FailedRow { topic: row.topic.clone(), bytes: size_of(row), code };
            kept.lock().get_or_insert_with(failed);
        }
    }

    pub(super) fn take(&self) -> Option<FailedRow> {
        let (first, later) = (self.first.lock().take(), self.later.lock().take());
        first.or(later)
    }
}
