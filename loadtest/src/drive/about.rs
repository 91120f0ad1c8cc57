//! What a page says was asked for.

use std::time::SystemTime;

use anyhow::Context as _;
use clap::ValueEnum as _;
use tillrace_loadtest::page::RunDescription;

use super::{OUTAGE, duration, is_replay};
use crate::cli::{Cli, ProfileName};

/// Lists what matters about a run, with what was left to defaults.
pub(super) fn about(cli: &Cli) -> anyhow::Result<RunDescription> {
    let mut parameters = vec![("tillrace-loadtest", env!("CARGO_PKG_VERSION").to_owned())];
    let cores = std::thread::available_parallelism().context("count the processors")?;
    parameters.push(("processors of the sender", cores.to_string()));
    schedule(cli, &mut parameters);
    source(cli, &mut parameters);
    let gateway = &cli.gateway;
    let version = if gateway.http2 { "HTTP/2, streams" } else { "HTTP/1.1, connections" };
    parameters.push((version, gateway.connections.to_string()));
    parameters.push(("events in a request, at most", gateway.batch.to_string()));
    Ok(RunDescription {
        target: gateway.target.clone(),
        at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        parameters,
    })
}

fn schedule(cli: &Cli, parameters: &mut Vec<(&'static str, String)>) {
    let schedule = &cli.schedule;
    let rate = match schedule.rate {
        0.0 => "as fast as they are taken".to_owned(),
        rate => rate.to_string(),
    };
    if cli.knee.find_knee {
        let time = |time| humantime::format_duration(time).to_string();
        parameters.push(("first rate, events a second", rate));
        parameters.push(("limit of p99", time(cli.knee.p99_limit)));
        parameters.push(("warm-up of each step", time(cli.knee.warm_up)));
        parameters.push(("measured at each step", time(cli.knee.step)));
    } else {
        parameters.push(("events a second", rate));
        let profile = schedule.profile.to_possible_value();
        let name = profile.map(|value| value.get_name().to_owned()).unwrap_or_default();
        parameters.push(("profile", name));
        if let Some(most) = duration(cli) {
            parameters.push(("duration", humantime::format_duration(most).to_string()));
        }
    }
    if schedule.profile == ProfileName::BlackFriday {
        let outage = schedule.outage.unwrap_or(OUTAGE);
        parameters.push(("share of stores in the outage", per_cent(outage)));
    }
    if let Some(limit) = schedule.limit {
        parameters.push(("events at most", limit.to_string()));
    }
    let shares = [("sent twice", schedule.duplicates), ("sent late", schedule.disorder)];
    parameters.extend(shares.into_iter().filter(|(_, share)| *share > 0.0).map(shown));
    parameters.push(("seed", schedule.seed.to_string()));
}

fn source(cli: &Cli, parameters: &mut Vec<(&'static str, String)>) {
    if is_replay(cli) {
        let sets = cli.replay.replay.iter().filter_map(clap::ValueEnum::to_possible_value);
        let names: Vec<String> = sets.map(|set| set.get_name().to_owned()).collect();
        parameters.push(("replay of", names.join(", ")));
        return;
    }
    let fleet = &cli.fleet;
    let size = format!("{} × {} terminals, {} items", fleet.stores, fleet.terminals, fleet.skus);
    parameters.push(("stores", size));
    let shares = [("bad on purpose", fleet.bad), ("terminals offline once", fleet.offline)];
    parameters.extend(shares.into_iter().filter(|(_, share)| *share > 0.0).map(shown));
    if fleet.gaps > 0 {
        parameters.push(("gaps planted", fleet.gaps.to_string()));
    }
}

fn shown((name, share): (&'static str, f64)) -> (&'static str, String) {
    (name, per_cent(share))
}

fn per_cent(share: f64) -> String {
    format!("{:.4}", share * 100.0).trim_end_matches('0').trim_end_matches('.').to_owned() + "%"
}
