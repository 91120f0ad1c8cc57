//! Recent events: a courtesy that answers `duplicate` for what is already durable.
//!
//! An event's mark is a hash over its tenant, identity and content, so another content under one
//! identity is another mark and is published like any event: the ledger decides. A mark is in
//! flight while its first copy is being published, then durable, then forgotten; a retry of one in
//! flight waits for its outcome. No count rests on any of this: another gateway, or this one after
//! a restart, knows nothing of it.
//!
//! Bounded: durable marks are kept in two generations a shard, and when the young one is full the
//! old one goes. Marks in flight are bounded by what is in flight.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Few, so that a chunk of events takes a lock for many of them.
const SHARDS: usize = 16;

/// Hash of an event's tenant, identity and content.
pub(crate) type Mark = u128;

/// What is known of a mark.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Nothing: the caller publishes it, and must [`settle`](Recent::settle) it.
    Mine,
    /// It is durable.
    Durable,
    /// Another request is publishing it; hears whether it became durable.
    InFlight(oneshot::Receiver<bool>),
}

/// Marks of recent events.
#[derive(Debug)]
pub(crate) struct Recent {
    shards: Box<[Mutex<Shard>]>,
}

type Waiter = oneshot::Sender<bool>;

#[derive(Debug, Default)]
struct Shard {
    in_flight: HashMap<Mark, Vec<Waiter>, AsIs>,
    young: HashSet<Mark, AsIs>,
    old: HashSet<Mark, AsIs>,
    generation: usize,
}

impl Recent {
    /// Remembers between half of `events` and all of them.
    pub(crate) fn new(events: usize) -> Self {
        let generation = events.div_ceil(2 * SHARDS);
        let shard = || Mutex::new(Shard { generation, ..Shard::default() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    /// Asks for a mark, and claims it when nothing is known.
    pub(crate) fn claim(&self, mark: Mark) -> Claim {
        self.shards[shard_of(mark)].lock().claim(mark)
    }

    /// Asks for the marks of a chunk, as [`claim`](Self::claim) does in their order, under one lock a shard.
    pub(crate) fn claim_all(&self, marks: &[Mark]) -> Vec<Claim> {
        let mut claims = Vec::new();
        claims.resize_with(marks.len(), || Claim::Durable);
        let mut unknown: Vec<usize> = Vec::with_capacity(marks.len());
        self.by_shard(
            marks,
            |mark| *mark,
            |shard, places| {
                // One after the other and nothing between, so that the processor waits for many at a time.
                unknown.extend(places.iter().filter(|place| !shard.is_durable(marks[**place])));
                for place in unknown.drain(..) {
                    claims[place] = shard.claim_unknown(marks[place]);
                }
            },
        );
        claims
    }

    /// Ends a claim, and tells those who wait for it.
    pub(crate) fn settle(&self, mark: Mark, durable: bool) {
        self.settle_all(&[(mark, durable)]);
    }

    /// Ends the claims of a chunk, under one lock a shard.
    pub(crate) fn settle_all(&self, settled: &[(Mark, bool)]) {
        let mut waiting: Vec<(Waiter, bool)> = Vec::new();
        self.by_shard(
            settled,
            |(mark, _)| *mark,
            |shard, places| {
                let settled = || places.iter().map(|place| settled[*place]);
                settled()
                    .filter(|(_, durable)| *durable)
                    .for_each(|(mark, _)| shard.remember(mark));
                for (mark, durable) in settled() {
                    let waiters = shard.in_flight.remove(&mark).unwrap_or_default();
                    waiting.extend(waiters.into_iter().map(|waiter| (waiter, durable)));
                }
            },
        );
        for (waiter, durable) in waiting {
            // A waiter whose client has gone does not listen any more.
            waiter.send(durable).ok();
        }
    }

    /// Goes through shards, with the places of their items.
    fn by_shard<T>(
        &self,
        items: &[T],
        mark: impl Fn(&T) -> Mark,
        mut work: impl FnMut(&mut Shard, &[usize]),
    ) {
        let mut left = items.iter().fold(0_u32, |left, item| left | 1 << shard_of(mark(item)));
        let mut places = Vec::with_capacity(items.len());
        while left != 0 {
            let number = left.trailing_zeros() as usize;
            left &= left - 1;
            let here = |place: &usize| shard_of(mark(&items[*place])) == number;
            places.clear();
            places.extend((0..items.len()).filter(here));
            work(&mut self.shards[number].lock(), &places);
        }
    }
}

fn shard_of(mark: Mark) -> usize {
    let [.., high] = mark.to_le_bytes();
    usize::from(high) % SHARDS
}

impl Shard {
    fn claim(&mut self, mark: Mark) -> Claim {
        if self.is_durable(mark) { Claim::Durable } else { self.claim_unknown(mark) }
    }

    fn is_durable(&self, mark: Mark) -> bool {
        self.young.contains(&mark) | self.old.contains(&mark)
    }

    fn claim_unknown(&mut self, mark: Mark) -> Claim {
        match self.in_flight.entry(mark) {
            Entry::Occupied(mut claimed) => {
                let (sender, receiver) = oneshot::channel();
                claimed.get_mut().push(sender);
                Claim::InFlight(receiver)
            }
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                Claim::Mine
            }
        }
    }

    fn remember(&mut self, mark: Mark) {
        if self.generation == 0 {
            return;
        }
        if self.young.len() >= self.generation {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(mark);
    }
}

type AsIs = BuildHasherDefault<MarkHasher>;

/// Marks are hashes already.
#[derive(Debug, Default)]
struct MarkHasher(u64);

impl Hasher for MarkHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half of a hash is a hash")]
    fn write_u128(&mut self, mark: u128) {
        self.0 = mark as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_mine(recent: &Recent, mark: Mark) -> bool {
        matches!(recent.claim(mark), Claim::Mine)
    }

    #[test]
    fn what_became_durable_is_a_duplicate_and_what_failed_is_not() {
        let recent = Recent::new(1_000);
        assert!(is_mine(&recent, 1));
        recent.settle(1, true);
        assert!(matches!(recent.claim(1), Claim::Durable));
        assert!(is_mine(&recent, 2));
        recent.settle(2, false);
        assert!(is_mine(&recent, 2));
    }

    #[test]
    fn who_comes_second_hears_how_the_first_fared() {
        for durable in [true, false] {
            let recent = Recent::new(1_000);
            assert!(is_mine(&recent, 1));
            let Claim::InFlight(mut second) = recent.claim(1) else { panic!("not in flight") };
            let Claim::InFlight(mut third) = recent.claim(1) else { panic!("not in flight") };
            assert!(second.try_recv().is_err());
            recent.settle(1, durable);
            assert_eq!((second.try_recv(), third.try_recv()), (Ok(durable), Ok(durable)));
        }
    }

    #[test]
    fn a_chunk_is_claimed_and_settled_as_its_events_are_one_by_one() {
        let recent = Recent::new(1_000);
        let marks: Vec<Mark> = (0..40).map(|n| n << 120 | n).chain([7 << 120 | 7]).collect();
        recent.settle(marks[3], true);
        let mut claims = recent.claim_all(&marks);
        let Some(Claim::InFlight(mut copy)) = claims.pop() else { panic!("not in flight") };
        for (place, claim) in claims.iter().enumerate() {
            assert_eq!(matches!(claim, Claim::Durable), place == 3, "{claim:?}");
            assert_eq!(matches!(claim, Claim::Mine), place != 3, "{claim:?}");
        }
        let settled: Vec<_> = (0_u8..).zip(&marks[..40]).map(|(n, mark)| (*mark, n < 20)).collect();
        recent.settle_all(&settled);
        assert_eq!(copy.try_recv(), Ok(true));
        assert!(matches!(recent.claim(marks[19]), Claim::Durable));
        assert!(is_mine(&recent, marks[20]));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_half_is_always_there() {
        let recent = Recent::new(256);
        for n in 0..10_000_u128 {
            let mark = n << 120 | n;
            assert!(is_mine(&recent, mark));
            recent.settle(mark, true);
        }
        let known = recent.shards.iter().map(|shard| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        });
        assert!(known.sum::<usize>() <= 256);
        for n in 9_872..10_000_u128 {
            assert!(matches!(recent.claim(n << 120 | n), Claim::Durable), "{n}");
        }
    }

    #[test]
    fn nothing_is_remembered_where_nothing_is_asked_for() {
        let recent = Recent::new(0);
        assert!(is_mine(&recent, 1));
        recent.settle(1, true);
        assert!(is_mine(&recent, 1));
    }
}
