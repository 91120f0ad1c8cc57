//! The command lines of `tillrace books` and `tillrace trail`.

use clap::{Args, Subcommand, ValueEnum};

use super::{LogSource, Source};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BooksArgs {
    #[command(subcommand)]
    pub(crate) action: Option<BooksAction>,
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BooksAction {
    /// Make the data store anew from the log, and put it in place of the one that is there.
    ///
    /// It refuses where a topic no longer begins at its first record, as the store would lack what is gone. Stop the role
    /// first: a local log is read through the process that owns it, and the data store has one owner.
    Rebuild {
        /// Make a store of what is left; what is gone is recorded in the table `holes`.
        #[arg(long)]
        allow_holes: bool,
        #[command(flatten)]
        log: LogSource,
    },
    /// Compare what the data store's transactions add up to with its store-days and deltas. Exit code 0 means that all is equal.
    Check {
        #[command(flatten)]
        log: LogSource,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrailArgs {
    /// Tenant of the store; the configuration's where it has one.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// The store.
    #[arg(long, requires_all = ["terminal", "sequence"])]
    pub(crate) store: Option<String>,
    /// The terminal.
    #[arg(long, requires = "store")]
    pub(crate) terminal: Option<String>,
    /// The terminal's number.
    #[arg(long, requires = "store")]
    pub(crate) sequence: Option<i64>,
    /// The sender's id, instead.
    #[arg(long, conflicts_with = "store")]
    pub(crate) event_id: Option<String>,
    /// The order, instead: every event of it.
    #[arg(long, conflicts_with_all = ["store", "event_id"], required_unless_present_any = ["store", "event_id"])]
    pub(crate) order: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}
