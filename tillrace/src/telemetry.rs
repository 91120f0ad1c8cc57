//! What the process says of itself on standard error.

use std::error::Error;
use std::io::{self, IsTerminal};

use tillrace_log::explain;
use tillrace_log::health::DOMAIN_TARGET;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LineFormat, Telemetry};

/// Why the process cannot log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    #[error("telemetry.level: {level:?} is no level; try info")]
    Level { level: String, source: ParseError },
    #[error("start logging")]
    Running(#[source] Box<dyn Error + Send + Sync>),
}

explain!(TelemetryError {
    Level: "telemetry_level",
        "`telemetry.level` is neither a level nor a list of levels of parts. Nothing was started.",
        "Use error, warn, info, debug or trace, or levels of parts such as `info,tillrace_core=debug`.";
    Running: "telemetry_running",
        "Logging was started twice: a defect. Nothing else was started.",
        "Report it with the text.";
});

/// Starts logging; once a process.
///
/// # Errors
/// When the level cannot be read or logging runs already.
pub(crate) fn start(settings: &Telemetry) -> Result<(), TelemetryError> {
    // Spans of domains are on whatever the level, or a line would not say which domain it is of.
    let filter = EnvFilter::try_new(format!("{},{DOMAIN_TARGET}=error", settings.level))
        .map_err(|source| TelemetryError::Level { level: settings.level.clone(), source })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match settings.format {
        LineFormat::Text => lines.try_init(),
        LineFormat::Json => lines.json().try_init(),
    }
    .map_err(TelemetryError::Running)
}
