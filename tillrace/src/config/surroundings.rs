//! What a process was started with, passed on so that tests can say it.

use std::ffi::OsString;

/// What the process was started with, besides its command line.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) variables: Vec<(OsString, OsString)>,
}

impl Surroundings {
    pub(super) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// Returns the text of a variable, if it is set and text.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.variables.iter().find(|(known, _)| known == name)?;
        value.clone().into_string().ok()
    }
}
