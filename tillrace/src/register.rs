//! `tillrace register`: what is known of a store besides what it sends.
//!
//! A register reaches the books through the journal alone: `apply` writes its parts there, and the aggregator puts it in force
//! with the last one and publishes it, so that `show` reads it from `store.registers.v1`, whatever the journal still holds.

mod error;
mod in_force;
mod published;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tillrace_core::card;
use tillrace_core::envelope::TYPE_REGISTER;
use tillrace_core::register::Register;
use tillrace_core::register::part::RegisterPart;
use tillrace_core::register::read::{RegisterFile, read};
use tillrace_core::topics::{self, Topics};
use tillrace_log::{Partition, ProducerRecord};

pub(crate) use self::error::RegisterError;
use self::in_force::StoreDates;
use crate::cli::{RegisterAction, RegisterApplyArgs};
use crate::control;
use crate::session::{Session, say};

/// Most bytes of a file.
const FILE_BYTES: u64 = 64 << 20;
/// Stores that are named before it is applied; all are counted.
const NAMED_STORES: usize = 20;

/// Does what is asked about registers.
pub(crate) fn run(action: &RegisterAction) -> anyhow::Result<ExitCode> {
    match action {
        RegisterAction::Apply(args) => apply(args),
        RegisterAction::Show(args) => published::show(args),
        RegisterAction::Check { file } => {
            let file = read_file(file)?;
            describe(&file)?;
            say("nothing is wrong with it")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads a file whole, and all that is wrong with it.
fn read_file(path: &Path) -> anyhow::Result<RegisterFile> {
    let at = || path.to_owned();
    let file =
        std::fs::metadata(path).with_context(|| format!("read the register {}", path.display()))?;
    if file.len() > FILE_BYTES {
        return Err(RegisterError::TooLarge { path: at(), most: FILE_BYTES }.into());
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the register {}", path.display()))?;
    let value: serde_json::Value = serde_saphyr::from_str(&text)
        .map_err(|error| RegisterError::Unreadable { path: at(), problem: error.to_string() })?;
    if card::holds_card_data(&value.to_string()) {
        return Err(RegisterError::HoldsCard { path: at() }.into());
    }
    Ok(read(&value).map_err(|faults| RegisterError::Faulty { path: at(), faults })?)
}

/// Prints what a file says of its stores.
fn describe(file: &RegisterFile) -> anyhow::Result<()> {
    for (store, register) in file.stores.iter().take(NAMED_STORES) {
        say(&line(&file.tenant, store, register))?;
    }
    if file.stores.len() > NAMED_STORES {
        say(&format!("and {} more", file.stores.len() - NAMED_STORES))?;
    }
    let terminals: usize = file.stores.iter().map(|(_, register)| register.terminals.len()).sum();
    say(&format!("{} registers, {terminals} terminals", file.stores.len()))
}

fn line(tenant: &str, store: &str, register: &Register) -> String {
    format!(
        "tenant {tenant}, store {store}: from {}, {}, {}, {} terminals, revision {}",
        register.valid_from,
        register.settings.zone.name(),
        register.settings.currency,
        register.terminals.len(),
        register.revision(),
    )
}

/// Writes the registers of a file to the journal.
fn apply(args: &RegisterApplyArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.order.operator, None)?;
    let mut file = read_file(&args.file)?;
    let session = Session::open(&args.order.log, args.order.consent)?;
    let tenants = &session.domain.tenants;
    // Without a configuration nobody knows who may send.
    if !tenants.is_empty() && tenants.iter().all(|tenant| tenant.id != file.tenant) {
        let (path, tenant) = (args.file.clone(), file.tenant);
        return Err(RegisterError::UnknownTenant { path, tenant }.into());
    }
    describe(&file)?;
    let known = in_force::in_force(session.view(), &session.topics, &file)?;
    if !known.is_empty() {
        tell_known(&known)?;
        let is_known = |store: &String, register: &Register| {
            known.contains(&(store.clone(), register.valid_from))
        };
        file.stores.retain(|(store, register)| !is_known(store, register));
        if file.stores.is_empty() {
            say("all of it is in force; nothing was written")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let partitions = session.view().partitions();
    let question = format!(
        "Apply {} registers? Days that are not sealed are judged anew by them.",
        file.stores.len()
    );
    session.order((file.stores.len(), "applied"), &question, args.order.wait.into(), |orders| {
        for (store, register) in &file.stores {
            let names = [file.tenant.as_str(), store.as_str()];
            for part in RegisterPart::of(register, &args.order.operator) {
                orders.add(row(&session.topics, partitions, names, &part)?)?;
            }
        }
        Ok(())
    })
}

/// Says of which stores nothing is to be written.
fn tell_known(known: &StoreDates) -> anyhow::Result<()> {
    for (store, from) in known.iter().take(NAMED_STORES) {
        say(&format!("store {store}: from {from}, in force already as it stands in the file"))?;
    }
    let more = known.len().saturating_sub(NAMED_STORES);
    if more > 0 { say(&format!("and {more} more are in force already")) } else { Ok(()) }
}

fn row(
    topics: &Topics,
    partitions: Partition,
    [tenant, store]: [&str; 2],
    part: &RegisterPart,
) -> anyhow::Result<ProducerRecord> {
    let value = control::record(TYPE_REGISTER, "tillrace-register", [tenant, store], part)?;
    Ok(ProducerRecord {
        topic: topics.events.clone(),
        partition: topics::partition_of(tenant, store, partitions),
        key: topics::key(&[tenant, store]).into(),
        value: Some(value.into()),
    })
}
