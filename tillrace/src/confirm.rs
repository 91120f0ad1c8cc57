//! Asks an operator before something is done that cannot be undone.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, ensure};

/// Tells whether to go on: `--yes` says so, else a person at a terminal does.
///
/// # Errors
/// When there is neither.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    ensure!(io::stdin().is_terminal(), "there is no terminal to ask on: add --yes, or --dry-run");
    let mut out = io::stdout().lock();
    write!(out, "{question} [y/N] ").and_then(|()| out.flush()).context("ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
