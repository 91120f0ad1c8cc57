//! Secrets in settings: named in the file, read from the environment or a file of their own, never shown.
//!
//! This part does not read the environment itself; the executable passes the lookup in, once.

use std::borrow::Cow;
use std::{fmt, fs, io};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::explain;

const VARIABLE: &str = "env:";
const FILE: &str = "file:";

/// A token, key or password: `env:NAME` or `file:PATH` names where it stands, any other text is the secret itself.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String", inline)]
pub struct Secret {
    text: String,
    state: SecretState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SecretState {
    /// The secret itself, as it was written.
    Literal,
    /// The name of a variable or file.
    Named,
    /// The secret, from where it was named.
    Resolved,
}

/// Why a secret has no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment lacks the variable it names.
    #[error("environment variable {name} is not set")]
    Unset {
        /// The variable.
        name: String,
    },
    /// The file it names cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

explain!(SecretError {
    Unset: "secret_unset",
        "A secret names an environment variable (`env:NAME`) that is not set, or whose value is no UTF-8. Nothing was started.",
        "Set the variable for this process, or name another with `env:NAME` or `file:PATH`.";
    File: "secret_file_unreadable",
        "A secret names a file (`file:PATH`) that is missing, may not be read, or is no UTF-8. Nothing was started.",
        "Put the file there and let this process's user read it, or name another with `env:NAME` or `file:PATH`.";
});

impl Secret {
    /// Makes a secret from its text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let named = text.starts_with(VARIABLE) || text.starts_with(FILE);
        Self { text, state: if named { SecretState::Named } else { SecretState::Literal } }
    }

    /// Puts the secret in place of the name of its variable or file; leaves one that is written out alone. The line break
    /// at the end of a file is no part of it.
    ///
    /// # Errors
    /// When `lookup` knows no such variable, or the file cannot be read.
    pub fn resolve(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), SecretError> {
        if self.state != SecretState::Named {
            return Ok(());
        }
        let secret = if let Some(name) = self.text.strip_prefix(VARIABLE) {
            lookup(name).ok_or_else(|| SecretError::Unset { name: name.to_owned() })?
        } else {
            let path = self.text.trim_start_matches(FILE);
            let mut secret = fs::read_to_string(path)
                .map_err(|source| SecretError::File { path: path.to_owned(), source })?;
            let line =
                secret.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            if let Some(length) = line.map(str::len) {
                secret.truncate(length);
            }
            secret
        };
        *self = Self { text: secret, state: SecretState::Resolved };
        Ok(())
    }

    /// Returns the value, to be sent and not to be written anywhere.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Tells whether it still is the name of a variable or file.
    pub fn is_unresolved(&self) -> bool {
        self.state == SecretState::Named
    }

    /// Tells whether it is written out, instead of being named.
    pub fn is_literal(&self) -> bool {
        self.state == SecretState::Literal
    }

    /// Says why it can be no token, key or password: it is empty, or no single line of text.
    pub fn fault(&self) -> Option<&'static str> {
        if self.text.is_empty() {
            Some("is empty")
        } else if self.text.chars().any(char::is_control) {
            Some("holds a line break or another control character")
        } else {
            None
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.is_unresolved() { Cow::from(&self.text) } else { "***".into() };
        formatter.write_str(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_the_environment_and_is_not_shown() {
        let mut secret = Secret::new("env:ERP_TOKEN");
        assert!(secret.is_unresolved());
        assert_eq!(format!("{secret:?}"), "env:ERP_TOKEN");
        secret.resolve(&|name| (name == "ERP_TOKEN").then(|| "s3cr3t".to_owned())).unwrap();
        assert_eq!(secret.expose(), "s3cr3t");
        assert_eq!(format!("{secret:?}"), "***");
        assert!(!secret.is_literal());
        assert_eq!(format!("{:?}", Secret::new("s3cr3t")), "***");
        assert!(Secret::new("s3cr3t").is_literal());
    }

    #[test]
    fn a_secret_that_begins_like_a_name_is_not_looked_up_twice() {
        let mut secret = Secret::new("env:A");
        let lookup = |name: &str| (name == "A").then(|| "env:B".to_owned());
        secret.resolve(&lookup).unwrap();
        secret.resolve(&lookup).unwrap();
        assert_eq!((secret.expose(), secret.is_unresolved()), ("env:B", false));
    }

    #[test]
    fn a_secret_comes_from_a_file_without_the_line_break_at_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (written, read) in [("s\n", "s"), ("s\r\n", "s"), ("s", "s"), ("a\nb\n", "a\nb")] {
            fs::write(file.path(), written).unwrap();
            let mut secret = Secret::new(format!("file:{}", file.path().display()));
            secret.resolve(&|_| None).unwrap();
            assert_eq!(secret.expose(), read);
        }
        let error = Secret::new("file:/nowhere/x").resolve(&|_| None).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nowhere/x: "), "{error}");
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        assert_eq!(
            Secret::new("a\nb").fault(),
            Some("holds a line break or another control character")
        );
        assert_eq!(Secret::new("").fault(), Some("is empty"));
        assert_eq!(Secret::new("a b").fault(), None);
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = Secret::new("env:ABSENT").resolve(&|_| None).unwrap_err();
        assert_eq!(error.to_string(), "environment variable ABSENT is not set");
    }
}
