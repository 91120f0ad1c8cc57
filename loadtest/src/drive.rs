//! Runs what the command line asks for: makes the source, plays it, verifies, reports.

mod about;
mod output;
mod readmit;
mod steps;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use indicatif::ProgressBar;
use tillrace_loadtest::client::{self, ClientSettings, Outcome, Progress};
use tillrace_loadtest::figures::count;
use tillrace_loadtest::fleet::{Fleet, FleetSettings, MAPPING};
use tillrace_loadtest::page;
use tillrace_loadtest::progress;
use tillrace_loadtest::replay::{Replay, ReplaySettings};
use tillrace_loadtest::report::Report;
use tillrace_loadtest::schedule::{Profile, Schedule};
use tillrace_loadtest::source::Source;
use tillrace_loadtest::topics::kafka::KafkaReader;
use tillrace_loadtest::topics::tap::TapReader;
use tillrace_loadtest::topics::{StartPositions, TopicNames, TopicReader};
use tillrace_loadtest::traffic::{Traffic, TrafficSettings};
use tillrace_loadtest::verify::{Verification, VerifySettings, verify};

use crate::cli::{Cli, ProfileName, VerifyFrom};

/// Default duration of a fleet's trade.
const FLEET_DURATION: Duration = Duration::from_secs(30);

/// Default share of the stores that an outage cuts off.
const OUTAGE: f64 = 0.2;

/// Does what the command line asks for; returns the exit code of the verdict.
///
/// # Errors
/// When the run cannot start: a file, a target, the brokers.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<u8> {
    if cli.knee.find_knee {
        return steps::find_knee(cli);
    }
    if cli.output.print_mapping {
        std::io::stdout().write_all(MAPPING.as_bytes()).context("print the mapping")?;
        return Ok(0);
    }
    let source = source(cli)?;
    if cli.output.print {
        print(cli, source).context("print events")?;
        return Ok(0);
    }
    let mut reader = reader(cli)?;
    let start = match &mut reader {
        Some(reader) if begins_now(cli) => {
            StartPositions::take(reader.as_mut(), &TopicNames::new(&cli.verify.namespace))
                .context("read the topics' ends")?
        }
        _ => StartPositions::default(),
    };
    let about = about::about(cli)?;
    let outcome = Sender::new()?.send(cli, source, planned_events(cli))?;
    let verification = match &mut reader {
        Some(reader) => Some(check_all(cli, &outcome, reader.as_mut(), start)?),
        None => None,
    };
    let report = Report::new(&outcome, verification);
    output::write(cli, &report, || page::of_run(&report, &about))?;
    Ok(report.verdict.exit_code())
}

fn is_replay(cli: &Cli) -> bool {
    !cli.replay.replay.is_empty()
}

fn source(cli: &Cli) -> anyhow::Result<Box<dyn Source>> {
    if is_replay(cli) {
        let settings = ReplaySettings {
            sets: cli.replay.replay.iter().map(|&set| set.into()).collect(),
            rate: cli.schedule.rate,
            events: cli.schedule.limit,
            epoch: epoch(cli, None),
        };
        let replay = Replay::read(&cli.replay.datasets, &settings).context("read the data set")?;
        if !cli.output.quiet {
            let mut stderr = std::io::stderr().lock();
            for (note, count) in replay.notes() {
                writeln!(stderr, "{count:>10}  {note}")?;
            }
        }
        return Ok(Box::new(replay));
    }
    Ok(Box::new(fleet(cli, cli.schedule.rate, profile(cli), planned_events(cli))?))
}

/// Draws the fleet for a run at a rate.
fn fleet(cli: &Cli, rate: f64, profile: Profile, events: Option<u64>) -> anyhow::Result<Fleet> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    let fleet = &cli.fleet;
    Ok(Fleet::new(FleetSettings {
        stores: fleet.stores,
        terminals: fleet.terminals,
        skus: fleet.skus,
        seed: cli.schedule.seed,
        epoch: epoch(cli, Some(now)),
        rate,
        profile,
        events,
        starts_at_ms: i64::try_from(now.as_millis()).context("read the clock")?,
        speed: 1.0,
        mix: fleet.mix.into(),
        bad: fleet.bad,
        parked: fleet.parked,
        gaps: fleet.gaps,
        offline: fleet.offline,
        offline_for: fleet.offline_for,
    }))
}

fn profile(cli: &Cli) -> Profile {
    match cli.schedule.profile {
        ProfileName::Constant => Profile::Constant,
        ProfileName::BlackFriday => Profile::BlackFriday {
            over: duration(cli).unwrap_or(FLEET_DURATION),
            outage: cli.schedule.outage.unwrap_or(OUTAGE),
        },
    }
}

/// The epoch asked for, or one that no earlier run had.
fn epoch(cli: &Cli, now: Option<Duration>) -> Option<String> {
    match &cli.schedule.epoch {
        Some(epoch) => (!epoch.is_empty()).then(|| epoch.clone()),
        None => now.map(|now| format!("r{:x}", now.as_millis())),
    }
}

fn duration(cli: &Cli) -> Option<Duration> {
    let by_default = (!is_replay(cli) && cli.schedule.limit.is_none()).then_some(FLEET_DURATION);
    cli.schedule.duration.or(by_default)
}

/// How many events a fleet will send, where that is known beforehand.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
fn planned_events(cli: &Cli) -> Option<u64> {
    let schedule = Schedule::new(cli.schedule.rate, profile(cli));
    let scheduled =
        schedule.is_scheduled().then(|| duration(cli).map(|most| schedule.events_by(most) as u64));
    match (cli.schedule.limit, scheduled.flatten()) {
        (Some(limit), Some(scheduled)) => Some(limit.min(scheduled)),
        (limit, scheduled) => limit.or(scheduled),
    }
}

fn traffic(cli: &Cli) -> TrafficSettings {
    let schedule = &cli.schedule;
    TrafficSettings {
        duplicates: schedule.duplicates,
        disorder: schedule.disorder,
        reach_events: schedule.reach,
        seed: schedule.seed,
    }
}

/// Prints the traffic, copies and disorder included, as fast as it is taken.
fn print(cli: &Cli, source: Box<dyn Source>) -> std::io::Result<()> {
    let most = planned_events(cli).unwrap_or(u64::MAX);
    let mut traffic = Traffic::new(source, traffic(cli));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut text, mut effects, mut printed) = (Vec::new(), Vec::new(), 0);
    while traffic.next(&mut text, &mut effects).is_some() {
        text.push(b'\n');
        match out.write_all(&text) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        text.clear();
        effects.clear();
        printed += 1;
        if printed == most {
            traffic.source().wind_down();
        }
    }
    out.flush()
}

fn reader(cli: &Cli) -> anyhow::Result<Option<Box<dyn TopicReader>>> {
    let verify = &cli.verify;
    Ok(match (&verify.kafka, &verify.tap) {
        (Some(brokers), _) => {
            let reader = KafkaReader::new(brokers, &verify.kafka_property)
                .context("make a Kafka consumer")?;
            Some(Box::new(reader))
        }
        (None, Some(command)) => Some(Box::new(TapReader::new(command))),
        (None, None) => None,
    })
}

fn begins_now(cli: &Cli) -> bool {
    match cli.verify.verify_from {
        Some(from) => from == VerifyFrom::Now,
        None => !is_replay(cli),
    }
}

/// Sends sources, until an interrupt.
struct Sender {
    runtime: tokio::runtime::Runtime,
    stop: Arc<AtomicBool>,
}

impl Sender {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        let stop = Arc::new(AtomicBool::new(false));
        runtime.spawn(stop_on_interrupt(Arc::clone(&stop)));
        Ok(Self { runtime, stop })
    }

    fn is_interrupted(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn send(
        &self,
        cli: &Cli,
        source: Box<dyn Source>,
        planned: Option<u64>,
    ) -> anyhow::Result<Outcome> {
        let gateway = &cli.gateway;
        let settings = ClientSettings {
            target: gateway.target.clone(),
            key: gateway.key.clone().unwrap_or_default(),
            http2: gateway.http2,
            connections: gateway.connections,
            batch: gateway.batch,
            timeout: gateway.timeout,
            give_up_after: gateway.give_up,
            duration: if cli.knee.find_knee { None } else { duration(cli) },
            traffic: traffic(cli),
            ..ClientSettings::default()
        };
        let bar = progress::line(planned, cli.output.quiet).with_prefix("sending");
        let stop = Arc::clone(&self.stop);
        let run = client::run(source, &settings, stop, |progress| show(&bar, progress));
        let mut outcome = self.runtime.block_on(run)?;
        bar.finish_and_clear();
        match outcome.failed_to_begin() {
            None => Ok(outcome),
            Some(cause) => Err(cause).with_context(|| {
                format!(
                    "send events to {}, which settled none; see that a gateway listens there and takes the key",
                    gateway.target
                )
            }),
        }
    }
}

/// The first interrupt ends the day, the second ends the process.
async fn stop_on_interrupt(stop: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.store(true, Relaxed);
        tracing::warn!("closing what is open; interrupt again to leave at once");
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    }
}

/// Shows the progress of the sender; the least important comes last, where a narrow terminal ends.
fn show(bar: &ProgressBar, progress: &Progress) {
    let Progress { acknowledged, not_counted, retries, .. } = *progress;
    bar.set_position(acknowledged + not_counted);
    bar.set_message(format!(
        "{} parked or refused, {} sent again",
        count(not_counted),
        count(retries)
    ));
}

/// Verifies the run; where parked events are to be readmitted, before and after that.
fn check_all(
    cli: &Cli,
    outcome: &Outcome,
    reader: &mut dyn TopicReader,
    start: StartPositions,
) -> anyhow::Result<Verification> {
    let settings = VerifySettings {
        namespace: cli.verify.namespace.clone(),
        start,
        settle_for: cli.verify.settle,
        ..VerifySettings::default()
    };
    let found = check(cli, outcome, reader, &settings)?;
    let Some(command) = cli.verify.readmit.as_deref().filter(|_| found.holds()) else {
        return Ok(found);
    };
    readmit::run(command)?;
    check(cli, outcome, reader, &VerifySettings { readmitted: true, ..settings })
}

fn check(
    cli: &Cli,
    outcome: &Outcome,
    reader: &mut dyn TopicReader,
    settings: &VerifySettings,
) -> anyhow::Result<Verification> {
    let bar = progress::line(Some(outcome.acks.len()), cli.output.quiet).with_prefix("checking");
    let verification = verify(outcome, reader, settings, |waiting| {
        bar.set_position(waiting.counted);
    })
    .context("read the topics back")?;
    bar.finish_and_clear();
    Ok(verification)
}
