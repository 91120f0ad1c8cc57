//! Tenants and their clients: the caller of a request, and its rules.
//!
//! Tenants are fixed when the gateway starts; their clients come and go while it runs ([`directory`]).

mod charge;
mod client;
mod directory;
mod names;
mod parked_budget;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{AUTHORIZATION, GetAll, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use tillrace_core::envelope::Scope;
use tillrace_log::setting::{Inspection, SettingErrors};

pub(crate) use charge::{ChunkCharge, cost_of, refund_of};
pub use client::{ClientKey, ClientSettings, MOST_KEYS};
pub use directory::ClientChange;
pub(crate) use names::{NameCap, NameKind};
pub(crate) use parked_budget::{ParkedBudget, ParkedPermit};
pub use settings::{InvalidEvents, KeySettings, LimitSettings, TenantSettings, inspect};

use crate::address::{AddressList, AddressRules};
use crate::loyalty::LoyaltyHash;
use crate::memory_budget::BudgetHolder;
use crate::problem::Problem;
use crate::rate_limits::RateLimits;
use crate::tls::PeerIdentity;

use client::{ClientRules, Credential};
use directory::{Directory, Origin};
use names::NameRegistry;

static KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const ALL_STORES: &str = "*";

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// All tenants of a gateway, by the keys of their clients and by their domains. Clones are the same tenants.
#[derive(Debug, Clone)]
pub struct Tenants {
    directory: Arc<Directory>,
    by_domain: Arc<Vec<Vec<Arc<Tenant>>>>,
}

/// The caller of a request: a client of a tenant, by one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Arc<Tenant>,
    credential: Arc<Credential>,
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
    names: NameRegistry,
    limits: RateLimits,
    store_limits: RateLimits,
}

/// A tenant that is not in the configuration of this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has no tenant {0}")]
pub struct UnknownTenant(pub String);

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
        let (directory, mut by_domain) = (Directory::new(), Vec::new());
        for (domain, settings) in domains.into_iter().enumerate() {
            Inspection::of("", |found| inspect(&settings, found))?;
            let mut of_domain = Vec::with_capacity(settings.len());
            for (number, settings) in settings.into_iter().enumerate() {
                let tenant = Arc::new(Tenant::new(settings, domain, number));
                for (index, key) in tenant.settings.keys.iter().enumerate() {
                    // Names of keys are for people, and two may be alike.
                    let is_first =
                        !tenant.settings.keys.iter().take(index).any(|k| k.name == key.name);
                    let name =
                        if is_first { key.name.clone() } else { format!("{} ({index})", key.name) };
                    let rules = ClientRules::from(key);
                    directory.set(&tenant, Origin::Configuration, &name, Some(&rules));
                }
                of_domain.push(tenant);
            }
            by_domain.push(of_domain);
        }
        Ok(Self { directory: Arc::new(directory), by_domain: Arc::new(by_domain) })
    }

    /// Puts the rules of a client of the policy set in force, or ends it. Requests under way are held to it with their next chunk.
    ///
    /// Returns how many of its keys another client has already; those are good for neither.
    ///
    /// # Errors
    /// [`UnknownTenant`] where the domain has no such tenant; nothing is changed then.
    pub fn change_client(
        &self,
        domain: usize,
        change: &ClientChange<'_>,
    ) -> Result<usize, UnknownTenant> {
        let mut tenants = self.by_domain.get(domain).into_iter().flatten();
        let tenant = tenants
            .find(|tenant| tenant.settings.id == change.tenant)
            .ok_or_else(|| UnknownTenant(change.tenant.to_owned()))?;
        let rules = change.settings.map(ClientRules::from);
        Ok(self.directory.set(tenant, Origin::Policy, change.name, rules.as_ref()).len())
    }

    /// Returns the number of domains.
    pub(crate) fn domains(&self) -> usize {
        self.by_domain.len()
    }

    /// Returns the caller, from `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
    ///
    /// # Errors
    /// The [`Problem`] of a request whose key is missing, unknown, expired, or not the only one: which of two is meant is not
    /// guessed (RFC 6750, section 3.1).
    pub(crate) fn caller(&self, headers: &HeaderMap, now_ms: i64) -> Result<Caller, Problem> {
        let plain = only(&headers.get_all(&KEY_HEADER))?;
        let token = only(&headers.get_all(AUTHORIZATION))?.and_then(bearer);
        let key = match (plain, token) {
            (Some(plain), Some(token)) if plain != token => return Err(Problem::AmbiguousKey),
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) => return Err(Problem::Unauthorized),
        };
        let credential = self.directory.find(&Sha256::digest(key).into());
        let credential = credential.filter(|credential| credential.is_live(now_ms));
        let credential = credential.ok_or(Problem::Unauthorized)?;
        Ok(Caller { tenant: Arc::clone(&credential.tenant), credential })
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
    /// Tells whether its key is still taken.
    pub(crate) fn is_live(&self, now_ms: i64) -> bool {
        self.credential.is_live(now_ms)
    }

    fn client(&self) -> &client::Client {
        &self.credential.client
    }

    /// Returns the holder of its permits.
    pub(crate) fn holder(&self) -> BudgetHolder {
        BudgetHolder { tenant: self.tenant.number, key: self.client().slot }
    }

    /// Returns the dense id of the store of an accepted event, and registers it and its terminal.
    ///
    /// # Errors
    /// The [`NameCap`] that keeps a new name out.
    pub(crate) fn register(&self, store: &str, terminal: &str) -> Result<u32, NameCap> {
        self.tenant.names.register(self.client().slot, store, terminal)
    }

    /// Returns the dense id of the store of a refused event, if it and its terminal are registered.
    pub(crate) fn find(&self, store: &str, terminal: &str) -> Option<u32> {
        self.tenant.names.find(store, terminal)
    }

    /// Tells whether a refused event of an unregistered terminal may leave a marker.
    pub(crate) fn admit_guest(&self, store: &str, terminal: &str) -> bool {
        self.tenant.names.admit_guest(self.client().slot, store, terminal)
    }

    /// Records that a cap on names was reached; returns true the first time.
    pub(crate) fn record_cap(&self, cap: NameCap) -> bool {
        self.tenant.names.record_cap(cap)
    }

    /// Returns its name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.client().name
    }

    /// Returns the lists that its address is held against.
    pub(crate) fn addresses(&self) -> [(AddressList, &AddressRules); 2] {
        [
            (AddressList::Tenant, &self.tenant.settings.addresses),
            (AddressList::Key, &self.client().addresses),
        ]
    }

    /// Tells whether one that is bound to a client certificate comes with it.
    pub(crate) fn admits_peer(&self, identity: Option<&PeerIdentity>) -> bool {
        self.client().binding.as_ref().is_none_or(|binding| binding.admits(identity))
    }

    /// Tells whether it may send for a store.
    pub(crate) fn may_send_for(&self, store: &str) -> bool {
        self.client().may_send_for(store)
    }
}

impl Tenant {
    fn new(settings: TenantSettings, domain: usize, number: usize) -> Self {
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
            names: NameRegistry::new(&settings),
            limits: RateLimits::new(&settings.limits.tenant, 1),
            store_limits: RateLimits::new(&settings.limits.store, settings.max_stores),
            settings,
        }
    }
}

#[cfg(test)]
mod tests;
