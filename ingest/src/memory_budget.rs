//! The memory budget for text in flight: the bound on the gateway's memory, and its measure of pressure.
//!
//! A request has a permit that grows as its text arrives and shrinks as events are settled, so that the budget counts text
//! that is there, not text that was announced. Nobody may hold all: a tenant's limit is a part of what is free, and a key's
//! a part of what is free to its tenant. With a part of one half, one sender ends at a half, two at a third each, and n at
//! 1/(n+1): the next sender finds room without a reservation. This is the dynamic threshold of Choudhury and Hahne
//! (IEEE/ACM Transactions on Networking 6(2), 1998).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep};

/// Permits are counted in units of this many bytes.
const UNIT_BYTES: u64 = 1024;
/// New requests may use a key's limit up to here, percent: the rest is for requests in progress, whose work would otherwise
/// be wasted.
const ADMISSION_PERCENT: u64 = 75;
/// Bytes that a new request leaves to all requests in progress.
const HEADROOM_BYTES: u64 = 512 * 1024;
/// Pauses between attempts to reserve.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The gateway's memory budget.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    total: u64,
    /// Share that a tenant, or a key, may hold while nobody else holds anything, percent.
    tenant_percent: u64,
    key_percent: u64,
    /// Bytes reserved of all.
    held: Mutex<u64>,
    /// Metric of reserved bytes.
    reserved: Gauge,
}

/// Bytes that a tenant's requests hold. It belongs to the tenant, whatever its settings become.
#[derive(Debug, Default)]
pub(crate) struct TenantUsage(AtomicU64);

/// Bytes that a client's requests hold, and its tenant's. Both change only under the lock of the budget, which orders them:
/// relaxed loads and stores are enough.
#[derive(Debug)]
pub(crate) struct BudgetHolder {
    tenant: Arc<TenantUsage>,
    client: AtomicU64,
}

impl BudgetHolder {
    /// Makes the holder of a client that holds nothing.
    pub(crate) fn new(tenant: Arc<TenantUsage>) -> Self {
        Self { tenant, client: AtomicU64::new(0) }
    }

    /// Returns what the tenant holds, and what the client does of it.
    fn held(&self) -> (u64, u64) {
        (self.tenant.0.load(Ordering::Relaxed), self.client.load(Ordering::Relaxed))
    }
}

/// The reservation of one request; released when dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    budget: Arc<MemoryBudget>,
    holder: Arc<BudgetHolder>,
    bytes: u64,
    wait: Duration,
}

/// The budget was exhausted for the whole wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("memory budget is exhausted")]
pub(crate) struct BudgetExhausted;

/// Whether a request is new or in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestStage {
    Admission,
    InProgress,
}

impl MemoryBudget {
    /// Makes a budget of `bytes` in all. The percentages are the share that a tenant may hold of it, and a key of that, while
    /// nobody else holds anything.
    pub(crate) fn new(bytes: u64, [tenant_percent, key_percent]: [u8; 2], reserved: Gauge) -> Self {
        Self {
            total: bytes,
            tenant_percent: u64::from(tenant_percent),
            key_percent: u64::from(key_percent),
            held: Mutex::new(0),
            reserved,
        }
    }

    /// Returns the most bytes of parked events that a tenant may have in flight: a quarter of what it may hold.
    pub(crate) fn parked_limit(&self) -> u64 {
        self.total * self.tenant_percent / 100 / 4
    }

    /// Acquires a permit of `bytes`, waiting at most `wait`; later growth waits as long.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the wait.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        holder: Arc<BudgetHolder>,
        bytes: u64,
        wait: Duration,
    ) -> Result<MemoryPermit, BudgetExhausted> {
        let mut permit = MemoryPermit { budget: Arc::clone(self), holder, bytes: 0, wait };
        permit.resize_at(RequestStage::Admission, bytes).await?;
        Ok(permit)
    }

    /// Returns how much of its current limit a holder uses, percent.
    pub(crate) fn pressure_percent(&self, holder: &BudgetHolder) -> u64 {
        let held = self.held.lock();
        let (_, mine) = holder.held();
        let limit = mine + self.room(*held, holder, RequestStage::InProgress);
        (mine * 100).checked_div(limit).unwrap_or(100)
    }

    /// Returns how much more a holder may reserve now.
    fn room(&self, held: u64, holder: &BudgetHolder, stage: RequestStage) -> u64 {
        let (tenant, key) = holder.held();
        let free = self.total.saturating_sub(held);
        let free_to_tenant = allowance(free, tenant, self.tenant_percent);
        let room = allowance(free_to_tenant, key, self.key_percent);
        match stage {
            RequestStage::InProgress => room,
            RequestStage::Admission => {
                let limit = (key + room) * ADMISSION_PERCENT / 100;
                limit.saturating_sub(key).min(room.saturating_sub(HEADROOM_BYTES))
            }
        }
    }

    /// Changes a holder's reservation by the difference; returns false if it exceeds the limit.
    fn change(&self, holder: &BudgetHolder, from: u64, to: u64, stage: RequestStage) -> bool {
        let mut held = self.held.lock();
        if to > from && to - from > self.room(*held, holder, stage) {
            return false;
        }
        let changed = |bytes: u64| bytes.saturating_sub(from) + to;
        *held = changed(*held);
        let (tenant, client) = holder.held();
        holder.tenant.0.store(changed(tenant), Ordering::Relaxed);
        holder.client.store(changed(client), Ordering::Relaxed);
        self.reserved.set(i64::try_from(*held).unwrap_or(i64::MAX));
        true
    }
}

/// Returns how much more may be reserved of `free` by a holder of `held`, to end at `percent` of both together.
fn allowance(free: u64, held: u64, percent: u64) -> u64 {
    (free * percent).saturating_sub(held * (100 - percent)) / 100
}

impl MemoryPermit {
    /// Resizes the permit to `bytes`, if possible at once: it can always shrink.
    pub(crate) fn try_resize(&mut self, bytes: u64) -> bool {
        self.try_resize_at(RequestStage::InProgress, bytes)
    }

    /// Resizes the permit to `bytes`, waiting as long as for its acquisition.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the wait; the permit is unchanged.
    pub(crate) async fn resize(&mut self, bytes: u64) -> Result<(), BudgetExhausted> {
        self.resize_at(RequestStage::InProgress, bytes).await
    }

    fn try_resize_at(&mut self, stage: RequestStage, bytes: u64) -> bool {
        let bytes = bytes.next_multiple_of(UNIT_BYTES);
        if bytes == self.bytes {
            return true;
        }
        let changed = self.budget.change(&self.holder, self.bytes, bytes, stage);
        if changed {
            self.bytes = bytes;
        }
        changed
    }

    /// Polls: there is no queue, because released budget may be available to one sender and not to another.
    async fn resize_at(&mut self, stage: RequestStage, bytes: u64) -> Result<(), BudgetExhausted> {
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
        Err(BudgetExhausted)
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.budget.change(&self.holder, self.bytes, 0, RequestStage::InProgress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;
    const MIB: u64 = 1024 * 1024;

    fn budget(percents: [u8; 2]) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget::new(100 * MIB, percents, Gauge::default()))
    }

    /// Clients of one tenant.
    fn clients<const N: usize>() -> [Arc<BudgetHolder>; N] {
        let tenant = Arc::new(TenantUsage::default());
        std::array::from_fn(|_| Arc::new(BudgetHolder::new(Arc::clone(&tenant))))
    }

    /// Takes all that can be had, in small pieces, and returns it.
    async fn fill(budget: &Arc<MemoryBudget>, holder: &Arc<BudgetHolder>) -> MemoryPermit {
        let mut permit = budget.acquire(Arc::clone(holder), UNIT_BYTES, NO_WAIT).await.unwrap();
        while permit.try_resize(permit.bytes + 64 * UNIT_BYTES) {}
        permit
    }

    #[tokio::test]
    async fn a_permit_is_released_when_its_request_ends() {
        let (budget, [holder]) = (budget([90, 90]), clients());
        let mut permit = budget.acquire(Arc::clone(&holder), 1_000, NO_WAIT).await.unwrap();
        assert_eq!(budget.reserved.get(), 1_024);
        assert!(permit.try_resize(60 * MIB));
        assert!(permit.try_resize(50 * MIB));
        assert_eq!(budget.reserved.get(), 50 * 1_048_576);
        assert!(!permit.try_resize(82 * MIB));
        assert_eq!(permit.resize(82 * MIB).await, Err(BudgetExhausted));
        assert!(permit.try_resize(80 * MIB), "81 % of 100 MiB are to be had");
        drop(permit);
        assert_eq!((budget.reserved.get(), budget.pressure_percent(&holder)), (0, 0));
    }

    #[tokio::test]
    async fn each_sender_leaves_room_for_the_next() {
        let budget = budget([50, 50]);
        let mut permits = Vec::new();
        for _ in 0..6 {
            let [holder] = clients();
            permits.push(fill(&budget, &holder).await);
        }
        let held: Vec<_> = permits.iter().map(|permit| permit.bytes / MIB).collect();
        // A key ends at half of its tenant's half.
        assert_eq!(held, [24, 18, 14, 10, 7, 5]);
        assert!(budget.reserved.get() < 83 * 1_048_576);
    }

    #[tokio::test]
    async fn a_key_cannot_use_what_is_its_tenants_or_its_neighbours() {
        let (budget, [a, b, c], [other]) = (budget([50, 50]), clients(), clients());
        let greedy = fill(&budget, &a).await;
        assert_eq!(greedy.bytes / MIB, 24);
        let second = fill(&budget, &b).await;
        assert_eq!(second.bytes / MIB, 12);
        assert!(budget.acquire(a, MIB, NO_WAIT).await.is_err());
        assert!(budget.acquire(c, MIB, NO_WAIT).await.is_ok());
        assert!(budget.acquire(other, 8 * MIB, NO_WAIT).await.is_ok());
    }

    #[tokio::test]
    async fn who_is_under_way_has_a_quarter_for_himself() {
        let (budget, [holder]) = (budget([50, 50]), clients());
        let mut first = budget.acquire(Arc::clone(&holder), 18 * MIB, NO_WAIT).await.unwrap();
        assert!(budget.acquire(holder, MIB, NO_WAIT).await.is_err());
        assert!(first.try_resize(24 * MIB));
    }

    #[tokio::test]
    async fn pressure_is_that_of_the_holder() {
        let (budget, [holder, second], [other]) = (budget([50, 50]), clients(), clients());
        let _half = budget.acquire(Arc::clone(&holder), 13 * MIB, NO_WAIT).await.unwrap();
        assert_eq!(budget.pressure_percent(&holder), 52);
        assert_eq!(budget.pressure_percent(&second), 0);
        assert_eq!(budget.pressure_percent(&other), 0);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let (budget, [holder]) = (budget([50, 50]), clients());
        let first = budget.acquire(Arc::clone(&holder), 18 * MIB, NO_WAIT).await.unwrap();
        let second = budget.acquire(holder, MIB, Duration::from_mins(1));
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(second.is_ok());
    }
}
