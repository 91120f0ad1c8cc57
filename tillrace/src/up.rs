//! `tillrace up` and its parts: runs roles until told to stop, then drains them.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Source;
use crate::config::{DevelopmentKey, Domain, Settings};
use crate::descriptors::Descriptors;
use crate::lines::{CONNECTIONS_FEW, SETTING_UNLIKELY};
use crate::roles::{Roles, Running};
use crate::status;
use crate::usage::UsageError;
use crate::{errors, telemetry};

/// Runs until SIGTERM or SIGINT, or until no role can go on.
///
/// # Errors
/// When a role cannot start, stops by itself, or does not end cleanly.
pub(crate) async fn run(
    source: &Source,
    mut roles: Roles,
    adopt_checkpoints: bool,
) -> anyhow::Result<ExitCode> {
    if source.listen.is_some() && !roles.ingest {
        return Err(UsageError::NoGateway.into());
    }
    let (mut settings, warnings) = Settings::load_with_warnings(source)?;
    // By itself the role is asked for; beside the others the configuration decides.
    roles.books &= !roles.aggregate || settings.books.enabled;
    settings.aggregate.adopt_checkpoints = adopt_checkpoints;
    telemetry::start(&settings.telemetry)?;
    for warning in warnings {
        tracing::warn!(code = SETTING_UNLIKELY.code, %warning, "a setting is hardly meant");
    }
    let key = if roles.ingest { settings.add_development_tenant()? } else { None };
    let domains = settings.domains_named(source.log.domain.as_deref())?;
    let descriptors = Descriptors::raise()?;
    if roles.ingest
        && let Some(held) = descriptors.hold(&mut settings.ingest, domains.len())?
    {
        let code = CONNECTIONS_FEW.code;
        tracing::warn!(
            code,
            held,
            "the limit of open files is low for the connections that are wanted"
        );
    }
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut running = tokio::select! {
        started = Running::start(&settings, domains.clone(), roles) => started?,
        // No role works yet, so there is nothing to drain.
        _told = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _told = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    greet(&settings, &domains, roles, &running, key.as_ref()).context("print what runs")?;
    let failure = tokio::select! {
        _told = terminate.recv() => {
            // Whoever is in a hurry says it twice.
            tokio::select! {
                () = running.announce_drain() => {}
                _told = terminate.recv() => {}
                _told = interrupt.recv() => {}
            }
            None
        }
        _told = interrupt.recv() => None,
        error = running.stopped() => Some(error),
    };
    if let Some(error) = &failure {
        let code = errors::explanation(error).code;
        tracing::error!(code, error = format!("{error:#}"), "nothing can go on; the process ends");
    }
    running.drain().await?;
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn greet(
    settings: &Settings,
    domains: &[Domain],
    roles: Roles,
    running: &Running,
    key: Option<&DevelopmentKey>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tillrace {}", env!("CARGO_PKG_VERSION"))?;
    if let Some(address) = running.gateway_address() {
        let url = status::url(settings.ingest.tls.is_some(), address);
        writeln!(out, "  listening  {url}")?;
        writeln!(out, "  at most    {} connections", settings.ingest.max_connections)?;
    }
    writeln!(out, "  status     {}/readyz", running.status_url())?;
    match key {
        Some(DevelopmentKey::Made(key)) => {
            writeln!(out, "  tenant     demo, for development only; API key {key}")?;
        }
        Some(DevelopmentKey::Given) => {
            writeln!(
                out,
                "  tenant     demo, for development only; API key as in TILLRACE_DEV_KEY"
            )?;
        }
        None => {}
    }
    for domain in domains {
        if domain.is_named {
            writeln!(out, "  domain     {}", domain.name)?;
        }
        writeln!(out, "  log        {}", domain.log_name())?;
        if roles.deliver {
            writeln!(out, "  sinks      {}", domain.sink_names())?;
        }
        if roles.books {
            writeln!(out, "  data store {}", domain.books.display())?;
        }
    }
    out.flush()
}
