//! Store-days: totals, terminals, drawers, and amendments of sealed days, each a record of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::FoldError;
use super::text::{currency, minor};
use crate::change::{Batch, Value};

/// Tables that rows of a day's record are in.
const TABLES: [&str; 5] =
    ["store_days", "store_day_totals", "till_balances", "store_day_terminals", "drawers"];

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    store: Cow<'a, str>,
    business_date: Cow<'a, str>,
    status: Option<Cow<'a, str>>,
    #[serde(default)]
    totals: BTreeMap<Cow<'a, str>, Totals<'a>>,
    #[serde(default)]
    truncated: bool,
    terminal_count: Option<u64>,
    #[serde(default)]
    closed_count: u64,
    #[serde(default)]
    missing_count: u64,
    #[serde(default)]
    refused_count: u64,
    #[serde(default)]
    parked_count: u64,
    completeness: Option<&'a RawValue>,
    till_balance: Option<TillBalance<'a>>,
    #[serde(default)]
    terminals: Vec<Terminal<'a>>,
    drawer: Option<Drawer<'a>>,
}

#[derive(Deserialize)]
struct Totals<'a> {
    #[serde(borrow)]
    sales: Cow<'a, str>,
    returns: Cow<'a, str>,
    discounts: Cow<'a, str>,
    taxes: Cow<'a, str>,
    liabilities_issued: Cow<'a, str>,
    liabilities_redeemed: Cow<'a, str>,
    pass_through: Cow<'a, str>,
    tips: Cow<'a, str>,
    rounding: Cow<'a, str>,
}

#[derive(Deserialize)]
struct TillBalance<'a> {
    #[serde(borrow)]
    currencies: BTreeMap<Cow<'a, str>, Balance<'a>>,
    declared_count: u64,
    undeclared_count: u64,
}

#[derive(Deserialize)]
struct Balance<'a> {
    #[serde(borrow)]
    expected: Cow<'a, str>,
    declared: Cow<'a, str>,
    over: Cow<'a, str>,
    short: Cow<'a, str>,
    undeclared: Cow<'a, str>,
    loans: Cow<'a, str>,
    pickups: Cow<'a, str>,
    bank: Cow<'a, str>,
    safe: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Terminal<'a> {
    #[serde(borrow, rename = "terminal")]
    name: Cow<'a, str>,
    epoch: Option<Cow<'a, str>>,
    opened: bool,
    closed: bool,
    missing: u64,
}

#[derive(Deserialize)]
struct Drawer<'a> {
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    session: Option<Cow<'a, str>>,
    operator: Option<Cow<'a, str>>,
    tenders: BTreeMap<Cow<'a, str>, BTreeMap<Cow<'a, str>, DrawerTender<'a>>>,
}

#[derive(Deserialize)]
struct DrawerTender<'a> {
    #[serde(borrow)]
    expected: Cow<'a, str>,
    declared: Option<Cow<'a, str>>,
    over_short: Option<Cow<'a, str>>,
}

/// Adds a record in place of the one that stood under its key.
pub(super) fn add(key: &str, value: &[u8], batch: &mut Batch) -> Result<(), FoldError> {
    let record: Record<'_> = serde_json::from_slice(value)?;
    delete(key, batch);
    if let (Some(terminals), Some(status)) = (record.terminal_count, &record.status) {
        add_day(key, &record, (terminals, status), batch);
    }
    for (code, totals) in &record.totals {
        add_totals(key, &record, code, totals, batch)?;
    }
    for (code, balance) in record.till_balance.iter().flat_map(|till| &till.currencies) {
        add_balance(key, &record, code, balance, batch)?;
    }
    for terminal in &record.terminals {
        let [record_key, tenant, store, date] = names(key, &record);
        batch.replace(
            "store_day_terminals",
            &[
                "record_key",
                "tenant",
                "store",
                "business_date",
                "terminal",
                "epoch",
                "is_opened",
                "is_closed",
                "missing",
            ],
            [
                record_key,
                tenant,
                store,
                date,
                terminal.name.as_ref().into(),
                terminal.epoch.as_deref().unwrap_or("").into(),
                terminal.opened.into(),
                terminal.closed.into(),
                terminal.missing.into(),
            ],
        );
    }
    record.drawer.as_ref().map_or(Ok(()), |drawer| add_drawer(key, &record, drawer, batch))
}

/// Deletes what a record said.
pub(super) fn delete(key: &str, batch: &mut Batch) {
    for table in TABLES {
        batch.delete_record(table, key);
    }
}

fn names(key: &str, record: &Record<'_>) -> [Value; 4] {
    [
        key.into(),
        record.tenant.as_ref().into(),
        record.store.as_ref().into(),
        record.business_date.as_ref().into(),
    ]
}

fn add_day(key: &str, record: &Record<'_>, (terminals, status): (u64, &str), batch: &mut Batch) {
    let [record_key, tenant, store, date] = names(key, record);
    let drawers = record.till_balance.as_ref();
    batch.replace(
        "store_days",
        &[
            "record_key",
            "tenant",
            "store",
            "business_date",
            "status",
            "terminals",
            "closed",
            "missing",
            "refused",
            "parked",
            "completeness",
            "declared_drawers",
            "undeclared_drawers",
            "is_truncated",
        ],
        [
            record_key,
            tenant,
            store,
            date,
            status.into(),
            terminals.into(),
            record.closed_count.into(),
            record.missing_count.into(),
            record.refused_count.into(),
            record.parked_count.into(),
            record.completeness.map_or("{}", RawValue::get).into(),
            drawers.map_or(0, |till| till.declared_count).into(),
            drawers.map_or(0, |till| till.undeclared_count).into(),
            record.truncated.into(),
        ],
    );
}

fn add_totals(
    key: &str,
    record: &Record<'_>,
    code: &str,
    totals: &Totals<'_>,
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let [record_key, tenant, store, date] = names(key, record);
    let (currency, is_amendment) = (currency(code)?, record.terminal_count.is_none());
    let amount = |member, text: &str| Ok::<Value, FoldError>(minor(member, text, currency)?.into());
    batch.replace(
        "store_day_totals",
        &[
            "record_key",
            "tenant",
            "store",
            "business_date",
            "is_amendment",
            "currency",
            "sales_minor",
            "returns_minor",
            "discounts_minor",
            "taxes_minor",
            "liabilities_issued_minor",
            "liabilities_redeemed_minor",
            "pass_through_minor",
            "tips_minor",
            "rounding_minor",
        ],
        [
            record_key,
            tenant,
            store,
            date,
            is_amendment.into(),
            code.into(),
            amount("sales", &totals.sales)?,
            amount("returns", &totals.returns)?,
            amount("discounts", &totals.discounts)?,
            amount("taxes", &totals.taxes)?,
            amount("liabilities_issued", &totals.liabilities_issued)?,
            amount("liabilities_redeemed", &totals.liabilities_redeemed)?,
            amount("pass_through", &totals.pass_through)?,
            amount("tips", &totals.tips)?,
            amount("rounding", &totals.rounding)?,
        ],
    );
    Ok(())
}

fn add_balance(
    key: &str,
    record: &Record<'_>,
    code: &str,
    balance: &Balance<'_>,
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let [record_key, tenant, store, date] = names(key, record);
    let currency = currency(code)?;
    let amount = |member, text: &str| Ok::<Value, FoldError>(minor(member, text, currency)?.into());
    batch.replace(
        "till_balances",
        &[
            "record_key",
            "tenant",
            "store",
            "business_date",
            "currency",
            "expected_minor",
            "declared_minor",
            "over_minor",
            "short_minor",
            "undeclared_minor",
            "loans_minor",
            "pickups_minor",
            "bank_minor",
            "safe_minor",
        ],
        [
            record_key,
            tenant,
            store,
            date,
            code.into(),
            amount("expected", &balance.expected)?,
            amount("declared", &balance.declared)?,
            amount("over", &balance.over)?,
            amount("short", &balance.short)?,
            amount("undeclared", &balance.undeclared)?,
            amount("loans", &balance.loans)?,
            amount("pickups", &balance.pickups)?,
            amount("bank", &balance.bank)?,
            amount("safe", &balance.safe)?,
        ],
    );
    Ok(())
}

fn add_drawer(
    key: &str,
    record: &Record<'_>,
    drawer: &Drawer<'_>,
    batch: &mut Batch,
) -> Result<(), FoldError> {
    for (code, tenders) in &drawer.tenders {
        let currency = currency(code)?;
        let optional = |member, text: &Option<Cow<'_, str>>| {
            text.as_deref().map(|text| minor(member, text, currency)).transpose()
        };
        for (tender, sums) in tenders {
            let [record_key, tenant, store, date] = names(key, record);
            batch.replace(
                "drawers",
                &[
                    "record_key",
                    "tenant",
                    "store",
                    "business_date",
                    "terminal",
                    "session",
                    "operator",
                    "currency",
                    "tender",
                    "expected_minor",
                    "declared_minor",
                    "over_short_minor",
                ],
                [
                    record_key,
                    tenant,
                    store,
                    date,
                    drawer.terminal.as_ref().into(),
                    drawer.session.as_deref().unwrap_or("").into(),
                    drawer.operator.as_deref().unwrap_or("").into(),
                    code.as_ref().into(),
                    tender.as_ref().into(),
                    minor("expected", &sums.expected, currency)?.into(),
                    optional("declared", &sums.declared)?.into(),
                    optional("over_short", &sums.over_short)?.into(),
                ],
            );
        }
    }
    Ok(())
}
