//! Registers in the state: one record for each part, in force or coming in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keys::{COMING, REGISTER, parts};
use super::{Partition, StateError, StateRecords, VERSION, check, fault, json, under};
use crate::register::part::RegisterPart;

#[derive(Debug, Serialize, Deserialize)]
struct RegisterState<P> {
    v: u8,
    part: P,
}

/// The record of a part of a register.
pub(in crate::aggregate) fn register_value(part: &RegisterPart) -> impl Serialize {
    RegisterState { v: VERSION, part }
}

impl Partition {
    /// Parts come in the order of their numbers, which is not that of their keys.
    pub(super) fn take_registers(&mut self, records: &StateRecords) -> Result<(), StateError> {
        let in_force = std::str::from_utf8(REGISTER).unwrap_or_default();
        let mut registers: BTreeMap<[String; 3], BTreeMap<u64, RegisterPart>> = BTreeMap::new();
        for (key, value) in under(records, in_force) {
            let state: RegisterState<RegisterPart> = json(key, value)?;
            check(key, state.v)?;
            let (names, part) = parts(key, in_force).ok_or_else(|| fault(key, "names no part"))?;
            registers.entry(names).or_default().insert(part, state.part);
        }
        for ([tenant, store, date], parts) in registers {
            let key = format!("{in_force}{tenant}/{store}/{date}").into();
            let parts: Vec<RegisterPart> = parts.into_values().collect();
            let store = self.store_named(&key, &tenant, &store)?;
            store.registers.restore(&parts).ok_or_else(|| fault(&key, "lacks a part"))?;
        }
        for (key, value) in under(records, COMING) {
            let state: RegisterState<RegisterPart> = json(key, value)?;
            check(key, state.v)?;
            let named = parts(key, COMING).ok_or_else(|| fault(key, "names no part"))?;
            let ([tenant, store], _part) = named;
            self.store_named(key, &tenant, &store)?.registers.restore_coming(state.part);
        }
        Ok(())
    }
}
