//! One store as the aggregator holds it: its terminals, its open days, its event ids.

use std::collections::BTreeMap;

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

use super::days::{Attendance, Day};
use super::ids::Ids;
use super::index::Index;
use super::ledger::Ledger;
use crate::envelope::Scope;
use crate::log::Offset;
use crate::text::Date;
use crate::topics;

/// One store.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) tenant: Box<str>,
    pub(super) name: Box<str>,
    /// `tenant/store`, the key of its records.
    pub(super) key: Bytes,
    pub(super) terminals: Vec<Terminal>,
    by_name: Index,
    pub(super) days: BTreeMap<Date, Day>,
    pub(super) ids: Ids,
    /// Offsets that an operator released, rising.
    pub(super) released: Vec<Offset>,
    pub(super) released_changed: bool,
    /// Stands in the list of stores whose ids or releases the next flush writes.
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
    /// Stands in the list of what the next flush writes.
    pub(super) changed: bool,
}

impl Store {
    pub(super) fn new(tenant: &str, name: &str) -> Self {
        Self {
            tenant: tenant.into(),
            name: name.into(),
            key: topics::key(&[tenant, name]).into(),
            terminals: Vec::new(),
            by_name: Index::new(),
            days: BTreeMap::new(),
            ids: Ids::default(),
            released: Vec::new(),
            released_changed: false,
            changed: false,
        }
    }

    /// Finds a terminal by name and epoch.
    pub(super) fn terminal(&self, name: &str, epoch: &str) -> Option<u32> {
        self.by_name.find(name_hash(name, epoch), |slot| self.is(slot, name, epoch))
    }

    /// Adds a terminal that is not there.
    pub(super) fn add_terminal(&mut self, name: &str, epoch: &str, scope: Scope) -> u32 {
        let slot = u32::try_from(self.terminals.len()).unwrap_or(u32::MAX - 1);
        self.terminals.push(Terminal {
            name: name.into(),
            epoch: epoch.into(),
            key: topics::key(&[&self.tenant, &self.name, name, epoch]).into(),
            ledger: Ledger::new(scope),
            unnumbered: 0,
            expires: None,
            changed: false,
        });
        self.by_name.find_or_enter(name_hash(name, epoch), slot, |_| false);
        slot
    }

    fn is(&self, slot: u32, name: &str, epoch: &str) -> bool {
        let terminal = &self.terminals[slot as usize];
        &*terminal.name == name && &*terminal.epoch == epoch
    }

    /// Takes out the terminals whose business date is sealed. Days refer to terminals by slot; those
    /// that referred to the ones taken out are sealed themselves and were taken out before.
    pub(super) fn retire(&mut self, expired: impl Fn(Date) -> bool) -> Vec<Terminal> {
        if !self.terminals.iter().any(|terminal| terminal.expires.is_some_and(&expired)) {
            return Vec::new();
        }
        let mut retired = Vec::new();
        let mut moved = Vec::with_capacity(self.terminals.len());
        self.by_name.clear();
        for terminal in std::mem::take(&mut self.terminals) {
            if terminal.expires.is_some_and(&expired) {
                moved.push(None);
                retired.push(terminal);
                continue;
            }
            let slot = u32::try_from(self.terminals.len()).unwrap_or(u32::MAX - 1);
            moved.push(Some(slot));
            self.by_name.find_or_enter(name_hash(&terminal.name, &terminal.epoch), slot, |_| false);
            self.terminals.push(terminal);
        }
        for day in self.days.values_mut() {
            day.terminals.retain_mut(|seen| {
                let slot = moved.get(seen.terminal as usize).copied().flatten();
                seen.terminal = slot.unwrap_or(0);
                slot.is_some()
            });
        }
        retired
    }

    /// How many numbers are missing on a day, for each terminal that took part: those up to its
    /// close, or to its highest number while there is none, and above its last close before.
    pub(super) fn missing_on(&self, date: Date) -> Vec<u64> {
        let Some(day) = self.days.get(&date) else { return Vec::new() };
        let missing = |seen: &Attendance| {
            let terminal = self.terminals.get(seen.terminal as usize)?;
            let numbers = terminal.ledger.numbers.as_ref().filter(|n| n.missing() > 0)?;
            let upto = seen.upto()?;
            let others = self.days.iter().filter(|&(&other, _)| other != date);
            let closes = others.filter_map(|(_, day)| day.close(seen.terminal));
            let before = closes.filter(|&close| close < upto).max();
            let from = before.map_or(numbers.baseline(), |close| close + 1);
            Some(numbers.missing_between(from, upto))
        };
        day.terminals.iter().map(|seen| missing(seen).unwrap_or(0)).collect()
    }

    /// The day that a number of a terminal belongs to, if it is open.
    pub(super) fn day_of(&self, terminal: u32, number: u64) -> Option<Date> {
        let reaching = self.days.iter().filter_map(|(&date, day)| {
            let upto = day.upto(terminal).filter(|&upto| upto >= number)?;
            Some((upto, date))
        });
        reaching.min().map(|(_, date)| date)
    }
}

impl Terminal {
    /// Firsts with and without a number.
    pub(super) fn firsts(&self) -> u64 {
        self.ledger.numbers.as_ref().map_or(0, super::numbers::Numbers::firsts) + self.unnumbered
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
        let day = store.days.entry(Date(2)).or_default();
        (0..3).for_each(|terminal| day.attend(terminal, Kind::Sale, Some(1)));
        let retired = store.retire(|date| date <= Date(1));
        assert_eq!((retired.len(), &*retired[0].epoch), (1, "1"));
        assert_eq!((store.terminal("a", "2"), store.terminal("a", "")), (Some(0), Some(1)));
        assert_eq!(store.terminal("a", "1"), None);
        let slots: Vec<u32> = store.days[&Date(2)].terminals.iter().map(|t| t.terminal).collect();
        assert_eq!(slots, [0, 1]);
    }

    #[test]
    fn a_missing_number_counts_against_the_day_it_belongs_to() {
        let mut store = Store::new("demo", "1");
        let terminal = store.add_terminal("a", "", Scope::Terminal);
        let mut numbers = super::super::numbers::Numbers::open_at(1);
        for number in [1, 3, 4, 6] {
            numbers.fill(number);
        }
        store.terminals[0].ledger.numbers = Some(numbers);
        for (date, kind, number) in
            [(1, Kind::Open, 1), (1, Kind::Close, 3), (2, Kind::Open, 4), (2, Kind::Close, 6)]
        {
            store.days.entry(Date(date)).or_default().attend(terminal, kind, Some(number));
        }
        assert_eq!(store.missing_on(Date(1)), [1]);
        assert_eq!(store.missing_on(Date(2)), [1]);
        assert_eq!(store.day_of(terminal, 2), Some(Date(1)));
        assert_eq!(store.day_of(terminal, 5), Some(Date(2)));
        assert_eq!(store.day_of(terminal, 7), None);
    }
}
