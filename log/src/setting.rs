//! Errors in settings: one type for every section of the configuration.
//!
//! A section checks its keys and collects the errors ([`Inspection`]); it does not stop at the first, so that an operator
//! reads all of them at once. Bounds are stated only where they are checked: the reference of the configuration is generated
//! from the same statements.
//!
//! The executable reads files and the environment.

mod inspection;
mod quantity;
mod real_path;
mod schema;
mod secret;

use std::borrow::Cow;
use std::fmt;

pub use inspection::{Bounds, Inspection};
pub use quantity::Quantity;
pub use real_path::real_path;
pub use schema::{DurationText, SizeText};
pub use secret::{Secret, SecretError};

use crate::explain::{Explained, Explanation};

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}; {remedy}")]
pub struct SettingError {
    /// Its path in the configuration, such as `sinks[0].flow.retry.initial`.
    pub path: String,
    /// What is wrong with it. Never holds a secret.
    pub fault: Cow<'static, str>,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
}

/// Every setting of a section that cannot be used, in the order of its keys; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

const UNUSABLE: Explanation = Explanation {
    code: "setting_unusable",
    meaning: "A setting cannot be used. Nothing was started.",
    remedy: "Set each key that the text names as it says; docs/configuration.md has the bounds of every key.",
};

impl Explained for SettingErrors {
    const EXPLANATIONS: &'static [Explanation] = &[UNUSABLE];

    fn explanation(&self) -> &'static Explanation {
        &UNUSABLE
    }
}

impl SettingErrors {
    /// Takes errors, unless there are none.
    ///
    /// # Errors
    /// Itself, when there is one.
    pub fn check(errors: Vec<SettingError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Returns them all.
    pub fn all(&self) -> &[SettingError] {
        &self.0
    }
}

impl fmt::Display for SettingErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            error.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}
