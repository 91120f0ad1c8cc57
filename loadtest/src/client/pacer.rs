//! Hands batches to their connections when they are due.
//!
//! The loop is open: a due time does not move when the gateway is slow. A full queue blocks the pacer,
//! and batches that are late then count as late. Without a schedule, only the queues limit the rate.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::generator::ScheduledBatch;
use super::request_batch::RequestBatch;
use super::shared::RunState;

/// Longest sleep of the pacer before it checks whether the run was aborted.
const MAX_SLEEP: Duration = Duration::from_millis(100);

/// Paces the connections.
pub(super) struct Pacer {
    pub(super) shared: Arc<RunState>,
    pub(super) begun: Instant,
    pub(super) connections: Vec<Sender<RequestBatch>>,
}

impl Pacer {
    /// Hands over all batches, at once after an abort. Blocks, so it needs a thread of its own.
    pub(super) fn run(self, mut ready: Receiver<ScheduledBatch>) {
        while let Some(ScheduledBatch { connection, batch }) = ready.blocking_recv() {
            if let Some(due) = batch.due {
                self.wait_until(due);
            }
            self.shared.count_sent(&batch);
            if self.connections[connection].blocking_send(batch).is_err() {
                self.shared.abort(super::ClientError::ConnectionLost);
            }
        }
    }

    fn wait_until(&self, due: Duration) {
        loop {
            let left = due.saturating_sub(self.begun.elapsed());
            if left.is_zero() || self.shared.is_aborted() {
                return;
            }
            std::thread::sleep(left.min(MAX_SLEEP));
        }
    }
}
