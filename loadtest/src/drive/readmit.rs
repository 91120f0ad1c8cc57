//! Lets parked events in as an operator does: by a command that is given the fleet's mapping.

use std::process::{Command, Stdio};

use anyhow::Context as _;
use tillrace_loadtest::fleet::MAPPING;

/// Runs the command, split at spaces, with the mapping in a file. What it prints goes to standard error.
///
/// # Errors
/// It cannot be run, or fails.
pub(super) fn run(command: &str) -> anyhow::Result<()> {
    let path = std::env::temp_dir().join(format!("tillrace-mapping-{}.yaml", std::process::id()));
    std::fs::write(&path, MAPPING).with_context(|| format!("write {}", path.display()))?;
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap_or_default())
        .args(words)
        .args(["--all", "--yes", "--mapping"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("run {command:?}"));
    std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    let status = status?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
