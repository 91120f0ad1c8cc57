//! The till balance of a store-day: its drawer sessions, and what went to and from the safe.
//!
//! A drawer session is a terminal, its epoch and the session that its events name; without one it is the terminal's business date.
//! A session belongs to the business date of its events: one that goes on over two dates is a drawer on each of them. What
//! goes into a drawer, and what is stated of it, is up to [`crate::till_balance`]; a later declaration of a tender replaces an
//! earlier one. Everything is a function of the set of counted events, whatever their order.
//!
//! The store-day has the sums, with each flush that changes it. A drawer is a record of its own on `store.days`, written once it
//! is declared or its terminal has closed, and then whenever it changed: not with every sale. Its state, and that of the safe, is
//! written when it changed. A day has room for [`MAX_DRAWERS`] drawers, a drawer for so many tenders; what is left
//! out is said by `truncated`. Sealed days balance no more: an amendment has tenders only.

mod drawer;
mod published;
mod safe;
#[cfg(test)]
mod tests;
mod text;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

pub(super) use self::drawer::{Drawer, Rank};
pub(super) use self::published::write_balance;
pub(super) use self::safe::Safe;
#[cfg(test)]
pub(super) use self::tests::longest;
use super::slot_index::SlotIndex;
use crate::event::Event;
use crate::text::Currency;
use crate::till_balance::{self, TillEffect};
use crate::topics;

/// Drawer sessions of a day.
pub(super) const MAX_DRAWERS: usize = 1_024;
/// Most bytes that a tender takes in a drawer's two records, besides its name.
const TENDER_BYTES: usize = 1_024;
/// Most bytes that a currency takes in the balance of a store-day.
const CURRENCY_BYTES: usize = 640;
/// Most bytes of a balance, of the safe's state, and of a drawer's two records, without what grows.
pub(super) const BALANCE_BYTES: usize = 256;
const DRAWER_BYTES: usize = 2_048;

/// A drawer session with its names.
#[derive(Debug)]
pub(super) struct NamedDrawer {
    pub(super) terminal: Box<str>,
    pub(super) epoch: Box<str>,
    /// Empty for the terminal's business date.
    pub(super) session: Box<str>,
    /// `terminal/epoch/session`, percent-encoded, which ends its keys.
    pub(super) key: Box<str>,
    pub(super) drawer: Drawer,
    changed: bool,
}

/// The balance of one store and business date.
#[derive(Debug, Default)]
pub(super) struct DayBalance {
    drawers: Vec<NamedDrawer>,
    by_name: SlotIndex,
    /// The drawer that each terminal used last, by the terminal's slot.
    last_used: Vec<u32>,
    safe: Safe,
    /// Every currency of drawers and safe, rising.
    currencies: Vec<Currency>,
    /// There was no room for a drawer, or for a currency of the safe.
    truncated: bool,
    /// Drawers that the next flush writes.
    changed: Vec<u32>,
    safe_changed: bool,
    /// Is in the list of balances that the next flush writes.
    listed: bool,
}

/// The till that an event comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Till<'a> {
    pub(super) epoch: &'a str,
    /// Slot of its terminal; a released event has none.
    pub(super) slot: Option<u32>,
    /// Key of the store's records.
    pub(super) store_key: &'a [u8],
}

/// How much longer the next flush became.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl DayBalance {
    /// Adds a counted event of a till.
    #[inline]
    pub(super) fn add(
        &mut self,
        event: &Event<'_>,
        till: Till<'_>,
        rank: impl FnOnce() -> Rank,
    ) -> Growth {
        let store_key = till.store_key;
        let mut growth = Growth::default();
        let (Some(effect), Some(currency)) = (till_balance::effect(event.kind), event.currency)
        else {
            return growth;
        };
        if let (TillEffect::Cash { safe, bank, .. }, Some(amount)) = (effect, event.amount)
            && safe != 0
        {
            let has_room = self.safe.add(currency, amount.into(), safe, bank);
            self.truncated |= !has_room;
            self.know(currency, &mut growth);
            self.mark_safe(store_key, &mut growth);
        }
        if !concerns_drawer(event, effect, currency) {
            return growth;
        }
        let details = event.details.first();
        let session = details.and_then(|details| details.session_id).unwrap_or("");
        let Some(slot) = self.slot_of(event.terminal, till, session) else {
            if !std::mem::replace(&mut self.truncated, true) {
                self.mark_safe(store_key, &mut growth);
            }
            return growth;
        };
        let Some(named) = self.drawers.get_mut(slot as usize) else { return growth };
        let before = named.drawer.tenders.len();
        match effect {
            TillEffect::Tenders => named.drawer.add_tenders(event, currency),
            _ => named.drawer.add(event, effect, currency, rank()),
        }
        let added = named.drawer.tenders.len() - before;
        growth.bytes += added * (TENDER_BYTES + 2 * 2 * 64);
        if added > 0 {
            let found: Vec<_> = named.drawer.tenders.iter().map(|tender| tender.currency).collect();
            for currency in found {
                self.know(currency, &mut growth);
            }
        }
        self.mark(slot, store_key, &mut growth);
        growth
    }

    /// Marks the drawers of a terminal, which has closed.
    pub(super) fn mark_terminal(
        &mut self,
        terminal: &str,
        epoch: &str,
        store_key: &[u8],
    ) -> Growth {
        let mut growth = Growth::default();
        for slot in 0..self.drawers.len() {
            let named = &self.drawers[slot];
            if &*named.terminal == terminal && &*named.epoch == epoch {
                self.mark(u32::try_from(slot).unwrap_or(u32::MAX), store_key, &mut growth);
            }
        }
        growth
    }

    /// Marks a drawer for the next flush.
    fn mark(&mut self, slot: u32, store_key: &[u8], growth: &mut Growth) {
        let Some(named) = self.drawers.get_mut(slot as usize) else { return };
        if !std::mem::replace(&mut named.changed, true) {
            self.changed.push(slot);
            growth.records += 2;
            growth.bytes += named.written_bytes() + 2 * store_key.len();
        }
    }

    fn mark_safe(&mut self, store_key: &[u8], growth: &mut Growth) {
        if !std::mem::replace(&mut self.safe_changed, true) {
            growth.records += 1;
            growth.bytes += BALANCE_BYTES + CURRENCY_BYTES * safe::MAX_CURRENCIES + store_key.len();
        }
    }

    fn know(&mut self, currency: Currency, growth: &mut Growth) {
        if let Err(index) = self.currencies.binary_search(&currency) {
            self.currencies.insert(index, currency);
            growth.bytes += CURRENCY_BYTES;
        }
    }

    /// Finds the drawer of a till, or adds it. The drawer that its terminal used last is looked at first: names take longer.
    #[inline]
    fn slot_of(&mut self, terminal: &str, till: Till<'_>, session: &str) -> Option<u32> {
        let last = till.slot.and_then(|slot| self.last_used.get(slot as usize)).copied();
        if let Some(last) = last
            && self.drawers.get(last as usize).is_some_and(|named| &*named.session == session)
        {
            return Some(last);
        }
        let found = self.slot(terminal, till.epoch, session)?;
        if let Some(slot) = till.slot {
            let slot = slot as usize;
            if self.last_used.len() <= slot {
                self.last_used.resize(slot + 1, u32::MAX);
            }
            self.last_used[slot] = found;
        }
        Some(found)
    }

    /// Forgets which drawers were used last, because terminals got other slots.
    pub(super) fn forget_slots(&mut self) {
        self.last_used.clear();
    }

    /// Finds a drawer or adds it; `None` where the day has too many.
    fn slot(&mut self, terminal: &str, epoch: &str, session: &str) -> Option<u32> {
        let hash = drawer_hash(terminal, epoch, session);
        let drawers = &self.drawers;
        let found = self.by_name.find(hash, |slot| {
            drawers.get(slot as usize).is_some_and(|named| {
                &*named.terminal == terminal && &*named.session == session && &*named.epoch == epoch
            })
        });
        if found.is_some() || self.drawers.len() >= MAX_DRAWERS {
            return found;
        }
        let slot = u32::try_from(self.drawers.len()).ok()?;
        self.by_name.find_or_insert(hash, slot, |_| false);
        self.drawers.push(NamedDrawer {
            terminal: terminal.into(),
            epoch: epoch.into(),
            session: session.into(),
            key: topics::key(&[terminal, epoch, session]).into(),
            drawer: Drawer::default(),
            changed: false,
        });
        Some(slot)
    }

    /// Restores a drawer; returns false if there is one with its names, or no room.
    pub(super) fn restore(
        &mut self,
        [terminal, epoch, session]: [&str; 3],
        drawer: Drawer,
    ) -> bool {
        let before = self.drawers.len();
        let slot = self.slot(terminal, epoch, session).filter(|_| self.drawers.len() > before);
        let Some(named) = slot.and_then(|slot| self.drawers.get_mut(slot as usize)) else {
            return false;
        };
        let currencies: Vec<_> = drawer.tenders.iter().map(|tender| tender.currency).collect();
        named.drawer = drawer;
        for currency in currencies {
            self.know(currency, &mut Growth::default());
        }
        true
    }

    /// What went to and from the safe, and whether anything was left out.
    pub(super) fn safe(&self) -> (&Safe, bool) {
        (&self.safe, self.truncated)
    }

    /// Restores what is kept with the safe.
    pub(super) fn restore_safe(&mut self, safe: Safe, truncated: bool) {
        let currencies: Vec<_> = safe.totals.iter().map(|totals| totals.currency).collect();
        (self.safe, self.truncated) = (safe, truncated);
        for currency in currencies {
            self.know(currency, &mut Growth::default());
        }
    }

    /// Puts it on the list of the next flush; returns whether it was not there before.
    pub(super) fn list(&mut self) -> bool {
        !std::mem::replace(&mut self.listed, true)
    }

    /// Takes the drawers that are marked, and whether the safe is.
    pub(super) fn take_changed(&mut self) -> (Vec<u32>, bool) {
        self.listed = false;
        let changed = std::mem::take(&mut self.changed);
        for &slot in &changed {
            if let Some(named) = self.drawers.get_mut(slot as usize) {
                named.changed = false;
            }
        }
        (changed, std::mem::take(&mut self.safe_changed))
    }

    /// All its drawers.
    pub(super) fn drawers(&self) -> &[NamedDrawer] {
        &self.drawers
    }

    /// Its most bytes in the record of its day.
    pub(super) fn written_bytes(&self) -> usize {
        BALANCE_BYTES + CURRENCY_BYTES * self.currencies.len().min(safe::MAX_CURRENCIES)
    }
}

impl NamedDrawer {
    /// Most bytes of its two records, without the store's keys.
    fn written_bytes(&self) -> usize {
        let names = self.terminal.len() + self.epoch.len() + self.session.len();
        let tenders = self.drawer.tenders.iter();
        let tenders = tenders.map(|tender| TENDER_BYTES + 2 * 2 * tender.tender.len());
        DRAWER_BYTES + 2 * self.key.len() + 2 * names + tenders.sum::<usize>()
    }
}

/// Tells whether an event moves or states anything of its drawer.
#[inline]
fn concerns_drawer(event: &Event<'_>, effect: TillEffect, currency: Currency) -> bool {
    match effect {
        TillEffect::Tenders => {
            event.tenders.iter().any(|tender| till_balance::placed(currency, tender).is_some())
        }
        TillEffect::Cash { drawer, .. } => drawer != 0 && event.amount.is_some(),
        TillEffect::OpeningCash => event.amount.is_some(),
        TillEffect::ClosingCash => event.amount.is_some() || !event.declarations.is_empty(),
        TillEffect::Declaration => true,
    }
}

fn drawer_hash(terminal: &str, epoch: &str, session: &str) -> u64 {
    let seed = if epoch.is_empty() { 0 } else { xxh3_64(epoch.as_bytes()) };
    let seed = if session.is_empty() { seed } else { xxh3_64_with_seed(session.as_bytes(), seed) };
    xxh3_64_with_seed(terminal.as_bytes(), seed)
}
