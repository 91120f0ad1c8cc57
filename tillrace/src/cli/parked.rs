//! What can be asked about parked and refused events.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LogSource, OrderArgs, Place};

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// Print the parked events and how many there are of each code.
    List(ParkedListArgs),
    /// Print one parked event: its text, the rule that it broke, and whether it still does.
    Show(ParkedShowArgs),
    /// Let parked events in, as they are after an upgrade or a changed rule, or mended by a mapping.
    Readmit(ReadmitArgs),
    /// Settle parked events that were no trade.
    Dismiss(DismissArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RefusedAction {
    /// Settle the numbers of refused events that were no trade, so that they lack no longer.
    Dismiss(DismissRefusedArgs),
}

/// Which parked events are meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ParkedFilter {
    /// Only of this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only of this store.
    #[arg(long)]
    pub(crate) store: Option<String>,
    /// Only of this terminal.
    #[arg(long)]
    pub(crate) terminal: Option<String>,
    /// Only those parked for this code, such as `unknown_kind`.
    #[arg(long)]
    pub(crate) code: Option<String>,
}

/// The parked events that something is done about.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectedEvents {
    /// Places on the journal, such as `3/17`, as `tillrace parked list` prints them.
    #[arg(value_name = "PARTITION/OFFSET")]
    pub(crate) places: Vec<Place>,
    /// All parked events.
    #[arg(long, conflicts_with_all = ["places", "tenant", "store", "terminal", "code"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: ParkedFilter,
}

impl SelectedEvents {
    /// Tells whether the operator says which events are meant.
    pub(crate) fn names_any(&self) -> bool {
        let ParkedFilter { tenant, store, terminal, code } = &self.filter;
        let is_filtered = [tenant, store, terminal, code].iter().any(|name| name.is_some());
        self.all || is_filtered || !self.places.is_empty()
    }
}

#[derive(Debug, Args)]
pub(crate) struct ParkedListArgs {
    #[command(flatten)]
    pub(crate) filter: ParkedFilter,
    /// Most events that are printed; all are counted.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Print one JSON object instead.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

#[derive(Debug, Args)]
pub(crate) struct ParkedShowArgs {
    /// Place on the journal, as `tillrace parked list` prints it.
    #[arg(value_name = "PARTITION/OFFSET")]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

#[derive(Debug, Args)]
pub(crate) struct ReadmitArgs {
    #[command(flatten)]
    pub(crate) selected: SelectedEvents,
    /// Mend the events by this mapping (YAML): renames, constants and tables.
    #[arg(long, value_name = "FILE")]
    pub(crate) mapping: Option<PathBuf>,
    /// Most events a second.
    #[arg(long, default_value = "1000", value_name = "EVENTS")]
    pub(crate) rate: NonZeroU32,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DismissArgs {
    #[command(flatten)]
    pub(crate) selected: SelectedEvents,
    /// Why they were no trade; stands in the order.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DismissRefusedArgs {
    /// Tenant of the terminal.
    #[arg(long)]
    pub(crate) tenant: String,
    /// Store of the terminal.
    #[arg(long)]
    pub(crate) store: String,
    /// Terminal whose ledger has the numbers as refused.
    #[arg(long)]
    pub(crate) terminal: String,
    /// Epoch of the ledger, as `terminal.ledger.v1` shows it.
    #[arg(long)]
    pub(crate) epoch: Option<String>,
    /// The number, or the first and the last: `17` or `17-20`.
    #[arg(long, value_name = "NUMBER[-NUMBER]")]
    pub(crate) sequence: String,
    /// Why they were no trade; stands in the order.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}
