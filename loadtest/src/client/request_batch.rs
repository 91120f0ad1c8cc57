//! The events of one request: their texts, what becomes of them, and when they are due.

use std::time::Duration;

use crate::source::{PlannedEvent, StockEffect};
use crate::traffic::TransmissionKind;

/// Events to send in one request.
#[derive(Debug, Default)]
pub(super) struct RequestBatch {
    /// Their texts, a line end after each.
    pub(super) text: Vec<u8>,
    pub(super) items: Vec<BatchItem>,
    pub(super) effects: Vec<StockEffect>,
    /// When to send it, from the start of the run; `None` where there is no schedule.
    pub(super) due: Option<Duration>,
}

/// One event of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchItem {
    pub(super) planned: PlannedEvent,
    pub(super) kind: TransmissionKind,
    /// Where its text ends, line end included.
    pub(super) text_end: usize,
    /// Where its effects end.
    pub(super) effects_end: usize,
}

impl RequestBatch {
    /// Begins another batch with room for as much as this one holds, and a little more.
    pub(super) fn another(&self) -> Self {
        let room = |length: usize| length + length / 8;
        Self {
            text: Vec::with_capacity(room(self.text.len())),
            items: Vec::with_capacity(self.items.len()),
            effects: Vec::with_capacity(room(self.effects.len())),
            due: None,
        }
    }

    pub(super) fn text_start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.items[before].text_end)
    }

    pub(super) fn effects_of(&self, index: usize) -> &[StockEffect] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].effects_end);
        &self.effects[start..self.items[index].effects_end]
    }

    /// The text of one event without its line end.
    pub(super) fn text_of<'a>(&self, body: &'a [u8], index: usize) -> &'a [u8] {
        &body[self.text_start(index)..self.items[index].text_end - 1]
    }
}
