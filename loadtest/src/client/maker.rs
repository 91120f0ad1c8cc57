//! Makes batches ahead of time, so that what it costs to write events delays none of them.
//!
//! When a batch is closed depends on due times alone: it is full, or its oldest event has lingered.
//! The maker therefore never looks at the clock while there is a schedule; it runs ahead of the
//! [pacer](super::pacer) as far as the queue between them allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::lane::{Batch, Item};
use super::shared::Shared;
use crate::source::Effect;
use crate::traffic::{Passage, Shipment, Traffic};

/// Events made ahead of their time at most, and batches at least.
const AHEAD_EVENTS: usize = 4_096;
const AHEAD_BATCHES: usize = 16;

/// A batch is sent when its texts reach this size, whatever their number.
const FULL_BATCH_BYTES: usize = 900 * 1024;

/// A batch that is ready to be sent when it is due.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) lane: usize,
    pub(super) batch: Batch,
}

/// Returns how many batches of a size may wait between maker and pacer.
pub(super) fn ahead(batch_events: usize) -> usize {
    (AHEAD_EVENTS / batch_events.max(1)).max(AHEAD_BATCHES)
}

/// Makes the batches.
pub(super) struct Maker {
    pub(super) traffic: Traffic,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) begun: Instant,
    pub(super) scheduled: bool,
    pub(super) duration: Option<Duration>,
    pub(super) batch_events: usize,
    pub(super) linger: Duration,
    pub(super) ready: Sender<Prepared>,
}

/// What the maker has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) sent: u64,
    pub(super) copies: u64,
    pub(super) late: u64,
}

impl Made {
    fn count(&mut self, passage: Passage) {
        self.copies += u64::from(passage == Passage::Copy);
        self.sent += u64::from(passage != Passage::Copy);
        self.late += u64::from(passage == Passage::Late);
    }
}

impl Maker {
    /// Makes batches for so many lanes until the traffic ends or the run is aborted; blocks, so it
    /// wants a thread of its own.
    pub(super) fn run(mut self, lanes: usize) -> (Made, Traffic) {
        let mut filling = Filling::new(lanes, self.scheduled.then_some(self.linger));
        let (mut text, mut effects) = (Vec::new(), Vec::new());
        let (mut made, mut last_due, mut winding_down) = (Made::default(), Duration::ZERO, false);
        while !self.shared.is_aborted() {
            if !winding_down && self.is_over(last_due) {
                winding_down = true;
                self.traffic.source().wind_down();
            }
            text.clear();
            effects.clear();
            let Some(shipment) = self.traffic.next(&mut text, &mut effects) else { break };
            last_due = shipment.planned.due;
            while let Some((lane, deadline)) = filling.lingered(last_due) {
                self.hand_over(&mut filling, lane, deadline);
            }
            let lane = filling.put(&shipment, &text, &effects);
            if filling.is_full(lane, self.batch_events) {
                self.hand_over(&mut filling, lane, last_due);
            }
            made.count(shipment.passage);
        }
        for lane in 0..lanes {
            self.hand_over(&mut filling, lane, last_due);
        }
        (made, self.traffic)
    }

    /// Says whether the day is over: by the schedule where there is one, else by the clock.
    fn is_over(&self, due: Duration) -> bool {
        let passed = || if self.scheduled { due } else { self.begun.elapsed() };
        self.stop.load(Relaxed) || self.duration.is_some_and(|most| passed() >= most)
    }

    /// Queues a lane's batch as due at a time of the run; waits while the queue is full.
    fn hand_over(&self, filling: &mut Filling, lane: usize, due: Duration) {
        let Some(mut batch) = filling.take(lane) else { return };
        batch.due = self.scheduled.then_some(due);
        if self.ready.blocking_send(Prepared { lane, batch }).is_err() {
            self.shared.abort(super::ClientError::LaneLost);
        }
    }
}

/// The batches being filled, one for each lane.
#[derive(Debug)]
struct Filling {
    slots: Vec<Slot>,
    /// How long an event waits for others; `None` where nothing but a full batch goes.
    linger: Option<Duration>,
    /// Lanes whose batch has begun: when its first event was due, and which batch it was. In the
    /// order of those times; a batch that is gone is passed over.
    begun: VecDeque<(Duration, usize, u64)>,
}

#[derive(Debug, Default)]
struct Slot {
    batch: Batch,
    /// Batches of this lane before this one.
    number: u64,
}

impl Filling {
    fn new(lanes: usize, linger: Option<Duration>) -> Self {
        let slots = (0..lanes).map(|_| Slot::default()).collect();
        Self { slots, linger, begun: VecDeque::new() }
    }

    /// Adds an event to the batch of its terminal's lane, which it returns.
    fn put(&mut self, shipment: &Shipment, text: &[u8], effects: &[Effect]) -> usize {
        let Shipment { planned, passage } = *shipment;
        let lane = planned.terminal as usize % self.slots.len();
        let Slot { batch, number } = &mut self.slots[lane];
        if batch.items.is_empty() && self.linger.is_some() {
            self.begun.push_back((planned.due, lane, *number));
        }
        batch.text.extend_from_slice(text);
        batch.text.push(b'\n');
        batch.effects.extend_from_slice(effects);
        let (text_end, effects_end) = (batch.text.len(), batch.effects.len());
        batch.items.push(Item { planned, passage, text_end, effects_end });
        lane
    }

    fn is_full(&self, lane: usize, most_events: usize) -> bool {
        let batch = &self.slots[lane].batch;
        batch.items.len() >= most_events || batch.text.len() >= FULL_BATCH_BYTES
    }

    /// Returns the lane whose batch has lingered longest, if one has lingered too long by a time,
    /// and when it should have gone.
    fn lingered(&mut self, by: Duration) -> Option<(usize, Duration)> {
        let linger = self.linger?;
        while let Some(&(first_due, lane, number)) = self.begun.front() {
            let deadline = first_due + linger;
            let is_gone = self.slots[lane].number != number;
            if !is_gone && deadline > by {
                return None;
            }
            self.begun.pop_front();
            if !is_gone {
                return Some((lane, deadline));
            }
        }
        None
    }

    /// Takes a lane's batch, if it holds anything, and begins another with room for as much.
    fn take(&mut self, lane: usize) -> Option<Batch> {
        let slot = &mut self.slots[lane];
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
    use crate::source::{Expected, Planned};

    const MS: Duration = Duration::from_millis(1);
    const LINGER: Duration = Duration::from_millis(20);

    fn shipment(terminal: u32, due: Duration) -> Shipment {
        let expected = Expected::Accepted;
        let planned = Planned { due, terminal, sequence: 1, expected, held: false };
        Shipment { planned, passage: Passage::Prompt }
    }

    #[test]
    fn a_batch_goes_when_its_oldest_event_has_lingered() {
        let mut filling = Filling::new(2, Some(LINGER));
        for (terminal, due) in [(0, 1), (1, 5), (2, 9)] {
            filling.put(&shipment(terminal, MS * due), b"{}", &[]);
        }
        assert_eq!(filling.lingered(MS * 20), None);
        assert_eq!(filling.lingered(MS * 40), Some((0, MS * 21)));
        let batch = filling.take(0).unwrap();
        assert_eq!((batch.items.len(), batch.text.as_slice()), (2, &b"{}\n{}\n"[..]));
        assert_eq!(filling.lingered(MS * 40), Some((1, MS * 25)));
    }

    #[test]
    fn a_batch_that_was_full_does_not_linger() {
        let mut filling = Filling::new(1, Some(LINGER));
        filling.put(&shipment(0, MS), b"{}", &[]);
        filling.put(&shipment(0, MS * 2), b"{}", &[]);
        assert!(filling.is_full(0, 2) && !filling.is_full(0, 3));
        assert!(filling.take(0).is_some() && filling.take(0).is_none());
        filling.put(&shipment(0, MS * 10), b"{}", &[]);
        assert_eq!(filling.lingered(MS * 29), None, "the second batch began at 10 ms");
        assert_eq!(filling.lingered(MS * 30), Some((0, MS * 30)));
    }

    #[test]
    fn without_a_schedule_only_a_full_batch_goes_and_nothing_is_remembered_of_it() {
        let mut filling = Filling::new(1, None);
        filling.put(&shipment(0, Duration::ZERO), b"{}", &[]);
        assert_eq!(filling.lingered(Duration::MAX), None);
        assert!(filling.is_full(0, 1) && filling.begun.is_empty());
    }

    #[test]
    fn little_is_made_ahead() {
        assert_eq!((ahead(1), ahead(100), ahead(1_000)), (4_096, 40, 16));
    }
}
