//! What a store-day lacks, by the register of its store: terminals that have not spoken, not closed, or are not known.
//!
//! Without a register nobody knows who should have spoken, and the day says so. Names are bounded, counts are exact.

use bytes::{BufMut as _, BytesMut};

use super::days::{Day, DaySummary};
use super::json_text::integer;
use super::store::Store;
use super::store_registers::Revision;
use crate::register::ExpectedTerminal;
use crate::text::{Date, escape};

/// Names of each kind that a day lists.
pub(super) const NAMES: usize = 16;

/// Terminals of which the first are named.
#[derive(Debug, Default)]
struct NamedTerminals<'a> {
    count: u64,
    names: Vec<&'a str>,
}

impl<'a> NamedTerminals<'a> {
    fn add(&mut self, name: &'a str) {
        self.count += 1;
        if self.names.len() < NAMES {
            self.names.push(name);
        }
    }
}

/// What a day lacks by the register that holds for it.
#[derive(Debug)]
pub(super) struct Completeness<'a> {
    revision: &'a Revision,
    is_open: bool,
    expected: u64,
    /// Expected, and have not spoken.
    silent: NamedTerminals<'a>,
    /// Spoke, and have not closed though the day waits for it; each epoch by itself.
    unclosed: NamedTerminals<'a>,
    /// Spoke, and are not in the register.
    unexpected: NamedTerminals<'a>,
}

impl<'a> Completeness<'a> {
    /// Compares who spoke on a day with who should have; `None` without a register.
    pub(super) fn of(store: &'a Store, date: Date, day: &Day) -> Option<Self> {
        let revision = store.registers.on(date)?;
        let register = &revision.register;
        let is_open = register.settings.calendar.is_open(date);
        let (mut spoke, mut strangers) = (vec![false; register.terminals.len()], Vec::new());
        let mut unclosed = NamedTerminals::default();
        for terminal in store.present(day.terminals()) {
            match register.position(&terminal.name).and_then(|index| spoke.get_mut(index)) {
                Some(spoke) => *spoke = true,
                None => strangers.push(&*terminal.name),
            }
            let has_closed = terminal.days.on(date).is_some_and(|seen| seen.closed);
            if !has_closed && register.must_close(&terminal.name, date) {
                unclosed.add(&terminal.name);
            }
        }
        let expected: &[ExpectedTerminal] = if is_open { &register.terminals } else { &[] };
        let mut silent = NamedTerminals::default();
        let silents = expected.iter().zip(&spoke).filter(|(_, spoke)| !**spoke);
        silents.for_each(|(terminal, _)| silent.add(&terminal.terminal));
        // A terminal of two epochs is one.
        strangers.sort_unstable();
        strangers.dedup();
        let mut unexpected = NamedTerminals::default();
        for name in strangers {
            unexpected.add(name);
        }
        Some(Self {
            revision,
            is_open,
            expected: expected.len() as u64,
            silent,
            unclosed,
            unexpected,
        })
    }

    /// How many terminals are silent, and how many have not closed.
    pub(super) fn lacking(&self) -> (u64, u64) {
        (self.silent.count, self.unclosed.count)
    }

    fn write(&self, text: &mut BytesMut, day: &Day) {
        let register = &self.revision.register;
        integer(text, self.expected);
        text.extend_from_slice(br#","register":""#);
        escape(text, &self.revision.name);
        text.extend_from_slice(br#"","calendar":""#);
        text.extend_from_slice(if self.is_open { b"open" } else { b"closed" });
        text.put_u8(b'"');
        for (name, terminals) in [
            ("silent", &self.silent),
            ("unclosed", &self.unclosed),
            ("unexpected", &self.unexpected),
        ] {
            write_terminals(text, name, terminals);
        }
        day.currencies.write_others(text, register.settings.currency);
    }
}

impl Store {
    /// Returns what all terminals of a day have done.
    pub(super) fn summary(&self, date: Date) -> DaySummary {
        let Some(day) = self.days.get(&date) else { return DaySummary::default() };
        let mut summary = DaySummary { parked: day.parked, ..DaySummary::default() };
        for terminal in self.present(day.terminals()) {
            let Some(seen) = terminal.days.on(date) else { continue };
            summary.terminals += 1;
            summary.closed += u64::from(seen.closed);
            let lacking = terminal.lacking_on(date);
            summary.missing = summary.missing.saturating_add(lacking.missing);
            summary.refused = summary.refused.saturating_add(lacking.refused);
            summary.parked = summary.parked.saturating_add(lacking.parked);
        }
        (summary.silent, summary.unclosed) = match Completeness::of(self, date, day) {
            Some(completeness) => completeness.lacking(),
            None => (0, summary.terminals - summary.closed),
        };
        summary
    }
}

/// Writes what a day lacks, as a member behind others.
pub(super) fn write_completeness(text: &mut BytesMut, store: &Store, (date, day): (Date, &Day)) {
    text.extend_from_slice(br#","completeness":{"expected":"#);
    match Completeness::of(store, date, day) {
        Some(completeness) => completeness.write(text, day),
        None => text.extend_from_slice(br#""unknown""#),
    }
    text.put_u8(b'}');
}

fn write_terminals(text: &mut BytesMut, name: &str, terminals: &NamedTerminals<'_>) {
    text.extend_from_slice(b",\"");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"_count\":");
    integer(text, terminals.count);
    text.extend_from_slice(b",\"");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\":[");
    for (index, name) in terminals.names.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        escape(text, name);
        text.put_u8(b'"');
    }
    text.put_u8(b']');
}
