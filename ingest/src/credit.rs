//! Credit for text in flight: the bound on the gateway's memory, and its measure of pressure.
//!
//! A request takes its lease before its body is read and holds it until its reply is made, so that
//! requests already admitted can always finish. A tenant has a share of its own in front of the
//! whole, so that none can starve the others.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Leases are counted in units of this many bytes.
const UNIT_BYTES: u64 = 1024;

/// The gateway's credit.
#[derive(Debug)]
pub(crate) struct Credit {
    free: Arc<Semaphore>,
    total_units: usize,
    share_units: usize,
    /// Bytes leased, for all to see.
    leased: Gauge,
}

/// One tenant's share of the credit.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<Semaphore>);

/// Credit taken by one request; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    whole: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
    leased: Gauge,
}

impl Lease {
    fn bytes(&self) -> i64 {
        i64::try_from(self.whole.num_permits() as u64 * UNIT_BYTES).unwrap_or(i64::MAX)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leased.dec_by(self.bytes());
    }
}

/// There was no credit within the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much in flight")]
pub(crate) struct NoCredit;

impl Credit {
    /// Makes credit for `bytes` in all, of which a tenant may use `share_percent`.
    pub(crate) fn new(bytes: u64, share_percent: u8, leased: Gauge) -> Self {
        let total_units = units(bytes) as usize;
        Self {
            free: Arc::new(Semaphore::new(total_units)),
            total_units,
            share_units: total_units * usize::from(share_percent) / 100,
            leased,
        }
    }

    /// Makes a tenant's share.
    pub(crate) fn share(&self) -> Share {
        Share(Arc::new(Semaphore::new(self.share_units)))
    }

    /// Takes a lease of `bytes`, waiting for it at most `wait`, first come first served.
    ///
    /// # Errors
    /// [`NoCredit`] when there is none within the wait.
    pub(crate) async fn lease(
        &self,
        share: &Share,
        bytes: u64,
        wait: Duration,
    ) -> Result<Lease, NoCredit> {
        let units = units(bytes);
        let now = || {
            let share = Arc::clone(&share.0).try_acquire_many_owned(units).ok()?;
            let whole = Arc::clone(&self.free).try_acquire_many_owned(units).ok()?;
            Some(self.leased(whole, share))
        };
        if let Some(lease) = now() {
            return Ok(lease);
        }
        let later = async {
            let share = Arc::clone(&share.0).acquire_many_owned(units).await.ok()?;
            let whole = Arc::clone(&self.free).acquire_many_owned(units).await.ok()?;
            Some(self.leased(whole, share))
        };
        timeout(wait, later).await.ok().flatten().ok_or(NoCredit)
    }

    fn leased(&self, whole: OwnedSemaphorePermit, share: OwnedSemaphorePermit) -> Lease {
        let lease = Lease { whole, _share: share, leased: self.leased.clone() };
        self.leased.inc_by(lease.bytes());
        lease
    }

    /// Returns the part leased, in percent.
    pub(crate) fn used_percent(&self) -> u64 {
        let used = self.total_units - self.free.available_permits();
        used as u64 * 100 / self.total_units.max(1) as u64
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;

    #[tokio::test]
    async fn a_lease_is_given_back_when_its_request_ends() {
        let credit = Credit::new(100 * UNIT_BYTES, 100, Gauge::default());
        let share = credit.share();
        let lease = credit.lease(&share, 60 * UNIT_BYTES, NO_WAIT).await.unwrap();
        assert_eq!((credit.leased.get(), credit.used_percent()), (60 * 1024, 60));
        assert_eq!(credit.lease(&share, 41 * UNIT_BYTES, NO_WAIT).await.unwrap_err(), NoCredit);
        drop(lease);
        assert_eq!((credit.leased.get(), credit.used_percent()), (0, 0));
        assert!(credit.lease(&share, 100 * UNIT_BYTES, NO_WAIT).await.is_ok());
    }

    #[tokio::test]
    async fn a_tenant_cannot_use_its_neighbours_share() {
        let credit = Credit::new(100 * UNIT_BYTES, 50, Gauge::default());
        let (greedy, neighbour) = (credit.share(), credit.share());
        let _held = credit.lease(&greedy, 50 * UNIT_BYTES, NO_WAIT).await.unwrap();
        assert!(credit.lease(&greedy, 1, NO_WAIT).await.is_err());
        assert!(credit.lease(&neighbour, 50 * UNIT_BYTES, NO_WAIT).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let credit = Credit::new(10 * UNIT_BYTES, 100, Gauge::default());
        let share = credit.share();
        let first = credit.lease(&share, 10 * UNIT_BYTES, NO_WAIT).await.unwrap();
        let second = credit.lease(&share, UNIT_BYTES, Duration::from_mins(1));
        let (second, ()) = tokio::join!(second, async { drop(first) });
        assert!(second.is_ok());
    }
}
