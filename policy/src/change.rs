//! Changes of a policy set, and what two sets differ in.

use std::sync::Arc;

use crate::resource::{Resource, ResourceId};
use crate::set::PolicySet;

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It says this from now on.
    Set(Arc<Resource>),
    /// It is removed.
    Remove(ResourceId),
}

impl Change {
    /// Returns what is changed.
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Set(resource) => &resource.id,
            Self::Remove(id) => id,
        }
    }
}

/// Returns what makes `before` to `after`, by kind, tenant and name. What `after` lacks is removed where `prunes` says so.
pub fn compare(
    before: &PolicySet,
    after: &PolicySet,
    prunes: impl Fn(&ResourceId) -> bool,
) -> Vec<Change> {
    let differs = |resource: &&Arc<Resource>| before.get(&resource.id) != Some(resource);
    let set = after.iter().filter(differs).map(|resource| Change::Set(Arc::clone(resource)));
    let gone = before.iter().filter(|resource| after.get(&resource.id).is_none());
    let removed = gone.filter(|resource| prunes(&resource.id));
    let removed = removed.map(|resource| Change::Remove(resource.id.clone()));
    let mut changes: Vec<Change> = set.chain(removed).collect();
    changes.sort_by(|one, other| one.id().cmp(other.id()));
    changes
}
