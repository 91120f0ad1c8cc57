//! One store of a partition: its terminals, its open days, its event ids.

use std::collections::BTreeMap;

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

use super::days::Day;
pub(super) use super::days::part_of;
use super::drawers::DayBalance;
use super::fiscal::FiscalDevices;
use super::ids::EventIds;
use super::ledger::Ledger;
use super::parked_events::ParkedEvents;
use super::released_offsets::ReleasedOffsets;
use super::sequence_set::{Lacking, SequenceSet};
use super::slot_index::SlotIndex;
use super::store_registers::StoreRegisters;
use super::terminal_days::{CloseMove, TerminalDay, TerminalDays};
use crate::envelope::Scope;
use crate::event::Kind;
use crate::text::Date;
use crate::topics;

/// Bytes that a terminal takes in a list of a day's terminals beyond its names, at most.
const LISTED_BYTES: usize = 128;
/// A slot that no terminal has.
const GONE: u32 = u32::MAX;

/// One store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) tenant: Box<str>,
    pub(super) name: Box<str>,
    /// `tenant/store`, the key of its records.
    pub(super) key: Bytes,
    pub(super) terminals: Vec<Terminal>,
    by_name: SlotIndex,
    pub(super) days: BTreeMap<Date, Day>,
    /// The till balances of its days, those of which any money moved.
    pub(super) balances: BTreeMap<Date, DayBalance>,
    pub(super) ids: EventIds,
    pub(super) fiscal: FiscalDevices,
    pub(super) parked: ParkedEvents,
    pub(super) registers: StoreRegisters,
    /// Offsets that an operator released.
    pub(super) released: ReleasedOffsets,
    /// Is in the list of stores whose ids or releases the next flush writes.
    pub(super) changed: bool,
}

/// One terminal and epoch.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) name: Box<str>,
    pub(super) epoch: Box<str>,
    /// `tenant/store/terminal/epoch`.
    pub(super) key: Bytes,
    pub(super) ledger: Ledger,
    /// Firsts without a number.
    pub(super) unnumbered: u64,
    /// Business date after whose sealing this epoch is forgotten.
    pub(super) expires: Option<Date>,
    /// The days it took part in.
    pub(super) days: TerminalDays,
    /// Is in the list of terminals that the next flush writes.
    pub(super) changed: bool,
}

impl Store {
    pub(super) fn new(tenant: &str, name: &str) -> Self {
        Self {
            tenant: tenant.into(),
            name: name.into(),
            key: topics::key(&[tenant, name]).into(),
            terminals: Vec::new(),
            by_name: SlotIndex::default(),
            days: BTreeMap::new(),
            balances: BTreeMap::new(),
            ids: EventIds::default(),
            fiscal: FiscalDevices::default(),
            parked: ParkedEvents::default(),
            registers: StoreRegisters::default(),
            released: ReleasedOffsets::default(),
            changed: false,
        }
    }

    /// Finds a terminal by name and epoch.
    pub(super) fn terminal(&self, name: &str, epoch: &str) -> Option<u32> {
        self.by_name.find(name_hash(name, epoch), |slot| self.is(slot, name, epoch))
    }

    /// Adds a terminal that the store does not have.
    pub(super) fn add_terminal(&mut self, name: &str, epoch: &str, scope: Scope) -> u32 {
        let slot = u32::try_from(self.terminals.len()).unwrap_or(u32::MAX - 1);
        self.terminals.push(Terminal {
            name: name.into(),
            epoch: epoch.into(),
            key: topics::key(&[&self.tenant, &self.name, name, epoch]).into(),
            ledger: Ledger::new(scope),
            unnumbered: 0,
            expires: None,
            days: TerminalDays::default(),
            changed: false,
        });
        self.by_name.find_or_insert(name_hash(name, epoch), slot, |_| false);
        slot
    }

    fn is(&self, slot: u32, name: &str, epoch: &str) -> bool {
        let terminal = &self.terminals[slot as usize];
        &*terminal.name == name && &*terminal.epoch == epoch
    }

    /// Removes the expired terminals. Days refer to terminals by slot; the days of removed terminals are sealed and were removed
    /// before.
    pub(super) fn retire(&mut self, mut expired: impl FnMut(&Terminal) -> bool) -> Vec<Terminal> {
        let expired: Vec<bool> = self.terminals.iter().map(&mut expired).collect();
        if !expired.contains(&true) {
            return Vec::new();
        }
        let mut retired = Vec::new();
        let mut moved = Vec::with_capacity(self.terminals.len());
        self.by_name.clear();
        for (terminal, expired) in std::mem::take(&mut self.terminals).into_iter().zip(expired) {
            if expired {
                moved.push(None);
                retired.push(terminal);
                continue;
            }
            let slot = u32::try_from(self.terminals.len()).unwrap_or(u32::MAX - 1);
            moved.push(Some(slot));
            self.by_name
                .find_or_insert(name_hash(&terminal.name, &terminal.epoch), slot, |_| false);
            self.terminals.push(terminal);
        }
        self.balances.values_mut().for_each(DayBalance::forget_slots);
        for day in self.days.values_mut() {
            day.move_terminals(|slot| moved.get(slot as usize).copied().flatten().unwrap_or(GONE));
        }
        retired
    }

    /// Records an event of a terminal on a day of the store; returns what of the day changed.
    pub(super) fn attend(
        &mut self,
        terminal: u32,
        date: Date,
        kind: Kind,
        number: Option<u64>,
    ) -> DayChange {
        let Some(day) = self.days.get_mut(&date) else { return DayChange::default() };
        let (next, days) = (day.next_index(), &mut self.terminals[terminal as usize].days);
        let (index, moved) = days.record(date, next, kind, number);
        if index == next {
            day.add_terminal(terminal);
        }
        DayChange { is_new: index == next, part: part_of(index), moved }
    }

    /// Restores what a terminal did on a day of the store, as the next in the day's list.
    pub(super) fn restore_attendance(&mut self, terminal: u32, date: Date, seen: TerminalDay) {
        let Some(day) = self.days.get_mut(&date) else { return };
        let seen = TerminalDay { index: day.next_index(), ..seen };
        self.terminals[terminal as usize].days.restore(date, seen);
        day.add_terminal(terminal);
    }

    /// Returns the terminals in these slots.
    pub(super) fn present(&self, slots: &[u32]) -> impl Iterator<Item = &Terminal> {
        slots.iter().filter_map(|&slot| self.terminals.get(slot as usize))
    }

    /// Removes a day, which is sealed; returns it.
    pub(super) fn remove_day(&mut self, date: Date) -> Option<Day> {
        let day = self.days.remove(&date)?;
        self.balances.remove(&date);
        for &slot in day.terminals() {
            if let Some(terminal) = self.terminals.get_mut(slot as usize) {
                terminal.days.forget(date);
            }
        }
        Some(day)
    }
}

/// What an event changed of a day.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DayChange {
    /// The terminal takes part for the first time.
    pub(super) is_new: bool,
    /// The part of the day's list that it is in.
    pub(super) part: usize,
    /// How its close moved.
    pub(super) moved: Option<CloseMove>,
}

impl Terminal {
    /// Returns how many of its numbers lack a good event on a day.
    pub(super) fn lacking_on(&self, date: Date) -> Lacking {
        let sequences = self.ledger.sequences.as_ref();
        let sequences = sequences.filter(|sequences| sequences.open_numbers() > 0);
        sequences.map_or_else(Lacking::default, |sequences| self.days.lacking_on(date, sequences))
    }

    /// Returns its most bytes in a list of a day's terminals.
    pub(super) fn listed_bytes(&self) -> usize {
        LISTED_BYTES + 2 * (self.name.len() + self.epoch.len())
    }

    /// Firsts with and without a number.
    pub(super) fn firsts(&self) -> u64 {
        self.ledger.sequences.as_ref().map_or(0, SequenceSet::firsts) + self.unnumbered
    }
}

/// Hash of a store's record key.
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Hash of an event's identity where it has no number.
pub(super) fn identity_hash(terminal: &str, epoch: &str, event_id: &str) -> u128 {
    // Ids hold no control characters, so that a zero byte parts them.
    xxh3_128([terminal, epoch, event_id].join("\0").as_bytes())
}

fn name_hash(name: &str, epoch: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), xxh3_64(epoch.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::days::DaySummary;
    use super::*;
    use crate::event::Kind;

    #[test]
    fn terminals_are_found_by_name_and_epoch() {
        let mut store = Store::new("demo", "1/2");
        assert_eq!(store.add_terminal("a", "", Scope::Terminal), 0);
        assert_eq!(store.add_terminal("a", "2", Scope::Terminal), 1);
        assert_eq!(store.terminal("a", "2"), Some(1));
        assert_eq!(store.terminal("a", "3"), None);
        assert_eq!(&store.terminals[1].key[..], b"demo/1%2F2/a/2");
    }

    #[test]
    fn retired_terminals_leave_and_days_follow_the_rest() {
        let mut store = Store::new("demo", "1");
        for (epoch, expires) in [("1", Some(Date(1))), ("2", Some(Date(2))), ("", None)] {
            let slot = store.add_terminal("a", epoch, Scope::BusinessDate);
            store.terminals[slot as usize].expires = expires;
        }
        store.days.entry(Date(2)).or_default();
        (1..3).for_each(|terminal| {
            store.attend(terminal, Date(2), Kind::Sale, Some(1));
        });
        let retired = store.retire(|terminal| terminal.expires.is_some_and(|date| date <= Date(1)));
        assert_eq!((retired.len(), &*retired[0].epoch), (1, "1"));
        assert_eq!((store.terminal("a", "2"), store.terminal("a", "")), (Some(0), Some(1)));
        assert_eq!(store.terminal("a", "1"), None);
        assert_eq!(store.days[&Date(2)].terminals(), [0, 1]);
    }

    #[test]
    fn a_day_lists_its_terminals_in_parts_and_says_which_of_them_changed() {
        let mut store = Store::new("demo", "1");
        store.days.entry(Date(2)).or_default();
        for number in 0..70 {
            let terminal = store.add_terminal(&number.to_string(), "", Scope::Terminal);
            let change = store.attend(terminal, Date(2), Kind::Close, Some(7));
            assert_eq!((change.is_new, change.part), (true, number / 32));
        }
        assert!(!store.attend(40, Date(2), Kind::Sale, Some(99)).is_new);
        let all = DaySummary { terminals: 70, closed: 70, ..DaySummary::default() };
        assert_eq!(store.summary(Date(2)), all);
        let day = store.days.get_mut(&Date(2)).unwrap();
        assert_eq!((day.parts(), day.part(2).len(), day.part(3).len()), (3, 6, 0));
        assert!(day.mark_part(2) && !day.mark_part(2) && !day.mark_part(0) && !day.mark_part(3));
        assert_eq!([1, 2, 2].map(|part| day.take_part(part)), [false, true, false]);
        assert_eq!(store.remove_day(Date(2)).unwrap().terminals().len(), 70);
        assert!(store.terminals.iter().all(|terminal| terminal.days.on(Date(2)).is_none()));
    }
}
