//! The command line of `tillrace policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::order::current_user;
use super::{Consent, LogSource};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Read a folder of documents and say all that is wrong with it: each by file, document and path, and the remedy.
    Check {
        #[command(flatten)]
        folder: PolicyFolder,
    },
    /// Say what applying a folder would change.
    Diff {
        #[command(flatten)]
        folder: PolicyFolder,
        /// Count what the folder lacks as removed.
        #[arg(long)]
        prune: bool,
        #[command(flatten)]
        look: PolicyLook,
    },
    /// Change the policy set to what a folder says, all of it or nothing.
    ///
    /// What the folder lacks stays as it is, unless `--prune` is given. Where another command changes the same resources
    /// meanwhile, nothing is done.
    Apply {
        #[command(flatten)]
        folder: PolicyFolder,
        /// Remove what the folder lacks.
        #[arg(long)]
        prune: bool,
        #[command(flatten)]
        order: PolicyOrder,
    },
    /// Print the revisions: when, by whom, why, and how much was changed.
    History {
        #[command(flatten)]
        look: PolicyLook,
    },
    /// Print documents of the set, or of an earlier revision.
    Show {
        /// Only this resource.
        #[arg(value_name = "KIND/TENANT/NAME")]
        resource: Option<String>,
        /// Of this revision; the newest without it.
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
        #[command(flatten)]
        look: PolicyLook,
    },
    /// Make the set what it was at an earlier revision, by a new revision. Keys that were revoked stay revoked.
    Rollback {
        /// The revision, as `history` numbers it.
        revision: u64,
        #[command(flatten)]
        order: PolicyOrder,
    },
    /// Put a folder in the place of the whole set, even of one that this version cannot read. Keys that were revoked stay revoked.
    Restore {
        #[command(flatten)]
        folder: PolicyFolder,
        #[command(flatten)]
        order: PolicyOrder,
    },
    /// Write the set to a folder that `apply` and `restore` read.
    Export {
        /// The folder; it must not exist, or be empty.
        folder: PathBuf,
        /// Of this revision; the newest without it.
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
        #[command(flatten)]
        log: LogSource,
    },
    /// Print the JSON Schema of the documents of a kind, for editors and checks.
    Schema {
        /// The kind, such as `Client`.
        kind: String,
    },
}

/// A folder of documents, and the values of an environment.
#[derive(Debug, Args)]
pub(crate) struct PolicyFolder {
    /// The folder, or one file (YAML, several documents a file).
    pub(crate) folder: PathBuf,
    /// File of named values, which documents use as `${name}`; may be given again, and a later one replaces values.
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Vec<PathBuf>,
}

/// How something is looked at.
#[derive(Debug, Args)]
pub(crate) struct PolicyLook {
    /// What is printed: for people, or one JSON value for programs.
    #[arg(long, value_enum, default_value_t = OutputForm::Text)]
    pub(crate) output: OutputForm,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// Lines for people.
    Text,
    /// One JSON value.
    Json,
}

/// Who changes the set, and why.
#[derive(Debug, Args)]
pub(crate) struct PolicyOrder {
    /// Why; stands in the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Who; stands in the history. The default is the user, by name or by number.
    #[arg(long, value_name = "NAME", default_value_t = current_user())]
    pub(crate) operator: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
    #[command(flatten)]
    pub(crate) look: PolicyLook,
}
