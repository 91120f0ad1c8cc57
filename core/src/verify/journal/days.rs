//! What a pass over the journal tells of store-days: registers, who took part, what was in which currency.

use crate::text::Date;
use crate::topics;

use super::{Checks, Journal};
use crate::verify::journal_record::JournalRecord;
use crate::verify::record::EventText;
use crate::verify::store_days::DayEvent;
use crate::verify::tills::is_with_customers;

impl Journal<'_> {
    /// Recounts a part of a register.
    pub(in crate::verify) fn register(
        &mut self,
        record: &JournalRecord<'_>,
        checks: &mut Checks<'_>,
    ) {
        self.counts.control += 1;
        let (store, today) = (record.store_key(), self.days.today());
        let registers = self.days.registers.entry(store).or_default();
        if registers.take(record.envelope.data(), today).is_none() {
            checks.verdicts.differs(self.difference(record.entry, "cannot be read"));
        }
    }

    /// Recounts a first on its day.
    pub(in crate::verify) fn count_on_day(
        &mut self,
        record: &JournalRecord<'_>,
        event: &EventText<'_>,
    ) {
        let Some(date) = Date::parse(event.business_date.as_bytes()) else { return };
        let (store, today) = (record.store_key(), self.days.today());
        let currency = event.currency.as_deref().filter(|_| is_with_customers(&event.kind));
        if !self.days.count(&DayEvent { store: &store, date, currency }, today) {
            return;
        }
        let numbers = self.terminals.get(&record.terminal);
        let number = record.sequence.and_then(|sequence| numbers?.number_of(sequence));
        let names = (record.terminal.as_str(), &*event.terminal);
        self.days.attend((&store, date), names, number, event.kind == "close");
    }

    /// Recounts a released event on its day, at the date of its order.
    pub(in crate::verify) fn count_released_on_day(
        &mut self,
        tenant: &str,
        event: &EventText<'_>,
        ordered_on: Option<Date>,
    ) {
        let (Some(date), Some(today)) = (Date::parse(event.business_date.as_bytes()), ordered_on)
        else {
            return;
        };
        let store = topics::key(&[tenant, &event.store]);
        let currency = event.currency.as_deref().filter(|_| is_with_customers(&event.kind));
        self.days.count(&DayEvent { store: &store, date, currency }, today);
    }

    /// Recounts a parked event on the day of its number, or without one on its own; returns that date.
    pub(in crate::verify) fn park_on_day(
        &mut self,
        record: &JournalRecord<'_>,
        number: Option<u64>,
    ) -> Option<Date> {
        let date = record.envelope.text("businessdate");
        let date = date.and_then(|date| Date::parse(date.as_bytes()))?;
        if !self.is_open_day(record) {
            return None;
        }
        let store = record.store_key();
        if record.sequence.is_none() {
            self.days.park(&store, date);
            return Some(date);
        }
        let terminal = record.envelope.text("terminal").unwrap_or_default().into_owned();
        if number.is_some() {
            let names = (record.terminal.as_str(), terminal.as_str());
            self.days.attend((&store, date), names, number, false);
        }
        None
    }
}
