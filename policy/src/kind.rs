//! Kinds of resources: a table that the crates above give, each with the type of its spec.

use std::sync::Arc;

use serde_json::Value;
use tillrace_log::setting::Inspection;

use crate::chain::Chain;
use crate::resource::Resource;
use crate::set::PolicySet;

/// A kind of resource.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name, as documents write it.
    pub name: &'static str,
    /// Makes the JSON Schema of its spec.
    pub schema: fn() -> Value,
    /// Notes all that is wrong with a spec.
    pub inspect: fn(&Value, &mut Inspection),
    /// Asks for the hash of each key in a spec whether it stays, and removes those that do not: what was revoked is never set again.
    pub retain_keys: RetainKeys,
}

/// Asks for the hash of each key in a spec whether it stays.
pub(crate) type RetainKeys = fn(&mut Value, &mut dyn FnMut(&str) -> bool);

impl Kind {
    /// Returns a kind of a table by its name.
    pub fn find<'a>(kinds: &'a [Self], name: &str) -> Option<&'a Self> {
        kinds.iter().find(|kind| kind.name == name)
    }

    /// Returns the JSON Schema of a whole document of this kind.
    pub fn document_schema(&self) -> Value {
        let id = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 64});
        serde_json::json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": format!("{} of the policy set", self.name),
            "type": "object",
            "additionalProperties": false,
            "required": ["kind", "tenant", "name", "spec"],
            "properties": {
                "kind": {"const": self.name},
                "tenant": id,
                "name": id,
                "spec": (self.schema)(),
            },
        })
    }
}

/// Returns the hashes of revoked keys that a resource has.
pub fn revoked_keys(kinds: &[Kind], chain: &Chain, resource: &Resource) -> Vec<String> {
    let mut revoked = Vec::new();
    if let Some(kind) = Kind::find(kinds, &resource.id.kind) {
        let mut look = |hash: &str| {
            if chain.is_revoked(hash) {
                revoked.push(hash.to_owned());
            }
            true
        };
        (kind.retain_keys)(&mut resource.spec.clone(), &mut look);
    }
    revoked
}

/// Returns a set without the keys that were revoked, and how many those were.
pub fn without_revoked_keys(kinds: &[Kind], chain: &Chain, set: &PolicySet) -> (PolicySet, usize) {
    let mut removed = 0;
    let without = set.iter().map(|resource| {
        let revoked = revoked_keys(kinds, chain, resource);
        let Some(kind) = Kind::find(kinds, &resource.id.kind).filter(|_| !revoked.is_empty())
        else {
            return Arc::clone(resource);
        };
        removed += revoked.len();
        let mut resource = Resource::clone(resource);
        (kind.retain_keys)(&mut resource.spec, &mut |hash| !chain.is_revoked(hash));
        Arc::new(resource)
    });
    (without.collect(), removed)
}
