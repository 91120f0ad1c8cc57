//! What the process says of itself on standard error.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{LineFormat, Telemetry};

/// Starts logging; once a process.
///
/// # Errors
/// When the level cannot be read or logging runs already.
pub(crate) fn start(settings: &Telemetry) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.level)
        .with_context(|| format!("telemetry.level: {:?} is no level; try info", settings.level))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match settings.format {
        LineFormat::Text => lines.try_init(),
        LineFormat::Json => lines.json().try_init(),
    }
    .map_err(|error| anyhow::anyhow!(error).context("start logging"))
}
