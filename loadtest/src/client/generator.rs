//! Generates batches ahead of time, so that the cost of generating events delays none of them.
//!
//! Due times alone decide when a batch is complete: it is full, or its oldest event has lingered. The
//! generator therefore never reads the clock while there is a schedule; it runs ahead of the
//! [pacer](super::pacer) as far as the queue between them allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::request_batch::{BatchItem, RequestBatch};
use super::shared::RunState;
use crate::source::StockEffect;
use crate::traffic::{Traffic, Transmission, TransmissionKind};

/// Events made ahead of their time at most, and batches at least.
const AHEAD_EVENTS: usize = 4_096;
const AHEAD_BATCHES: usize = 16;

/// A batch is sent when its texts reach this size, whatever their number.
const FULL_BATCH_BYTES: usize = 900 * 1024;

/// A batch that is ready to be sent when it is due.
#[derive(Debug)]
pub(super) struct ScheduledBatch {
    pub(super) connection: usize,
    pub(super) batch: RequestBatch,
}

/// Returns how many batches of a size may wait between generator and pacer.
pub(super) fn ahead(batch_events: usize) -> usize {
    (AHEAD_EVENTS / batch_events.max(1)).max(AHEAD_BATCHES)
}

/// Generates the batches.
pub(super) struct BatchGenerator {
    pub(super) traffic: Traffic,
    pub(super) shared: Arc<RunState>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) begun: Instant,
    pub(super) scheduled: bool,
    pub(super) duration: Option<Duration>,
    pub(super) batch_events: usize,
    pub(super) linger: Duration,
    pub(super) ready: Sender<ScheduledBatch>,
}

/// The totals of the generator.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct GeneratorTotals {
    pub(super) sent: u64,
    pub(super) copies: u64,
    pub(super) late: u64,
}

impl GeneratorTotals {
    fn count(&mut self, kind: TransmissionKind) {
        self.copies += u64::from(kind == TransmissionKind::Copy);
        self.sent += u64::from(kind != TransmissionKind::Copy);
        self.late += u64::from(kind == TransmissionKind::Late);
    }
}

impl BatchGenerator {
    /// Generates batches for a number of connections until the traffic ends or the run is aborted. Blocks,
    /// so it needs a thread of its own.
    pub(super) fn run(mut self, connections: usize) -> (GeneratorTotals, Traffic) {
        let mut pending = PendingBatches::new(connections, self.scheduled.then_some(self.linger));
        let (mut text, mut effects) = (Vec::new(), Vec::new());
        let (mut generated, mut last_due, mut winding_down) =
            (GeneratorTotals::default(), Duration::ZERO, false);
        while !self.shared.is_aborted() {
            if !winding_down && self.is_over(last_due) {
                winding_down = true;
                self.traffic.source().wind_down();
            }
            text.clear();
            effects.clear();
            let Some(transmission) = self.traffic.next(&mut text, &mut effects) else { break };
            last_due = transmission.planned.due;
            while let Some((connection, deadline)) = pending.lingered(last_due) {
                self.hand_over(&mut pending, connection, deadline);
            }
            let connection = pending.put(&transmission, &text, &effects);
            if pending.is_full(connection, self.batch_events) {
                self.hand_over(&mut pending, connection, last_due);
            }
            generated.count(transmission.kind);
        }
        for connection in 0..connections {
            self.hand_over(&mut pending, connection, last_due);
        }
        (generated, self.traffic)
    }

    /// Tells whether the day is over: by the schedule if there is one, otherwise by the clock.
    fn is_over(&self, due: Duration) -> bool {
        let passed = || if self.scheduled { due } else { self.begun.elapsed() };
        self.stop.load(Relaxed) || self.duration.is_some_and(|most| passed() >= most)
    }

    /// Queues a connection's batch with its due time; waits while the queue is full.
    fn hand_over(&self, pending: &mut PendingBatches, connection: usize, due: Duration) {
        let Some(mut batch) = pending.take(connection) else { return };
        batch.due = self.scheduled.then_some(due);
        if self.ready.blocking_send(ScheduledBatch { connection, batch }).is_err() {
            self.shared.abort(super::ClientError::ConnectionLost);
        }
    }
}

/// Incomplete batches, one for each connection.
#[derive(Debug)]
struct PendingBatches {
    slots: Vec<PendingBatch>,
    /// How long an event waits for others; `None` where nothing but a full batch goes.
    linger: Option<Duration>,
    /// Connections with an incomplete batch: the due time of its first event, and its number. In the
    /// order of due times; batches that are sent already are skipped.
    begun: VecDeque<(Duration, usize, u64)>,
}

#[derive(Debug, Default)]
struct PendingBatch {
    batch: RequestBatch,
    /// Earlier batches of this connection.
    number: u64,
}

impl PendingBatches {
    fn new(connections: usize, linger: Option<Duration>) -> Self {
        let slots = (0..connections).map(|_| PendingBatch::default()).collect();
        Self { slots, linger, begun: VecDeque::new() }
    }

    /// Adds an event to the batch of its terminal's connection, which it returns.
    fn put(&mut self, transmission: &Transmission, text: &[u8], effects: &[StockEffect]) -> usize {
        let Transmission { planned, kind } = *transmission;
        let connection = planned.terminal as usize % self.slots.len();
        let PendingBatch { batch, number } = &mut self.slots[connection];
        if batch.items.is_empty() && self.linger.is_some() {
            self.begun.push_back((planned.due, connection, *number));
        }
        batch.text.extend_from_slice(text);
        batch.text.push(b'\n');
        batch.effects.extend_from_slice(effects);
        let (text_end, effects_end) = (batch.text.len(), batch.effects.len());
        batch.items.push(BatchItem { planned, kind, text_end, effects_end });
        connection
    }

    fn is_full(&self, connection: usize, most_events: usize) -> bool {
        let batch = &self.slots[connection].batch;
        batch.items.len() >= most_events || batch.text.len() >= FULL_BATCH_BYTES
    }

    /// Returns the connection whose batch has lingered longest, if it has lingered too long at a time, and
    /// when the batch should have been sent.
    fn lingered(&mut self, by: Duration) -> Option<(usize, Duration)> {
        let linger = self.linger?;
        while let Some(&(first_due, connection, number)) = self.begun.front() {
            let deadline = first_due + linger;
            let is_gone = self.slots[connection].number != number;
            if !is_gone && deadline > by {
                return None;
            }
            self.begun.pop_front();
            if !is_gone {
                return Some((connection, deadline));
            }
        }
        None
    }

    /// Takes a connection's batch, if it is not empty, and starts another with the same capacity.
    fn take(&mut self, connection: usize) -> Option<RequestBatch> {
        let slot = &mut self.slots[connection];
        if slot.batch.items.is_empty() {
            return None;
        }
        slot.number += 1;
        let next = slot.batch.another();
        Some(std::mem::replace(&mut slot.batch, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{ExpectedOutcome, PlannedEvent};

    const MS: Duration = Duration::from_millis(1);
    const LINGER: Duration = Duration::from_millis(20);

    fn transmission(terminal: u32, due: Duration) -> Transmission {
        let expected = ExpectedOutcome::Accepted;
        let planned = PlannedEvent { due, terminal, sequence: 1, expected, held: false };
        Transmission { planned, kind: TransmissionKind::Prompt }
    }

    #[test]
    fn a_batch_goes_when_its_oldest_event_has_lingered() {
        let mut pending = PendingBatches::new(2, Some(LINGER));
        for (terminal, due) in [(0, 1), (1, 5), (2, 9)] {
            pending.put(&transmission(terminal, MS * due), b"{}", &[]);
        }
        assert_eq!(pending.lingered(MS * 20), None);
        assert_eq!(pending.lingered(MS * 40), Some((0, MS * 21)));
        let batch = pending.take(0).unwrap();
        assert_eq!((batch.items.len(), batch.text.as_slice()), (2, &b"{}\n{}\n"[..]));
        assert_eq!(pending.lingered(MS * 40), Some((1, MS * 25)));
    }

    #[test]
    fn a_batch_that_was_full_does_not_linger() {
        let mut pending = PendingBatches::new(1, Some(LINGER));
        pending.put(&transmission(0, MS), b"{}", &[]);
        pending.put(&transmission(0, MS * 2), b"{}", &[]);
        assert!(pending.is_full(0, 2) && !pending.is_full(0, 3));
        assert!(pending.take(0).is_some() && pending.take(0).is_none());
        pending.put(&transmission(0, MS * 10), b"{}", &[]);
        assert_eq!(pending.lingered(MS * 29), None, "the second batch began at 10 ms");
        assert_eq!(pending.lingered(MS * 30), Some((0, MS * 30)));
    }

    #[test]
    fn without_a_schedule_only_a_full_batch_goes_and_nothing_is_remembered_of_it() {
        let mut pending = PendingBatches::new(1, None);
        pending.put(&transmission(0, Duration::ZERO), b"{}", &[]);
        assert_eq!(pending.lingered(Duration::MAX), None);
        assert!(pending.is_full(0, 1) && pending.begun.is_empty());
    }

    #[test]
    fn few_batches_are_generated_ahead() {
        assert_eq!((ahead(1), ahead(100), ahead(1_000)), (4_096, 40, 16));
    }
}
