//! Ledgers of terminals and fiscal devices with their gaps, and the registers of stores.

use std::borrow::Cow;

use serde::Deserialize;

use super::FoldError;
use crate::change::{Batch, Value};

#[derive(Deserialize)]
struct Ledger<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    store: Cow<'a, str>,
    terminal: Option<Cow<'a, str>>,
    epoch: Option<Cow<'a, str>>,
    baseline: Option<u64>,
    high_water: Option<u64>,
    #[serde(default)]
    firsts: u64,
    #[serde(default)]
    refused: u64,
    #[serde(default)]
    parked: u64,
    #[serde(default)]
    missing_count: u64,
    #[serde(default)]
    missing: Vec<(u64, u64)>,
    #[serde(default)]
    jumps: Vec<(u64, u64)>,
    #[serde(default)]
    terminal_reset_suspected: bool,
    fiscal: Option<Fiscal<'a>>,
}

#[derive(Deserialize)]
struct Fiscal<'a> {
    #[serde(borrow)]
    device: Cow<'a, str>,
    events: u64,
    lowest: Option<u64>,
    highest: Option<u64>,
    missing_count: u64,
    #[serde(default)]
    missing: Vec<(u64, u64)>,
}

/// Adds a ledger in place of the one that stood under its key.
pub(super) fn add(key: &str, value: &[u8], batch: &mut Batch) -> Result<(), FoldError> {
    let ledger: Ledger<'_> = serde_json::from_slice(value)?;
    delete(key, batch);
    let fiscal = ledger.fiscal.as_ref();
    let (lowest, highest) = fiscal
        .map_or((ledger.baseline, ledger.high_water), |fiscal| (fiscal.lowest, fiscal.highest));
    let (firsts, missing_count, missing) = fiscal
        .map_or((ledger.firsts, ledger.missing_count, &ledger.missing), |fiscal| {
            (fiscal.events, fiscal.missing_count, &fiscal.missing)
        });
    batch.replace(
        "ledgers",
        &[
            "record_key",
            "tenant",
            "store",
            "terminal",
            "epoch",
            "device",
            "lowest",
            "highest",
            "firsts",
            "refused",
            "parked",
            "missing",
            "is_reset_suspected",
        ],
        [
            key.into(),
            ledger.tenant.as_ref().into(),
            ledger.store.as_ref().into(),
            ledger.terminal.as_deref().unwrap_or("").into(),
            ledger.epoch.as_deref().unwrap_or("").into(),
            fiscal.map_or("", |fiscal| fiscal.device.as_ref()).into(),
            lowest.into(),
            highest.into(),
            firsts.into(),
            ledger.refused.into(),
            ledger.parked.into(),
            missing_count.into(),
            ledger.terminal_reset_suspected.into(),
        ],
    );
    for (reason, ranges) in [("missing", missing), ("jump", &ledger.jumps)] {
        for &(first, last) in ranges {
            batch.replace(
                "gaps",
                &["record_key", "first_number", "last_number", "reason"],
                [key.into(), first.into(), last.into(), reason.into()],
            );
        }
    }
    Ok(())
}

/// Deletes what a ledger's record said.
pub(super) fn delete(key: &str, batch: &mut Batch) {
    for table in ["ledgers", "gaps"] {
        batch.delete_record(table, key);
    }
}

#[derive(Deserialize)]
struct Register<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    store: Cow<'a, str>,
    valid_from: Cow<'a, str>,
    revision: Cow<'a, str>,
    settings: Option<Settings<'a>>,
    #[serde(default)]
    terminals: Vec<Terminal<'a>>,
}

#[derive(Deserialize)]
struct Settings<'a> {
    #[serde(borrow)]
    zone: Option<Cow<'a, str>>,
    currency: Option<Cow<'a, str>>,
    group: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Terminal<'a> {
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    kind: Option<Cow<'a, str>>,
}

/// Adds a part of a register in place of the one that stood under its key. Only part 0 has settings.
pub(super) fn add_register(key: &str, value: &[u8], batch: &mut Batch) -> Result<(), FoldError> {
    let register: Register<'_> = serde_json::from_slice(value)?;
    delete_register(key, batch);
    let named = || -> [Value; 4] {
        [
            key.into(),
            register.tenant.as_ref().into(),
            register.store.as_ref().into(),
            register.valid_from.as_ref().into(),
        ]
    };
    let [record_key, tenant, store, valid_from] = named();
    if let Some(settings) = &register.settings {
        batch.replace(
            "registers",
            &[
                "record_key",
                "tenant",
                "store",
                "valid_from",
                "revision",
                "zone",
                "currency",
                "store_group",
            ],
            [
                record_key,
                tenant,
                store,
                valid_from,
                register.revision.as_ref().into(),
                settings.zone.as_deref().into(),
                settings.currency.as_deref().into(),
                settings.group.as_deref().into(),
            ],
        );
    }
    for terminal in &register.terminals {
        let [record_key, tenant, store, valid_from] = named();
        let kind = terminal.kind.as_deref().unwrap_or("staffed").into();
        batch.replace(
            "register_terminals",
            &["record_key", "tenant", "store", "valid_from", "terminal", "terminal_kind"],
            [record_key, tenant, store, valid_from, terminal.terminal.as_ref().into(), kind],
        );
    }
    Ok(())
}

/// Deletes what a register's record said.
pub(super) fn delete_register(key: &str, batch: &mut Batch) {
    for table in ["registers", "register_terminals"] {
        batch.delete_record(table, key);
    }
}
