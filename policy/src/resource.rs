//! Resources: the documents of a policy set.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tillrace_core::topics;

/// What a document is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Its kind, such as `Client`.
    pub kind: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// Its name among those of its kind and tenant.
    pub name: String,
}

/// A document of a policy set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What it is called.
    pub id: ResourceId,
    /// What it says, as its kind has it.
    pub spec: Value,
}

impl ResourceId {
    /// Makes an id.
    pub fn new(kind: &str, tenant: &str, name: &str) -> Self {
        let [kind, tenant, name] = [kind, tenant, name].map(str::to_owned);
        Self { kind, tenant, name }
    }
}

/// `kind/tenant/name`, each percent-encoded, so that none can reach into its neighbour.
impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&topics::key(&[&self.kind, &self.tenant, &self.name]))
    }
}

impl Resource {
    /// Returns what it adds to the digest of its set: the first half of the SHA-256 of its id and its text, whose members are sorted.
    pub(crate) fn digest(&self) -> u128 {
        let mut hash = Sha256::new();
        hash.update(self.id.to_string());
        hash.update(b"\n");
        hash.update(self.spec.to_string());
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_at(16);
        first.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_content() {
        let of = |tenant: &str, spec: &str| {
            let spec = serde_json::from_str(spec).unwrap();
            Resource { id: ResourceId::new("Client", tenant, "till"), spec }.digest()
        };
        assert_eq!(of("a", r#"{"x":1,"y":2}"#), of("a", r#"{ "y": 2, "x": 1 }"#));
        assert_ne!(of("a", r#"{"x":1}"#), of("b", r#"{"x":1}"#));
        assert_ne!(of("a", r#"{"x":1}"#), of("a", r#"{"x":2}"#));
        let odd = ResourceId::new("Client", "a/b", "c%");
        assert_eq!(odd.to_string(), "Client/a%2Fb/c%25");
        assert_eq!(json!({"b": 1, "a": 2}).to_string(), r#"{"a":2,"b":1}"#, "members are sorted");
    }
}
