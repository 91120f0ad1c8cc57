//! What a call says of the back end's capacity: how many calls at once, and how large a batch.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::conditions::BATCHES_SHRUNK;
use crate::connector::{CallError, DeliveryReply};
use crate::record::Record;

impl Engine {
    /// Tells the limit of calls under way how the backend took a call.
    pub(super) fn adapt(
        &mut self,
        result: &Result<DeliveryReply, CallError>,
        elapsed: Duration,
        under_way: usize,
        now: Instant,
    ) {
        match result {
            Ok(_) | Err(CallError::Refused { .. } | CallError::Busy { .. }) => {
                self.concurrency.answered(now, elapsed, under_way);
            }
            Err(CallError::Unavailable { .. } | CallError::Throttled { .. }) => {
                self.concurrency.congested(now, elapsed);
            }
            Err(CallError::Stop { .. }) => {}
        }
    }

    /// Halves the size of batches after the backend said that one was too large (413), until the next start.
    pub(super) fn shrink_batches(&mut self, records: &[Record]) {
        let bytes: usize = records.iter().map(Record::bytes).sum();
        if records.len() > 1 && bytes / 2 < self.limits.bytes {
            self.limits.bytes = (bytes / 2).max(1);
            let (sink, max_bytes) = (&self.spec.name, self.limits.bytes);
            tracing::warn!(
                code = BATCHES_SHRUNK.code,
                sink,
                max_bytes,
                "backend says that a batch is too large, sending smaller ones"
            );
        }
    }
}
