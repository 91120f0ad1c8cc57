//! The command line of `tillrace client`.

use clap::{Args, Subcommand};

use super::{LogSource, OrderArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ClientAction {
    /// Make a client and its first key, which is printed once and stored nowhere.
    Create(ClientCreateArgs),
    /// Give a client a second key, which is printed once; the one before is taken until it is revoked.
    Rotate(ClientRotateArgs),
    /// End keys of a client at once and for good: by default all of them.
    Revoke(ClientRevokeArgs),
    /// List clients with their keys, never the keys themselves.
    List(ClientListArgs),
}

/// Which client.
#[derive(Debug, Args)]
pub(crate) struct ClientName {
    /// Its tenant.
    #[arg(long)]
    pub(crate) tenant: String,
    /// Its name, unique within the tenant.
    #[arg(long)]
    pub(crate) name: String,
}

/// Who changes it, why, and where.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Why; stands in the history.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientCreateArgs {
    #[command(flatten)]
    pub(crate) client: ClientName,
    /// A store it may send for, again and again; all without one.
    #[arg(long = "store", value_name = "STORE")]
    pub(crate) stores: Vec<String>,
    /// Who answers for it, for people.
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// How long its key is taken, such as 90d; without it, until it is revoked.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<humantime::Duration>,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientRotateArgs {
    #[command(flatten)]
    pub(crate) client: ClientName,
    /// How long the new key is taken, such as 90d; without it, until it is revoked.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<humantime::Duration>,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientRevokeArgs {
    #[command(flatten)]
    pub(crate) client: ClientName,
    /// Only keys whose hash begins so, as `list` shows it.
    #[arg(long, value_name = "HASH")]
    pub(crate) key: Option<String>,
    /// Only keys that are older than the newest: what ends a rotation.
    #[arg(long, conflicts_with = "key")]
    pub(crate) old: bool,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientListArgs {
    /// Only those of a tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Print one JSON object for each client instead.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogSource,
}
