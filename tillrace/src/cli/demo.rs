//! What can be asked of `tillrace demo`.

use std::path::PathBuf;

use clap::Args;

/// What can be chosen about the demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Stores, with four tills each.
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) stores: u32,
    /// Events that the tills send, copies left out; they are spread over twenty seconds at most.
    #[arg(long, visible_alias = "size", value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) events: u64,
    /// The same seed plays the same morning.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the report to this file as JSON too; `-` is standard output, the text then goes to standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Keep the folder with the log and the Parquet files, and say where it is.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print nothing but what went wrong.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
