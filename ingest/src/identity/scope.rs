//! Scopes: what a client may do, in the words of OAuth 2.0 (RFC 6749, section 3.3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client may do. Each route demands one scope.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum Scope {
    /// Send events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read books, days, gaps and the register.
    #[serde(rename = "query:read")]
    QueryRead,
    /// Operate the process.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::EventsWrite, Self::QueryRead, Self::Admin];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::QueryRead => "query:read",
            Self::Admin => "admin",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_by_its_name() {
        for scope in Scope::ALL {
            let read: Scope = serde_json::from_value(scope.as_str().into()).unwrap();
            assert_eq!(read, scope);
        }
        assert!(serde_json::from_str::<Scope>("\"events\"").is_err());
    }
}
