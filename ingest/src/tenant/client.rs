//! A client of a tenant: its settings at one time, and what it runs on, which outlives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Tenant;
use super::names::{ClientCaps, ClientNames};
use crate::identity::{ClientSettings, Expiry, KeyDigest, Rights};
use crate::memory_budget::BudgetHolder;
use crate::rate_limits::{RateLimits, RateSettings};

/// How much later a use must be to be recorded: clients of many requests would write to one place all the time.
const USE_STEP_MS: i64 = 1_000;

/// Where a client is set. The names of one origin do not meet those of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Origin {
    /// With its tenant.
    Tenant,
    /// By itself, as in a policy set.
    Itself,
}

/// One client, with one state of its settings.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: ClientSettings,
    pub(super) origin: Origin,
    pub(crate) rights: Rights,
    pub(super) keys: Vec<IssuedKey>,
    pub(super) limits: RateLimits,
    pub(super) names: Arc<ClientNames>,
    pub(super) holder: Arc<BudgetHolder>,
}

/// Where a client is set, and its name.
pub(super) type ClientId = (Origin, String);

/// A key of a client.
#[derive(Debug, Clone)]
pub(super) struct IssuedKey {
    pub(super) digest: KeyDigest,
    pub(super) expires: Option<Expiry>,
    /// Milliseconds since the Unix epoch of its last use; 0 before the first.
    last_used_ms: Arc<AtomicI64>,
}

impl Client {
    /// Makes a client, full of tokens unless there is one of its name `before`, whose buckets, names and memory it takes over.
    pub(super) fn new(
        (origin, settings): (Origin, ClientSettings),
        tenant: &Tenant,
        before: Option<&Self>,
        now_ns: u64,
    ) -> Self {
        let rates: RateSettings = settings.limit.unwrap_or(tenant.settings.limits.key);
        let keys = settings.keys.iter().filter_map(|key| {
            let digest = key.digest()?;
            let known = before.and_then(|client| client.keys.iter().find(|k| k.digest == digest));
            let last_used_ms = known.map(|key| Arc::clone(&key.last_used_ms)).unwrap_or_default();
            Some(IssuedKey { digest, expires: key.expires_at, last_used_ms })
        });
        Self {
            keys: keys.collect(),
            rights: Rights::of(&settings),
            limits: match before {
                Some(before) => before.limits.with_rates(&rates, 1, now_ns),
                None => RateLimits::new(&rates, 1),
            },
            names: before.map(|before| Arc::clone(&before.names)).unwrap_or_default(),
            holder: match before {
                Some(before) => Arc::clone(&before.holder),
                None => Arc::new(BudgetHolder::new(Arc::clone(&tenant.usage))),
            },
            origin,
            settings,
        }
    }

    /// Returns the names that it may register.
    pub(super) fn caps(&self, tenant: &Tenant) -> ClientCaps {
        ClientCaps::new(&tenant.settings, self.rights.is_for_all_stores(), tenant.has_one_client())
    }

    /// Returns the use of its keys, in their order: when each was last used, in milliseconds since the Unix epoch.
    pub(super) fn key_uses(&self) -> impl Iterator<Item = (&IssuedKey, Option<Expiry>)> {
        self.keys.iter().map(|key| {
            let used = key.last_used_ms.load(Ordering::Relaxed);
            (key, (used != 0).then(|| Expiry::from_millis(used)))
        })
    }
}

impl IssuedKey {
    /// Tells whether it is taken at a time, in milliseconds since the Unix epoch.
    pub(super) fn is_good_at(&self, wall_ms: i64) -> bool {
        self.expires.is_none_or(|expires| wall_ms < expires.millis())
    }

    /// Records a use. It guards nothing, so relaxed ordering is enough; of two uses at once either may stand.
    pub(super) fn record_use(&self, wall_ms: i64) {
        if wall_ms.saturating_sub(self.last_used_ms.load(Ordering::Relaxed)) >= USE_STEP_MS {
            self.last_used_ms.store(wall_ms, Ordering::Relaxed);
        }
    }
}
