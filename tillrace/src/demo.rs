//! `tillrace demo`: a Black Friday morning, played against everything in one process.
//!
//! A made-up fleet of tills posts to a real gateway over loopback HTTP, with the network, the clerks
//! and the backends at their worst, and a release of the tills that no version knows, whose parked sales
//! an operator then lets in by a mapping. When all of it has come out at the other end, three parties say
//! what they know, none believing another: the fleet what was acknowledged, the log's own recount
//! what it holds, and the backends what they booked. The exit code is 0 only if all agree.

mod error;
mod reader;
mod report;
mod screen;
mod settle;
mod stage;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tillrace_loadtest::client::{self, Outcome};
use tillrace_loadtest::fleet::Fleet;
use tillrace_loadtest::verify::{self as sender, VerifySettings};

pub(crate) use self::error::DemoError;
use self::reader::ViewReader;
use self::report::DemoReport;
use self::screen::Screen;
use self::settle::settle;
use self::stage::{Ended, Stage};
use crate::cli::DemoArgs;
use crate::output;

/// The backlog may stand still for so long before the demo says that something is stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// Plays the morning and reports; the exit code is 1 when conservation does not hold.
///
/// # Errors
/// When a part cannot start, stops by itself, or does not get done with its work.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix("tillrace-demo-")
        .tempdir()
        .context("make a folder for the demo")?;
    let report = tokio::select! {
        report = play(&args, folder.path()) => report?,
        // Ending here, not by the signal, removes the folder.
        _interrupted = tokio::signal::ctrl_c() => return Err(DemoError::Interrupted.into()),
    };
    let text = if args.quiet && report.holds { String::new() } else { report.to_string() };
    output::report(text, args.json.as_deref().map(|path| (path, &report)))?;
    leave(folder, args.keep)?;
    Ok(if report.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(args: &DemoArgs, folder: &Path) -> anyhow::Result<DemoReport> {
    let fleet = Fleet::new(stage::fleet(args));
    let mut stage = Stage::set(folder, &fleet).await?;
    let screen = Screen::new(args.events, args.quiet);
    let outcome = send(args, fleet, &mut stage, &screen).await?;
    screen.restart();
    deliver(&mut stage, &screen).await?;
    screen.checking("readmitting what was parked");
    let readmitted = stage.readmit().await?;
    screen.restart();
    deliver(&mut stage, &screen).await?;
    screen.checking("ending the roles");
    let ended = stage.end().await?;
    screen.checking("recounting the log, and comparing with what the tills know");
    let report = check(ended, outcome, readmitted).await?;
    screen.clear();
    Ok(report)
}

/// Lets the fleet send; ends early if a role cannot go on.
async fn send(
    args: &DemoArgs,
    fleet: Fleet,
    stage: &mut Stage,
    screen: &Screen,
) -> anyhow::Result<Outcome> {
    let settings = stage::client(args, stage.address(), stage.key());
    let sending = client::run(Box::new(fleet), &settings, Arc::default(), |progress| {
        screen.sending(progress);
    });
    tokio::select! {
        outcome = sending => Ok(outcome.map_err(DemoError::from)?),
        error = stage.stopped() => Err(error.context("a role stopped while the tills were sending")),
    }
}

/// Waits until everything acknowledged has reached every sink.
async fn deliver(stage: &mut Stage, screen: &Screen) -> anyhow::Result<()> {
    let (view, topics, sinks) = (stage.view(), stage.topics(), stage.sinks());
    let settling = settle(view.as_ref(), &topics, &sinks, PATIENCE, |backlogs| {
        screen.settling(backlogs);
    });
    let left = tokio::select! {
        left = settling => left.context("ask the log how far everything is")?,
        error = stage.stopped() => return Err(error.context("a role stopped before it was done")),
    };
    if let Some(stuck) = left.first() {
        let (what, records) = (stuck.name.clone(), stuck.records);
        return Err(DemoError::StandsStill { what, records }.into());
    }
    Ok(())
}

/// Compares what the fleet knows with the log, and the log with itself.
async fn check(ended: Ended, outcome: Outcome, readmitted: u64) -> anyhow::Result<DemoReport> {
    let checking = tokio::task::spawn_blocking(move || {
        let view = &ended.view;
        let rules = VerifySettings {
            namespace: ended.domain.namespace.clone(),
            settle_for: Duration::ZERO,
            readmitted: true,
            ..VerifySettings::default()
        };
        let mut reader = ViewReader::new(Arc::clone(view));
        let seen = sender::verify(&outcome, &mut reader, &rules, |_waiting| {})
            .map_err(DemoError::from)?;
        let recount = crate::verify::recount(&ended.domain, view)?;
        let books = ended.books(&seen.moved);
        Ok(DemoReport::new(&outcome, seen, recount, books, readmitted))
    });
    checking.await.context("wait for the recount")?
}

/// Removes the folder, or keeps it and says where it is.
fn leave(folder: TempDir, keep: bool) -> anyhow::Result<()> {
    if keep {
        let path = folder.keep();
        writeln!(io::stderr().lock(), "kept {}", path.display()).context("print the folder")
    } else {
        folder.close().context("remove the demo's folder")
    }
}
