//! What a token claims.

use serde_json::{Map, Value};

use super::fault::TokenFault;

/// The claims of a token.
#[derive(Clone, PartialEq)]
pub struct Claims(pub(super) Map<String, Value>);

impl std::fmt::Debug for Claims {
    /// Claims name persons: only their names are shown.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Claims {
    /// Returns a claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns the values of a claim that is a list of texts, or one text with spaces between its values (RFC 8693,
    /// section 4.2). `name` may lead into objects, such as `realm_access.roles`. `None` if it is absent or of another type.
    pub fn values(&self, name: &str) -> Option<Vec<&str>> {
        let mut found = self.0.get(name);
        if found.is_none() {
            let mut steps = name.split('.');
            let first = steps.next().and_then(|step| self.0.get(step));
            found = steps.fold(first, |value, step| value?.as_object()?.get(step));
        }
        match found? {
            Value::String(text) => {
                Some(text.split(' ').filter(|value| !value.is_empty()).collect())
            }
            Value::Array(values) => values.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// Returns when the token ends, seconds since the Unix epoch.
    pub fn expires_s(&self) -> Option<i64> {
        self.time("exp").ok().flatten()
    }

    /// Returns a claim that is a time, in whole seconds. RFC 7519 allows fractions; no issuer sends them, and readers differ.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, TokenFault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(seconds) if seconds >= 0 => Ok(Some(seconds)),
                _ => Err(TokenFault::Claim),
            },
        }
    }

    /// Tells whether a claim is there as a text that is not empty.
    pub(super) fn has_text(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| !text.is_empty())
    }
}
