//! Plays scenarios one after the other: set the stage, inject, heal, judge.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use tillrace_loadtest::acks::fingerprint;
use tokio::runtime::Runtime;

use crate::cli::{Cli, LogKind};
use crate::cluster::{BROKERS, Cluster};
use crate::console::say;
use crate::judge::{self, Counts};
use crate::plan::Plan;
use crate::report::{Report, ScenarioReport, Verdict};
use crate::rng::FaultRng;
use crate::scenario::{Scenario, Tool};
use crate::scenarios;
use crate::site::{Site, free_port};
use crate::stage::{Notes, Stage};

/// What all plays of a run share.
struct Run<'a> {
    cli: &'a Cli,
    log: LogKind,
    runtime: Runtime,
    cluster: Option<Cluster>,
}

/// Does what the command line asks for; returns whether all held.
///
/// # Errors
/// The harness itself cannot go on.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<bool> {
    let mut chosen: Vec<Box<dyn Scenario>> = scenarios::all();
    if cli.list {
        return list(&chosen).map(|()| true);
    }
    let log = cli.log.context("say local or kafka")?;
    chosen.retain(|scenario| {
        let is_asked_for = cli.only.is_empty()
            || cli.only.iter().any(|name| scenario.name().starts_with(name.as_str()));
        is_asked_for
            && scenario.log().is_none_or(|about| about == log)
            && (!cli.short || scenario.is_short())
    });
    anyhow::ensure!(!chosen.is_empty(), "no scenario of that name on this log; see --list");
    let seed = match cli.seed {
        Some(seed) => seed,
        None => drawn_seed()?,
    };
    say(format_args!("seed {seed}: repeat with --seed {seed}"));
    let run = Run { cli, log, runtime: runtime()?, cluster: start_cluster(log)? };
    let mut report = Report::new(log, seed);
    run.play_all(&mut chosen, seed, &mut report)?;
    std::io::stdout().write_all(report.to_string().as_bytes()).context("print the report")?;
    if let Some(path) = &cli.json {
        let text = serde_json::to_vec_pretty(&report).context("write the report as JSON")?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(report.holds())
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")
}

/// Starts the brokers on Kafka; ports for proxies are chosen before, since brokers announce them.
fn start_cluster(log: LogKind) -> anyhow::Result<Option<Cluster>> {
    if log == LogKind::Local {
        return Ok(None);
    }
    let ports: Vec<u16> = (0..BROKERS).map(|_| free_port()).collect::<anyhow::Result<_>>()?;
    say("starting three brokers");
    Cluster::start(&ports).map(Some)
}

fn drawn_seed() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
    Ok(now.as_secs() % 1_000_000)
}

fn list(scenarios: &[Box<dyn Scenario>]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for scenario in scenarios {
        let log = scenario.log().map_or("either", LogKind::name);
        let short = if scenario.is_short() { "short" } else { "" };
        writeln!(out, "{:<28} {log:<7} {short:<6} {}", scenario.name(), scenario.about())?;
    }
    Ok(())
}

impl Run<'_> {
    /// Plays each scenario once, or all again and again in random order until the time is over.
    fn play_all(
        &self,
        chosen: &mut [Box<dyn Scenario>],
        seed: u64,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let deadline =
            self.cli.minutes.map(|minutes| Instant::now() + Duration::from_mins(minutes));
        let mut rng = FaultRng::seed_from_u64(seed);
        for round in 0.. {
            if deadline.is_some() {
                chosen.shuffle(&mut rng);
            }
            for scenario in chosen.iter() {
                // Each play has a seed of its own, so that one of a long run can be repeated alone: the first round's is
                // the run's seed itself.
                let play_seed = seed.wrapping_add(round);
                report.plays.push(self.play(scenario.as_ref(), play_seed)?);
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    return Ok(());
                }
            }
            let all_missing =
                report.plays.iter().all(|play| matches!(play.verdict, Verdict::NotRun { .. }));
            if deadline.is_none() || all_missing {
                return Ok(());
            }
            // What is not run is said once.
        }
        Ok(())
    }

    fn play(&self, scenario: &dyn Scenario, seed: u64) -> anyhow::Result<ScenarioReport> {
        let begun = Instant::now();
        let name = scenario.name();
        let missing = scenario.tools().iter().find_map(|&tool| missing(tool));
        let (verdict, counts, notes) = if let Some(reason) = missing {
            (Verdict::NotRun { reason }, Counts::default(), Notes::default())
        } else {
            say(format_args!("-- {name} (seed {seed}): {}", scenario.about()));
            self.judged(scenario, seed)?
        };
        let recoveries_ms =
            notes.recoveries.iter().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let play = ScenarioReport {
            scenario: name,
            seed,
            counts,
            recoveries_ms: recoveries_ms.collect(),
            facts: notes.facts,
            seconds: begun.elapsed().as_secs_f64(),
            verdict,
        };
        tell(&play);
        Ok(play)
    }

    /// Plays a scenario in a folder of its own. An error of the play is a fault: a product that does not start or cannot
    /// be read is not what was promised.
    fn judged(
        &self,
        scenario: &dyn Scenario,
        seed: u64,
    ) -> anyhow::Result<(Verdict, Counts, Notes)> {
        let name = scenario.name();
        let folder = self.cli.folder.join(format!("{}-{name}-{seed}", self.log.name()));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let site = self.site(&folder, name, seed)?;
        let rng = FaultRng::seed_from_u64(seed ^ u64::from(fingerprint(name.as_bytes())));
        let (counts, mut notes) = match self.perform(scenario, site, rng) {
            Ok(judged) => judged,
            Err(error) => {
                let faults = vec![format!("{error:#}")];
                (Counts::default(), Notes { faults, ..Notes::default() })
            }
        };
        if let Some(cluster) = &self.cluster {
            cluster.heal()?;
        }
        if notes.faults.is_empty() {
            if !self.cli.keep {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("remove {}", folder.display()))?;
            }
            return Ok((Verdict::Held, counts, notes));
        }
        say(format_args!("   logs and data are kept in {}", folder.display()));
        let faults = std::mem::take(&mut notes.faults);
        Ok((Verdict::Failed { faults }, counts, notes))
    }

    fn site(&self, folder: &Path, name: &str, seed: u64) -> anyhow::Result<Site> {
        let program = fs::canonicalize(&self.cli.program)
            .with_context(|| format!("find {}", self.cli.program.display()))?;
        Ok(Site {
            program,
            folder: fs::canonicalize(folder).context("find the folder of the run")?,
            namespace: self.cluster.as_ref().map_or(String::new(), |_| format!("{name}-{seed}")),
            brokers: self.cluster.as_ref().map(|cluster| cluster.servers.clone()),
        })
    }

    fn perform(
        &self,
        scenario: &dyn Scenario,
        mut site: Site,
        rng: FaultRng,
    ) -> anyhow::Result<(Counts, Notes)> {
        let mut plan = Plan::new(self.log);
        // Each copy costs a recount: the short set has one scenario for it.
        plan.doctored_copies = !self.cli.short;
        scenario.set_up(&site, &mut plan)?;
        if let (true, Some(cluster)) = (plan.proxied_brokers, &self.cluster) {
            let through = |(proxy, _): &(u16, u16)| format!("127.0.0.1:{proxy}");
            let proxied: Vec<String> = cluster.proxied.iter().map(through).collect();
            site.brokers = Some(proxied.join(","));
        }
        let runtime = self.runtime.handle();
        let mut stage = Stage::set(site, plan, self.cluster.as_ref(), runtime, rng)?;
        stage.pause(1_000..2_500);
        let played = scenario.inject(&mut stage).context("inject the fault").and_then(|()| {
            stage.pause(500..1_500);
            judge::judge(&mut stage)
        });
        // What was noted before it could not go on stands beside the error.
        let counts = played.unwrap_or_else(|error| {
            stage.fault(format!("{error:#}"));
            Counts::default()
        });
        Ok((counts, std::mem::take(&mut stage.notes)))
    }
}

/// Says what a tool lacks here; `None` where it is there.
fn missing(tool: Tool) -> Option<String> {
    match tool {
        Tool::Compiler => {
            let version = std::process::Command::new("cc").arg("--version").output();
            version.is_err().then(|| "there is no C compiler `cc`; install gcc".to_owned())
        }
        Tool::Descriptors(wanted) => {
            let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
            let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
            let soft: u64 = line.split_whitespace().next()?.parse().ok()?;
            (soft < wanted).then(|| {
                format!("the harness may open {soft} files and needs {wanted}; raise `ulimit -n`")
            })
        }
    }
}

fn tell(play: &ScenarioReport) {
    let Counts { acknowledged, lost, double_counted, .. } = play.counts;
    match &play.verdict {
        Verdict::NotRun { reason } => say(format_args!("NOT RUN {}: {reason}", play.scenario)),
        Verdict::Held => say(format_args!(
            "   held in {:.0} s: {acknowledged} acknowledged, {lost} lost, {double_counted} counted twice, served again \
             after {:?} ms",
            play.seconds, play.recoveries_ms
        )),
        Verdict::Failed { faults } => {
            say(format_args!("   FAILED in {:.0} s: {acknowledged} acknowledged", play.seconds));
            for fault in faults {
                say(format_args!("     {fault}"));
            }
        }
    }
    for fact in &play.facts {
        say(format_args!("   - {fact}"));
    }
}
