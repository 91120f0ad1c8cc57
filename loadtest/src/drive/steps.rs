//! Looks for the knee: sends step after step at the rate that the search asks for.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tillrace_loadtest::client::ClientError;
use tillrace_loadtest::knee::{Measured, Search, Step};
use tillrace_loadtest::page;
use tillrace_loadtest::schedule::{Profile, Schedule};

use super::{Sender, about, fleet, write};
use crate::cli::Cli;

/// Between two steps, so that what one left behind does not burden the next.
const REST: Duration = Duration::from_secs(1);

/// Searches, printing each step; returns whether a rate held.
///
/// # Errors
/// It could not be tried, the gateway refused every request, or it was interrupted.
pub(super) fn find_knee(cli: &Cli) -> anyhow::Result<bool> {
    let about = about::about(cli)?;
    let sender = Sender::new()?;
    let mut out = std::io::stdout().lock();
    let mut search = Search::new(cli.schedule.rate, cli.knee.p99_limit);
    writeln!(
        out,
        "{:>12} {:>14} {:>9} {:>9} {:>9} {:>7}  outcome",
        "due/s", "acknowledged/s", "p50 us", "p99 us", "max us", "errors"
    )?;
    while let Some(rate) = search.next_rate() {
        if !search.steps().is_empty() {
            std::thread::sleep(REST);
        }
        let measured = measure(cli, &sender, rate)?;
        writeln!(out, "{}", row(&search.note(measured))).context("print a step")?;
    }
    match search.knee() {
        Some(knee) => writeln!(out, "The knee is at {knee:.0} events a second."),
        None => writeln!(out, "No rate held."),
    }
    .context("print the knee")?;
    let report = search.report(cli.knee.step);
    write(cli, &report, || page::of_knee(&report, &about))?;
    Ok(report.knee_events_per_s.is_some())
}

/// Sends one step, with identities that no other step has.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
fn measure(cli: &Cli, sender: &Sender, rate: f64) -> anyhow::Result<Measured> {
    let (warm_up, measured) = (cli.knee.warm_up, cli.knee.step);
    let profile = Profile::Step { warm_up, measured };
    let events = Schedule::new(rate, profile).events_by(warm_up + measured) as u64;
    let fleet = fleet(cli, rate, profile, Some(events))?;
    let outcome = sender.send(cli, Box::new(fleet), Some(events))?;
    if sender.is_interrupted() {
        bail!("interrupted");
    }
    match outcome.aborted {
        Some(error @ (ClientError::Refused { .. } | ClientError::LaneLost)) => Err(error.into()),
        _ => Ok(Measured::of(rate, &outcome)),
    }
}

fn row(step: &Step) -> String {
    let Measured { rate, acknowledged_per_s, p50_us, p99_us, max_us, errors } = step.measured;
    let outcome = step.broke.map_or("held".to_owned(), |broke| broke.to_string());
    format!(
        "{rate:>12.0} {acknowledged_per_s:>14.0} {p50_us:>9} {p99_us:>9} {max_us:>9} {errors:>7}  {outcome}"
    )
}
