//! One call: a batch on its way to the backend and back.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tillrace_core::text::Timestamp;
use tillrace_log::Partition;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::key_queues::{BatchDraft, BatchShare};
use super::reader::Epoch;
use super::{Engine, JobOutput};
use crate::connector::{CallError, DeliveryBatch, DeliveryReply};
use crate::record::Record;

/// A call that came back.
#[derive(Debug)]
pub(crate) struct CompletedCall {
    pub(crate) partition: Partition,
    /// The assignment it was made under.
    pub(crate) epoch: Epoch,
    pub(crate) shares: Vec<BatchShare>,
    pub(crate) records: Vec<Record>,
    /// For the audit: when it started, by the wall clock.
    pub(crate) started: Timestamp,
    pub(crate) elapsed: Duration,
    pub(crate) result: Result<DeliveryReply, CallError>,
}

impl Engine {
    /// Starts a call beside this task.
    pub(super) fn call(&mut self, partition: Partition, draft: BatchDraft, now: Instant) {
        let Some(assigned) = self.partitions.get(&partition) else { return };
        let (epoch, delivered_to) = (assigned.epoch, assigned.progress.delivered_to());
        self.breaker.called();
        self.rate_limiter.called(now);
        self.stalls.called(now);
        let connector = Arc::clone(&self.spec.connector);
        let BatchDraft { shares, records } = draft;
        let batch = DeliveryBatch { partition, delivered_to, records };
        let calling = async move {
            let started = wall_clock();
            let begun = Instant::now();
            let result = connector.deliver(&batch).await;
            let elapsed = begun.elapsed();
            let records = batch.records;
            let called =
                CompletedCall { partition, epoch, shares, records, started, elapsed, result };
            JobOutput::Call(Box::new(called))
        };
        let handle = self.jobs.spawn(calling.in_current_span());
        self.calls.insert(handle.id(), (partition, handle));
    }
}

pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Returns what the wall clock shows at another moment than now.
pub(super) fn wall_clock_at(at: Instant, now: Instant) -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let shown = wall_clock().micros / 1_000;
    let ahead = millis(at.saturating_duration_since(now));
    let ago = millis(now.saturating_duration_since(at));
    Timestamp::from_millis(shown.saturating_add(ahead).saturating_sub(ago))
}
