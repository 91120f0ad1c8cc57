//! Tenants and their API keys: the caller of a request, and its rules.
//!
//! A key is found by its SHA-256, because the configuration holds only hashes; the timing of looking up
//! a hash, which the caller cannot choose, leaks nothing.

mod charge;
mod names;
mod parked_budget;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{AUTHORIZATION, GetAll, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use tillrace_core::envelope::Scope;
use tillrace_log::setting::{Inspection, SettingErrors};

pub(crate) use charge::{ChunkCharge, cost_of, refund_of};
pub(crate) use names::{NameCap, NameKind};
pub(crate) use parked_budget::{ParkedBudget, ParkedPermit};
pub use settings::{InvalidEvents, KeySettings, LimitSettings, TenantSettings, inspect};

use crate::address::{AddressList, AddressRules};
use crate::loyalty::LoyaltyHash;
use crate::memory_budget::BudgetHolder;
use crate::problem::Problem;
use crate::rate_limits::RateLimits;
use crate::tls::PeerIdentity;

use names::NameRegistry;

static KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const ALL_STORES: &str = "*";

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// All tenants of a gateway, by their keys and by their domains.
#[derive(Debug)]
pub struct Tenants {
    by_key: HashMap<[u8; 32], Caller>,
    by_domain: Vec<Vec<Arc<Tenant>>>,
}

/// The caller of a request: a tenant, by one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Arc<Tenant>,
    key: u32,
}

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) settings: TenantSettings,
    /// The index of its domain.
    pub(crate) domain: usize,
    /// Its index among the tenants of its domain.
    pub(crate) number: usize,
    /// Unique among all tenants of this process; never 0.
    pub(crate) serial: u64,
    /// Fingerprint of the settings that events are evaluated by.
    pub(crate) policy_revision: String,
    pub(crate) scope: Scope,
    pub(crate) clock_skew_ms: i64,
    pub(crate) loyalty: Option<LoyaltyHash>,
    pub(crate) parked_budget: ParkedBudget,
    keys: Vec<AllowedStores>,
    names: NameRegistry,
    limits: RateLimits,
    store_limits: RateLimits,
    key_limits: Vec<RateLimits>,
}

/// Stores that a key may send for.
#[derive(Debug)]
enum AllowedStores {
    All,
    These(HashSet<String>),
}

/// Returns what the configuration stores of an API key: `sha256:` and 64 hexadecimal digits.
pub fn hash_key(key: &str) -> String {
    use std::fmt::Write;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(key.as_bytes()) {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

impl Tenants {
    /// Takes tenants from their settings, all of one domain.
    ///
    /// # Errors
    /// Names every setting that cannot be used.
    pub fn new(settings: Vec<TenantSettings>) -> Result<Self, SettingErrors> {
        Self::of_domains(vec![settings])
    }

    /// Takes the tenants of each domain from their settings. A key that stands in two domains is good for neither.
    ///
    /// # Errors
    /// Names every setting of a domain that cannot be used.
    pub fn of_domains(domains: Vec<Vec<TenantSettings>>) -> Result<Self, SettingErrors> {
        let mut tenants = Self { by_key: HashMap::new(), by_domain: Vec::new() };
        let mut shared = HashSet::new();
        for (domain, settings) in domains.into_iter().enumerate() {
            Inspection::of("", |found| inspect(&settings, found))?;
            let mut of_domain = Vec::with_capacity(settings.len());
            for (number, settings) in settings.into_iter().enumerate() {
                let tenant = Arc::new(Tenant::new(settings, domain, number));
                for (key, stored) in (0..).zip(&tenant.settings.keys) {
                    let Some(hash) = stored.digest() else { continue };
                    let caller = Caller { tenant: Arc::clone(&tenant), key };
                    if tenants.by_key.insert(hash, caller).is_some() {
                        shared.insert(hash);
                    }
                }
                of_domain.push(tenant);
            }
            tenants.by_domain.push(of_domain);
        }
        tenants.by_key.retain(|hash, _caller| !shared.contains(hash));
        Ok(tenants)
    }

    /// Returns the number of domains.
    pub(crate) fn domains(&self) -> usize {
        self.by_domain.len()
    }

    /// Returns the caller, from `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
    ///
    /// # Errors
    /// The [`Problem`] of a request whose key is missing, unknown, or not the only one: which of two is meant is not
    /// guessed (RFC 6750, section 3.1).
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<&Caller, Problem> {
        let plain = only(&headers.get_all(&KEY_HEADER))?;
        let token = only(&headers.get_all(AUTHORIZATION))?.and_then(bearer);
        let key = match (plain, token) {
            (Some(plain), Some(token)) if plain != token => return Err(Problem::AmbiguousKey),
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) => return Err(Problem::Unauthorized),
        };
        let caller = self.by_key.get::<[u8; 32]>(&Sha256::digest(key).into());
        caller.ok_or(Problem::Unauthorized)
    }

    /// Returns the tenants of a domain, in their order.
    pub(crate) fn of_domain(&self, domain: usize) -> impl Iterator<Item = &Tenant> {
        self.by_domain.get(domain).into_iter().flatten().map(Arc::as_ref)
    }
}

/// Returns the value of a header that may stand there once.
fn only<'a>(values: &GetAll<'a, HeaderValue>) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = values.iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { Err(Problem::AmbiguousKey) } else { Ok(value) }
}

/// Takes the token of the Bearer scheme (RFC 6750, section 2.1); schemes ignore case.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

impl Caller {
    /// Returns the holder of its permits.
    pub(crate) fn holder(&self) -> BudgetHolder {
        BudgetHolder { tenant: self.tenant.number, key: self.key as usize }
    }

    /// Returns the dense id of the store of an accepted event, and registers it and its terminal.
    ///
    /// # Errors
    /// The [`NameCap`] that keeps a new name out.
    pub(crate) fn register(&self, store: &str, terminal: &str) -> Result<u32, NameCap> {
        self.tenant.names.register(self.key as usize, store, terminal)
    }

    /// Returns the dense id of the store of a refused event, if it and its terminal are registered.
    pub(crate) fn find(&self, store: &str, terminal: &str) -> Option<u32> {
        self.tenant.names.find(store, terminal)
    }

    /// Tells whether a refused event of an unregistered terminal may leave a marker.
    pub(crate) fn admit_guest(&self, store: &str, terminal: &str) -> bool {
        self.tenant.names.admit_guest(self.key as usize, store, terminal)
    }

    /// Records that a cap on names was reached; returns true the first time.
    pub(crate) fn record_cap(&self, cap: NameCap) -> bool {
        self.tenant.names.record_cap(cap)
    }

    /// Returns the name of its key, for people.
    pub(crate) fn key_name(&self) -> &str {
        self.key_settings().map(|key| key.name.as_str()).unwrap_or_default()
    }

    /// Returns the lists that its address is held against.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (AddressList, &AddressRules)> {
        let of_key = self.key_settings().map(|key| (AddressList::Key, &key.addresses));
        std::iter::once((AddressList::Tenant, &self.tenant.settings.addresses)).chain(of_key)
    }

    /// Tells whether a key that is bound to a client certificate comes with it.
    pub(crate) fn admits_peer(&self, identity: Option<&PeerIdentity>) -> bool {
        let binding = self.key_settings().and_then(|key| key.client_certificate.as_ref());
        binding.is_none_or(|binding| binding.admits(identity))
    }

    fn key_settings(&self) -> Option<&KeySettings> {
        self.tenant.settings.keys.get(self.key as usize)
    }

    /// Tells whether this key may send for a store.
    pub(crate) fn may_send_for(&self, store: &str) -> bool {
        match self.tenant.keys.get(self.key as usize) {
            Some(AllowedStores::All) => true,
            Some(AllowedStores::These(stores)) => stores.contains(store),
            None => false,
        }
    }
}

impl Tenant {
    fn new(settings: TenantSettings, domain: usize, number: usize) -> Self {
        let stores = |key: &KeySettings| {
            if key.is_for_all_stores() {
                AllowedStores::All
            } else {
                AllowedStores::These(key.stores.iter().cloned().collect())
            }
        };
        let key_rates = |key: &KeySettings| key.limit.unwrap_or(settings.limits.key);
        Self {
            domain,
            number,
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            policy_revision: settings.fingerprint(),
            scope: settings.scope(),
            clock_skew_ms: i64::try_from(settings.clock_skew.as_millis()).unwrap_or(i64::MAX),
            loyalty: settings
                .loyalty_secret
                .as_ref()
                .map(|secret| LoyaltyHash::new(secret.expose().as_bytes())),
            parked_budget: ParkedBudget::default(),
            keys: settings.keys.iter().map(stores).collect(),
            names: NameRegistry::new(&settings),
            limits: RateLimits::new(&settings.limits.tenant, 1),
            store_limits: RateLimits::new(&settings.limits.store, settings.max_stores),
            key_limits: settings
                .keys
                .iter()
                .map(|key| RateLimits::new(&key_rates(key), 1))
                .collect(),
            settings,
        }
    }
}

#[cfg(test)]
mod tests;
