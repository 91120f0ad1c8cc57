//! `tillrace parked` and `tillrace refused`: events that count nowhere until people look at them.
//!
//! What changes a count is a record on the journal: a readmission is the event again, a dismissal an order. The aggregator
//! follows in the order of the journal, so that doing something twice changes nothing.

mod error;
mod index;
mod readmit;
mod rules;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use tillrace_core::envelope::{Envelope, TYPE_DISMISS};
use tillrace_core::topics::{self, Topics};
use tillrace_log::{Offset, Partition, ProducerRecord};

pub(crate) use self::error::ParkedError;
use self::index::{Selection, each, unsettled};
pub(crate) use self::readmit::readmit_all;
use crate::cli::{
    DismissArgs, DismissRefusedArgs, ParkedAction, ParkedListArgs, ParkedShowArgs, Place,
    RefusedAction,
};
use crate::config::Settings;
use crate::control;
use crate::roles;
use crate::session::{Session, say};

/// Most numbers that one dismissal of refused events names.
const MOST_NUMBERS: u64 = 10_000;

/// Does what is asked about parked events.
pub(crate) fn run(action: &ParkedAction) -> anyhow::Result<ExitCode> {
    match action {
        ParkedAction::List(args) => list(args),
        ParkedAction::Show(args) => show(args),
        ParkedAction::Readmit(args) => readmit::run(args),
        ParkedAction::Dismiss(args) => dismiss(args),
    }
}

/// Does what is asked about refused events.
pub(crate) fn run_refused(action: &RefusedAction) -> anyhow::Result<ExitCode> {
    let RefusedAction::Dismiss(args) = action;
    dismiss_refused(args)
}

/// A parked event, for people and programs.
#[derive(Debug, Serialize)]
struct ParkedSummary {
    place: String,
    tenant: String,
    store: String,
    terminal: String,
    epoch: String,
    sequence: Option<u64>,
    event_id: String,
    business_date: String,
    received: String,
    code: String,
    pointer: String,
}

impl ParkedSummary {
    fn of(envelope: &Envelope<'_>, place: Place) -> Self {
        let text = |value: &Option<std::borrow::Cow<'_, str>>| {
            value.as_deref().unwrap_or_default().to_owned()
        };
        let parked = envelope.parked.as_ref();
        Self {
            place: place.to_string(),
            tenant: envelope.tenant.to_string(),
            store: envelope.store.to_string(),
            terminal: text(&envelope.terminal),
            epoch: text(&envelope.epoch),
            sequence: envelope.sequence,
            event_id: text(&envelope.event_id),
            business_date: text(&envelope.business_date),
            received: envelope.received_time.to_string(),
            code: parked.map(|parked| parked.code.to_string()).unwrap_or_default(),
            pointer: parked.map(|parked| parked.pointer.to_string()).unwrap_or_default(),
        }
    }

    fn line(&self) -> String {
        let number =
            self.sequence.map_or_else(|| self.event_id.clone(), |number| number.to_string());
        format!(
            "{:<10} {} at {}: tenant {}, store {}, terminal {}, number {number}, date {}",
            self.place,
            self.code,
            if self.pointer.is_empty() { "the whole" } else { &self.pointer },
            self.tenant,
            self.store,
            self.terminal,
            if self.business_date.is_empty() { "unknown" } else { &self.business_date },
        )
    }
}

fn list(args: &ParkedListArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let (view, topics) = (roles::open_view(&domain)?, domain.topics());
    let selection = Selection { filter: &args.filter, places: &[] };
    let mut by_code: BTreeMap<String, u64> = BTreeMap::new();
    let mut shown = Vec::new();
    for partition in 0..view.partitions() {
        let found = unsettled(view.as_ref(), &topics, partition, &selection)?;
        each(view.as_ref(), &topics, partition, &found, |envelope, source| {
            let summary = ParkedSummary::of(envelope, Place { partition, offset: source });
            *by_code.entry(summary.code.clone()).or_default() += 1;
            if shown.len() < args.limit {
                shown.push(summary);
            }
            Ok(())
        })?;
    }
    let all: u64 = by_code.values().sum();
    if args.json {
        let report = serde_json::json!({"parked": all, "by_code": by_code, "events": shown});
        say(&report.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let codes: Vec<String> =
        by_code.iter().map(|(code, events)| format!("{events} {code}")).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(": {}", codes.join(", ")) };
    say(&format!("{all} parked{codes}"))?;
    for summary in &shown {
        say(&summary.line())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ParkedShowArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let (view, topics) = (roles::open_view(&domain)?, domain.topics());
    let filter = crate::cli::ParkedFilter::default();
    let places = [args.place];
    let selection = Selection { filter: &filter, places: &places };
    let partition = args.place.partition;
    let found = unsettled(view.as_ref(), &topics, partition, &selection)?;
    if found.is_empty() {
        return Err(ParkedError::NotParked { place: args.place }.into());
    }
    let mut decoder = tillrace_core::decode::Decoder::new();
    each(view.as_ref(), &topics, partition, &found, |envelope, source| {
        say(&ParkedSummary::of(envelope, Place { partition, offset: source }).line())?;
        let now = match rules::judge(&mut decoder, &domain.tenants, envelope, envelope.data) {
            Ok(_) => "it breaks no rule now: readmit it as it is".to_owned(),
            Err(broken) => format!("it still breaks {broken}"),
        };
        say(&now)?;
        let text: serde_json::Value =
            serde_json::from_slice(envelope.data).context("read the parked text")?;
        let pointer = envelope.parked.as_ref().map_or("", |parked| &*parked.pointer);
        match text.pointer(pointer) {
            Some(_) if pointer.is_empty() => {}
            Some(value) => say(&format!("{pointer} is {value}"))?,
            None => say(&format!("{pointer} is absent"))?,
        }
        for line in format!("{text:#}").lines() {
            say(line)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The order of a dismissal.
#[derive(Serialize)]
struct DismissOrder<'a> {
    partition: Partition,
    offset: Offset,
    operator: &'a str,
    reason: &'a str,
}

fn dismiss(args: &DismissArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.order.operator, Some(&args.reason))?;
    if !args.selected.names_any() {
        return Err(ParkedError::NothingNamed.into());
    }
    let session = Session::open(&args.order.log, args.order.consent)?;
    let (view, topics) = (session.view(), &session.topics);
    let selection = Selection { filter: &args.selected.filter, places: &args.selected.places };
    let mut found = Vec::new();
    for partition in 0..view.partitions() {
        let unsettled = unsettled(view, topics, partition, &selection)?;
        each(view, topics, partition, &unsettled, |envelope, offset| {
            say(&ParkedSummary::of(envelope, Place { partition, offset }).line())
        })?;
        found.push((partition, unsettled));
    }
    let count = found.iter().map(|(_, unsettled)| unsettled.len()).sum();
    let what = format!("Dismiss {count}? They were no trade, and will never count.");
    session.order((count, "dismissed"), &what, args.order.wait.into(), |orders| {
        for (partition, unsettled) in &found {
            each(view, topics, *partition, unsettled, |envelope, offset| {
                let order = DismissOrder {
                    partition: *partition,
                    offset,
                    operator: &args.order.operator,
                    reason: &args.reason,
                };
                let names = [&*envelope.tenant, &*envelope.store];
                orders.add(order_row(topics, *partition, names, &order)?)
            })?;
        }
        Ok(())
    })
}

/// The order of a dismissal of a refused event.
#[derive(Serialize)]
struct DismissRefusedOrder<'a> {
    terminal: &'a str,
    epoch: &'a str,
    sequence: u64,
    operator: &'a str,
    reason: &'a str,
}

fn dismiss_refused(args: &DismissRefusedArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.order.operator, Some(&args.reason))?;
    let (first, last) = range(&args.sequence)?;
    let session = Session::open(&args.order.log, args.order.consent)?;
    let (view, topics) = (session.view(), &session.topics);
    let key = topics::key(&[&args.tenant, &args.store]);
    let partition = topics::partition_of_key(&key, view.partitions());
    let count = (first..=last).count();
    let what = format!(
        "Dismiss {count} refused numbers of terminal {} in store {}? They lack no longer.",
        args.terminal, args.store
    );
    session.order((count, "dismissed"), &what, args.order.wait.into(), |orders| {
        for sequence in first..=last {
            let order = DismissRefusedOrder {
                terminal: &args.terminal,
                epoch: args.epoch.as_deref().unwrap_or_default(),
                sequence,
                operator: &args.order.operator,
                reason: &args.reason,
            };
            orders.add(order_row(topics, partition, [&args.tenant, &args.store], &order)?)?;
        }
        Ok(())
    })
}

/// Reads `17` or `17-20`.
fn range(text: &str) -> Result<(u64, u64), ParkedError> {
    let numbers = || {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (first <= last && last - first < MOST_NUMBERS).then_some((first, last))
    };
    numbers().ok_or_else(|| ParkedError::NoRange { text: text.to_owned() })
}

fn order_row(
    topics: &Topics,
    partition: Partition,
    [tenant, store]: [&str; 2],
    order: &impl Serialize,
) -> anyhow::Result<ProducerRecord> {
    let value = control::record(TYPE_DISMISS, "tillrace-dismiss", [tenant, store], order)?;
    Ok(ProducerRecord {
        topic: topics.events.clone(),
        partition,
        key: topics::key(&[tenant, store]).into(),
        value: Some(value.into()),
    })
}
