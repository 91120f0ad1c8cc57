//! All that is wrong with a configuration, each by its key as the user wrote it.

use std::fmt;
use std::path::PathBuf;

use tillrace_log::setting::SettingError;

use super::node::{Node, Origin};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    file: Option<PathBuf>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// One thing that was found, and where it was written.
#[derive(Debug)]
pub(crate) struct Finding {
    place: Option<String>,
    error: SettingError,
}

impl Report {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, ..Self::default() }
    }

    /// Adds an error under the place where its key, or what is nearest to it, was written.
    pub(super) fn error(&mut self, error: SettingError, tree: &Node) {
        let finding = self.finding(error, tree);
        self.errors.push(finding);
    }

    /// Adds a warning where a secret is written out in the file; from the environment, that is as it should be.
    pub(super) fn literal_secret(&mut self, path: &str, tree: &Node) {
        if let Origin::Line(_) = tree.nearest(path).origin {
            let remedy = "name where it stands: `env:NAME` or `file:PATH`".into();
            let fault = "is a secret written out in the file".into();
            self.warning(SettingError { path: path.to_owned(), fault, remedy }, tree);
        }
    }

    /// Adds an error that names its place itself.
    pub(super) fn error_as_it_is(&mut self, error: SettingError) {
        self.errors.push(Finding { place: None, error });
    }

    /// Adds a warning likewise.
    pub(super) fn warning(&mut self, warning: SettingError, tree: &Node) {
        let finding = self.finding(warning, tree);
        self.warnings.push(finding);
    }

    /// Adds a warning that names its place itself.
    pub(super) fn warning_as_it_is(&mut self, warning: SettingError) {
        self.warnings.push(Finding { place: None, error: warning });
    }

    /// What keeps the configuration from being used.
    pub(crate) fn errors(&self) -> &[Finding] {
        &self.errors
    }

    /// What does not, and is hardly meant.
    pub(crate) fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    fn finding(&self, mut error: SettingError, tree: &Node) -> Finding {
        let place = match &tree.nearest(&error.path).origin {
            Origin::Variable(name) => Some(name.clone()),
            Origin::Line(line) => {
                self.file.as_ref().map(|file| format!("{}:{line}", file.display()))
            }
        };
        error.path = tree.written(&error.path);
        Finding { place, error }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        self.error.fmt(formatter)
    }
}

/// All errors, one a line.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            write!(formatter, "\n  {error}")?;
        }
        Ok(())
    }
}
