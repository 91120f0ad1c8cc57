//! What every order on the journal takes: who gives it, how long to wait for it, and on which log.

use clap::Args;

use super::{Consent, LogSource};

#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// Who orders it; stands in the order. The default is the user, by name or by number.
    #[arg(long, value_name = "NAME", default_value_t = current_user())]
    pub(crate) operator: String,
    /// How long to wait until the aggregator has followed, on Kafka.
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub(crate) wait: humantime::Duration,
    #[command(flatten)]
    pub(crate) consent: Consent,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

/// Returns the name of the user by the environment, or the number by the system: containers and services have no name.
pub(super) fn current_user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(std::env::var_os);
    named
        .filter_map(|name| name.into_string().ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
