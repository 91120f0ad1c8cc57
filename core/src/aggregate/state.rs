//! The records of a partition's state on `state.v1`, private to the aggregator.
//!
//! One record for each part that changes by itself, so that a flush writes only what it changed: a
//! terminal, a block of its hashes, one of its open numbers, a day, a further part of its terminals, a drawer of it, its safe, a
//! fiscal device, a block of its counters, a block of a store's event ids, a part of its releases, and a checkpoint under
//! `flush mod` [`keys::CHECKPOINTS`], so that the last ones stay. Records of names
//! and numbers are JSON, blocks are bytes; each begins with its version. `keys` names them; [`super::restore`] reads what
//! [`super::flush`] wrote. Nothing else does, except that `verify` reads checkpoints.

mod balances;
#[cfg(test)]
mod by_serde;
mod devices;
mod keys;
mod parked;
mod registers;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tillrace_log::Offset;

pub(super) use self::balances::{
    write_drawer_state, write_drawer_state_key, write_safe_key, write_safe_state,
};
#[cfg(test)]
pub(super) use self::by_serde::{day_value, part_value, terminal_value};
pub(super) use self::devices::{
    write_device_block_key, write_device_state, write_device_state_key,
};
pub(super) use self::keys::{
    DAY, REGISTER, checkpoint_key, coming_register_key, ids_key, keys_of, parked_key, register_key,
    released_key, settled_key, terminal_of, write_day_key, write_drawer_key, write_hashes_key,
    write_numbers_key, write_part_key, write_part_state_key, write_terminal_key, write_totals_key,
};
use self::keys::{PARTS, parked_parts, part_number, parts};
use self::parked::ParkedState;
pub(super) use self::parked::parked_value;
pub(super) use self::registers::register_value;
use super::day_currencies::DayCurrencies;
use super::days::{ControlTotals, Day, DayStatus, PART_TERMINALS};
use super::ids::EventIds;
use super::parked_events::ParkedEvent;
use super::partition::{Checkpoint, Partition};
use super::sequence_set::SequenceSet;
use super::settings::FoldRules;
use super::store::{Store, Terminal};
use super::terminal_days::TerminalDay;
use crate::envelope::Scope;
use crate::text::Date;

/// Version of the JSON records. Version 2 came with parked events, 3 with till balances, 4 with registers; nothing reads earlier ones.
pub(super) const VERSION: u8 = 4;

/// What is wrong with a state record.
#[derive(Debug, thiserror::Error)]
#[error("state record {key}: {detail}")]
pub struct StateError {
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub detail: &'static str,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct TerminalState<'a> {
    v: u8,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    scope: Cow<'a, str>,
    #[serde(rename = "numbers")]
    sequences: Option<Cow<'a, SequenceSet>>,
    streak: u32,
    unnumbered: u64,
    expires: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct DayState<'a> {
    v: u8,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
    date: i32,
    status: DayStatus,
    control: Cow<'a, ControlTotals>,
    currencies: Cow<'a, DayCurrencies>,
    #[serde(borrow)]
    terminals: Vec<AttendanceState<'a>>,
}

/// A further part of a day's terminals.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct PartState<'a> {
    v: u8,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    store: Cow<'a, str>,
    date: i32,
    part: usize,
    #[serde(borrow)]
    terminals: Vec<AttendanceState<'a>>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct AttendanceState<'a> {
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    opened: bool,
    closed: bool,
    close: Option<u64>,
    last: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct VersionOnly {
    v: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReleasedState {
    v: u8,
    tenant: String,
    store: String,
    offsets: Vec<Offset>,
}

/// The record of a part of a store's releases.
pub(super) fn released_value(store: &Store, part: usize) -> impl Serialize {
    ReleasedState {
        v: VERSION,
        tenant: store.tenant.to_string(),
        store: store.name.to_string(),
        offsets: store.released.part(part).to_vec(),
    }
}

/// The latest record of each key, as read back.
pub(super) type StateRecords = BTreeMap<Bytes, Bytes>;

/// Loads a partition from its records; `None` if there is no checkpoint.
///
/// # Errors
/// The first record that can not be read or belongs to nothing.
pub(super) fn load(
    number: tillrace_log::Partition,
    records: &StateRecords,
    rules: FoldRules,
) -> Result<Option<Partition>, StateError> {
    let mut latest: Option<Checkpoint> = None;
    for (key, value) in under(records, "checkpoint/") {
        // Before the rest, whose shape another version may have changed.
        let VersionOnly { v } = json(key, value)?;
        check(key, v)?;
        let checkpoint: Checkpoint = json(key, value)?;
        if latest.as_ref().is_none_or(|latest| latest.flush < checkpoint.flush) {
            latest = Some(checkpoint);
        }
    }
    let Some(checkpoint) = latest else {
        return match records.first_key_value() {
            Some((key, _)) => Err(fault(key, "has no checkpoint")),
            None => Ok(None),
        };
    };
    let mut partition = Partition::new(number, checkpoint, rules);
    under(records, "terminal/").try_for_each(|(key, value)| partition.take_terminal(key, value))?;
    under(records, "numbers/").try_for_each(|(key, value)| partition.take_numbers(key, value))?;
    under(records, "hashes/").try_for_each(|(key, value)| partition.take_hashes(key, value))?;
    under(records, "day/").try_for_each(|(key, value)| partition.take_day(key, value))?;
    partition.take_parts(records)?;
    partition.take_balances(records)?;
    partition.take_devices(records)?;
    partition.take_ids(records, "ids/", |store| &mut store.ids)?;
    partition.take_ids(records, "settled/", |store| &mut store.parked.settled)?;
    under(records, "parked/").try_for_each(|(key, value)| partition.take_parked(key, value))?;
    partition.take_all_released(records)?;
    partition.take_registers(records)?;
    Ok(Some(partition))
}

impl Partition {
    fn take_terminal(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StateError> {
        let state: TerminalState<'_> = json(key, value)?;
        let scope = Scope::parse(&state.scope).ok_or_else(|| fault(key, "names no scope"))?;
        check(key, state.v)?;
        let store = self.store_named(key, &state.tenant, &state.store)?;
        let slot = store.add_terminal(&state.terminal, &state.epoch, scope);
        let terminal = &mut store.terminals[slot as usize];
        terminal.ledger.sequences = state.sequences.map(Cow::into_owned);
        terminal.ledger.streak = state.streak;
        terminal.unnumbered = state.unnumbered;
        terminal.expires = state.expires.map(Date);
        Ok(())
    }

    fn take_numbers(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StateError> {
        let (terminal, block) = self.block_named(key, "numbers/")?;
        let sequences = terminal.ledger.sequences.as_mut();
        let sequences = sequences.ok_or_else(|| fault(key, "belongs to no numbers"))?;
        sequences.restore(block, value).ok_or_else(|| fault(key, "is no block"))
    }

    fn take_hashes(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StateError> {
        let (terminal, block) = self.block_named(key, "hashes/")?;
        terminal.ledger.hashes.restore(block, value).ok_or_else(|| fault(key, "is no block"))
    }

    /// The terminal that a block belongs to, and the block's number.
    fn block_named(
        &mut self,
        key: &Bytes,
        prefix: &str,
    ) -> Result<(&mut Terminal, u64), StateError> {
        let named = parts(key, prefix).and_then(|([tenant, store, terminal, epoch], block)| {
            let store = self.store_named(key, &tenant, &store).ok()?;
            let slot = store.terminal(&terminal, &epoch)?;
            Some((&mut store.terminals[slot as usize], block))
        });
        named.ok_or_else(|| fault(key, "belongs to no terminal"))
    }

    fn take_day(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StateError> {
        let state: DayState<'_> = json(key, value)?;
        check(key, state.v)?;
        let store = self.store_named(key, &state.tenant, &state.store)?;
        let day =
            Day::restored(state.control.into_owned(), state.currencies.into_owned(), state.status);
        store.days.insert(Date(state.date), day);
        take_attendances(key, store, Date(state.date), state.terminals)?;
        // An earlier version kept all terminals with the day: what is now a part of its own is written with it next time.
        if let Some(day) = store.days.get_mut(&Date(state.date)) {
            (1..day.parts()).for_each(|part| {
                day.mark_part(part);
            });
        }
        Ok(())
    }

    /// Parts come in the order of their numbers, which is not that of their keys.
    fn take_parts(&mut self, records: &StateRecords) -> Result<(), StateError> {
        let mut parts = Vec::new();
        for (key, value) in under(records, PARTS) {
            let state: PartState<'_> = json(key, value)?;
            check(key, state.v)?;
            parts.push((state.part, key, state));
        }
        parts.sort_unstable_by_key(|&(part, ..)| part);
        for (part, key, state) in parts {
            let store = self.store_named(key, &state.tenant, &state.store)?;
            let date = Date(state.date);
            let day = store.days.get(&date).ok_or_else(|| fault(key, "belongs to no day"))?;
            if day.terminals().len() != part * PART_TERMINALS {
                return Err(fault(key, "is no part in order"));
            }
            take_attendances(key, store, date, state.terminals)?;
        }
        Ok(())
    }

    /// Blocks of ids come in the order of their numbers, which is not that of their keys.
    fn take_ids(
        &mut self,
        records: &StateRecords,
        prefix: &'static str,
        ids: fn(&mut Store) -> &mut EventIds,
    ) -> Result<(), StateError> {
        let mut blocks = Vec::new();
        for (key, value) in under(records, prefix) {
            let (names, block) = parts(key, prefix).ok_or_else(|| fault(key, "names no block"))?;
            blocks.push((names, block, key, value));
        }
        blocks.sort_unstable_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        for ([tenant, store], block, key, value) in blocks {
            let store = self.store_named(key, &tenant, &store)?;
            let restored = ids(store).restore(block, value);
            restored.ok_or_else(|| fault(key, "is no block in order"))?;
        }
        Ok(())
    }

    /// Days are restored before: an event without a number counts on its day.
    fn take_parked(&mut self, key: &Bytes, value: &Bytes) -> Result<(), StateError> {
        let state: ParkedState = json(key, value)?;
        check(key, state.v)?;
        let named = parked_parts(key).ok_or_else(|| fault(key, "names no parked event"))?;
        let ([tenant, store], name) = named;
        let store = self.store_named(key, &tenant, &store)?;
        let date = state.date.map(Date);
        if let Some(day) = date.and_then(|date| store.days.get_mut(&date)) {
            day.parked += 1;
        }
        let event = ParkedEvent { name: name.into(), number: state.number, date };
        store.parked.add(state.offset, event);
        Ok(())
    }

    fn take_all_released(&mut self, records: &StateRecords) -> Result<(), StateError> {
        let mut parts = Vec::new();
        for (key, value) in under(records, "released/") {
            let state: ReleasedState = json(key, value)?;
            check(key, state.v)?;
            let store = self.store_named(key, &state.tenant, &state.store)?;
            let rest =
                key.strip_prefix(b"released/").and_then(|key| key.strip_prefix(&store.key[..]));
            let part = rest.and_then(part_number).ok_or_else(|| fault(key, "names no part"))?;
            parts.push((part, key, state));
        }
        parts.sort_unstable_by_key(|&(part, ..)| part);
        for (part, key, state) in parts {
            let store = self.store_named(key, &state.tenant, &state.store)?;
            store
                .released
                .restore(part, state.offsets)
                .ok_or_else(|| fault(key, "is no part in order"))?;
        }
        Ok(())
    }

    fn store_named(
        &mut self,
        at: &Bytes,
        tenant: &str,
        name: &str,
    ) -> Result<&mut Store, StateError> {
        let key = crate::topics::key(&[tenant, name]);
        let slot = self.store(key.as_bytes(), tenant, name);
        let slot = slot.ok_or_else(|| fault(at, "names no store"))?;
        Ok(&mut self.stores[slot as usize])
    }
}

fn take_attendances(
    key: &Bytes,
    store: &mut Store,
    date: Date,
    terminals: Vec<AttendanceState<'_>>,
) -> Result<(), StateError> {
    for seen in terminals {
        let terminal = store
            .terminal(&seen.terminal, &seen.epoch)
            .ok_or_else(|| fault(key, "names a terminal that the state does not have"))?;
        let AttendanceState { opened, closed, close, last, .. } = seen;
        store.restore_attendance(
            terminal,
            date,
            TerminalDay { index: 0, opened, closed, close, last },
        );
    }
    Ok(())
}

fn under<'a>(
    records: &'a StateRecords,
    prefix: &'static str,
) -> impl Iterator<Item = (&'a Bytes, &'a Bytes)> {
    let from = Bytes::from_static(prefix.as_bytes());
    records.range(from..).take_while(move |(key, _)| key.starts_with(prefix.as_bytes()))
}

fn json<'a, T: Deserialize<'a>>(key: &[u8], value: &'a [u8]) -> Result<T, StateError> {
    serde_json::from_slice(value).map_err(|_unreadable| fault(key, "can not be read"))
}

fn check(key: &[u8], version: u8) -> Result<(), StateError> {
    match version.cmp(&VERSION) {
        Ordering::Less => Err(fault(key, "is of an older version, which this one does not read")),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(fault(key, "is of a newer version")),
    }
}

fn fault(key: &[u8], detail: &'static str) -> StateError {
    StateError { key: String::from_utf8_lossy(key).into_owned(), detail }
}
