//! What is kept of till balances: a record for each drawer and for each day's safe, written when it changed.
//!
//! The names of a drawer are in its key, and not once more in its value.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::super::drawers::{DayBalance, Drawer, NamedDrawer, Safe};
use super::super::json_text::{integer, write_json};
use super::super::partition::Partition;
use super::super::store::Store;
use super::keys::{DRAWERS, SAFES, percent_decode, write_totals_key};
use super::{StateError, StateRecords, VERSION, check, fault, json, under};
use crate::text::Date;

#[derive(Deserialize)]
struct DrawerState {
    v: u8,
    drawer: Drawer,
}

#[derive(Serialize, Deserialize)]
struct SafeState<'a> {
    v: u8,
    safe: Cow<'a, Safe>,
    truncated: bool,
}

/// Writes the key of what is kept of a drawer.
pub(in crate::aggregate) fn write_drawer_state_key(
    text: &mut BytesMut,
    store: &Store,
    date: Date,
    named: &NamedDrawer,
) {
    text.extend_from_slice(DRAWERS.as_bytes());
    write_totals_key(text, store, date);
    text.extend_from_slice(b"/");
    text.extend_from_slice(named.key.as_bytes());
}

/// Writes the key of what is kept of a day's safe.
pub(in crate::aggregate) fn write_safe_key(text: &mut BytesMut, store: &Store, date: Date) {
    text.extend_from_slice(SAFES.as_bytes());
    write_totals_key(text, store, date);
}

/// Writes what is kept of a drawer.
pub(in crate::aggregate) fn write_drawer_state(text: &mut BytesMut, drawer: &Drawer) {
    text.extend_from_slice(br#"{"v":"#);
    integer(text, VERSION);
    text.extend_from_slice(br#","drawer":"#);
    drawer.write_state(text);
    text.extend_from_slice(b"}");
}

/// Writes what is kept of a day's safe.
pub(in crate::aggregate) fn write_safe_state(text: &mut BytesMut, balance: &DayBalance) {
    let (safe, truncated) = balance.safe();
    write_json(text, &SafeState { v: VERSION, safe: Cow::Borrowed(safe), truncated });
}

impl Partition {
    /// Reads all balances; their days were read before.
    pub(super) fn take_balances(&mut self, records: &StateRecords) -> Result<(), StateError> {
        for (key, value) in under(records, SAFES) {
            let state: SafeState<'_> = json(key, value)?;
            check(key, state.v)?;
            let names = names(key, SAFES).ok_or_else(|| fault(key, "names no day"))?;
            let balance = self.balance_named::<3>(key, names)?.0;
            balance.restore_safe(state.safe.into_owned(), state.truncated);
        }
        for (key, value) in under(records, DRAWERS) {
            let state: DrawerState = json(key, value)?;
            check(key, state.v)?;
            let names = names(key, DRAWERS).ok_or_else(|| fault(key, "names no drawer"))?;
            let (balance, names) = self.balance_named::<6>(key, names)?;
            let [_, _, _, terminal, epoch, session] = &names;
            if !balance.restore([terminal, epoch, session], state.drawer) {
                return Err(fault(key, "is one drawer too many"));
            }
        }
        Ok(())
    }

    /// Finds the balance that the names of a key begin with: tenant, store and date.
    fn balance_named<const N: usize>(
        &mut self,
        key: &Bytes,
        names: Vec<String>,
    ) -> Result<(&mut DayBalance, [String; N]), StateError> {
        let names: Result<[String; N], _> = names.try_into();
        let names = names.map_err(|_other_count| fault(key, "names no drawer"))?;
        let [tenant, store, date, ..] = &names[..] else {
            return Err(fault(key, "names no drawer"));
        };
        let date = Date::parse(date.as_bytes()).ok_or_else(|| fault(key, "names no date"))?;
        let store = self.store_named(key, tenant, store)?;
        if !store.days.contains_key(&date) {
            return Err(fault(key, "belongs to no day"));
        }
        Ok((store.balances.entry(date).or_default(), names))
    }
}

/// The names in a key, decoded.
fn names(key: &[u8], prefix: &str) -> Option<Vec<String>> {
    std::str::from_utf8(key).ok()?.strip_prefix(prefix)?.split('/').map(percent_decode).collect()
}
