//! One partition in memory: its stores, its checkpoint, and what it has to write.
//!
//! All of it is a function of the log up to `next_offset`. [`super::restore`] makes it, [`super::fold`] changes it,
//! [`super::flush`] writes it. The engine drops it whole when a transaction is aborted or the partition goes to another
//! member: there is no undo.

use serde::{Deserialize, Serialize};
use tillrace_log::Offset;

use super::completeness::NAMES;
use super::completeness_totals::CompletenessTotals;
use super::days::part_of;
use super::drawers::{BALANCE_BYTES, DayBalance};
use super::flush_buffer::FlushBuffer;
use super::ledger::PendingWrites;
use super::released_offsets;
use super::settings::FoldRules;
use super::slot_index::SlotIndex;
use super::store::{DayChange, Store, Terminal, key_hash};
use super::terminal_days::TerminalDays;
use super::verdict::VerdictTotals;
use crate::text::{Date, check_id};
use crate::topics;

pub(super) const DAY_MS: i64 = 86_400_000;
/// Bytes that a record of names and numbers takes beyond its names, at most.
const RECORD_BYTES: usize = 768;
/// The same of a day, its control totals and its terminals apart.
const DAY_BYTES: usize = 512;
/// Bytes that a terminal takes in the list of a day's terminals, at most.
const LISTED_BYTES: usize = 768;
/// Bytes of what a register says of a day, besides the terminals that took part, at most.
const REGISTER_BYTES: usize = 512 + NAMES * LISTED_NAME_BYTES;
const LISTED_NAME_BYTES: usize = 132;

/// How far a partition was folded and flushed. Its JSON is read by `verify` too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    #[serde(rename = "v")]
    pub(super) version: u8,
    /// UUID given to the partition's journal when it was first consumed.
    pub(super) generation: String,
    pub(super) flush: u64,
    /// The next offset of the journal.
    pub(super) next_offset: Offset,
    /// Partitions of every topic.
    pub(super) partitions: tillrace_log::Partition,
    /// Latest append time seen.
    pub(super) clock_ms: i64,
    pub(super) window_seconds: u32,
    pub(super) totals: VerdictTotals,
    /// The clock at which the last complete sweep began; by it each silent day that was over has a record. `None` while a register
    /// that came since has not been swept for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) silent_days_until_ms: Option<i64>,
}

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: tillrace_log::Partition,
    pub(super) checkpoint: Checkpoint,
    /// Where the last flush ended.
    pub(super) flushed_to: Offset,
    pub(super) stores: Vec<Store>,
    by_key: SlotIndex,
    pub(super) buffer: FlushBuffer,
    pub(super) rules: FoldRules,
    /// Store at which the next sweep begins, and the clock of the last one that was completed.
    pub(super) sweep_from: u32,
    pub(super) swept_ms: i64,
    /// The clock at which the sweep that is under way began.
    pub(super) sweeping_since_ms: i64,
    /// The next flush begins a sweep, however lately there was one: after a restore, and when a register came into force.
    pub(super) is_sweep_due: bool,
    pub(super) is_sweep_under_way: bool,
    /// The clock by which silent days are made is to be written, though there may be nothing else.
    pub(super) is_checkpoint_due: bool,
    /// The last record was a tick, or is not known since the restore: behind it may stand the marker of its transaction, which is
    /// no record and never read.
    pub(super) ends_with_tick: bool,
    /// What its days lack.
    pub(super) completeness: CompletenessTotals,
}

impl Partition {
    pub(super) fn new(
        number: tillrace_log::Partition,
        checkpoint: Checkpoint,
        rules: FoldRules,
    ) -> Self {
        Self {
            number,
            flushed_to: checkpoint.next_offset,
            swept_ms: checkpoint.clock_ms,
            sweeping_since_ms: checkpoint.clock_ms,
            checkpoint,
            stores: Vec::new(),
            by_key: SlotIndex::default(),
            buffer: FlushBuffer::new(number),
            rules,
            sweep_from: 0,
            is_sweep_due: true,
            is_sweep_under_way: false,
            is_checkpoint_due: false,
            ends_with_tick: true,
            completeness: CompletenessTotals::default(),
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
        self.by_key.find_or_insert(key_hash(&store.key), next, |_| false);
        self.stores.push(store);
        next
    }

    /// Marks a terminal for the next flush.
    pub(super) fn mark_terminal(&mut self, store: u32, terminal: u32) {
        let entry = &mut self.stores[store as usize].terminals[terminal as usize];
        if !std::mem::replace(&mut entry.changed, true) {
            let bytes = RECORD_BYTES + 3 * entry.key.len() + entry.ledger.written_bytes();
            self.buffer.size.add(2, 2 * bytes);
            self.buffer.terminals.push((store, terminal));
        }
    }

    /// Marks a terminal whose ledger changed; `before` is what the next flush would have written of that.
    pub(super) fn mark_ledger(&mut self, store: u32, terminal: u32, before: PendingWrites) {
        let entry = &self.stores[store as usize].terminals[terminal as usize];
        let after = entry.ledger.pending();
        let blocks = after.blocks.saturating_sub(before.blocks);
        let bytes = after.bytes.saturating_sub(before.bytes);
        self.buffer.size.add(blocks, bytes + blocks * (32 + entry.key.len()));
        self.mark_terminal(store, terminal);
    }

    /// Marks a day for the next flush.
    pub(super) fn mark_day(&mut self, store: u32, date: Date) {
        let owner = &mut self.stores[store as usize];
        let key_bytes = owner.key.len();
        let Some(day) = owner.days.get_mut(&date) else { return };
        if !std::mem::replace(&mut day.changed, true) {
            let listed = LISTED_BYTES * day.part(0).len();
            let register = if owner.registers.since().is_some() { REGISTER_BYTES } else { 0 };
            let bytes = DAY_BYTES
                + 3 * key_bytes
                + day.control.written_bytes()
                + day.currencies.written_bytes()
                + listed
                + register;
            let balance =
                owner.balances.get(&date).map_or(BALANCE_BYTES, DayBalance::written_bytes);
            self.buffer.size.add(2, 2 * bytes + balance);
            self.buffer.days.push((store, date));
        }
    }

    /// Marks a day of which a register says something else now.
    pub(super) fn mark_restated_day(&mut self, store: u32, date: Date) {
        self.mark_day(store, date);
        self.buffer.size.add(0, 2 * REGISTER_BYTES);
    }

    /// Marks the part of a day's terminals that an event changed; the day itself is marked already.
    pub(super) fn mark_part(&mut self, store: u32, date: Date, change: DayChange) {
        let owner = &mut self.stores[store as usize];
        let Some(day) = owner.days.get_mut(&date) else { return };
        if day.mark_part(change.part) {
            let day = &owner.days[&date];
            let listed = owner.present(day.part(change.part)).map(Terminal::listed_bytes);
            let bytes = DAY_BYTES + 3 * owner.key.len() + listed.sum::<usize>();
            self.buffer.size.add(2, 2 * bytes);
        } else if change.is_new {
            self.buffer.size.add(0, 2 * LISTED_BYTES);
        }
    }

    /// Marks the days on which more or fewer of a terminal's numbers are missing now.
    pub(super) fn mark_days(
        &mut self,
        store: u32,
        terminal: u32,
        of: impl Fn(&TerminalDays) -> Vec<Date>,
    ) {
        let Some(entry) = self.stores[store as usize].terminals.get(terminal as usize) else {
            return;
        };
        for date in of(&entry.days) {
            let entry = &self.stores[store as usize].terminals[terminal as usize];
            let Some(index) = entry.days.on(date).map(|seen| seen.index) else { continue };
            self.mark_day(store, date);
            let change = DayChange { part: part_of(index), ..DayChange::default() };
            self.mark_part(store, date, change);
        }
    }

    /// Marks a store's event ids and releases for the next flush.
    pub(super) fn mark_store(&mut self, slot: u32) {
        let store = &mut self.stores[slot as usize];
        if !std::mem::replace(&mut store.changed, true) {
            let bytes = RECORD_BYTES + 24 * released_offsets::PART + 3 * store.key.len();
            self.buffer.size.add(1, bytes);
            self.buffer.stores.push(slot);
        }
    }
}
