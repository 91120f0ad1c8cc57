//! `tillrace check`: reads the configuration as the roles would, and says all that is wrong and what it amounts to.

mod certificates;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tillrace_ingest::TenantSettings;
use tillrace_log::kafka::{KafkaLog, KafkaSettings};
use tillrace_log::local;
use tillrace_log::local::identity;
use tillrace_sinks::connector_config::SinkIdentity;

use crate::cli::CheckArgs;
use crate::config::{Domain, Settings};
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
    let domains = match &settings {
        Some(settings) => settings.domains_named(args.source.log.domain.as_deref())?,
        None => Vec::new(),
    };
    let certificates = settings.as_ref().map(certificates::examine).unwrap_or_default();
    let mut unusable: Vec<String> = domains.iter().flat_map(foreign_places).collect();
    unusable.extend(certificates.errors);
    for error in &unusable {
        say(&format!("error: {error}"))?;
    }
    let errors = report.errors().len() + unusable.len();
    let warnings = report.warnings().len();
    let Some(mut settings) = settings.filter(|_| errors == 0) else {
        say(&format!("the configuration cannot be used: {}", counted(errors, "error")))?;
        return Ok(ExitCode::FAILURE);
    };
    let mut unreached = 0;
    for domain in domains.iter().filter(|_| args.probe) {
        unreached += probe(domain).await?;
    }
    let verdict = verdict(warnings);
    match domains.as_slice() {
        [whole] if !whole.is_named => say(&format!("{verdict}: {}", summary(whole)))?,
        named => {
            say(&format!("{verdict}: {}", counted(named.len(), "domain")))?;
            for domain in named {
                say(&format!("domain {}: {}", domain.name, summary(domain)))?;
            }
        }
    }
    for outlook in &certificates.outlooks {
        say(outlook)?;
    }
    if let Some(held) = Descriptors::raise()?.hold(&mut settings.ingest, domains.len())? {
        say(&format!("with the limits of this shell, a gateway takes {held}"))?;
    }
    for domain in &domains {
        if let Some(outlook) = disk_outlook(domain)? {
            say(&outlook)?;
        }
    }
    let is_sound = unreached == 0 && (warnings == 0 || !args.deny_warnings);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(warnings: usize) -> String {
    match warnings {
        0 => "configuration is sound".to_owned(),
        _ => format!("configuration can be used, with {}", counted(warnings, "warning")),
    }
}

fn summary(domain: &Domain) -> String {
    let kafka = |kafka: &KafkaSettings| format!("Kafka at {}", kafka.brokers);
    let log = domain.log.kafka.as_ref().map_or("local".to_owned(), kafka);
    let keys_of = |tenant: &TenantSettings| {
        tenant.keys.len() + tenant.clients.iter().map(|client| client.keys.len()).sum::<usize>()
    };
    let keys: usize = domain.tenants.iter().map(keys_of).sum();
    let region = domain.region.as_ref().map(|region| format!(", {region}")).unwrap_or_default();
    format!(
        "{} with {}, {}, {}, log {log}{region}",
        counted(domain.tenants.len(), "tenant"),
        counted(keys, "key"),
        counted(domain.sinks.len(), "sink"),
        counted(domain.log.partitions as usize, "partition"),
    )
}

/// Tries to reach log, back ends and locations of files, and returns how many could not be.
async fn probe(domain: &Domain) -> anyhow::Result<usize> {
    let mut unreached = 0;
    let mut tell = |what: &str, found: anyhow::Result<String>| {
        let found = found.unwrap_or_else(|error| {
            unreached += 1;
            format!("{error:#}")
        });
        let of = if domain.is_named { format!("domain {}, ", domain.name) } else { String::new() };
        say(&format!("{of}{what}: {found}"))
    };
    tell("log", probe_log(domain).await)?;
    for sink in &domain.sinks {
        let found = tillrace_sinks::probe(sink.to.config()).await.map_err(anyhow::Error::new);
        tell(&format!("sink {}", sink.name), found)?;
    }
    Ok(unreached)
}

async fn probe_log(domain: &Domain) -> anyhow::Result<String> {
    let Some(kafka) = domain.log.kafka.clone() else {
        let dir = domain.local_log().dir;
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
fn disk_outlook(domain: &Domain) -> anyhow::Result<Option<String>> {
    if domain.log.kafka.is_some() {
        return Ok(None);
    }
    let log = domain.local_log();
    let retention = Duration::from_hours(domain.log.retention_days.saturating_mul(24));
    let outlook = local::outlook(&log, retention).context("look at the disk of the local log")?;
    Ok(outlook.map(|outlook| outlook.sentence(&log.dir.display().to_string())))
}

/// Returns the sinks' folders that belong to another sink or another log, by their keys.
fn foreign_places(domain: &Domain) -> Vec<String> {
    let log = match &domain.log.kafka {
        Some(_) => "kafka/".to_owned(),
        // A log that was never opened owns nothing yet.
        None => identity::read(&domain.local_log().dir).unwrap_or("none".to_owned()),
    };
    let topics = domain.topics();
    let mut foreign = Vec::new();
    for (index, sink) in domain.sinks.iter().enumerate() {
        let identity = SinkIdentity { name: &sink.name, topics: &topics };
        if let Err(error) = sink.to.config().check_owner(&identity, &log) {
            let remedy = "give each sink of each log a location of its own";
            foreign
                .push(format!("{}sinks[{index}].to.location: {error}; {remedy}", domain.section));
        }
    }
    foreign
}
