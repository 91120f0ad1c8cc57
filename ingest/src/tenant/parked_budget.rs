//! The memory that a tenant's parked events may take until they are durable.
//!
//! A release of a till's software may park every event for a day. Live trade goes on beside it: parked events in flight are
//! bounded by themselves, and those above the bound are sent again later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a tenant's parked events in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParkedBudget(Arc<AtomicU64>);

/// The reservation of one parked event; released when dropped.
#[derive(Debug)]
pub(crate) struct ParkedPermit {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl ParkedBudget {
    /// Reserves the bytes of an event; `None` above the limit. Relaxed ordering is enough: the counter guards no other memory.
    pub(crate) fn reserve(&self, bytes: usize, limit: u64) -> Option<ParkedPermit> {
        let bytes = bytes as u64;
        let reserved = |held: u64| held.checked_add(bytes).filter(|held| *held <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserved).ok()?;
        Some(ParkedPermit { held: Arc::clone(&self.0), bytes })
    }
}

impl Drop for ParkedPermit {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_reserved_again() {
        let budget = ParkedBudget::default();
        let (first, second) = (budget.reserve(6, 10), budget.reserve(4, 10));
        assert!(first.is_some() && second.is_some() && budget.reserve(1, 10).is_none());
        drop(first);
        assert!(budget.reserve(7, 10).is_none() && budget.reserve(6, 10).is_some());
    }
}
