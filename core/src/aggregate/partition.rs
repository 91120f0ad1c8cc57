//! What the aggregator holds of one partition: its stores, its checkpoint, and what is to be written.
//!
//! Everything here is a function of the log up to `next_offset`. It is made by [`super::restore`],
//! changed by [`super::fold`], written by [`super::flush`], and dropped whole when a transaction is
//! aborted or the partition goes to another member: there is no undo.

use serde::{Deserialize, Serialize};

use super::attendance::Attendances;
use super::days::part_of;
use super::index::Index;
use super::ledger::Pending;
use super::outputs::Outputs;
use super::released;
use super::settings::Rules;
use super::store::{Attended, Store, Terminal, key_hash};
use super::verdict::Totals;
use crate::log::{self, Offset};
use crate::text::{Date, check_id};
use crate::topics;

const DAY_MS: i64 = 86_400_000;
/// Bytes that a record of names and numbers takes beyond its names, at most.
const RECORD_BYTES: usize = 768;
/// The same of a day, its control totals and its terminals apart.
const DAY_BYTES: usize = 512;
/// Bytes that a terminal takes in the list of a day's terminals, at most.
const LISTED_BYTES: usize = 512;

/// How far a partition was folded and flushed. Its JSON is read by `verify` too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    #[serde(rename = "v")]
    pub(super) version: u8,
    /// UUID given to the partition's journal when it was first consumed.
    pub(super) generation: String,
    pub(super) flush: u64,
    /// Where the journal is read on.
    pub(super) next_offset: Offset,
    /// Partitions of every topic.
    pub(super) partitions: log::Partition,
    /// Latest append time seen.
    pub(super) clock_ms: i64,
    pub(super) window_seconds: u32,
    pub(super) totals: Totals,
}

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: log::Partition,
    pub(super) checkpoint: Checkpoint,
    /// Where the last flush ended.
    pub(super) flushed_to: Offset,
    pub(super) stores: Vec<Store>,
    by_key: Index,
    pub(super) outputs: Outputs,
    pub(super) rules: Rules,
    /// Store at which the next sweep begins, and the clock of the last one that was completed.
    pub(super) sweep_from: u32,
    pub(super) swept_ms: i64,
}

impl Partition {
    pub(super) fn new(number: log::Partition, checkpoint: Checkpoint, rules: Rules) -> Self {
        Self {
            number,
            flushed_to: checkpoint.next_offset,
            swept_ms: checkpoint.clock_ms,
            checkpoint,
            stores: Vec::new(),
            by_key: Index::new(),
            outputs: Outputs::new(number),
            rules,
            sweep_from: 0,
        }
    }

    /// The date of the partition's clock, UTC.
    pub(super) fn today(&self) -> Date {
        let days = self.checkpoint.clock_ms.div_euclid(DAY_MS);
        Date(i32::try_from(days).unwrap_or(i32::MAX / 2))
    }

    /// Finds the store of a record by its key, or adds it. `None` if the key is not that of this
    /// tenant and store.
    pub(super) fn store(&mut self, key: &[u8], tenant: &str, name: &str) -> Option<u32> {
        let stores = &self.stores;
        let found = self.by_key.find(key_hash(key), |slot| stores[slot as usize].key == key);
        if let Some(slot) = found {
            let store = &self.stores[slot as usize];
            return (&*store.tenant == tenant && &*store.name == name).then_some(slot);
        }
        let is_right = topics::key(&[tenant, name]).as_bytes() == key
            && check_id(tenant).is_ok()
            && check_id(name).is_ok();
        is_right.then(|| self.add_store(tenant, name))
    }

    fn add_store(&mut self, tenant: &str, name: &str) -> u32 {
        let store = Store::new(tenant, name);
        let next = u32::try_from(self.stores.len()).unwrap_or(u32::MAX - 1);
        self.by_key.find_or_enter(key_hash(&store.key), next, |_| false);
        self.stores.push(store);
        next
    }

    /// Has a terminal written at the next flush.
    pub(super) fn mark_terminal(&mut self, store: u32, terminal: u32) {
        let entry = &mut self.stores[store as usize].terminals[terminal as usize];
        if !std::mem::replace(&mut entry.changed, true) {
            let bytes = RECORD_BYTES + 3 * entry.key.len() + entry.ledger.written_bytes();
            self.outputs.weight.add(2, 2 * bytes);
            self.outputs.terminals.push((store, terminal));
        }
    }

    /// Has a terminal written whose ledger changed; `before` is what was to be written of that before.
    pub(super) fn mark_ledger(&mut self, store: u32, terminal: u32, before: Pending) {
        let entry = &self.stores[store as usize].terminals[terminal as usize];
        let after = entry.ledger.pending();
        let blocks = after.blocks.saturating_sub(before.blocks);
        let bytes = after.bytes.saturating_sub(before.bytes);
        self.outputs.weight.add(blocks, bytes + blocks * (32 + entry.key.len()));
        self.mark_terminal(store, terminal);
    }

    /// Has a day written at the next flush.
    pub(super) fn mark_day(&mut self, store: u32, date: Date) {
        let owner = &mut self.stores[store as usize];
        let key_bytes = owner.key.len();
        let Some(day) = owner.days.get_mut(&date) else { return };
        if !std::mem::replace(&mut day.changed, true) {
            let listed = LISTED_BYTES * day.part(0).len();
            let bytes = DAY_BYTES + 3 * key_bytes + day.control.written_bytes() + listed;
            self.outputs.weight.add(2, 2 * bytes);
            self.outputs.days.push((store, date));
        }
    }

    /// Has the part of a day's terminals that an event changed written with the day, which is to be written anyway.
    pub(super) fn mark_part(&mut self, store: u32, date: Date, attended: Attended) {
        let owner = &mut self.stores[store as usize];
        let Some(day) = owner.days.get_mut(&date) else { return };
        if day.mark_part(attended.part) {
            let day = &owner.days[&date];
            let listed = owner.present(day.part(attended.part)).map(Terminal::listed_bytes);
            let bytes = DAY_BYTES + 3 * owner.key.len() + listed.sum::<usize>();
            self.outputs.weight.add(2, 2 * bytes);
        } else if attended.is_new {
            self.outputs.weight.add(0, 2 * LISTED_BYTES);
        }
    }

    /// Has the days written on which more or fewer of a terminal's numbers are missing now.
    pub(super) fn mark_days(
        &mut self,
        store: u32,
        terminal: u32,
        of: impl Fn(&Attendances) -> Vec<Date>,
    ) {
        let Some(entry) = self.stores[store as usize].terminals.get(terminal as usize) else {
            return;
        };
        for date in of(&entry.days) {
            let entry = &self.stores[store as usize].terminals[terminal as usize];
            let Some(place) = entry.days.on(date).map(|seen| seen.place) else { continue };
            self.mark_day(store, date);
            let attended = Attended { part: part_of(place), ..Attended::default() };
            self.mark_part(store, date, attended);
        }
    }

    /// Has a store's event ids and releases written at the next flush.
    pub(super) fn mark_store(&mut self, slot: u32) {
        let store = &mut self.stores[slot as usize];
        if !std::mem::replace(&mut store.changed, true) {
            let bytes = RECORD_BYTES + 24 * released::PART + 3 * store.key.len();
            self.outputs.weight.add(1, bytes);
            self.outputs.stores.push(slot);
        }
    }
}
