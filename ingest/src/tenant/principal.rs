//! The principal: the client that a request comes from, found by its credential, with its tenant and its rights.
//!
//! It is what a request was let in as. A long upload holds it against the newest directory with every chunk
//! ([`crate::tenant::Tenants::refresh`]), so that a key that is taken away stops there too.

use std::sync::Arc;

use super::Tenant;
use super::client::Client;
use super::names::NameCap;
use crate::address::{AddressList, AddressRules};
use crate::identity::{KeyDigest, Scope};
use crate::memory_budget::BudgetHolder;
use crate::tls::PeerIdentity;

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) tenant: Arc<Tenant>,
    pub(super) client: Arc<Client>,
    /// What it was found by.
    pub(super) digest: KeyDigest,
    /// The revision of the directory that it was last seen in.
    pub(super) revision: u64,
}

impl Principal {
    /// Returns the holder of its permits.
    pub(crate) fn holder(&self) -> &Arc<BudgetHolder> {
        &self.client.holder
    }

    /// Returns the dense id of the store of an accepted event, and registers it and its terminal.
    ///
    /// # Errors
    /// The [`NameCap`] that keeps a new name out.
    pub(crate) fn register(&self, store: &str, terminal: &str) -> Result<u32, NameCap> {
        let client = (&*self.client.names, self.client.caps(&self.tenant));
        self.tenant.names.register(client, store, terminal)
    }

    /// Returns the dense id of the store of a refused event, if it and its terminal are registered.
    pub(crate) fn find(&self, store: &str, terminal: &str) -> Option<u32> {
        self.tenant.names.find(store, terminal)
    }

    /// Tells whether a refused event of an unregistered terminal may leave a marker.
    pub(crate) fn admit_guest(&self, store: &str, terminal: &str) -> bool {
        self.tenant.names.admit_guest(&self.client.names, store, terminal)
    }

    /// Records that a cap on names was reached; returns true the first time.
    pub(crate) fn record_cap(&self, cap: NameCap) -> bool {
        self.tenant.names.record_cap(cap)
    }

    /// Returns the name of its client, for people.
    pub(crate) fn client_name(&self) -> &str {
        &self.client.settings.name
    }

    /// Returns the lists that its address is held against.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (AddressList, &AddressRules)> {
        [
            (AddressList::Tenant, &self.tenant.settings.addresses),
            (AddressList::Key, &self.client.settings.addresses),
        ]
        .into_iter()
    }

    /// Tells whether a client that is bound to a certificate comes with it.
    pub(crate) fn admits_peer(&self, identity: Option<&PeerIdentity>) -> bool {
        let binding = self.client.settings.client_certificate.as_ref();
        binding.is_none_or(|binding| binding.admits(identity))
    }

    /// Tells whether its key ends at some time.
    pub(super) fn may_expire(&self) -> bool {
        self.client.keys.iter().any(|key| key.digest == self.digest && key.expires.is_some())
    }

    /// Tells whether a scope was granted to it.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.client.rights.has(scope)
    }

    /// Tells whether it may send for a store.
    pub(crate) fn may_send_for(&self, store: &str) -> bool {
        self.client.rights.holds_store(store)
    }

    /// Tells whether it may send for a terminal of a store that it may send for.
    pub(crate) fn may_send_from(&self, store: &str, terminal: &str) -> bool {
        self.client.rights.holds_terminal(store, terminal)
    }
}
