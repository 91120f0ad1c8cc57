//! `tillrace check`: reads the configuration as the roles would, and says all that is wrong and what it amounts to.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tillrace_log::kafka::KafkaLog;
use tillrace_log::local;
use tillrace_log::local::identity;
use tillrace_sinks::settings::Target;

use crate::cli::CheckArgs;
use crate::config::Settings;
use crate::descriptors::Descriptors;
use crate::terminal::printable;

/// Prints what was found; the exit code is 1 where the configuration cannot be used.
pub(crate) async fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (settings, report) = Settings::examine(&args.source)?;
    for warning in report.warnings() {
        say(&format!("warning: {warning}"))?;
    }
    for error in report.errors() {
        say(&format!("error: {error}"))?;
    }
    let foreign = settings.as_ref().map(foreign_places).unwrap_or_default();
    for error in &foreign {
        say(&format!("error: {error}"))?;
    }
    let errors = report.errors().len() + foreign.len();
    let warnings = report.warnings().len();
    let Some(mut settings) = settings.filter(|_| errors == 0) else {
        say(&format!("the configuration cannot be used: {}", counted(errors, "error")))?;
        return Ok(ExitCode::FAILURE);
    };
    let unreached = if args.probe { probe(&settings).await? } else { 0 };
    say(&summary(&settings, warnings))?;
    if let Some(held) = Descriptors::raise()?.hold(&mut settings.ingest)? {
        say(&format!("with the limits of this shell, a gateway takes {held}"))?;
    }
    if let Some(outlook) = disk_outlook(&settings)? {
        say(&outlook)?;
    }
    let is_sound = unreached == 0 && (warnings == 0 || !args.deny_warnings);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(settings: &Settings, warnings: usize) -> String {
    let log = settings
        .log
        .kafka
        .as_ref()
        .map_or("local".to_owned(), |kafka| format!("Kafka at {}", kafka.brokers));
    let keys: usize = settings.tenants.iter().map(|tenant| tenant.keys.len()).sum();
    let verdict = match warnings {
        0 => "configuration is sound".to_owned(),
        _ => format!("configuration can be used, with {}", counted(warnings, "warning")),
    };
    format!(
        "{verdict}: {} with {}, {}, {}, log {log}",
        counted(settings.tenants.len(), "tenant"),
        counted(keys, "key"),
        counted(settings.sinks.len(), "sink"),
        counted(settings.log.partitions as usize, "partition"),
    )
}

/// Tries to reach log, back ends and locations of files, and returns how many could not be.
async fn probe(settings: &Settings) -> anyhow::Result<usize> {
    let mut unreached = 0;
    let mut tell = |what: &str, found: anyhow::Result<String>| {
        let found = found.unwrap_or_else(|error| {
            unreached += 1;
            format!("{error:#}")
        });
        say(&format!("{what}: {found}"))
    };
    tell("log", probe_log(settings).await)?;
    for sink in &settings.sinks {
        let found = tillrace_sinks::probe(sink).await.map_err(anyhow::Error::new);
        tell(&format!("sink {}", sink.name), found)?;
    }
    Ok(unreached)
}

async fn probe_log(settings: &Settings) -> anyhow::Result<String> {
    let Some(kafka) = settings.log.kafka.clone() else {
        let dir = settings.local_log().dir;
        tillrace_sinks::parquet::probe_folder(&dir)
            .with_context(|| format!("use {}", dir.display()))?;
        return Ok(format!("{} can be used", dir.display()));
    };
    let brokers = kafka.brokers.clone();
    let connecting = tokio::task::spawn_blocking(move || KafkaLog::connect(kafka).map(Arc::new));
    connecting.await.context("wait for Kafka")?.with_context(|| format!("reach {brokers}"))?;
    Ok(format!("Kafka at {brokers} answers"))
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{}", printable(line)).context("print what was found")
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

/// Returns the sinks' folders that belong to another sink or another log, by their keys.
fn foreign_places(settings: &Settings) -> Vec<String> {
    let log = match &settings.log.kafka {
        Some(_) => "kafka/".to_owned(),
        // A log that was never opened owns nothing yet.
        None => identity::read(&settings.local_log().dir).unwrap_or("none".to_owned()),
    };
    let topics = settings.topics();
    let mut foreign = Vec::new();
    for (index, sink) in settings.sinks.iter().enumerate() {
        if let Target::Parquet(files) = &sink.to
            && let Err(error) = files.check_owner(&topics, &sink.name, &log)
        {
            let remedy = "give each sink of each log a location of its own";
            foreign.push(format!("sinks[{index}].to.location: {error}; {remedy}"));
        }
    }
    foreign
}
