//! The judgement: whatever the fault was, the books must be exact, and what stood still must have been seen.

mod backends;
mod doctored;
mod lake;
mod topics;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tillrace_loadtest::client::Outcome;
use tillrace_loadtest::verify::{Verification, VerifySettings, verify};

use self::topics::Topics;
pub(crate) use self::topics::reader;
use crate::probe;
use crate::stage::{Stage, until};
use crate::watch::{SILENCE, silent_halts};

/// How long anything may take to settle without moving; longer than the longest wait between two tries.
const SETTLES_WITHIN: Duration = Duration::from_mins(1);

/// How long SIGTERM may take: the longest that a role may drain.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// How many times the p99 beside a dummy the p99 beside the product may be, under the same attack.
const MOST_TIMES: f64 = 2.0;

/// Below this nobody notices, and on a busy machine a ratio of two such figures says nothing.
const NOTICED_US: u64 = 100_000;

/// What a judgement counted.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) double_counted: u64,
    pub(crate) silent_halts: u64,
    pub(crate) most_memory_bytes: u64,
}

/// Judges a stage whose fault is healed; faults are noted on it.
pub(crate) fn judge(stage: &mut Stage<'_>) -> anyhow::Result<Counts> {
    stage.supervise()?;
    let outcome = stage.finish_fleet()?;
    let tills_waited_until = stage.watch.now();
    judge_fleet(stage, &outcome);
    judge_latency(stage, &outcome);
    let settings = VerifySettings {
        namespace: stage.site.namespace.clone(),
        settle_for: SETTLES_WITHIN,
        ..VerifySettings::default()
    };
    let mut reader = reader(&stage.site)?;
    let verification = verify(&outcome, reader.as_mut(), &settings, |_| {})
        .context("compare the topics with what was acknowledged")?;
    judge_books(stage, &verification);
    if stage.plan.dead_letters {
        redrive(stage)?;
    }
    let topics = Topics::read(&stage.site)?;
    await_sinks(stage, &topics)?;
    let mut samples = stage.watch.samples();
    samples.retain(|sample| sample.at <= tills_waited_until);
    for (from, length) in silent_halts(&samples, SILENCE) {
        stage.silent_halt(format!("from {from:?} on nothing was acknowledged for {length:?}"));
    }
    stage.supervise()?;
    stop(stage)?;
    backends::judge(stage, &topics);
    lake::judge(stage, &topics)?;
    judge_verify(stage)?;
    if stage.plan.doctored_copies && stage.notes.faults.is_empty() {
        doctored::judge(stage)?;
    }
    let conditions = stage.watch.conditions();
    if !conditions.is_empty() {
        let named: Vec<String> = conditions.into_iter().collect();
        stage.fact(format!("/readyz named: {}", named.join(", ")));
    }
    Ok(Counts {
        acknowledged: verification.acknowledged,
        lost: verification.lost + verification.without_verdict + verification.not_counted,
        double_counted: verification.double_counted,
        silent_halts: stage.notes.silent_halts,
        most_memory_bytes: stage.watch.most_memory_bytes(),
    })
}

fn judge_fleet(stage: &mut Stage<'_>, outcome: &Outcome) {
    if let Some(reason) = &outcome.aborted {
        stage.fault(format!("the honest fleet could not go on: {reason}"));
    }
    if outcome.surprise_count > 0 {
        let first = outcome.surprises.first();
        stage.fault(format!(
            "{} events were not treated as planned; the first: {first:?}",
            outcome.surprise_count
        ));
    }
}

/// Compares the honest fleet's p99 beside a dummy under attack and beside the product under the same attack.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn judge_latency(stage: &mut Stage<'_>, outcome: &Outcome) {
    let Some([beside_dummy, beside_product]) = stage.notes.attacks.clone() else { return };
    let latency_us = |span| outcome.timeline.latency_between(span);
    let (dummy_us, product_us) = (latency_us(beside_dummy), latency_us(beside_product));
    if dummy_us.is_empty() || product_us.is_empty() {
        stage.fact(
            "honest p99 not measured: the fleet was behind its schedule from before the attack",
        );
        return;
    }
    let p99_us = |latency_us: &Histogram<u64>| latency_us.value_at_quantile(0.99);
    let (dummy_us, product_us) = (p99_us(&dummy_us), p99_us(&product_us));
    let ratio = product_us as f64 / dummy_us.max(1) as f64;
    let text = format!(
        "honest p99 {:.1} ms while a dummy was attacked, {:.1} ms while the product was: {ratio:.1} times",
        dummy_us as f64 / 1_000.0,
        product_us as f64 / 1_000.0
    );
    if ratio > MOST_TIMES && product_us > NOTICED_US {
        stage.fault(text);
    } else {
        stage.fact(text);
    }
}

fn judge_books(stage: &mut Stage<'_>, found: &Verification) {
    if found.holds() {
        return;
    }
    stage.fault(format!(
        "of {} acknowledged: {} lost, {} without a verdict {:?}, {} not counted, {} double-counted, {} altered, {} strangers, {} unreadable, \
         {} stock sums differ, {} store-days differ {:?}, {} missing ranges wrong; of {} parked {} lost, {} counted as well, {} not \
         readmitted",
        found.acknowledged,
        found.lost,
        found.without_verdict,
        found.lost_examples,
        found.not_counted,
        found.double_counted,
        found.altered,
        found.strangers,
        found.unreadable,
        found.stock_differing,
        found.days_differing,
        found.day_examples.first(),
        found.wrong_ranges.len(),
        found.parked,
        found.parked_lost,
        found.parked_twice,
        found.not_readmitted,
    ));
    for example in found.stock_examples.iter().take(3) {
        stage.fact(example.to_string());
    }
    for range in found.wrong_ranges.iter().take(3) {
        stage.fact(format!("missing range wrong: {range:?}"));
    }
}

/// Waits until every back end and the lake hold as much as the topics say, or nothing moves any more.
fn await_sinks(stage: &mut Stage<'_>, topics: &Topics) -> anyhow::Result<()> {
    let mut last = (0, Instant::now());
    loop {
        let files = lake::transactions(&stage.site.lake())?;
        let stored = stage.backends.stored() + files;
        if stored >= topics.expected_records() {
            return Ok(());
        }
        if stored > last.0 {
            last = (stored, Instant::now());
        }
        if last.1.elapsed() > SETTLES_WITHIN {
            let since = stage.watch.now().saturating_sub(SETTLES_WITHIN);
            let what = format!(
                "the sinks stand still at {stored} of {} records",
                topics.expected_records()
            );
            if stage.watch.has_seen_trouble_since(since) {
                stage.fault(what);
            } else {
                stage.silent_halt(what);
            }
            return Ok(());
        }
        stage.supervise()?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// SIGTERM to all: each must end in time and with success.
fn stop(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for place in 0..stage.processes.len() {
        let ended = stage.processes[place].terminate(ENDS_WITHIN)?;
        let name = stage.processes[place].name.clone();
        match ended {
            Some(status) if status.success() => {}
            Some(status) => stage.fault(format!("{name} drained badly: {status}")),
            None => stage.fault(format!("{name} did not end within {ENDS_WITHIN:?} after SIGTERM")),
        }
    }
    Ok(())
}

fn judge_verify(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let output = run_verify(stage, &stage.site.config())?;
    if !output.status.success() {
        blame_verify(stage, output, "tillrace verify does not agree")?;
    }
    Ok(())
}

/// Notes a fault with what `tillrace verify` said last, and keeps all of it.
fn blame_verify(stage: &mut Stage<'_>, output: Output, what: &str) -> anyhow::Result<()> {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    std::fs::write(stage.site.folder.join("verify.txt"), &text).context("keep the report")?;
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    stage.fault(format!("{what} ({}): {last}", output.status));
    Ok(())
}

/// Runs `tillrace verify` with a configuration.
fn run_verify(stage: &Stage<'_>, config: &Path) -> anyhow::Result<Output> {
    Command::new(&stage.site.program)
        .args(["verify", "--config"])
        .arg(config)
        .output()
        .context("run tillrace verify")
}

/// Sends dead letters again, as an operator would after what made them dead was put right.
fn redrive(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for sink in ["erp-sales", "erp-stock", "crm"] {
        let output = Command::new(&stage.site.program)
            .args(["redrive", sink, "--yes", "--config"])
            .arg(stage.site.config())
            .output()
            .context("run tillrace redrive")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            stage.fault(format!("tillrace redrive {sink}: {}: {text}", output.status));
        }
    }
    // A sink that waits as long as its back end asked tries at once when its process starts again.
    stop(stage)?;
    for process in &mut stage.processes {
        process.start()?;
        // Whoever reads the log before its owner has it would be taken for the owner.
        let port = process.launch.status;
        until("it serves after a redrive", || probe::get(port, "/healthz").is_some())?;
    }
    Ok(())
}
