//! Asks an operator before something is done that cannot be undone.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;

use crate::usage::UsageError;

/// Tells whether to go on: `--yes` says so, else a person at a terminal does.
///
/// # Errors
/// When there is neither.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(UsageError::NoTerminal.into());
    }
    let mut out = io::stdout().lock();
    write!(out, "{question} [y/N] ").and_then(|()| out.flush()).context("ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
