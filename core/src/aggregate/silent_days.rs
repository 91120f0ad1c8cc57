//! Days on which nobody spoke, though the store's register says that it was open.
//!
//! Such a day is made by the sweep, once the date is over in the store's zone, and has no terminals: all that it says is who is
//! silent. The sweep looks at every date that is not sealed, so that it does not matter when it runs. A register that says
//! that the store was closed takes the day back.

use bytes::BytesMut;

use super::days::{Day, SEALED_AFTER_DAYS};
use super::flush_buffer::FlushSize;
use super::partition::{DAY_MS, Partition};
use super::state;
use crate::text::Date;
use crate::topics::Topics;

impl Partition {
    /// Makes the silent days of a store; returns false if the limit was reached before all were made.
    pub(super) fn make_silent_days(&mut self, store: u32, limit: FlushSize) -> bool {
        let (today, clock_ms) = (self.today(), self.checkpoint.clock_ms);
        let owner = &self.stores[store as usize];
        let Some(since) = owner.registers.since() else { return true };
        let first_open = today.0.saturating_sub(SEALED_AFTER_DAYS - 1);
        // Nowhere is it later than a day after the date of UTC.
        for date in (since.0.max(first_open)..=today.0.saturating_add(1)).map(Date) {
            let owner = &mut self.stores[store as usize];
            let is_due = owner.registers.is_over(date, clock_ms)
                && owner
                    .registers
                    .on(date)
                    .is_some_and(|known| known.register.settings.calendar.is_open(date))
                && !owner.days.contains_key(&date);
            if !is_due {
                continue;
            }
            if self.buffer.size.reaches(limit) {
                return false;
            }
            owner.days.insert(date, Day::default());
            self.mark_day(store, date);
        }
        true
    }

    /// Has the checkpoint say by which clock silent days are made: with the next flush, or where another day is over since it
    /// said so last, in one of its own.
    pub(super) fn note_silent_days(&mut self) {
        let until_ms = self.sweeping_since_ms;
        let before = self.checkpoint.silent_days_until_ms.replace(until_ms);
        // A date is over everywhere at noon of the next one in UTC.
        let day = |ms: i64| ms.div_euclid(DAY_MS / 2);
        let is_asked_for = self.stores.iter().any(|store| store.registers.since().is_some());
        self.is_checkpoint_due |= is_asked_for && before.map(day) != Some(day(until_ms));
    }

    /// Removes a day on which nobody spoke and, by the register in force now, nobody had to; returns whether it was one.
    pub(super) fn withdraw_silent_day(&mut self, store: u32, date: Date, topics: &Topics) -> bool {
        let owner = &mut self.stores[store as usize];
        let is_expected = owner
            .registers
            .on(date)
            .is_some_and(|known| known.register.settings.calendar.is_open(date));
        if is_expected || !owner.days.get(&date).is_some_and(Day::is_silent) {
            return false;
        }
        let Some(day) = owner.remove_day(date) else { return false };
        self.completeness.remove(day.completeness);
        let mut state_key = BytesMut::new();
        state::write_day_key(&mut state_key, &self.stores[store as usize], date);
        let state_key = state_key.freeze();
        self.buffer.push_row(&topics.days, state_key.slice(state::DAY.len()..), None);
        self.buffer.push_row(&topics.state, state_key, None);
        true
    }
}
