//! `tillrace books` and `tillrace trail`: the data store kept, made anew, compared, and asked for one sale.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;
use tillrace_books::check;
use tillrace_books::metrics::BooksMetrics;
use tillrace_books::rebuild::rebuild;
use tillrace_books::trail::{Sale, Trails};
use tillrace_log::health::Health;

use crate::cli::{LogSource, Output, TrailArgs};
use crate::config::{Domain, Settings};
use crate::roles;
use crate::session::say;

/// The tenant of a set-up without a configuration file.
const DEVELOPMENT_TENANT: &str = "demo";

/// Makes the data store anew.
pub(crate) fn run_rebuild(source: &LogSource, allow_holes: bool) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(source)?;
    let (log, metrics) = (roles::open_view(&domain)?, BooksMetrics::default());
    let plan = roles::plan_books(&domain, log, metrics.clone(), Health::default());
    rebuild(&plan, allow_holes).context("make the data store anew")?;
    let (records, rows, holes) =
        (metrics.records.get(), metrics.rows.get(), metrics.hole_records.get());
    let path = domain.books.display();
    say(&format!("{path}: {rows} rows of {records} records; {holes} offsets were gone"))?;
    Ok(ExitCode::SUCCESS)
}

/// Compares the data store's sums.
pub(crate) fn run_check(source: &LogSource) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(source)?;
    let report = check::check(&domain.books).context("compare the data store's sums")?;
    for finding in &report.findings {
        say(finding)?;
    }
    let check::CheckReport { compared, hole_offsets, unreadable, .. } = report;
    say(&format!(
        "{compared} sums compared, {} differ; {hole_offsets} offsets were gone, {unreadable} records unreadable",
        report.findings.len()
    ))?;
    let holds = report.findings.is_empty() && hole_offsets == 0 && unreadable == 0;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the trail of a sale. The exit code is 1 when the store knows nothing of it.
pub(crate) fn run_trail(args: &TrailArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let trails = Trails::open(&domain.books, domain.topics())?;
    let trail = trails.find(&sale(args, &domain))?;
    let is_known = ["transactions", "parked", "conflicts", "rejected"]
        .iter()
        .any(|part| trail[part].as_array().is_some_and(|rows| !rows.is_empty()));
    match args.output {
        Output::Json => {
            let mut out = io::stdout().lock();
            writeln!(out, "{trail:#}").context("print the trail")?;
        }
        Output::Text if is_known => print(&trail)?,
        Output::Text => say("the data store knows nothing of it")?,
    }
    Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sale(args: &TrailArgs, domain: &Domain) -> Sale {
    if let Some(id) = &args.event_id {
        return Sale::EventId(id.clone());
    }
    if let Some(order) = &args.order {
        return Sale::Order(order.clone());
    }
    let tenant = args.tenant.clone().or_else(|| match domain.tenants.as_slice() {
        [only] => Some(only.id.clone()),
        _ => None,
    });
    Sale::Number {
        tenant: tenant.unwrap_or_else(|| DEVELOPMENT_TENANT.to_owned()),
        store: args.store.clone().unwrap_or_default(),
        terminal: args.terminal.clone().unwrap_or_default(),
        sequence: args.sequence.unwrap_or_default(),
    }
}

fn print(trail: &Value) -> anyhow::Result<()> {
    for transaction in rows(&trail["transactions"]) {
        let show = |members: &[&str]| shown(transaction, members);
        say(&format!(
            "{} {}",
            text(&transaction["kind"]),
            show(&["store", "terminal", "sequence", "event_id"])
        ))?;
        say(&format!("  admitted   {}", show(&["received_at", "gateway", "admission", "flags"])))?;
        say(&format!(
            "  verdict    {}",
            show(&["verdict", "journal_offset", "partition", "parked_offset", "transforms"])
        ))?;
        say(&format!(
            "  business   {}",
            show(&["business_date", "occurred_at", "currency", "sales_minor", "returns_minor"])
        ))?;
        part(
            "delta",
            &transaction["deltas"],
            &["sku", "unit", "location", "net_millionths", "delta_offset"],
        )?;
        for delta in rows(&transaction["deltas"]) {
            part("  delivery", &delta["deliveries"], &DELIVERY)?;
        }
        part("delivery", &transaction["deliveries"], &DELIVERY)?;
        part(
            "dead",
            &transaction["dead_letters"],
            &["sink", "reason", "code", "attempts", "died_at"],
        )?;
    }
    part("parked", &trail["parked"], &["code", "pointer", "received_at", "is_settled"])?;
    part("conflict", &trail["conflicts"], &["reason", "detail", "received_at", "conflict_offset"])?;
    part("rejected", &trail["rejected"], &["code", "pointer", "received_at"])?;
    part("hole", &trail["holes"], &["topic", "partition", "first_offset", "past_offset"])
}

const DELIVERY: [&str; 6] = ["sink", "outcome", "status", "attempts", "started_at", "is_redriven"];

fn part(name: &str, part: &Value, members: &[&str]) -> anyhow::Result<()> {
    rows(part).iter().try_for_each(|row| say(&format!("  {name:<10} {}", shown(row, members))))
}

fn rows(part: &Value) -> &[Value] {
    part.as_array().map_or(&[], Vec::as_slice)
}

/// Names the members that are there, and their values.
fn shown(row: &Value, members: &[&str]) -> String {
    let present = members.iter().filter(|name| !row[**name].is_null() && row[**name] != "");
    present.map(|name| format!("{name}={}", text(&row[*name]))).collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
