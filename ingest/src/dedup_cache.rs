//! The duplicate cache: lets the gateway answer `duplicate` for events that are already durable.
//!
//! An event's dedup key is a hash over its tenant, identity and content, so other content under one
//! identity has another key and is published like any event: the ledger decides. A key is in flight
//! while its first copy is being published, then durable, then evicted; a retry of one in flight waits
//! for its outcome. No count depends on the cache: another gateway, or this one after a restart, does
//! not have its content.
//!
//! The cache is bounded: durable keys are kept in two generations a shard, and when the young one is
//! full the old one is dropped. Keys in flight are bounded by the memory budget.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Few, so that a chunk of events takes a lock for many of them.
const SHARDS: usize = 16;

/// Hash of an event's tenant, identity and content.
pub(crate) type DedupKey = u128;

/// The state of a dedup key.
#[derive(Debug)]
pub(crate) enum DedupState {
    /// Unknown: the caller publishes the event, and must [`complete`](DedupCache::complete) it.
    New,
    /// It is durable.
    Durable,
    /// Another request is publishing it; the receiver gets whether it became durable.
    InFlight(oneshot::Receiver<bool>),
}

/// Dedup keys of recent events.
#[derive(Debug)]
pub(crate) struct DedupCache {
    shards: Box<[Mutex<Shard>]>,
}

type Waiter = oneshot::Sender<bool>;

#[derive(Debug, Default)]
struct Shard {
    in_flight: HashMap<DedupKey, Vec<Waiter>, IdentityHash>,
    young: HashSet<DedupKey, IdentityHash>,
    old: HashSet<DedupKey, IdentityHash>,
    generation: usize,
}

impl DedupCache {
    /// Remembers between half of `events` and all of them.
    pub(crate) fn new(events: usize) -> Self {
        let generation = events.div_ceil(2 * SHARDS);
        let shard = || Mutex::new(Shard { generation, ..Shard::default() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// Returns the state of a key, and claims it if it is new.
    pub(crate) fn claim(&self, key: DedupKey) -> DedupState {
        self.shards[shard_of(key)].lock().claim(key)
    }

    /// Claims the keys of a chunk, as [`claim`](Self::claim) does in their order, under one lock a shard.
    pub(crate) fn claim_all(&self, keys: &[DedupKey]) -> Vec<DedupState> {
        let mut claims = Vec::new();
        claims.resize_with(keys.len(), || DedupState::Durable);
        let mut unknown: Vec<usize> = Vec::with_capacity(keys.len());
        self.by_shard(
            keys,
            |key| *key,
            |shard, indices| {
                // A tight loop of lookups, so that their cache misses overlap.
                unknown.extend(indices.iter().filter(|index| !shard.is_durable(keys[**index])));
                for index in unknown.drain(..) {
                    claims[index] = shard.claim_unknown(keys[index]);
                }
            },
        );
        claims
    }

    /// Completes a claim, and notifies those who wait for it.
    pub(crate) fn complete(&self, key: DedupKey, durable: bool) {
        self.complete_all(&[(key, durable)]);
    }

    /// Completes the claims of a chunk, under one lock a shard.
    pub(crate) fn complete_all(&self, completed: &[(DedupKey, bool)]) {
        let mut waiting: Vec<(Waiter, bool)> = Vec::new();
        self.by_shard(
            completed,
            |(key, _)| *key,
            |shard, indices| {
                let completed = || indices.iter().map(|index| completed[*index]);
                completed()
                    .filter(|(_, durable)| *durable)
                    .for_each(|(key, _)| shard.remember(key));
                for (key, durable) in completed() {
                    let waiters = shard.in_flight.remove(&key).unwrap_or_default();
                    waiting.extend(waiters.into_iter().map(|waiter| (waiter, durable)));
                }
            },
        );
        for (waiter, durable) in waiting {
            // A waiter whose client is gone has dropped its receiver.
            waiter.send(durable).ok();
        }
    }

    /// Visits shards, with the indices of their items.
    fn by_shard<T>(
        &self,
        items: &[T],
        key: impl Fn(&T) -> DedupKey,
        mut work: impl FnMut(&mut Shard, &[usize]),
    ) {
        let mut left = items.iter().fold(0_u32, |left, item| left | 1 << shard_of(key(item)));
        let mut indices = Vec::with_capacity(items.len());
        while left != 0 {
            let number = left.trailing_zeros() as usize;
            left &= left - 1;
            let here = |index: &usize| shard_of(key(&items[*index])) == number;
            indices.clear();
            indices.extend((0..items.len()).filter(here));
            work(&mut self.shards[number].lock(), &indices);
        }
    }
}

fn shard_of(key: DedupKey) -> usize {
    let [.., high] = key.to_le_bytes();
    usize::from(high) % SHARDS
}

impl Shard {
    fn claim(&mut self, key: DedupKey) -> DedupState {
        if self.is_durable(key) { DedupState::Durable } else { self.claim_unknown(key) }
    }

    fn is_durable(&self, key: DedupKey) -> bool {
        self.young.contains(&key) | self.old.contains(&key)
    }

    fn claim_unknown(&mut self, key: DedupKey) -> DedupState {
        match self.in_flight.entry(key) {
            Entry::Occupied(mut claimed) => {
                let (sender, receiver) = oneshot::channel();
                claimed.get_mut().push(sender);
                DedupState::InFlight(receiver)
            }
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                DedupState::New
            }
        }
    }

    fn remember(&mut self, key: DedupKey) {
        if self.generation == 0 {
            return;
        }
        if self.young.len() >= self.generation {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key);
    }
}

type IdentityHash = BuildHasherDefault<DedupKeyHasher>;

/// Dedup keys are hashes already.
#[derive(Debug, Default)]
struct DedupKeyHasher(u64);

impl Hasher for DedupKeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half of a hash is a hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_new(cache: &DedupCache, key: DedupKey) -> bool {
        matches!(cache.claim(key), DedupState::New)
    }

    #[test]
    fn what_became_durable_is_a_duplicate_and_what_failed_is_not() {
        let cache = DedupCache::new(1_000);
        assert!(is_new(&cache, 1));
        cache.complete(1, true);
        assert!(matches!(cache.claim(1), DedupState::Durable));
        assert!(is_new(&cache, 2));
        cache.complete(2, false);
        assert!(is_new(&cache, 2));
    }

    #[test]
    fn who_comes_second_hears_how_the_first_fared() {
        for durable in [true, false] {
            let cache = DedupCache::new(1_000);
            assert!(is_new(&cache, 1));
            let DedupState::InFlight(mut second) = cache.claim(1) else { panic!("not in flight") };
            let DedupState::InFlight(mut third) = cache.claim(1) else { panic!("not in flight") };
            assert!(second.try_recv().is_err());
            cache.complete(1, durable);
            assert_eq!((second.try_recv(), third.try_recv()), (Ok(durable), Ok(durable)));
        }
    }

    #[test]
    fn a_chunk_is_claimed_and_settled_as_its_events_are_one_by_one() {
        let cache = DedupCache::new(1_000);
        let keys: Vec<DedupKey> = (0..40).map(|n| n << 120 | n).chain([7 << 120 | 7]).collect();
        cache.complete(keys[3], true);
        let mut claims = cache.claim_all(&keys);
        let Some(DedupState::InFlight(mut copy)) = claims.pop() else { panic!("not in flight") };
        for (index, claim) in claims.iter().enumerate() {
            assert_eq!(matches!(claim, DedupState::Durable), index == 3, "{claim:?}");
            assert_eq!(matches!(claim, DedupState::New), index != 3, "{claim:?}");
        }
        let completed: Vec<_> = (0_u8..).zip(&keys[..40]).map(|(n, key)| (*key, n < 20)).collect();
        cache.complete_all(&completed);
        assert_eq!(copy.try_recv(), Ok(true));
        assert!(matches!(cache.claim(keys[19]), DedupState::Durable));
        assert!(is_new(&cache, keys[20]));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_half_is_always_there() {
        let cache = DedupCache::new(256);
        for n in 0..10_000_u128 {
            let key = n << 120 | n;
            assert!(is_new(&cache, key));
            cache.complete(key, true);
        }
        let known = cache.shards.iter().map(|shard| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        });
        assert!(known.sum::<usize>() <= 256);
        for n in 9_872..10_000_u128 {
            assert!(matches!(cache.claim(n << 120 | n), DedupState::Durable), "{n}");
        }
    }

    #[test]
    fn nothing_is_remembered_where_nothing_is_asked_for() {
        let cache = DedupCache::new(0);
        assert!(is_new(&cache, 1));
        cache.complete(1, true);
        assert!(is_new(&cache, 1));
    }
}
