//! The state of a parked event.

use serde::{Deserialize, Serialize};
use tillrace_log::Offset;

use super::VERSION;
use crate::aggregate::parked_events::ParkedEvent;

/// An unsettled parked event; its key has its name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ParkedState {
    pub(super) v: u8,
    pub(super) offset: Offset,
    pub(super) number: Option<u64>,
    pub(super) date: Option<i32>,
}

/// The record of an unsettled parked event.
pub(in crate::aggregate) fn parked_value(offset: Offset, event: &ParkedEvent) -> impl Serialize {
    let date = event.date.map(|date| date.0);
    ParkedState { v: VERSION, offset, number: event.number, date }
}
