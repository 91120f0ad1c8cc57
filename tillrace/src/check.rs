//! `tillrace check`: reads the configuration as the roles would, and says what it amounts to.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tillrace_core::log::local;
use tillrace_core::log::local::identity;
use tillrace_sinks::settings::Target;

use crate::cli::Source;
use crate::config::Settings;
use crate::descriptors::Descriptors;

/// Prints a summary; an unsound configuration is the error, which names the key and the remedy.
pub(crate) fn run(source: &Source) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::load(source)?;
    check_places(&settings)?;
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
    if let Some(held) = Descriptors::raise()?.hold(&mut settings.ingest)? {
        writeln!(out, "with the limits of this shell, a gateway takes {held}")
            .context("print the summary")?;
    }
    if let Some(outlook) = disk_outlook(&settings)? {
        writeln!(out, "{outlook}").context("print the summary")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how long the disk of a local log lasts, `None` where there is none yet.
fn disk_outlook(settings: &Settings) -> anyhow::Result<Option<String>> {
    if settings.log.kafka.is_some() {
        return Ok(None);
    }
    let log = settings.local_log();
    let retention = Duration::from_hours(settings.log.retention_days.saturating_mul(24));
    let outlook = local::outlook(&log, retention).context("look at the disk of the local log")?;
    Ok(outlook.map(|outlook| outlook.sentence(&log.dir.display().to_string())))
}

/// Looks whose the sinks' folders are.
fn check_places(settings: &Settings) -> anyhow::Result<()> {
    let log = match &settings.log.kafka {
        Some(_) => "kafka/".to_owned(),
        // A log that was never opened owns nothing yet.
        None => identity::read(&settings.local_log().dir).unwrap_or("none".to_owned()),
    };
    for sink in &settings.sinks {
        if let Target::Parquet(files) = &sink.to {
            files.check_owner(&settings.topics(), &sink.name, &log).with_context(|| {
                format!(
                    "sinks[{}].to.place: give each sink of each log a place of its own",
                    sink.name
                )
            })?;
        }
    }
    Ok(())
}
