//! The registers of a store: which is in force on a business date, and one that is coming in in parts.
//!
//! A register holds from a business date on; of two from the same date, the one that is later on the journal. A part belongs
//! to the register that came last: another revision's part discards what was there of an unfinished one.

use std::collections::BTreeMap;

use super::days::is_sealed;
use crate::register::part::{RegisterPart, assemble};
use crate::register::{MAX_REVISIONS, Register};
use crate::text::Date;

/// A register that is in force from its date on.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) name: Box<str>,
    pub(super) register: Register,
    /// In how many parts it stands on its topics.
    pub(super) parts: u32,
}

/// The registers of one store.
#[derive(Debug, Default)]
pub(super) struct StoreRegisters {
    /// By the first business date that each holds for.
    in_force: BTreeMap<Date, Revision>,
    /// Parts of the one that is coming in.
    coming: Vec<RegisterPart>,
}

impl StoreRegisters {
    /// Returns the register that holds for a date.
    pub(super) fn on(&self, date: Date) -> Option<&Revision> {
        self.in_force.range(..=date).next_back().map(|(_, revision)| revision)
    }

    /// Returns the first date for which there is a register.
    pub(super) fn since(&self) -> Option<Date> {
        self.in_force.first_key_value().map(|(&date, _)| date)
    }

    /// Tells whether a date is over where the store is.
    pub(super) fn is_over(&self, date: Date, clock_ms: i64) -> bool {
        let revision = self.on(date);
        revision.is_some_and(|revision| {
            revision.register.settings.zone.date_at(clock_ms).is_some_and(|there| date < there)
        })
    }

    /// Returns in how many parts the register stands that begins on a date; none if there is none.
    pub(super) fn parts_from(&self, date: Date) -> u32 {
        self.in_force.get(&date).map_or(0, |revision| revision.parts)
    }

    /// Parts of the register that is coming in.
    pub(super) fn coming(&self) -> &[RegisterPart] {
        &self.coming
    }

    /// Takes those parts out.
    pub(super) fn take_coming(&mut self) -> Vec<RegisterPart> {
        std::mem::take(&mut self.coming)
    }

    /// Takes a part in; returns whether the register is whole now.
    pub(super) fn take(&mut self, part: RegisterPart) -> bool {
        if self
            .coming
            .first()
            .is_some_and(|first| first.revision != part.revision || first.parts != part.parts)
        {
            self.coming.clear();
        }
        match self.coming.binary_search_by_key(&part.part, |known| known.part) {
            Ok(at) => self.coming[at] = part,
            Err(at) => self.coming.insert(at, part),
        }
        self.coming.first().is_some_and(|first| first.parts as usize == self.coming.len())
    }

    /// Restores a part of a register that is in force, after those before it.
    pub(super) fn restore(&mut self, parts: &[RegisterPart]) -> Option<()> {
        let register = assemble(parts)?;
        let first = parts.first()?;
        let revision =
            Revision { name: first.revision.as_str().into(), register, parts: first.parts };
        self.in_force.insert(first.date()?, revision);
        Some(())
    }

    /// Restores a part of the register that is coming in.
    pub(super) fn restore_coming(&mut self, part: RegisterPart) {
        self.take(part);
    }

    /// Removes what no open day needs any more, and the first ones where there are too many.
    pub(super) fn prune(&mut self, today: Date) -> Vec<(Date, Revision)> {
        let mut pruned = Vec::new();
        while let Some(next) = self.in_force.keys().nth(1).copied()
            && (is_sealed(next, today) || self.in_force.len() > MAX_REVISIONS)
        {
            pruned.extend(self.in_force.pop_first());
        }
        pruned
    }
}
