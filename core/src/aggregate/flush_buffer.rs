//! The buffer of what one partition writes at the next flush.
//!
//! Records that follow from one event (its copy on `pos.transactions`, quarantined events, counts) are in it finished; what
//! the flush sums up (deltas, days, ledgers, state) is in it as a list of changes. A running estimate, which is never too
//! low, says when a flush is due.

use std::collections::BTreeMap;

use bytes::Bytes;
use tillrace_log::{Offset, Partition, ProducerRecord, Topic};

use super::arena::RecordArena;
use super::days::ControlTotals;
use super::unreadable::LastUnreadable;
use super::windows::Windows;
use crate::text::Date;

/// Bytes of a record besides key and value.
const ROW_BYTES: usize = 64;

/// What one partition has to write since its last flush.
#[derive(Debug)]
pub(super) struct FlushBuffer {
    partition: Partition,
    pub(super) rows: Vec<ProducerRecord>,
    pub(super) windows: Windows,
    /// Terminals to write, as store and slot.
    pub(super) terminals: Vec<(u32, u32)>,
    pub(super) days: Vec<(u32, Date)>,
    /// Stores whose fiscal devices are to be written.
    pub(super) devices: Vec<u32>,
    /// Till balances to write.
    pub(super) balances: Vec<(u32, Date)>,
    /// Stores whose event ids or releases are to be written.
    pub(super) stores: Vec<u32>,
    pub(super) amendments: BTreeMap<(u32, Date), ControlTotals>,
    /// Offsets of events that this flush quarantines and that can be released.
    pub(super) quarantined: Vec<Offset>,
    /// The latest record that can not be read.
    pub(super) unreadable: Option<LastUnreadable>,
    pub(super) size: FlushSize,
    /// The text between the attributes of a first and its offset on `pos.transactions`.
    pub(super) verdict_text: String,
}

/// The size of a flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FlushSize {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl FlushSize {
    /// Tells whether a limit is reached.
    pub(super) fn reaches(self, limit: Self) -> bool {
        self.records >= limit.records || self.bytes >= limit.bytes
    }

    pub(super) fn add(&mut self, records: usize, bytes: usize) {
        self.records += records;
        self.bytes += bytes + records * ROW_BYTES;
    }
}

impl FlushBuffer {
    pub(super) fn new(partition: Partition) -> Self {
        Self {
            partition,
            rows: Vec::new(),
            windows: Windows::new(),
            terminals: Vec::new(),
            days: Vec::new(),
            devices: Vec::new(),
            balances: Vec::new(),
            stores: Vec::new(),
            amendments: BTreeMap::new(),
            quarantined: Vec::new(),
            unreadable: None,
            size: FlushSize::default(),
            verdict_text: format!(
                r#","verdict":"first","sourcepartition":{partition},"sourceoffset":"#
            ),
        }
    }

    /// Adds a finished record whose value is the concatenation of parts.
    pub(super) fn push(
        &mut self,
        arena: &mut RecordArena,
        topic: &Topic,
        key: &Bytes,
        parts: &[&[u8]],
    ) {
        let value = arena.write(parts);
        self.push_row(topic, key.clone(), Some(value));
    }

    /// Adds a finished record.
    pub(super) fn push_row(&mut self, topic: &Topic, key: Bytes, value: Option<Bytes>) {
        self.size.add(1, key.len() + value.as_ref().map_or(0, Bytes::len));
        let (topic, partition) = (topic.clone(), self.partition);
        self.rows.push(ProducerRecord { topic, partition, key, value });
    }

    /// Clears everything for the next flush; keeps the memory.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.windows.clear();
        self.terminals.clear();
        self.days.clear();
        self.devices.clear();
        self.balances.clear();
        self.stores.clear();
        self.amendments.clear();
        self.quarantined.clear();
        self.unreadable = None;
        self.size = FlushSize::default();
    }
}
