//! Hands events to the lanes when they are due, in batches.
//!
//! The schedule is open: an event's due time does not move when the gateway is slow. A full queue
//! holds the feeder back, and what is late then is counted as late. Without a schedule the queues
//! alone set the pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::lane::{Batch, Item};
use super::shared::Shared;
use crate::source::Effect;
use crate::traffic::{Passage, Shipment, Traffic};

/// How long the feeder sleeps at most before it looks at its batches again.
const NAP: Duration = Duration::from_millis(1);

/// A batch is sent when its texts reach this size, whatever their number.
const FULL_BATCH_BYTES: usize = 900 * 1024;

/// The feeder's part of a lane: the batch that is filling, and the queue to the lane.
#[derive(Debug)]
struct Slot {
    batch: Batch,
    oldest_due: Duration,
    queue: Sender<Batch>,
}

/// Feeds the lanes.
pub(super) struct Feeder {
    pub(super) traffic: Traffic,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) begun: Instant,
    pub(super) scheduled: bool,
    pub(super) duration: Option<Duration>,
    pub(super) batch_events: usize,
    pub(super) linger: Duration,
}

/// What the feeder has counted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fed {
    pub(super) sent: u64,
    pub(super) copies: u64,
    pub(super) late: u64,
}

impl Feeder {
    /// Feeds until the traffic ends or the run is aborted; blocks, so it wants a thread of its own.
    pub(super) fn run(mut self, queues: Vec<Sender<Batch>>) -> (Fed, Traffic) {
        let mut slots: Vec<Slot> = queues
            .into_iter()
            .map(|queue| Slot { batch: Batch::default(), oldest_due: Duration::ZERO, queue })
            .collect();
        let (mut text, mut effects) = (Vec::new(), Vec::new());
        let mut fed = Fed::default();
        let mut winding_down = false;
        while !self.shared.is_aborted() {
            if !winding_down && self.is_over() {
                winding_down = true;
                self.traffic.source().wind_down();
            }
            text.clear();
            effects.clear();
            let Some(shipment) = self.traffic.next(&mut text, &mut effects) else { break };
            self.wait_until(shipment.planned.due, &mut slots);
            self.push(&shipment, &text, &effects, &mut slots);
            self.count(shipment.passage, &mut fed);
        }
        for slot in &mut slots {
            let due = self.begun.elapsed();
            self.send(slot, due);
        }
        (fed, self.traffic)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Relaxed) || self.duration.is_some_and(|most| self.begun.elapsed() >= most)
    }

    fn count(&self, passage: Passage, fed: &mut Fed) {
        self.shared.count_sent(passage == Passage::Copy);
        match passage {
            Passage::Copy => fed.copies += 1,
            Passage::Late => {
                fed.sent += 1;
                fed.late += 1;
            }
            Passage::Prompt => fed.sent += 1,
        }
    }

    /// Waits until an event is due, sending batches that have lingered long enough meanwhile.
    fn wait_until(&self, due: Duration, slots: &mut [Slot]) {
        if !self.scheduled {
            return;
        }
        loop {
            let now = self.begun.elapsed();
            let left = due.saturating_sub(now);
            if left.is_zero() || self.shared.is_aborted() {
                return;
            }
            for slot in slots.iter_mut() {
                let deadline = slot.oldest_due + self.linger;
                if !slot.batch.items.is_empty() && now >= deadline {
                    self.send(slot, deadline);
                }
            }
            std::thread::sleep(NAP.min(left));
        }
    }

    fn push(&self, shipment: &Shipment, text: &[u8], effects: &[Effect], slots: &mut [Slot]) {
        let Shipment { planned, passage } = *shipment;
        let lanes = slots.len();
        let slot = &mut slots[planned.terminal as usize % lanes];
        if slot.batch.items.is_empty() {
            slot.oldest_due = planned.due;
        }
        let batch = &mut slot.batch;
        batch.text.extend_from_slice(text);
        batch.text.push(b'\n');
        batch.effects.extend_from_slice(effects);
        let (text_end, effects_end) = (batch.text.len(), batch.effects.len());
        batch.items.push(Item { planned, passage, text_end, effects_end });
        if batch.items.len() >= self.batch_events || batch.text.len() >= FULL_BATCH_BYTES {
            self.send(slot, planned.due);
        }
    }

    /// Queues a slot's batch as due at a time of the run; waits while the queue is full.
    fn send(&self, slot: &mut Slot, due: Duration) {
        if slot.batch.items.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut slot.batch);
        batch.intended = self.scheduled.then(|| self.begun + due);
        if slot.queue.blocking_send(batch).is_err() {
            self.shared.abort(super::ClientError::LaneLost);
        }
    }
}
