//! The live directory of tenants and clients.
//!
//! A request takes one snapshot, without a lock and without allocating; whoever changes the directory makes the next snapshot
//! beside it and puts it in its place. Requests under way keep what they have; a batch looks again with every chunk.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tillrace_log::setting::{Inspection, SettingErrors};

use super::changes::{self, DirectoryChange};
use super::settings::{TenantSettings, inspect};
use super::snapshot::Snapshot;
use super::{Principal, Tenant};
use crate::clock::{Clock, CurrentTime};
use crate::identity::{Expiry, KeyDigest, Scope};
use crate::problem::Problem;

/// All tenants of a gateway with their clients; a cheap handle, whose clones are the same directory.
#[derive(Debug, Clone)]
pub struct Tenants(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    current: ArcSwap<Snapshot>,
    /// Held while the next snapshot is made.
    changing: Mutex<()>,
    domains: usize,
    /// The gateway's, once there is one: before, no bucket has been used.
    clock: OnceLock<Clock>,
}

/// A client, as it is shown to operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Id of its tenant.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Its keys.
    pub keys: Vec<KeyStatus>,
}

/// A key, as it is shown to operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// The first eight hexadecimal digits of its hash, to tell it from the other.
    pub hash_prefix: String,
    /// From when on it is taken no more.
    pub expires: Option<Expiry>,
    /// When this process last took it, within a second.
    pub last_used: Option<Expiry>,
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
        let tenants = Self::empty(domains.len());
        for (domain, settings) in domains.into_iter().enumerate() {
            Inspection::of("", |found| inspect(&settings, found))?;
            let puts = settings.into_iter().map(Box::new).map(DirectoryChange::PutTenant);
            tenants.apply(domain, puts.collect())?;
        }
        Ok(tenants)
    }

    /// Makes a directory of so many domains without a tenant.
    pub fn empty(domains: usize) -> Self {
        Self(Arc::new(Directory {
            current: ArcSwap::default(),
            changing: Mutex::new(()),
            domains,
            clock: OnceLock::new(),
        }))
    }

    /// Makes changes in the directory of a domain, in their order: all of them, or none. Requests see all of them at once.
    ///
    /// What a tenant or a client runs on stays with its id or name: buckets take new rates and are not filled, names and counts
    /// stay. What goes and comes back within one call keeps it too. A change costs what changed; other rates in
    /// `limits.key` of a tenant change each of its clients that has none of its own.
    ///
    /// Returns the number of clients that were put with a key that is good for nobody ([`KEY_USELESS`](super::KEY_USELESS)).
    ///
    /// # Errors
    /// Names every setting that cannot be used, as `changes[N].KEY`, and clients of a tenant that is not there.
    pub fn apply(
        &self,
        domain: usize,
        changes: Vec<DirectoryChange>,
    ) -> Result<usize, SettingErrors> {
        let directory = &*self.0;
        let _changing = directory.changing.lock();
        let before = directory.current.load_full();
        changes::check(&before, domain, &changes)?;
        let mut next = Snapshot::clone(&before);
        next.revision += 1;
        let now_ns = directory.clock.get().map_or(0, |clock| clock.now().steady_ns);
        let useless = changes::make(&mut next, domain, changes, now_ns);
        directory.current.store(Arc::new(next));
        Ok(useless)
    }

    /// Returns the clients of a domain, by tenant and name.
    pub fn clients(&self, domain: usize) -> Vec<ClientStatus> {
        let snapshot = self.0.current.load_full();
        let of_tenant = snapshot.of_domain(domain).flat_map(|entry| {
            let tenant = &entry.tenant.settings.id;
            entry.clients.values().map(move |client| ClientStatus {
                tenant: tenant.clone(),
                name: client.settings.name.clone(),
                owner: client.settings.owner.clone(),
                scopes: client.settings.scopes.clone(),
                keys: client
                    .key_uses()
                    .map(|(key, last_used)| KeyStatus {
                        hash_prefix: prefix_of(key.digest),
                        expires: key.expires,
                        last_used,
                    })
                    .collect(),
            })
        });
        let mut clients: Vec<_> = of_tenant.collect();
        clients.sort_by(|a, b| (&a.tenant, &a.name).cmp(&(&b.tenant, &b.name)));
        clients
    }

    /// Gives it the clock of the gateway, whose time buckets are counted in.
    pub(crate) fn set_clock(&self, clock: Clock) {
        // A second gateway on the same directory counts in the time of the first.
        drop(self.0.clock.set(clock));
    }

    /// Returns the number of domains.
    pub(crate) fn domains(&self) -> usize {
        self.0.domains
    }

    /// Returns the tenants of a domain, in no order.
    pub(crate) fn of_domain(&self, domain: usize) -> Vec<Arc<Tenant>> {
        let snapshot = self.0.current.load_full();
        snapshot.of_domain(domain).map(|entry| Arc::clone(&entry.tenant)).collect()
    }

    /// Returns the client that an API key is of.
    ///
    /// A key is found by its SHA-256, because only hashes are stored; the timing of looking up a hash, which the caller cannot
    /// choose, leaks nothing.
    ///
    /// # Errors
    /// [`Problem::Unauthorized`] for a key of nobody, [`Problem::KeyExpired`] for one whose time is over.
    pub(crate) fn by_key(&self, key: &[u8], now: CurrentTime) -> Result<Principal, Problem> {
        self.by_digest(Sha256::digest(key).into(), now)
    }

    /// Holds the principal of a request under way against the newest snapshot, and takes its settings of now: costs one load
    /// where nothing changed.
    ///
    /// # Errors
    /// As [`Tenants::by_key`]; the same where its key is another tenant's by now.
    pub(crate) fn refresh(
        &self,
        principal: &mut Principal,
        now: CurrentTime,
    ) -> Result<(), Problem> {
        let is_current = self.0.current.load().revision == principal.revision;
        if is_current && !principal.may_expire() {
            return Ok(());
        }
        let fresh = self.by_digest(principal.digest, now)?;
        if fresh.tenant.serial != principal.tenant.serial {
            return Err(Problem::Unauthorized);
        }
        *principal = fresh;
        Ok(())
    }

    fn by_digest(&self, digest: KeyDigest, now: CurrentTime) -> Result<Principal, Problem> {
        let snapshot = self.0.current.load();
        let (tenant, client) = snapshot.owner(&digest).ok_or(Problem::Unauthorized)?;
        let key = client.keys.iter().find(|key| key.digest == digest);
        let key = key.ok_or(Problem::Unauthorized)?;
        if !key.is_good_at(now.wall_ms) {
            return Err(Problem::KeyExpired);
        }
        key.record_use(now.wall_ms);
        Ok(Principal {
            tenant: Arc::clone(tenant),
            client: Arc::clone(client),
            digest,
            revision: snapshot.revision,
        })
    }
}

/// The first eight hexadecimal digits.
fn prefix_of(digest: KeyDigest) -> String {
    let [a, b, c, d, ..] = digest;
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}
