//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Breaks a running Tillrace on purpose, and judges what is left.
///
/// Without `--minutes` and `--short` every scenario runs once. Exit code 0: all that ran held; 1: something did not;
/// 2: the harness itself failed. What could not be tried here is listed as NOT RUN with the reason.
#[derive(Debug, Parser)]
#[command(name = "tillrace-faults", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Which log Tillrace runs on.
    #[arg(value_enum, required_unless_present = "list")]
    pub(crate) log: Option<LogKind>,
    /// Go on with scenarios in random order until so many minutes are over.
    #[arg(long, value_name = "N")]
    pub(crate) minutes: Option<u64>,
    /// Only the quick scenarios, each once: three or four minutes.
    #[arg(long, conflicts_with_all = ["minutes", "only"])]
    pub(crate) short: bool,
    /// Seed of every random choice; printed at the start, drawn from the clock if absent.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Only scenarios whose name begins so; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// List the scenarios and what each needs.
    #[arg(long)]
    pub(crate) list: bool,
    /// Write the report to this file as JSON too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The executable under test.
    #[arg(long, value_name = "FILE", default_value = "target/debug/tillrace")]
    pub(crate) program: PathBuf,
    /// Where folders of runs are made.
    #[arg(long, value_name = "DIR", default_value = "target/faults")]
    pub(crate) folder: PathBuf,
    /// Keep the folders of scenarios that held too; those of the others are always kept.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Which log Tillrace runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogKind {
    /// Its own, in a folder.
    Local,
    /// Three brokers of Apache Kafka.
    Kafka,
}

impl LogKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Kafka => "kafka",
        }
    }
}
