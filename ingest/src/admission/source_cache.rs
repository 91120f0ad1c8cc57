//! A cache of sources that a thread used recently: terminals, each with its epoch.
//!
//! Names of a tenant are never deleted and keep their ids, so a cached source needs no lookup in the shared
//! [`Interner`](tillrace_core::intern::Interner): most events find their store without a lock or an allocation.

use tillrace_core::topics::{partition_of_key, push_key};
use tillrace_log::Partition;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::tenant::{NameCap, Principal, Tenant};

/// Number of pairs of sources; a third source of a pair replaces the one used longer ago. A power of two.
const PAIRS: usize = 1 << 13;

/// A thread's own cache of sources.
#[derive(Default)]
pub(super) struct SourceCache {
    pairs: Vec<[CachedSource; 2]>,
}

/// A source of events, with the partition of its store.
#[derive(Debug, Default, Clone)]
pub(super) struct CachedSource {
    tenant: u64,
    /// Dense id of the store; absent if the terminal is known only from refused events.
    pub(super) store_id: Option<u32>,
    pub(super) partition: Partition,
    /// Store, terminal, epoch, key and name, one behind the other.
    text: String,
    /// Where the first four of them end.
    ends: [u32; 4],
}

impl SourceCache {
    /// Returns the source of an accepted event, and registers its names; the epoch may be empty.
    ///
    /// # Errors
    /// The [`NameCap`] that keeps a new name out.
    pub(super) fn source(
        &mut self,
        caller: &Principal,
        names: [&str; 3],
        partitions: Partition,
    ) -> Result<&CachedSource, NameCap> {
        let source = self.slot(&caller.tenant, names);
        if !source.is(&caller.tenant, names) || source.store_id.is_none() {
            let [store, terminal, _] = names;
            // Owned by no tenant until the store is registered.
            source.tenant = 0;
            let store_id = caller.register(store, terminal)?;
            source.replace_with(&caller.tenant, names, Some(store_id), partitions);
        }
        Ok(source)
    }

    /// Returns the source of a refused event, without registering its names; `None` if it may leave no marker.
    pub(super) fn source_of_refused(
        &mut self,
        caller: &Principal,
        names: [&str; 3],
        partitions: Partition,
    ) -> Option<&CachedSource> {
        let source = self.slot(&caller.tenant, names);
        if !source.is(&caller.tenant, names) {
            let [store, terminal, _] = names;
            let store_id = caller.find(store, terminal);
            if store_id.is_none() && !caller.admit_guest(store, terminal) {
                return None;
            }
            source.replace_with(&caller.tenant, names, store_id, partitions);
        }
        Some(source)
    }

    /// Returns the slot of a source, or one that it may replace.
    fn slot(&mut self, tenant: &Tenant, names: [&str; 3]) -> &mut CachedSource {
        if self.pairs.is_empty() {
            self.pairs.resize(PAIRS, <[CachedSource; 2]>::default());
        }
        let hash = |seed, name: &str| xxh3_64_with_seed(name.as_bytes(), seed);
        let hash = names.into_iter().fold(tenant.serial, hash);
        #[expect(clippy::cast_possible_truncation, reason = "the low bits choose a slot")]
        let [latest, other] = &mut self.pairs[hash as usize % PAIRS];
        if !latest.is(tenant, names) {
            std::mem::swap(latest, other);
        }
        latest
    }
}

impl CachedSource {
    pub(super) fn store(&self) -> &str {
        self.part(0)
    }

    pub(super) fn terminal(&self) -> &str {
        self.part(1)
    }

    pub(super) fn epoch(&self) -> Option<&str> {
        Some(self.part(2)).filter(|epoch| !epoch.is_empty())
    }

    /// Key of its records.
    pub(super) fn key(&self) -> &str {
        self.part(3)
    }

    /// The source as envelopes have it, with names encoded, so that none can extend into the next.
    pub(super) fn name(&self) -> &str {
        self.part(4)
    }

    fn part(&self, number: usize) -> &str {
        let end = |part: usize| self.ends.get(part).map_or(self.text.len(), |end| *end as usize);
        let from = if number == 0 { 0 } else { end(number - 1) };
        self.text.get(from..end(number)).unwrap_or_default()
    }

    fn is(&self, tenant: &Tenant, [store, terminal, epoch]: [&str; 3]) -> bool {
        // No tenant has the serial 0 of an empty slot.
        self.tenant == tenant.serial
            && self.store() == store
            && self.terminal() == terminal
            && self.part(2) == epoch
    }

    /// Replaces the source, in the same memory.
    fn replace_with(
        &mut self,
        tenant: &Tenant,
        [store, terminal, epoch]: [&str; 3],
        store_id: Option<u32>,
        partitions: Partition,
    ) {
        self.store_id = store_id;
        self.text.clear();
        for (name, end) in [store, terminal, epoch].into_iter().zip(&mut self.ends) {
            self.text.push_str(name);
            *end = length(&self.text);
        }
        let ids = [&tenant.settings.id, store, terminal, epoch];
        push_key(&ids[..2], &mut self.text);
        self.ends[3] = length(&self.text);
        self.text.push('/');
        push_key(&ids[..if epoch.is_empty() { 3 } else { 4 }], &mut self.text);
        self.partition = partition_of_key(self.key(), partitions);
        self.tenant = tenant.serial;
    }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::CurrentTime;
    use crate::identity::api_key::hash_key;
    use crate::tenant::{NameKind, Tenants};

    fn with_caller(test: impl FnOnce(&mut SourceCache, &Principal)) {
        let key = serde_json::json!({"name": "k", "hash": hash_key("k"), "stores": ["*"]});
        let settings = serde_json::json!({
            "id": "t", "keys": [key], "max_stores": 2, "max_terminals_per_store": 100_000,
        });
        let tenants = Tenants::new(vec![serde_json::from_value(settings).unwrap()]).unwrap();
        let now = CurrentTime { wall_ms: 0, steady_ns: 0 };
        test(&mut SourceCache::default(), &tenants.by_key(b"k", now).unwrap());
    }

    #[test]
    fn what_is_refused_becomes_known_when_it_is_taken() {
        with_caller(|cache, caller| {
            let names = ["a", "1", ""];
            let refused = cache.source_of_refused(caller, names, 4).unwrap();
            assert_eq!((refused.name(), refused.store_id), ("/t/a/1", None));
            assert_eq!(cache.source(caller, names, 4).map(|source| source.store_id), Ok(Some(0)));
            let refused = cache.source_of_refused(caller, names, 4).unwrap();
            assert_eq!(refused.store_id, Some(0));
        });
    }

    #[test]
    fn no_name_can_reach_into_the_next() {
        with_caller(|cache, caller| {
            let source = cache.source(caller, ["a/b", "3", ""], 4).unwrap();
            assert_eq!([source.store(), source.terminal()], ["a/b", "3"]);
            assert_eq!((source.epoch(), source.key()), (None, "t/a%2Fb"));
            assert_eq!(source.name(), "/t/a%2Fb/3");
            let source = cache.source(caller, ["a", "b/3", "x y"], 4).unwrap();
            assert_eq!((source.epoch(), source.key()), (Some("x y"), "t/a"));
            assert_eq!(source.name(), "/t/a/b%2F3/x%20y");
        });
    }

    #[test]
    fn more_sources_than_there_are_places_for_are_told_apart() {
        with_caller(|cache, caller| {
            for _ in 0..2 {
                for number in 0..5 * PAIRS {
                    let terminal = number.to_string();
                    let source = cache.source(caller, ["s", &terminal, ""], 4).unwrap();
                    assert_eq!(source.name(), format!("/t/s/{terminal}"));
                }
            }
        });
    }

    #[test]
    fn a_name_past_the_cap_leaves_the_others_as_they_were() {
        with_caller(|cache, caller| {
            for store in ["a", "b", "c", "d", "a", "c", "b"] {
                let found = cache
                    .source(caller, [store, "1", ""], 4)
                    .map(CachedSource::store)
                    .map_err(|cap| cap.named);
                let named = NameKind::Stores;
                let expected = if store < "c" { Ok(store) } else { Err(named) };
                assert_eq!(found, expected);
            }
        });
    }
}
