//! Secrets in settings: named in the file, read from the environment, never shown.
//!
//! This part does not read the environment itself; the executable passes the lookup in, once.

use std::fmt;

use serde::Deserialize;

const PREFIX: &str = "env:";

/// A token or key. In a configuration file it is `env:NAME`; its `Debug` shows no more than that.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Why a secret has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The environment lacks the variable it names.
    #[error("environment variable {name} is not set; set it, or name another with `env:`")]
    Unset {
        /// The variable.
        name: String,
    },
}

impl Secret {
    /// Makes a secret from its value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Puts the value of the named variable in place of `env:NAME`; leaves any other text alone.
    ///
    /// # Errors
    /// When `lookup` knows no such variable.
    pub fn resolve(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), SecretError> {
        if let Some(name) = self.0.strip_prefix(PREFIX) {
            self.0 = lookup(name).ok_or_else(|| SecretError::Unset { name: name.to_owned() })?;
        }
        Ok(())
    }

    /// Returns the value, to be sent and not to be written anywhere.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether it still is the name of a variable.
    pub fn is_unresolved(&self) -> bool {
        self.0.starts_with(PREFIX)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_unresolved() { &self.0 } else { "***" })
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
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = Secret::new("env:ABSENT").resolve(&|_| None).unwrap_err();
        assert_eq!(error, SecretError::Unset { name: "ABSENT".to_owned() });
    }
}
