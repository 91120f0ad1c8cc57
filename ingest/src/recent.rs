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

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::Mutex;
use tokio::sync::oneshot;

const SHARDS: usize = 64;

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

#[derive(Debug, Default)]
struct Shard {
    in_flight: HashMap<Mark, Vec<oneshot::Sender<bool>>, AsIs>,
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
        let mut shard = self.shard(mark);
        if shard.young.contains(&mark) || shard.old.contains(&mark) {
            return Claim::Durable;
        }
        if let Some(waiting) = shard.in_flight.get_mut(&mark) {
            let (sender, receiver) = oneshot::channel();
            waiting.push(sender);
            return Claim::InFlight(receiver);
        }
        shard.in_flight.insert(mark, Vec::new());
        Claim::Mine
    }

    /// Ends a claim, and tells those who wait for it.
    pub(crate) fn settle(&self, mark: Mark, durable: bool) {
        let waiting = {
            let mut shard = self.shard(mark);
            if durable {
                shard.remember(mark);
            }
            shard.in_flight.remove(&mark).unwrap_or_default()
        };
        for waiter in waiting {
            // A waiter whose client has gone does not listen any more.
            waiter.send(durable).ok();
        }
    }

    fn shard(&self, mark: Mark) -> parking_lot::MutexGuard<'_, Shard> {
        let [.., high] = mark.to_le_bytes();
        self.shards[usize::from(high) % SHARDS].lock()
    }
}

impl Shard {
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
