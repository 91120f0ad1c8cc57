//! `tillrace redrive`: dead letters back through their sink.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tillrace_core::topics::Topics;
use tillrace_log::WritableLog;
use tillrace_sinks::SinkSettings;
use tillrace_sinks::redrive::{self, DueLetter, LetterOutcome, RedriveTotals};

use crate::cli::RedriveArgs;
use crate::config::Settings;
use crate::confirm::confirm;
use crate::terminal::printable;
use crate::usage::UsageError;
use crate::{roles, telemetry};

/// Says what is due, asks, and sends it; the exit code is 1 when something stays dead.
pub(crate) async fn run(args: RedriveArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&(&args.log).into())?;
    let domain = settings.domain_named(args.log.domain.as_deref())?;
    telemetry::start(&settings.telemetry)?;
    let topics = domain.topics();
    let sink = domain.sinks.iter().find(|sink| sink.name == args.sink).ok_or_else(|| {
        UsageError::NoSink { name: args.sink.clone(), known: domain.sink_names() }
    })?;
    if args.consent.dry_run {
        let view = roles::open_view(&domain)?;
        let due = redrive::due(view.as_ref(), &topics, sink)?;
        list(&due, &sink.name).context("print what is due")?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = roles::open_to_write(&domain)?;
    let due = redrive::due(log.as_ref(), &topics, sink)?;
    list(&due, &sink.name).context("print what is due")?;
    if due.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !confirm(&format!("Send {} of them to {} again?", due.len(), sink.name), args.consent.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    let RedriveTotals { delivered, left } = send(&log, &topics, sink, &due).await?;
    writeln!(io::stdout().lock(), "{delivered} delivered, {left} left among the dead letters")
        .context("print the result")?;
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(
    log: &Arc<dyn WritableLog>,
    topics: &Topics,
    sink: &SinkSettings,
    due: &[DueLetter],
) -> anyhow::Result<RedriveTotals> {
    let mut unprinted = None;
    let mut report = |due: &DueLetter, outcome: &LetterOutcome| {
        let outcome = match outcome {
            LetterOutcome::Delivered => "delivered",
            LetterOutcome::Failed(reason) => reason,
            LetterOutcome::Blocked => "not tried: an earlier one of its key has to wait",
        };
        let (partition, letter) = (due.partition, due.letter);
        let line = format!("{partition}/{letter} {}: {outcome}", due.key);
        let printed = writeln!(io::stdout().lock(), "{}", printable(&line));
        unprinted = unprinted.take().or(printed.err());
    };
    let redriven = redrive::redrive(Arc::clone(log), topics, sink, due, &mut report).await?;
    unprinted.map_or(Ok(redriven), |error| Err(error).context("print what became of a letter"))
}

fn list(due: &[DueLetter], sink: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for due in due {
        let DueLetter { partition, letter, key, reason, error, .. } = due;
        writeln!(out, "{}", printable(&format!("{partition}/{letter} {key}: {reason}, {error}")))?;
    }
    writeln!(out, "{} dead letters of {sink} were not delivered since", due.len())
}
