//! What the command line says of the made-up fleet.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tillrace_loadtest::fleet::Mix;

use super::share;

/// The made-up fleet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fleet")]
pub(crate) struct FleetArgs {
    /// Stores
    #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "replay")]
    pub(crate) stores: u32,

    /// Terminals of each store
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "replay")]
    pub(crate) terminals: u32,

    /// Items in the catalogue
    #[arg(long, value_name = "N", default_value_t = 20_000, conflicts_with = "replay")]
    pub(crate) skus: u32,

    /// Which kinds of event it sends; `basic` keeps figures comparable with those of runs before there was `full`
    #[arg(long, value_name = "MIX", default_value = "full", conflicts_with = "replay")]
    pub(crate) mix: MixName,

    /// Share of sales that are bad, each parked or refused with its code
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share, conflicts_with = "replay")]
    pub(crate) bad: f64,

    /// Share of sales that a new release of the tills writes in a way that no version knows: they are parked, and the mapping of
    /// --print-mapping mends them
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share, conflicts_with = "replay")]
    pub(crate) parked: f64,

    /// Runs of numbers to leave out, which the terminal ledger must report
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "replay")]
    pub(crate) gaps: u32,

    /// Share of terminals that lose their network once and then send what they held in a burst
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share, conflicts_with = "replay")]
    pub(crate) offline: f64,

    /// How long they lose it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, conflicts_with = "replay")]
    pub(crate) offline_for: Duration,
}

/// A mix's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MixName {
    /// Every kind there is, from tills and a back office in each store
    Full,
    /// Sales, returns, voids, cash, counts and transfers, all from any till
    Basic,
}

impl From<MixName> for Mix {
    fn from(name: MixName) -> Self {
        match name {
            MixName::Full => Self::Full,
            MixName::Basic => Self::Basic,
        }
    }
}
