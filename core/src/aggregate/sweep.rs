//! The sweep: what only time changes, looked at now and then, and written with the next flush.
//!
//! Days that are over or to be sealed, days on which nobody spoke ([`super::silent_days`]), expired hashes, ids and epochs. A sweep
//! goes through some stores after each flush. No total depends on when it runs.

use bytes::BytesMut;

use super::arena::RecordArena;
use super::completeness_totals::DayCompleteness;
use super::day_records;
use super::days::{DayStatus, DaySummary, is_sealed};
use super::flush_buffer::FlushSize;
use super::partition::Partition;
use super::state;
use crate::text::Date;
use crate::topics::Topics;

/// How often the sweep goes through the parts that only time changes, by the partition's clock.
const SWEEP_EVERY_MS: i64 = 3_600_000;
/// Most that may pass by that clock before a sweep: less than a day stays unsealed.
const LONGEST_UNSWEPT_MS: i64 = 20 * 24 * SWEEP_EVERY_MS;
/// Stores that one sweep visits, and records it may write; the rest waits for the next flush.
const SWEEP_STORES: usize = 256;
const SWEEP_RECORDS: usize = 2_000;

impl Partition {
    /// Sweeps the parts that only time changes, a bounded number after each flush: days that are over or to be sealed, expired
    /// hashes, ids and epochs. The next flush writes the result. No total depends on when this runs.
    pub(super) fn sweep(&mut self, topics: &Topics, arena: &mut RecordArena, limit: FlushSize) {
        let clock_ms = self.checkpoint.clock_ms;
        let is_recent = clock_ms.saturating_sub(self.swept_ms) < SWEEP_EVERY_MS;
        if !self.is_sweep_under_way {
            if is_recent && !self.is_sweep_due {
                return;
            }
            self.is_sweep_under_way = true;
            self.is_sweep_due = false;
            self.sweeping_since_ms = clock_ms;
        }
        let Ok(stores) = u32::try_from(self.stores.len()) else { return };
        let limit = FlushSize { records: limit.records.min(SWEEP_RECORDS), ..limit };
        for _ in 0..SWEEP_STORES {
            if self.sweep_from >= stores {
                break;
            }
            // A store with more changes than the limit continues after the next flush.
            if !self.sweep_store(self.sweep_from, limit, topics, arena) {
                return;
            }
            self.sweep_from += 1;
        }
        if self.sweep_from < stores {
            return;
        }
        self.sweep_from = 0;
        self.swept_ms = clock_ms;
        self.is_sweep_under_way = false;
        if !self.is_sweep_due {
            self.note_silent_days();
        }
    }

    /// Tells whether a sweep has to go on, though nothing may come to be flushed.
    pub(super) fn is_sweeping(&self) -> bool {
        self.is_sweep_under_way || self.is_sweep_due
    }

    /// Tells whether so many days were folded in since the last sweep that some would be sealed before one has seen them.
    pub(super) fn is_long_unswept(&self) -> bool {
        self.swept_ms > 0
            && self.checkpoint.clock_ms.saturating_sub(self.swept_ms) >= LONGEST_UNSWEPT_MS
    }

    /// Sweeps one store; returns false if the limit was reached before its end.
    fn sweep_store(
        &mut self,
        slot: u32,
        limit: FlushSize,
        topics: &Topics,
        arena: &mut RecordArena,
    ) -> bool {
        if !self.make_silent_days(slot, limit) {
            return false;
        }
        let today = self.today();
        self.sum_up_days(slot);
        let days = self.stores[slot as usize].days.iter();
        let due: Vec<(Date, bool)> = days
            .filter(|(date, day)| day.is_overdue(**date, today))
            .map(|(&date, _)| (date, is_sealed(date, today)))
            .collect();
        for (date, sealed) in due {
            if self.buffer.size.reaches(limit) {
                return false;
            }
            if sealed {
                self.seal(slot, date, topics, arena);
            } else {
                self.mark_day(slot, date);
            }
        }
        if !self.retire(slot, today, limit, topics) {
            return false;
        }
        let (clock_ms, horizon_ms) = (self.checkpoint.clock_ms, self.rules.conflict_horizon_ms);
        for terminal in 0..self.stores[slot as usize].terminals.len() {
            if self.buffer.size.reaches(limit) {
                return false;
            }
            let most = limit.records - self.buffer.size.records;
            let hashes = &mut self.stores[slot as usize].terminals[terminal].ledger.hashes;
            let gone = hashes.expire(clock_ms, horizon_ms, most);
            if gone > 0 {
                let key_bytes = self.stores[slot as usize].terminals[terminal].key.len();
                self.buffer.size.add(gone, gone * (32 + key_bytes));
                self.mark_terminal(slot, u32::try_from(terminal).unwrap_or(u32::MAX));
            }
        }
        let keep_ms = self.rules.event_ids_kept_ms();
        let store = &mut self.stores[slot as usize];
        let gone =
            store.ids.expire(clock_ms, keep_ms) + store.parked.settled.expire(clock_ms, horizon_ms);
        if gone > 0 {
            let key_bytes = self.stores[slot as usize].key.len();
            self.buffer.size.add(gone, gone * (32 + key_bytes));
            self.mark_store(slot);
        }
        true
    }

    /// Writes a day for the last time and removes it.
    pub(super) fn seal(&mut self, slot: u32, date: Date, topics: &Topics, arena: &mut RecordArena) {
        let Some(day) = self.stores[slot as usize].days.get_mut(&date) else { return };
        day.status = DayStatus::Sealed;
        let store = &self.stores[slot as usize];
        let (source, summary) = (self.origin(), store.summary(date));
        let Some(day) = store.days.get(&date) else { return };
        let [state_key, totals] = arena.pieces(|text| {
            state::write_day_key(text, store, date);
            let key = text.len();
            day_records::write_totals(text, store, (date, day), summary, source);
            [key, text.len()]
        });
        let key = state_key.slice(state::DAY.len()..);
        for part in 1..day.parts() {
            let mut text = BytesMut::new();
            state::write_part_state_key(&mut text, &key, part);
            self.buffer.push_row(&topics.state, text.freeze(), None);
        }
        self.buffer.push_row(&topics.days, key, Some(totals));
        self.buffer.push_row(&topics.state, state_key, None);
        self.forget_balance(slot, date, topics);
        if let Some(day) = self.stores[slot as usize].remove_day(date) {
            self.completeness.remove(day.completeness);
        }
    }

    fn sum_up_days(&mut self, slot: u32) {
        let dates: Vec<Date> = self.stores[slot as usize].days.keys().copied().collect();
        for date in dates {
            let summary = self.stores[slot as usize].summary(date);
            self.sum_up_day(slot, date, summary);
        }
    }

    /// Counts what a day lacks, instead of what it lacked before.
    pub(super) fn sum_up_day(&mut self, slot: u32, date: Date, summary: DaySummary) {
        let store = &mut self.stores[slot as usize];
        let is_over = summary.silent > 0 && store.registers.is_over(date, self.checkpoint.clock_ms);
        let Some(day) = store.days.get_mut(&date) else { return };
        let completeness = DayCompleteness {
            is_incomplete: day.status == DayStatus::OpenEnded,
            silent: if is_over { summary.silent } else { 0 },
            missing: summary.missing,
            parked: summary.parked,
        };
        self.completeness.remove(std::mem::replace(&mut day.completeness, completeness));
        self.completeness.add(completeness);
    }

    /// Removes the epochs of business dates that are sealed; returns false if the limit was reached before all were.
    fn retire(&mut self, slot: u32, today: Date, limit: FlushSize, topics: &Topics) -> bool {
        let size = self.buffer.size;
        let mut left = limit.records.saturating_sub(size.records);
        let mut left_bytes = limit.bytes.saturating_sub(size.bytes);
        let mut all = true;
        let retired = self.stores[slot as usize].retire(|terminal| {
            if !terminal.expires.is_some_and(|date| is_sealed(date, today)) {
                return false;
            }
            let fits = left > 0 && left_bytes > 0;
            all &= fits;
            let rows = state::keys_of(terminal).count();
            left = left.saturating_sub(rows);
            left_bytes = left_bytes.saturating_sub(rows * (96 + terminal.key.len()));
            fits
        });
        for terminal in &retired {
            for key in state::keys_of(terminal) {
                self.buffer.push_row(&topics.state, key, None);
            }
        }
        all
    }
}
