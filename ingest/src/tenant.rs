//! Tenants and their clients: the caller of a request, and its rules.
//!
//! The directory of them ([`Tenants`]) changes while requests are served. Settings are one thing, what runs on them another:
//! buckets, names, budgets and counts belong to the tenant's id and the client's name, and outlive a change.

mod changes;
mod charge;
mod client;
mod directory;
mod names;
mod parked_budget;
mod principal;
mod settings;
mod snapshot;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use tillrace_core::envelope::Scope;

pub use changes::{DirectoryChange, KEY_USELESS};
pub(crate) use charge::{ChunkCharge, cost_of, refund_of};
pub use directory::{ClientStatus, KeyStatus, Tenants};
pub(crate) use names::{NameCap, NameKind};
pub(crate) use parked_budget::{ParkedBudget, ParkedPermit};
pub(crate) use principal::Principal;
pub use settings::{InvalidEvents, LimitSettings, TenantSettings, inspect};

use crate::loyalty::LoyaltyHash;
use crate::memory_budget::TenantUsage;
use crate::rate_limits::RateLimits;

use names::NameRegistry;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// One tenant, with one state of its settings.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// Without keys and clients, which the directory has.
    pub(crate) settings: TenantSettings,
    /// The index of its domain.
    pub(crate) domain: usize,
    /// Unique among all tenants of this process, whatever their settings become; never 0.
    pub(crate) serial: u64,
    /// Fingerprint of the settings that events are evaluated by.
    pub(crate) policy_revision: String,
    pub(crate) scope: Scope,
    pub(crate) clock_skew_ms: i64,
    pub(crate) loyalty: Option<LoyaltyHash>,
    pub(crate) parked_budget: ParkedBudget,
    names: Arc<NameRegistry>,
    limits: RateLimits,
    store_limits: RateLimits,
    usage: Arc<TenantUsage>,
    counters: Arc<OnceLock<[Counter; 5]>>,
    clients: Arc<AtomicUsize>,
}

impl Tenant {
    /// Makes a tenant, full of tokens unless there is one of its id `before`, whose buckets, names and memory it takes over.
    fn new(settings: TenantSettings, domain: usize, before: Option<&Self>, now_ns: u64) -> Self {
        let new_limits = |rates, count| RateLimits::new(rates, count);
        let (limits, store_limits) = match before {
            None => (
                new_limits(&settings.limits.tenant, 1),
                new_limits(&settings.limits.store, settings.max_stores),
            ),
            Some(before) => (
                before.limits.with_rates(&settings.limits.tenant, 1, now_ns),
                before.store_limits.with_rates(&settings.limits.store, settings.max_stores, now_ns),
            ),
        };
        let names = match before {
            None => Arc::new(NameRegistry::new(&settings)),
            Some(before) => {
                before.names.set_caps(&settings);
                Arc::clone(&before.names)
            }
        };
        Self {
            domain,
            serial: before.map_or_else(
                || NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
                |before| before.serial,
            ),
            policy_revision: settings.fingerprint(),
            scope: settings.scope(),
            clock_skew_ms: i64::try_from(settings.clock_skew.as_millis()).unwrap_or(i64::MAX),
            loyalty: settings
                .loyalty_secret
                .as_ref()
                .map(|secret| LoyaltyHash::new(secret.expose().as_bytes())),
            parked_budget: before.map(|tenant| tenant.parked_budget.clone()).unwrap_or_default(),
            names,
            limits,
            store_limits,
            usage: before.map(|tenant| Arc::clone(&tenant.usage)).unwrap_or_default(),
            counters: before.map(|tenant| Arc::clone(&tenant.counters)).unwrap_or_default(),
            clients: before.map(|tenant| Arc::clone(&tenant.clients)).unwrap_or_default(),
            settings,
        }
    }

    /// Returns its counters of events; `make` gives them, the first time.
    pub(crate) fn counters(&self, make: impl FnOnce(&str) -> [Counter; 5]) -> &[Counter; 5] {
        self.counters.get_or_init(|| make(&self.settings.id))
    }

    /// Tells whether nobody but one client sends for it, which may use up its caps on names then.
    fn has_one_client(&self) -> bool {
        self.clients.load(Ordering::Relaxed) == 1
    }

    fn set_clients(&self, clients: usize) {
        self.clients.store(clients, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
