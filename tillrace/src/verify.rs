//! `tillrace verify`: the conservation law, recounted from the log alone.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use tillrace_core::topics::Topics;
use tillrace_core::verify;

use crate::cli::VerifyArgs;
use crate::config::Settings;
use crate::roles;

/// Prints the report; the exit code is 1 when a check does not hold.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.source)?;
    let view = roles::open_view(&settings)?;
    let topics = Topics::new(&settings.namespace);
    let report =
        verify::verify(view.as_ref(), &topics, &settings.sinks_under_test(), &mut |_progress| {})
            .context("recount the log")?;
    writeln!(io::stdout().lock(), "{report}").context("print the report")?;
    if let Some(path) = &args.json {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        serde_json::to_writer_pretty(file, &report).context("write the report")?;
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
