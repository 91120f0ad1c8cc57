//! The policy set at one revision. Clones share what did not change.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::change::Change;
use crate::resource::{Resource, ResourceId};

/// Parts of a set: a change copies the part of its resource, one in so many.
const PARTS: u64 = 1024;

type Part = BTreeMap<ResourceId, Arc<Resource>>;

/// All resources at one revision.
#[derive(Debug, Clone)]
pub struct PolicySet {
    parts: Arc<Vec<Arc<Part>>>,
    count: u64,
    /// Sum of the digests of its resources, modulo 2^128: a change costs as much as it changes.
    digest: u128,
}

impl Default for PolicySet {
    fn default() -> Self {
        let empty = Arc::new(Part::new());
        let parts = (0..PARTS).map(|_| Arc::clone(&empty)).collect();
        Self { parts: Arc::new(parts), count: 0, digest: 0 }
    }
}

impl PolicySet {
    /// Returns a resource.
    pub fn get(&self, id: &ResourceId) -> Option<&Arc<Resource>> {
        self.parts.get(place(id))?.get(id)
    }

    /// Returns all resources, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.parts.iter().flat_map(|part| part.values())
    }

    /// Returns all resources, by kind, tenant and name.
    pub fn sorted(&self) -> Vec<&Arc<Resource>> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }

    /// Returns how many resources there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the digest of its content, 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.digest)
    }

    pub(crate) fn change(&mut self, change: &Change) {
        let id = change.id();
        let Some(part) = Arc::make_mut(&mut self.parts).get_mut(place(id)) else { return };
        let part = Arc::make_mut(part);
        let before = match change {
            Change::Set(resource) => {
                self.count += 1;
                self.digest = self.digest.wrapping_add(resource.digest());
                part.insert(id.clone(), Arc::clone(resource))
            }
            Change::Remove(id) => part.remove(id),
        };
        if let Some(before) = before {
            self.count -= 1;
            self.digest = self.digest.wrapping_sub(before.digest());
        }
    }
}

impl FromIterator<Arc<Resource>> for PolicySet {
    /// Makes a set; of two resources with one id the later stays.
    fn from_iter<T: IntoIterator<Item = Arc<Resource>>>(resources: T) -> Self {
        let mut set = Self::default();
        for resource in resources {
            set.change(&Change::Set(resource));
        }
        set
    }
}

fn place(id: &ResourceId) -> usize {
    // The remainder fits.
    usize::try_from(BuildHasherDefault::<DefaultHasher>::default().hash_one(id) % PARTS)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client(name: &str, rate: u64) -> Change {
        let id = ResourceId::new("Client", "demo", name);
        Change::Set(Arc::new(Resource { id, spec: json!({"rate": rate}) }))
    }

    #[test]
    fn the_digest_depends_on_the_content_alone() {
        let (mut one, mut other) = (PolicySet::default(), PolicySet::default());
        for change in [client("a", 1), client("b", 1), client("a", 2)] {
            one.change(&change);
        }
        for change in [client("b", 3), client("a", 2), client("b", 1), client("c", 1)] {
            other.change(&change);
        }
        assert_ne!(one.digest(), other.digest());
        other.change(&Change::Remove(ResourceId::new("Client", "demo", "c")));
        assert_eq!((one.len(), one.digest()), (2, other.digest()));
    }

    #[test]
    fn a_change_copies_one_part_and_leaves_clones_as_they_were() {
        let mut set = PolicySet::default();
        for number in 0..10_000 {
            set.change(&client(&number.to_string(), 1));
        }
        let before = set.clone();
        set.change(&client("7", 2));
        let shared = set.parts.iter().zip(&*before.parts).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count() as u64, PARTS - 1);
        let id = ResourceId::new("Client", "demo", "7");
        assert_eq!(before.get(&id).unwrap().spec, json!({"rate": 1}));
        assert_eq!(set.get(&id).unwrap().spec, json!({"rate": 2}));
    }
}
