//! The command line: what can be asked of the executable, and nothing of how it is done.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo::DemoArgs;

/// A governed, high-throughput backbone for point-of-sale events.
///
/// Terminals post sales, returns and stock changes over HTTP. An event is acknowledged when it is durable, counted once
/// however often it is sent, folded into inventory deltas, and delivered to ERP, CRM and analytics.
///
/// Try `tillrace demo` first: it needs nothing.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all roles in one process: ingest, aggregate, deliver.
    ///
    /// Without `--config` it makes a development tenant `demo`, prints its API key (or takes it from `TILLRACE_DEV_KEY`)
    /// and writes Parquet files below the data folder.
    Up(Source),
    /// Run only the gateway: HTTP in, durable in the log, then acknowledged.
    Ingest(Source),
    /// Run only the aggregator: verdicts, transactions, inventory deltas, ledgers.
    Aggregate {
        #[command(flatten)]
        source: Source,
        /// Take group offsets that Kafka lost from the aggregator's own checkpoints. For one start, after such a loss.
        #[arg(long)]
        adopt_checkpoints: bool,
    },
    /// Run only the sinks: ERP, CRM, analytics.
    Deliver(Source),
    /// Play a Black Friday morning against everything, in one process, and prove that nothing was lost.
    Demo(DemoArgs),
    /// Read the configuration and say what is wrong with it: the key and the remedy.
    Check(Source),
    /// Follow a topic, one record a line.
    Tap(TapArgs),
    /// Recount the log independently: verdicts, stock, sinks, ledgers. Exit code 0 means that all holds.
    Verify(VerifyArgs),
    /// Print a completion script for a shell, to be sourced by it.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where configuration and log are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Source {
    /// Configuration file (YAML). Environment variables of the form `TILLRACE__SECTION__KEY` override it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use Apache Kafka at these bootstrap servers instead of the local log.
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: Option<String>,
    /// Address the gateway listens on; port 0 takes a free one. A role without gateway answers /healthz and /metrics there.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder for the local log and the files that sinks write.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Topic without its namespace, such as `inventory.deltas.v1`.
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = From::End)]
    pub(crate) from: From,
    /// Only this partition.
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<u32>,
    /// Stop at what was the end when the command began, instead of following.
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Print each record whole, as one JSON object: topic, partition, offset, `appended_ms`, key, value.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// The oldest record kept.
    Start,
    /// What comes from now on.
    End,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Write the report to this file as JSON too.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
