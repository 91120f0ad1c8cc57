//! The command line of `tillrace register`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LogSource, OrderArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RegisterAction {
    /// Write the registers of a file to the journal. They hold from their business dates on; open days are judged anew.
    Apply(RegisterApplyArgs),
    /// Print the registers of a store that are in force, or will be.
    Show(RegisterShowArgs),
    /// Read a file and say all that is wrong with it: each member by its path, and the remedy. It reads no log, and takes no option
    /// that names one.
    Check {
        /// The file, YAML or JSON.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RegisterApplyArgs {
    /// The file, YAML or JSON.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterShowArgs {
    /// Tenant of the store.
    #[arg(long)]
    pub(crate) tenant: String,
    /// The store.
    #[arg(long)]
    pub(crate) store: String,
    /// Print one JSON object for each register instead.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogSource,
}
