//! Prints a report, and writes it to the files asked for.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::{Cli, is_stdout};

/// Writes a report everywhere it was asked for. Where standard output takes the JSON or the page, what
/// people read goes to standard error.
///
/// # Errors
/// A file, standard output or standard error cannot be written.
pub(super) fn write(
    cli: &Cli,
    report: &(impl Serialize + Display),
    page: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let (json, html) = (cli.output.json.as_deref(), cli.output.html.as_deref());
    let text = report.to_string();
    if [json, html].into_iter().flatten().any(is_stdout) {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    }
    .context("print the report")?;
    if let Some(path) = json {
        let mut text = serde_json::to_vec_pretty(report).context("write the report as JSON")?;
        text.push(b'\n');
        save(path, &text)?;
    }
    if let Some(path) = html {
        save(path, page().as_bytes())?;
    }
    Ok(())
}

fn save(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if is_stdout(path) {
        io::stdout().write_all(content).context("write the report to standard output")
    } else {
        std::fs::write(path, content).with_context(|| format!("write {}", path.display()))
    }
}
