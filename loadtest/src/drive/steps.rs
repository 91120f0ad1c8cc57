//! Looks for the knee: sends step after step at the rate that the search asks for.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tillrace_loadtest::client::ClientError;
use tillrace_loadtest::figures::{self, latency_us};
use tillrace_loadtest::knee::{KneeSearch, StepMeasurement};
use tillrace_loadtest::page;
use tillrace_loadtest::schedule::{Profile, Schedule};

use super::{Sender, about, fleet, output};
use crate::cli::Cli;

/// Between two steps, so that what one left behind does not burden the next.
const REST: Duration = Duration::from_secs(1);

/// Searches and reports; returns the exit code: 0 if a rate held, else 1.
///
/// # Errors
/// It could not be tried, the gateway refused every request, or it was interrupted.
pub(super) fn find_knee(cli: &Cli) -> anyhow::Result<u8> {
    let about = about::about(cli)?;
    let sender = Sender::new()?;
    let mut search = KneeSearch::new(cli.schedule.rate, cli.knee.p99_limit);
    while let Some(rate) = search.next_rate() {
        if !search.steps().is_empty() {
            std::thread::sleep(REST);
        }
        let step = search.note(measure(cli, &sender, rate)?);
        if !cli.output.quiet {
            let outcome = step.broke.map_or("held".to_owned(), |broke| broke.to_string());
            let p99 = latency_us(step.measured.p99_us);
            writeln!(std::io::stderr(), "{} events/s: {outcome}, p99 {p99}", figures::rate(rate))
                .context("print a step")?;
        }
    }
    let report = search.report(cli.knee.step);
    output::write(cli, &report, || page::of_knee(&report, &about))?;
    Ok(u8::from(report.knee_events_per_s.is_none()))
}

/// Sends one step, with identities that no other step has.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
fn measure(cli: &Cli, sender: &Sender, rate: f64) -> anyhow::Result<StepMeasurement> {
    let (warm_up, measured) = (cli.knee.warm_up, cli.knee.step);
    let profile = Profile::Step { warm_up, measured };
    let events = Schedule::new(rate, profile).events_by(warm_up + measured) as u64;
    let fleet = fleet(cli, rate, profile, Some(events))?;
    let outcome = sender.send(cli, Box::new(fleet), Some(events))?;
    if sender.is_interrupted() {
        bail!("interrupted");
    }
    match outcome.aborted {
        Some(error @ (ClientError::Refused { .. } | ClientError::ConnectionLost)) => {
            Err(error.into())
        }
        _ => Ok(StepMeasurement::of(rate, &outcome)),
    }
}
