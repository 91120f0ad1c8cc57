//! The registers of a store as the aggregator published them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tillrace_core::register::Register;
use tillrace_core::register::part::{RegisterPart, assemble};
use tillrace_core::topics::{self, Topics};
use tillrace_log::LogView;

use crate::cli::RegisterShowArgs;
use crate::config::Settings;
use crate::roles;
use crate::session::say;

const RECORDS_AT_ONCE: usize = 500;
const READ_WAIT: Duration = Duration::from_secs(1);
/// What a published record has besides the part.
const NOT_OF_THE_PART: [&str; 4] = ["tenant", "store", "partition", "offset"];

/// A register that is in force, and who applied it.
struct Published {
    register: Register,
    revision: String,
    operator: String,
}

/// Prints the registers of a store that are in force, or will be.
pub(super) fn show(args: &RegisterShowArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let (view, topics) = (roles::open_view(&domain)?, domain.topics());
    let registers = registers_of(view.as_ref(), &topics, [&args.tenant, &args.store])?;
    if registers.is_empty() {
        say(&format!("no register of tenant {}, store {} is in force", args.tenant, args.store))?;
        return Ok(ExitCode::FAILURE);
    }
    for published in &registers {
        if args.json {
            let Published { register, revision, operator } = published;
            let whole = json!({"tenant": args.tenant, "store": args.store, "revision": revision,
                "valid_from": register.valid_from.to_string(), "settings": register.settings,
                "terminals": register.terminals, "operator": operator});
            say(&whole.to_string())?;
        } else {
            print(&args.tenant, &args.store, published)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(tenant: &str, store: &str, published: &Published) -> anyhow::Result<()> {
    let Published { register, operator, .. } = published;
    say(&format!("{}, applied by {operator}", super::line(tenant, store, register)))?;
    let calendar = &register.settings.calendar;
    let days: Vec<String> = calendar.weekdays.iter().map(|day| format!("{day:?}")).collect();
    let days = if days.is_empty() { "never".to_owned() } else { format!("on {}", days.join(", ")) };
    let group = register.settings.group.as_deref().map(|group| format!("group {group}, "));
    say(&format!("  {}open {days}", group.unwrap_or_default()))?;
    for (date, opening) in &calendar.exceptions {
        say(&format!("  {date}: {opening:?}"))?;
    }
    for known in &register.terminals {
        let closes = if known.closes { "closes" } else { "never closes" };
        let kind = serde_json::to_value(known.kind)?;
        let kind = kind.as_str().unwrap_or_default();
        say(&format!("  terminal {}: {kind}, {closes}", known.terminal))?;
    }
    Ok(())
}

/// Reads the registers of one store, by the dates from which they hold.
fn registers_of(
    view: &dyn LogView,
    topics: &Topics,
    [tenant, store]: [&str; 2],
) -> anyhow::Result<Vec<Published>> {
    let prefix = format!("{}/", topics::key(&[tenant, store]));
    let partition = topics::partition_of(tenant, store, view.partitions());
    let topic = &topics.registers;
    let bounds = view.bounds(topic, partition).context("read the bounds of store.registers")?;
    let mut parts: BTreeMap<String, RegisterPart> = BTreeMap::new();
    let mut reader = view.reader(topic, partition, bounds.start).context("open store.registers")?;
    while reader.position() < bounds.stable_end {
        for entry in reader.read(RECORDS_AT_ONCE, READ_WAIT).context("read store.registers")? {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            if !key.starts_with(&prefix) {
                continue;
            }
            match entry.value.as_deref() {
                Some(value) => parts.insert(key, part(value)?),
                None => parts.remove(&key),
            };
        }
    }
    let mut by_date: BTreeMap<String, Vec<RegisterPart>> = BTreeMap::new();
    for part in parts.into_values() {
        by_date.entry(part.valid_from.clone()).or_default().push(part);
    }
    let whole = |mut parts: Vec<RegisterPart>| {
        parts.sort_unstable_by_key(|part| part.part);
        let register = assemble(&parts)?;
        let first = parts.swap_remove(0);
        Some(Published { register, revision: first.revision, operator: first.operator })
    };
    Ok(by_date.into_values().filter_map(whole).collect())
}

/// Reads a part of a register as it is published.
///
/// # Errors
/// When it is none that this version reads.
pub(super) fn part(value: &[u8]) -> anyhow::Result<RegisterPart> {
    let mut record: Value = serde_json::from_slice(value).context("read a register")?;
    if let Some(members) = record.as_object_mut() {
        for name in NOT_OF_THE_PART {
            members.remove(name);
        }
    }
    serde_json::from_value(record).context("read a register of this version")
}
