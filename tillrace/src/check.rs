//! `tillrace check`: reads the configuration as the roles would, and says what it amounts to.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::Source;
use crate::config::Settings;

/// Prints a summary; an unsound configuration is the error, which names the key and the remedy.
pub(crate) fn run(source: &Source) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(source)?;
    let mut out = io::stdout().lock();
    let log = settings
        .log
        .kafka
        .as_ref()
        .map_or("local".to_owned(), |kafka| format!("Kafka at {}", kafka.brokers));
    let keys: usize = settings.tenants.iter().map(|tenant| tenant.keys.len()).sum();
    writeln!(
        out,
        "configuration is sound: {} tenants with {keys} keys, {} sinks, {} partitions, log {log}",
        settings.tenants.len(),
        settings.sinks.len(),
        settings.log.partitions,
    )
    .context("print the summary")?;
    Ok(ExitCode::SUCCESS)
}
