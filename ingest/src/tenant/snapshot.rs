//! One state of the directory: tenants, their clients, and who has which key.
//!
//! The maps are hash array mapped tries: a copy shares all that it does not change, so that a change of one client costs a few
//! nodes, however many there are.

use std::sync::Arc;

use rpds::{HashTrieMapSync, HashTrieSetSync};

use super::Tenant;
use super::client::{Client, ClientId, Origin};
use crate::identity::{ClientSettings, KeyDigest};

/// One state of the directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// Rises with every change.
    pub(super) revision: u64,
    keys: HashTrieMapSync<KeyDigest, KeyOwners>,
    /// By serial.
    tenants: HashTrieMapSync<u64, TenantEntry>,
    serials: HashTrieMapSync<TenantId, u64>,
    revoked: HashTrieSetSync<KeyDigest>,
}

/// A tenant with its clients.
#[derive(Debug, Clone)]
pub(super) struct TenantEntry {
    pub(super) tenant: Arc<Tenant>,
    pub(super) clients: HashTrieMapSync<ClientId, Arc<Client>>,
}

/// The domain of a tenant, and its id.
type TenantId = (usize, String);

/// Who has a key.
#[derive(Debug, Clone)]
enum KeyOwners {
    One(KeyOwner),
    /// A key of several clients is good for none of them.
    Several(Vec<KeyOwner>),
}

/// A client that has a key: its tenant's serial, and itself.
#[derive(Debug, Clone)]
pub(super) struct KeyOwner {
    serial: u64,
    pub(super) client: Arc<Client>,
}

impl KeyOwner {
    fn is(&self, serial: u64, client: &Client) -> bool {
        self.serial == serial
            && self.client.origin == client.origin
            && self.client.settings.name == client.settings.name
    }
}

impl Snapshot {
    /// Returns the tenant and the client that alone have a key.
    pub(super) fn owner(&self, digest: &KeyDigest) -> Option<(&Arc<Tenant>, &Arc<Client>)> {
        let KeyOwners::One(owner) = self.keys.get(digest)? else { return None };
        Some((&self.tenants.get(&owner.serial)?.tenant, &owner.client))
    }

    /// Returns a tenant with its clients.
    pub(super) fn tenant(&self, domain: usize, id: &str) -> Option<&TenantEntry> {
        self.tenants.get(self.serials.get(&(domain, id.to_owned()))?)
    }

    /// Returns the tenants of a domain, in no order.
    pub(super) fn of_domain(&self, domain: usize) -> impl Iterator<Item = &TenantEntry> {
        self.tenants.values().filter(move |entry| entry.tenant.domain == domain)
    }

    /// Puts a tenant in, or in the place of the one of its id. Clients whose rates follow from the tenant's take the new ones.
    pub(super) fn put_tenant(&mut self, tenant: Tenant, now_ns: u64) {
        let tenant = Arc::new(tenant);
        let (serial, id) = (tenant.serial, (tenant.domain, tenant.settings.id.clone()));
        let before = self.tenants.get(&serial).cloned();
        let clients = before.as_ref().map(|entry| entry.clients.clone()).unwrap_or_default();
        self.serials.insert_mut(id, serial);
        self.tenants.insert_mut(serial, TenantEntry { tenant: Arc::clone(&tenant), clients });
        let Some(before) = before else { return };
        if before.tenant.settings.limits.key == tenant.settings.limits.key {
            return;
        }
        for client in before.clients.values().filter(|client| client.settings.limit.is_none()) {
            self.put_client(&tenant, client.origin, client.settings.clone(), now_ns);
        }
    }

    /// Takes a tenant out, and its clients.
    pub(super) fn remove_tenant(&mut self, domain: usize, id: &str) {
        let Some(entry) = self.tenant(domain, id).cloned() else { return };
        for client in entry.clients.keys() {
            self.remove_client(&entry.tenant, client);
        }
        self.tenants.remove_mut(&entry.tenant.serial);
        self.serials.remove_mut(&(domain, id.to_owned()));
    }

    /// Puts a client in, or in the place of the one of its name. Returns whether each of its keys is its own and not revoked.
    pub(super) fn put_client(
        &mut self,
        tenant: &Tenant,
        origin: Origin,
        settings: ClientSettings,
        now_ns: u64,
    ) -> bool {
        let Some(mut entry) = self.tenants.get(&tenant.serial).cloned() else { return false };
        let id = (origin, settings.name.clone());
        let before = entry.clients.get(&id).cloned();
        if let Some(before) = &before {
            self.disown(tenant.serial, before);
        }
        let client = Arc::new(Client::new((origin, settings), tenant, before.as_deref(), now_ns));
        let mut are_good = true;
        for key in &client.keys {
            let owner = KeyOwner { serial: tenant.serial, client: Arc::clone(&client) };
            are_good &= !self.revoked.contains(&key.digest) && self.own(key.digest, owner);
        }
        entry.clients.insert_mut(id, client);
        tenant.set_clients(entry.clients.size());
        self.tenants.insert_mut(tenant.serial, entry);
        are_good
    }

    /// Takes a client out.
    pub(super) fn remove_client(&mut self, tenant: &Tenant, id: &ClientId) {
        let Some(mut entry) = self.tenants.get(&tenant.serial).cloned() else { return };
        let Some(client) = entry.clients.get(id).cloned() else { return };
        self.disown(tenant.serial, &client);
        entry.clients.remove_mut(id);
        tenant.set_clients(entry.clients.size());
        self.tenants.insert_mut(tenant.serial, entry);
    }

    /// Makes a key good for nobody, now and whoever gets it later.
    pub(super) fn revoke(&mut self, digest: KeyDigest) {
        self.revoked.insert_mut(digest);
        self.keys.remove_mut(&digest);
    }

    /// Returns whether the key has no other owner.
    fn own(&mut self, digest: KeyDigest, owner: KeyOwner) -> bool {
        let owners = match self.keys.get(&digest) {
            None => KeyOwners::One(owner),
            Some(KeyOwners::One(other)) => KeyOwners::Several(vec![other.clone(), owner]),
            Some(KeyOwners::Several(others)) => {
                KeyOwners::Several(others.iter().cloned().chain([owner]).collect())
            }
        };
        let is_only = matches!(owners, KeyOwners::One(_));
        self.keys.insert_mut(digest, owners);
        is_only
    }

    fn disown(&mut self, serial: u64, client: &Client) {
        for key in &client.keys {
            let mut left = match self.keys.get(&key.digest) {
                None => continue,
                Some(KeyOwners::One(owner)) => vec![owner.clone()],
                Some(KeyOwners::Several(owners)) => owners.clone(),
            };
            left.retain(|owner| !owner.is(serial, client));
            match left.len() {
                0 => {
                    self.keys.remove_mut(&key.digest);
                }
                1 => {
                    for owner in left {
                        self.keys.insert_mut(key.digest, KeyOwners::One(owner));
                    }
                }
                _ => self.keys.insert_mut(key.digest, KeyOwners::Several(left)),
            }
        }
    }
}
