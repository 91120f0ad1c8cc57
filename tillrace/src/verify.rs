//! `tillrace verify`: the conservation law, recounted from the log alone.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tillrace_core::verify::{self, Report, SinkUnderTest};
use tillrace_log::{LogView, Topic};
use tillrace_sinks::connector_config::SinkIdentity;
use tokio::runtime::{Builder, Handle};

use crate::cli::VerifyArgs;
use crate::config::{Domain, Settings};
use crate::{output, roles};

const DAY_MS: u64 = 86_400_000;
/// Retention deletes by the hour at most; a record this much older than it may be gone.
const RETENTION_SLACK_MS: u64 = 3_600_000;

/// Prints what was looked at and the report; the exit code is 1 when a check does not hold.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let domain = Settings::load_domain(&args.log)?;
    let view = roles::open_view(&domain)?;
    let report = recount(&domain, &view)?;
    let subject = Subject::new(&domain, &report);
    let json = args.json.as_deref().map(|path| (path, &report));
    output::report(format_args!("{subject}\n{report}\n"), json)?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Recounts the log, with every sink of the configuration and those that its audit knows beside them, and the files that
/// sinks wrote. Blocks.
///
/// # Errors
/// When the log or a location of files cannot be read.
pub(crate) fn recount(domain: &Domain, view: &Arc<dyn LogView>) -> anyhow::Result<Report> {
    let topics = domain.topics();
    let mut sinks = domain.sinks_under_test();
    for (name, topic) in verify::audited_sinks(view.as_ref(), &topics).context("read the audit")? {
        let topic = Topic::new(&topic);
        if !sinks.iter().any(|sink| sink.name == name && sink.topic == topic) {
            let group = topics.sink_group(&name);
            sinks.push(SinkUnderTest { name, topic, group, is_configured: false });
        }
    }
    let kept_ms = domain.log.retention_days.saturating_mul(DAY_MS) - RETENTION_SLACK_MS;
    let kept_since_ms = now_ms().saturating_sub(i64::try_from(kept_ms).unwrap_or(i64::MAX));
    let mut report =
        verify::verify(view.as_ref(), &topics, &sinks, kept_since_ms, &mut |_progress| {})
            .context("recount the log")?;
    for sink in &domain.sinks {
        let identity = SinkIdentity { name: &sink.name, topics: &topics };
        if let Some(recount) = sink.to.config().recount(identity, Arc::clone(view)) {
            let check = blocking(recount)?
                .with_context(|| format!("recount the target of sink {}", sink.name))?;
            report.checks.push(check);
        }
    }
    Ok(report)
}

/// Waits for work on the runtime of this thread, or on one of its own.
fn blocking<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    match Handle::try_current() {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(_none) => Ok(Builder::new_current_thread().enable_all().build()?.block_on(work)),
    }
}

/// What was looked at: a sound log of yesterday is no proof of today's.
struct Subject {
    log: String,
    newest_ms: Option<i64>,
}

impl Subject {
    fn new(domain: &Domain, report: &Report) -> Self {
        let newest_ms = report.covered.iter().filter_map(|covered| covered.newest_ms).max();
        Self { log: domain.log_name(), newest_ms }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "log: {}", self.log)?;
        let Some(newest_ms) = self.newest_ms else {
            return writeln!(formatter, "newest event: none");
        };
        let since_epoch = Duration::from_millis(u64::try_from(newest_ms).unwrap_or_default());
        let age_ms = u64::try_from(now_ms().saturating_sub(newest_ms)).unwrap_or_default();
        writeln!(
            formatter,
            "newest event: {}, {} ago",
            humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch),
            humantime::format_duration(Duration::from_secs(age_ms / 1_000))
        )
    }
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
