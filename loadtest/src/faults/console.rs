//! What is said while a run goes on: one line at a time on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Says a line.
pub(crate) fn say(line: impl Display) {
    // A closed terminal must not end a run.
    let _said = writeln!(std::io::stderr().lock(), "{line}");
}
