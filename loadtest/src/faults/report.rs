//! What a run came to, for people and as JSON.

use std::fmt;
use std::process::Command;

use serde::Serialize;

use crate::cli::LogKind;
use crate::judge::Counts;

/// How a scenario ended.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// All that must hold held.
    Held,
    /// Something did not.
    Failed {
        /// What.
        faults: Vec<String>,
    },
    /// It could not be tried here.
    NotRun {
        /// Why, and what would help.
        reason: String,
    },
}

/// One scenario, played once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScenarioReport {
    pub(crate) scenario: &'static str,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) recoveries_ms: Vec<u64>,
    pub(crate) facts: Vec<String>,
    pub(crate) seconds: f64,
}

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) log: LogKind,
    pub(crate) seed: u64,
    pub(crate) commit: String,
    pub(crate) machine: String,
    pub(crate) plays: Vec<ScenarioReport>,
}

impl Report {
    pub(crate) fn new(log: LogKind, seed: u64) -> Self {
        Self { log, seed, commit: commit(), machine: machine(), plays: Vec::new() }
    }

    /// Says whether all that was tried held, and something was.
    pub(crate) fn holds(&self) -> bool {
        let failed = |play: &ScenarioReport| matches!(play.verdict, Verdict::Failed { .. });
        let held = |play: &ScenarioReport| matches!(play.verdict, Verdict::Held);
        !self.plays.iter().any(failed) && self.plays.iter().any(held)
    }

    fn count(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        self.plays.iter().map(|play| of(&play.counts)).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = |play: &&ScenarioReport| matches!(play.verdict, Verdict::Failed { .. });
        let not_run = |play: &&ScenarioReport| matches!(play.verdict, Verdict::NotRun { .. });
        let failures: Vec<&ScenarioReport> = self.plays.iter().filter(failed).collect();
        let missing: Vec<&ScenarioReport> = self.plays.iter().filter(not_run).collect();
        let tried = self.plays.len() - missing.len();
        let verdict = if self.holds() { "All that was tried held." } else { "NOT all held." };
        writeln!(f, "{verdict}")?;
        writeln!(f, "  log, seed, commit   {}, {}, {}", self.log.name(), self.seed, self.commit)?;
        writeln!(f, "  machine             {}", self.machine)?;
        writeln!(f, "  scenarios played    {tried}, of them failed {}", failures.len())?;
        writeln!(f, "  acknowledged        {}", self.count(|counts| counts.acknowledged))?;
        writeln!(f, "  lost                {}", self.count(|counts| counts.lost))?;
        writeln!(f, "  counted twice       {}", self.count(|counts| counts.double_counted))?;
        writeln!(f, "  silent halts        {}", self.count(|counts| counts.silent_halts))?;
        let mut recoveries: Vec<u64> =
            self.plays.iter().flat_map(|play| play.recoveries_ms.iter().copied()).collect();
        recoveries.sort_unstable();
        if let (Some(longest), Some(median)) =
            (recoveries.last(), recoveries.get(recoveries.len() / 2))
        {
            writeln!(
                f,
                "  served again after  median {:.1} s, longest {:.1} s, of {} heals",
                seconds(*median),
                seconds(*longest),
                recoveries.len()
            )?;
        }
        for play in failures {
            writeln!(f, "FAILED   {} (seed {})", play.scenario, play.seed)?;
            if let Verdict::Failed { faults } = &play.verdict {
                for fault in faults {
                    writeln!(f, "           {fault}")?;
                }
            }
        }
        for play in missing {
            if let Verdict::NotRun { reason } = &play.verdict {
                writeln!(f, "NOT RUN  {}: {reason}", play.scenario)?;
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(
        || "unknown".to_owned(),
        |text| String::from_utf8_lossy(&text).trim().to_owned(),
    )
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{cores} cores of {}", model.unwrap_or("an unknown processor"))
}
