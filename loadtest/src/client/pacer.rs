//! Hands batches to the lanes when they are due.
//!
//! The schedule is open: a due time does not move when the gateway is slow. A full queue holds the
//! pacer back, and what is late then is counted as late. Without a schedule the queues alone set the
//! pace.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::lane::Batch;
use super::maker::Prepared;
use super::shared::Shared;

/// How long the pacer sleeps at most before it looks whether the run was aborted.
const NAP: Duration = Duration::from_millis(100);

/// Paces the lanes.
pub(super) struct Pacer {
    pub(super) shared: Arc<Shared>,
    pub(super) begun: Instant,
    pub(super) lanes: Vec<Sender<Batch>>,
}

impl Pacer {
    /// Hands over all batches, at once after an abort; blocks, so it wants a thread of its own.
    pub(super) fn run(self, mut ready: Receiver<Prepared>) {
        while let Some(Prepared { lane, batch }) = ready.blocking_recv() {
            if let Some(due) = batch.due {
                self.wait_until(due);
            }
            self.shared.count_sent(&batch);
            if self.lanes[lane].blocking_send(batch).is_err() {
                self.shared.abort(super::ClientError::LaneLost);
            }
        }
    }

    fn wait_until(&self, due: Duration) {
        loop {
            let left = due.saturating_sub(self.begun.elapsed());
            if left.is_zero() || self.shared.is_aborted() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
