//! What one partition has to write at the next flush, gathered while folding.
//!
//! Records that follow one event (its copy on `pos.transactions`, what is kept aside, counts) stand
//! here finished; what is summed up over the flush (deltas, days, ledgers, state) stands as a list of
//! what changed. A running estimate, always on the high side, tells when a flush is due.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use serde::Serialize;

use super::days::Control;
use super::paper::Paper;
use super::unreadable::LastUnreadable;
use super::windows::Windows;
use crate::log::{Offset, Partition, Row, Topic};
use crate::text::Date;

/// What a record costs besides key and value.
const ROW_BYTES: usize = 64;

/// The outputs of one partition since its last flush.
#[derive(Debug)]
pub(super) struct Outputs {
    partition: Partition,
    pub(super) rows: Vec<Row>,
    pub(super) windows: Windows,
    /// Terminals to write, as store and slot.
    pub(super) terminals: Vec<(u32, u32)>,
    pub(super) days: Vec<(u32, Date)>,
    /// Stores whose ids or releases are to be written.
    pub(super) stores: Vec<u32>,
    pub(super) amendments: BTreeMap<(u32, Date), Control>,
    /// Offsets put on `pos.conflicts` that can be released.
    pub(super) kept: Vec<Offset>,
    /// The latest record that can not be read.
    pub(super) unreadable: Option<LastUnreadable>,
    pub(super) weight: Weight,
    /// What a first has between the envelope's attributes and its offset on `pos.transactions`.
    pub(super) settled: String,
}

/// How much there is to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Weight {
    /// Tells whether there is no room left.
    pub(super) fn fills(self, room: Self) -> bool {
        self.records >= room.records || self.bytes >= room.bytes
    }

    pub(super) fn add(&mut self, records: usize, bytes: usize) {
        self.records += records;
        self.bytes += bytes + records * ROW_BYTES;
    }
}

impl Outputs {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            rows: Vec::new(),
            windows: Windows::new(),
            terminals: Vec::new(),
            days: Vec::new(),
            stores: Vec::new(),
            amendments: BTreeMap::new(),
            kept: Vec::new(),
            unreadable: None,
            weight: Weight::default(),
            settled: format!(r#","verdict":"first","sourcepartition":{partition},"sourceoffset":"#),
        }
    }

    /// Adds a finished record whose value is these parts together.
    pub(super) fn push(&mut self, paper: &mut Paper, topic: &Topic, key: &Bytes, parts: &[&[u8]]) {
        let value = paper.write(parts);
        self.push_row(topic, key.clone(), Some(value));
    }

    /// Adds a finished record.
    pub(super) fn push_row(&mut self, topic: &Topic, key: Bytes, value: Option<Bytes>) {
        self.weight.add(1, key.len() + value.as_ref().map_or(0, Bytes::len));
        let (topic, partition) = (topic.clone(), self.partition);
        self.rows.push(Row { topic, partition, key, value });
    }

    /// Empties everything for the next flush; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.windows.clear();
        self.terminals.clear();
        self.days.clear();
        self.stores.clear();
        self.amendments.clear();
        self.kept.clear();
        self.unreadable = None;
        self.weight = Weight::default();
    }
}

/// Writes JSON. The records of this module have string keys and no failing parts.
pub(super) fn write_json(text: &mut impl BufMut, value: &impl Serialize) {
    let written = serde_json::to_writer(text.writer(), value);
    debug_assert!(written.is_ok(), "our records always serialise: {written:?}");
}
