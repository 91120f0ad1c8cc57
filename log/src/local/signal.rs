//! A signal that wakes those who wait for news of a topic.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Counts what happened; waiters sleep until the count moves.
#[derive(Debug, Default)]
pub(super) struct Signal {
    count: Mutex<u64>,
    moved: Condvar,
}

impl Signal {
    /// Tells that something happened.
    pub(super) fn notify(&self) {
        *self.count.lock() += 1;
        self.moved.notify_all();
    }

    /// The count before looking; news that come after it end the wait at once.
    pub(super) fn count(&self) -> u64 {
        *self.count.lock()
    }

    /// Waits until the count is no longer `seen`; tells whether it moved before the deadline.
    pub(super) fn wait(&self, seen: u64, deadline: Instant) -> bool {
        let mut count = self.count.lock();
        while *count == seen {
            if self.moved.wait_until(&mut count, deadline).timed_out() {
                return *count != seen;
            }
        }
        true
    }
}
