//! Interning of names: dense ids, so that the state of a store or a terminal is an array slot.
//!
//! An [`Interner`] is bounded, so that no client can fill memory with names: past its limit it refuses new names, and known
//! ones still work. It never removes a name, and ids are valid within one process: nothing durable may contain one. Each
//! tenant has one interner for stores and one for terminals.
//!
//! The gateway uses it after the decoder, before the token buckets. All connections read it far more often than they write,
//! which a sharded map serves well; a thread can cache what it has looked up.

use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::{DashMap, Entry};

/// Names up to this many bytes are looked up without allocating; ids have at most 64.
const STACK_BYTES: usize = 68;
const PARENT_BYTES: usize = 4;

/// The interner is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for another name, {limit} are known")]
pub struct TooManyNames {
    /// Its limit.
    pub limit: u32,
}

/// A bounded, growing set of names with dense ids from 0.
#[derive(Debug)]
pub struct Interner {
    ids: DashMap<Box<[u8]>, u32>,
    next: AtomicU32,
    limit: AtomicU32,
}

impl Interner {
    /// Makes an empty interner for at most `limit` names. Memory grows with its names.
    pub fn new(limit: u32) -> Self {
        Self { ids: DashMap::new(), next: AtomicU32::new(0), limit: AtomicU32::new(limit) }
    }

    /// Returns the id of a name within a parent, giving it the next free one if it is new.
    ///
    /// The parent is the id of another interner (a terminal's store), or 0 where there is none.
    ///
    /// Ids are handed out under the name's shard lock, and only to names that are then stored, so
    /// they have no holes; relaxed ordering is enough because the id reaches others through the map.
    ///
    /// # Errors
    /// [`TooManyNames`] when the name is new and the limit is reached.
    pub fn id(&self, parent: u32, name: &str) -> Result<u32, TooManyNames> {
        with_key(parent, name, |key| self.find_or_add(key))
    }

    /// Returns the id of a name within a parent, if it is known.
    pub fn find(&self, parent: u32, name: &str) -> Option<u32> {
        with_key(parent, name, |key| self.ids.get(key).map(|id| *id))
    }

    /// Sets another limit. Names above it that are known stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Returns the limit.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Tells whether there is no room for another name.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit()
    }

    /// Returns the number of names known.
    pub fn len(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Tells whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find_or_add(&self, key: &[u8]) -> Result<u32, TooManyNames> {
        if let Some(id) = self.ids.get(key) {
            return Ok(*id);
        }
        match self.ids.entry(key.into()) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(vacant) => {
                let limit = self.limit();
                let id = self
                    .next
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                        (next < limit).then_some(next + 1)
                    })
                    .map_err(|_next| TooManyNames { limit })?;
                vacant.insert(id);
                Ok(id)
            }
        }
    }
}

/// Calls a function with the key of a name, which allocates only for a long name.
fn with_key<T>(parent: u32, name: &str, use_key: impl FnOnce(&[u8]) -> T) -> T {
    let mut stack = [0_u8; STACK_BYTES];
    let length = PARENT_BYTES + name.len();
    match stack.get_mut(..length) {
        Some(key) => {
            let (head, tail) = key.split_at_mut(PARENT_BYTES);
            head.copy_from_slice(&parent.to_le_bytes());
            tail.copy_from_slice(name.as_bytes());
            use_key(key)
        }
        None => use_key(&[&parent.to_le_bytes(), name.as_bytes()].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_stay() {
        let names = Interner::new(10);
        assert_eq!(names.id(0, "berlin"), Ok(0));
        assert_eq!(names.id(0, "paris"), Ok(1));
        assert_eq!(names.id(0, "berlin"), Ok(0));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn one_name_under_two_parents_is_two_names() {
        let names = Interner::new(10);
        assert_eq!(names.id(0, "till-1"), Ok(0));
        assert_eq!(names.id(1, "till-1"), Ok(1));
        assert_eq!(names.id(0x3030_3030, ""), Ok(2));
        assert_eq!(names.id(0, "0000"), Ok(3));
    }

    #[test]
    fn past_the_limit_known_names_go_on_and_new_ones_are_refused() {
        let names = Interner::new(2);
        assert_eq!(names.id(0, "a"), Ok(0));
        assert_eq!(names.id(0, "b"), Ok(1));
        for _ in 0..3 {
            assert_eq!(names.id(0, "c"), Err(TooManyNames { limit: 2 }));
        }
        assert_eq!(
            (names.find(0, "c"), names.find(0, "b"), names.is_full()),
            (None, Some(1), true)
        );
        assert_eq!(names.id(0, "a"), Ok(0));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_lower_limit_takes_no_name_away() {
        let names = Interner::new(2);
        assert_eq!((names.id(0, "a"), names.id(0, "b")), (Ok(0), Ok(1)));
        names.set_limit(1);
        assert_eq!((names.id(0, "b"), names.is_full()), (Ok(1), true));
        names.set_limit(3);
        assert_eq!((names.id(0, "c"), names.is_full()), (Ok(2), true));
    }

    #[test]
    fn names_longer_than_an_id_are_told_apart_too() {
        let names = Interner::new(10);
        let long = "x".repeat(200);
        assert_eq!(names.id(0, &long), Ok(0));
        assert_eq!(names.id(0, &long[..199]), Ok(1));
        assert_eq!(names.id(0, &long), Ok(0));
    }

    #[test]
    fn threads_agree_on_ids_without_holes() {
        let names = Interner::new(1_000);
        let seen: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..500).map(|n| names.id(0, &n.to_string()).unwrap()).collect())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|ids| *ids == seen[0]));
        let mut ids = seen[0].clone();
        ids.sort_unstable();
        assert_eq!(ids, (0..500).collect::<Vec<_>>());
    }
}
