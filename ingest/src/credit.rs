//! Credit for text in flight: the bound on the gateway's memory, and its measure of pressure.
//!
//! A request has a lease that grows as its text arrives and shrinks as events are settled, so that credit is held by what
//! is there and not by what was announced. Nobody may hold all: a tenant's limit is a part of what is free, and a key's a
//! part of what is free to its tenant. With a part of one half, one sender ends at a half, two at a third each, and
//! n at 1/(n+1): whoever comes next finds room, without anything being set aside for him. This is the dynamic threshold
//! of Choudhury and Hahne (IEEE/ACM Transactions on Networking 6(2), 1998).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep};

/// Leases are counted in units of this many bytes.
const UNIT_BYTES: u64 = 1024;
/// New requests fill what a key may hold to here, percent: the rest is for those under way, which would be in vain without
/// it.
const ADMISSION_PERCENT: u64 = 75;
/// A new request leaves so much to those under way, whoever they are.
const HEADROOM_BYTES: u64 = 512 * 1024;
/// Pauses between looks for credit.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The gateway's credit.
#[derive(Debug)]
pub(crate) struct Credit {
    total: u64,
    /// What one may hold of what is free to it when nobody else holds anything, percent.
    tenant_percent: u64,
    key_percent: u64,
    held: Mutex<Held>,
    /// Bytes leased, for all to see.
    leased: Gauge,
}

/// Bytes held.
#[derive(Debug)]
struct Held {
    all: u64,
    tenants: Vec<HeldByTenant>,
}

#[derive(Debug)]
struct HeldByTenant {
    all: u64,
    keys: Vec<u64>,
}

/// Who holds credit: a key of a tenant, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) tenant: usize,
    pub(crate) key: usize,
}

/// Credit held by one request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    credit: Arc<Credit>,
    holder: Holder,
    bytes: u64,
    wait: Duration,
}

/// There was no credit within the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much in flight")]
pub(crate) struct NoCredit;

/// Whether a request asks for the first time, or is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Admission,
    UnderWay,
}

impl Credit {
    /// Makes credit for `bytes` in all. `percents` are what a tenant may hold of it, and a key of that, while nobody else
    /// holds anything; `keys` says how many each tenant has.
    pub(crate) fn new(
        bytes: u64,
        [tenant_percent, key_percent]: [u8; 2],
        keys: impl Iterator<Item = usize>,
        leased: Gauge,
    ) -> Self {
        let tenants = keys.map(|keys| HeldByTenant { all: 0, keys: vec![0; keys] }).collect();
        Self {
            total: bytes,
            tenant_percent: u64::from(tenant_percent),
            key_percent: u64::from(key_percent),
            held: Mutex::new(Held { all: 0, tenants }),
            leased,
        }
    }

    /// Takes a lease of `bytes`, waiting for it at most `wait`; as long is waited when it is to grow.
    ///
    /// # Errors
    /// [`NoCredit`] when there is none within the wait.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        holder: Holder,
        bytes: u64,
        wait: Duration,
    ) -> Result<Lease, NoCredit> {
        let mut lease = Lease { credit: Arc::clone(self), holder, bytes: 0, wait };
        lease.resize_at(Stage::Admission, bytes).await?;
        Ok(lease)
    }

    /// Returns how much of what a holder may hold now it does hold, percent.
    pub(crate) fn pressure_percent(&self, holder: Holder) -> u64 {
        let held = self.held.lock();
        let mine = held.of(holder).map_or(0, |(_, key)| key);
        let limit = mine + self.room(&held, holder, Stage::UnderWay);
        (mine * 100).checked_div(limit).unwrap_or(100)
    }

    /// Returns what a holder may take now beside what it holds.
    fn room(&self, held: &Held, holder: Holder, stage: Stage) -> u64 {
        let Some((tenant, key)) = held.of(holder) else { return 0 };
        let free = self.total.saturating_sub(held.all);
        let free_to_tenant = room_of(free, tenant, self.tenant_percent);
        let room = room_of(free_to_tenant, key, self.key_percent);
        match stage {
            Stage::UnderWay => room,
            Stage::Admission => {
                let limit = (key + room) * ADMISSION_PERCENT / 100;
                limit.saturating_sub(key).min(room.saturating_sub(HEADROOM_BYTES))
            }
        }
    }

    /// Changes what a holder holds by the difference; false when there is no room for it.
    fn change(&self, holder: Holder, from: u64, to: u64, stage: Stage) -> bool {
        let mut held = self.held.lock();
        if to > from && to - from > self.room(&held, holder, stage) {
            return false;
        }
        let change = |bytes: &mut u64| *bytes = bytes.saturating_sub(from) + to;
        change(&mut held.all);
        if let Some(tenant) = held.tenants.get_mut(holder.tenant) {
            change(&mut tenant.all);
            tenant.keys.get_mut(holder.key).into_iter().for_each(change);
        }
        self.leased.set(i64::try_from(held.all).unwrap_or(i64::MAX));
        true
    }
}

impl Held {
    /// Returns what a holder's tenant holds, and the holder itself.
    fn of(&self, holder: Holder) -> Option<(u64, u64)> {
        let tenant = self.tenants.get(holder.tenant)?;
        Some((tenant.all, *tenant.keys.get(holder.key)?))
    }
}

/// Returns how much may be taken of `free` by who holds so much, to end at `percent` of both together.
fn room_of(free: u64, held: u64, percent: u64) -> u64 {
    (free * percent).saturating_sub(held * (100 - percent)) / 100
}

impl Lease {
    /// Makes it a lease of `bytes`, if that can be had at once: smaller it can always be.
    pub(crate) fn try_resize(&mut self, bytes: u64) -> bool {
        self.try_resize_at(Stage::UnderWay, bytes)
    }

    /// Makes it a lease of `bytes`, waiting for credit as long as was waited for the lease at most.
    ///
    /// # Errors
    /// [`NoCredit`] when there is none within the wait; the lease is what it was.
    pub(crate) async fn resize(&mut self, bytes: u64) -> Result<(), NoCredit> {
        self.resize_at(Stage::UnderWay, bytes).await
    }

    fn try_resize_at(&mut self, stage: Stage, bytes: u64) -> bool {
        let bytes = bytes.next_multiple_of(UNIT_BYTES);
        if bytes == self.bytes {
            return true;
        }
        let changed = self.credit.change(self.holder, self.bytes, bytes, stage);
        if changed {
            self.bytes = bytes;
        }
        changed
    }

    /// Looks again and again: there is no queue, because what is given back may be had by one sender and not by another.
    async fn resize_at(&mut self, stage: Stage, bytes: u64) -> Result<(), NoCredit> {
        if self.try_resize_at(stage, bytes) {
            return Ok(());
        }
        let deadline = Instant::now() + self.wait;
        let mut pause = FIRST_PAUSE;
        while Instant::now() < deadline {
            sleep(pause.min(deadline - Instant::now())).await;
            if self.try_resize_at(stage, bytes) {
                return Ok(());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(NoCredit)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.credit.change(self.holder, self.bytes, 0, Stage::UnderWay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;
    const MIB: u64 = 1024 * 1024;

    fn credit(percents: [u8; 2], keys: &[usize]) -> Arc<Credit> {
        Arc::new(Credit::new(100 * MIB, percents, keys.iter().copied(), Gauge::default()))
    }

    fn holder(tenant: usize, key: usize) -> Holder {
        Holder { tenant, key }
    }

    /// Takes all that can be had, in small pieces, and returns it.
    async fn fill(credit: &Arc<Credit>, holder: Holder) -> Lease {
        let mut lease = credit.lease(holder, UNIT_BYTES, NO_WAIT).await.unwrap();
        while lease.try_resize(lease.bytes + 64 * UNIT_BYTES) {}
        lease
    }

    #[tokio::test]
    async fn a_lease_is_given_back_when_its_request_ends() {
        let credit = credit([90, 90], &[1]);
        let mut lease = credit.lease(holder(0, 0), 1_000, NO_WAIT).await.unwrap();
        assert_eq!(credit.leased.get(), 1_024);
        assert!(lease.try_resize(60 * MIB));
        assert!(lease.try_resize(50 * MIB));
        assert_eq!(credit.leased.get(), 50 * 1_048_576);
        assert!(!lease.try_resize(82 * MIB));
        assert_eq!(lease.resize(82 * MIB).await, Err(NoCredit));
        assert!(lease.try_resize(80 * MIB), "81 % of 100 MiB are to be had");
        drop(lease);
        assert_eq!((credit.leased.get(), credit.pressure_percent(holder(0, 0))), (0, 0));
    }

    #[tokio::test]
    async fn each_sender_leaves_room_for_the_next() {
        let credit = credit([50, 50], &[1; 6]);
        let mut leases = Vec::new();
        for tenant in 0..6 {
            leases.push(fill(&credit, holder(tenant, 0)).await);
        }
        let held: Vec<_> = leases.iter().map(|lease| lease.bytes / MIB).collect();
        // A key ends at half of its tenant's half.
        assert_eq!(held, [24, 18, 14, 10, 7, 5]);
        assert!(credit.leased.get() < 83 * 1_048_576);
    }

    #[tokio::test]
    async fn a_key_cannot_use_what_is_its_tenants_or_its_neighbours() {
        let credit = credit([50, 50], &[3, 1]);
        let greedy = fill(&credit, holder(0, 0)).await;
        assert_eq!(greedy.bytes / MIB, 24);
        let second = fill(&credit, holder(0, 1)).await;
        assert_eq!(second.bytes / MIB, 12);
        assert!(credit.lease(holder(0, 0), MIB, NO_WAIT).await.is_err());
        assert!(credit.lease(holder(0, 2), MIB, NO_WAIT).await.is_ok());
        assert!(credit.lease(holder(1, 0), 8 * MIB, NO_WAIT).await.is_ok());
    }

    #[tokio::test]
    async fn who_is_under_way_has_a_quarter_for_himself() {
        let credit = credit([50, 50], &[1]);
        let mut first = credit.lease(holder(0, 0), 18 * MIB, NO_WAIT).await.unwrap();
        assert!(credit.lease(holder(0, 0), MIB, NO_WAIT).await.is_err());
        assert!(first.try_resize(24 * MIB));
    }

    #[tokio::test]
    async fn pressure_is_that_of_the_holder() {
        let credit = credit([50, 50], &[2, 1]);
        let _half = credit.lease(holder(0, 0), 13 * MIB, NO_WAIT).await.unwrap();
        assert_eq!(credit.pressure_percent(holder(0, 0)), 52);
        assert_eq!(credit.pressure_percent(holder(0, 1)), 0);
        assert_eq!(credit.pressure_percent(holder(1, 0)), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let credit = credit([50, 50], &[1]);
        let first = credit.lease(holder(0, 0), 18 * MIB, NO_WAIT).await.unwrap();
        let second = credit.lease(holder(0, 0), MIB, Duration::from_mins(1));
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(second.is_ok());
    }
}
