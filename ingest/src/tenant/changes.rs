//! Changes of the directory.

use std::collections::HashSet;
use std::sync::Arc;

use tillrace_log::explain::Explanation;
use tillrace_log::setting::{Inspection, SettingErrors};

use super::Tenant;
use super::client::{ClientId, Origin};
use super::settings::TenantSettings;
use super::snapshot::Snapshot;
use crate::identity::{ClientSettings, KeyDigest};

/// A key that was put is good for nobody.
pub const KEY_USELESS: Explanation = Explanation {
    code: "key_useless",
    meaning: "A key of this client is another client's too, or was revoked. It is taken from nobody: whose it is cannot be told, and \
              what was revoked stays so.",
    remedy: "Issue another key for the client, and remove this one.",
};

/// One change of the directory of a domain.
#[derive(Debug, Clone)]
pub enum DirectoryChange {
    /// A tenant is made, or takes other settings. Its keys and clients are put, too; those it has beside them stay. A client that
    /// is put with its tenant is another than one of the same name that is put by itself.
    PutTenant(Box<TenantSettings>),
    /// A tenant goes, with its clients.
    RemoveTenant(String),
    /// A client is made, or takes other settings.
    PutClient {
        /// Id of its tenant, which stands there already or earlier among the changes.
        tenant: String,
        /// Its settings.
        client: Box<ClientSettings>,
    },
    /// A client goes that was put by itself.
    RemoveClient {
        /// Id of its tenant.
        tenant: String,
        /// Its name.
        name: String,
    },
    /// A key is good for nobody from now on, as long as the process runs; no later change revives it.
    RevokeKey(KeyDigest),
}

/// Checks changes in their order, before any of them is made.
///
/// # Errors
/// Names every setting that cannot be used, under the place of its change.
pub(super) fn check(
    before: &Snapshot,
    domain: usize,
    changes: &[DirectoryChange],
) -> Result<(), SettingErrors> {
    let (mut made, mut gone) = (HashSet::new(), HashSet::new());
    Inspection::of("", |found| {
        found.each("changes", changes, |found, change| match change {
            DirectoryChange::PutTenant(settings) => {
                settings.inspect(found);
                gone.remove(settings.id.as_str());
                made.insert(settings.id.as_str());
            }
            DirectoryChange::RemoveTenant(id) => {
                made.remove(id.as_str());
                gone.insert(id.as_str());
            }
            DirectoryChange::PutClient { tenant, client } => {
                client.inspect(found);
                let is_there = made.contains(tenant.as_str())
                    || !gone.contains(tenant.as_str()) && before.tenant(domain, tenant).is_some();
                found.require(is_there, "tenant", "is not known", "put the tenant before it");
            }
            DirectoryChange::RemoveClient { .. } | DirectoryChange::RevokeKey(_) => {}
        });
    })
}

/// Makes checked changes, in their order. Returns the number of clients with a key that is good for nobody.
pub(super) fn make(
    snapshot: &mut Snapshot,
    domain: usize,
    changes: Vec<DirectoryChange>,
    now_ns: u64,
) -> usize {
    let mut useless = 0;
    // What goes and comes back at once keeps what it runs on.
    let (tenants, clients) = put_later(&changes);
    for (place, change) in changes.into_iter().enumerate() {
        match change {
            DirectoryChange::PutTenant(mut settings) => {
                let new = settings.take_clients();
                let id = settings.id.clone();
                let before = snapshot.tenant(domain, &id).map(|entry| Arc::clone(&entry.tenant));
                let tenant = Tenant::new(*settings, domain, before.as_deref(), now_ns);
                snapshot.put_tenant(tenant, now_ns);
                for client in new {
                    useless += put_client(snapshot, domain, &id, (Origin::Tenant, client), now_ns);
                }
            }
            DirectoryChange::RemoveTenant(id) => {
                let Some(entry) = snapshot.tenant(domain, &id).cloned() else { continue };
                if !tenants.iter().any(|(at, put)| *at > place && *put == id) {
                    snapshot.remove_tenant(domain, &id);
                    continue;
                }
                for client in entry.clients.keys() {
                    let comes =
                        |(at, of, put): &PutClient| *at > place && *of == id && put == client;
                    if !clients.iter().any(comes) {
                        snapshot.remove_client(&entry.tenant, client);
                    }
                }
            }
            DirectoryChange::PutClient { tenant, client } => {
                useless += put_client(snapshot, domain, &tenant, (Origin::Itself, *client), now_ns);
            }
            DirectoryChange::RemoveClient { tenant, name } => {
                let id = (Origin::Itself, name);
                let comes =
                    clients.iter().any(|(at, of, put)| *at > place && *of == tenant && *put == id);
                if let Some(entry) = snapshot.tenant(domain, &tenant).cloned()
                    && !comes
                {
                    snapshot.remove_client(&entry.tenant, &id);
                }
            }
            DirectoryChange::RevokeKey(digest) => snapshot.revoke(digest),
        }
    }
    useless
}

/// A client that is put: the place of the change, its tenant, itself.
type PutClient = (usize, String, ClientId);

/// Tenants and clients that are put, with the place of the change; only where something goes, too.
fn put_later(changes: &[DirectoryChange]) -> (Vec<(usize, String)>, Vec<PutClient>) {
    let (mut tenants, mut clients) = (Vec::new(), Vec::new());
    let goes = |change: &DirectoryChange| {
        matches!(change, DirectoryChange::RemoveTenant(_) | DirectoryChange::RemoveClient { .. })
    };
    if !changes.iter().any(goes) {
        return (tenants, clients);
    }
    for (place, change) in changes.iter().enumerate() {
        match change {
            DirectoryChange::PutTenant(settings) => {
                tenants.push((place, settings.id.clone()));
                let named = settings.clone().take_clients();
                let named = named.into_iter().map(|client| (Origin::Tenant, client.name));
                clients.extend(named.map(|client| (place, settings.id.clone(), client)));
            }
            DirectoryChange::PutClient { tenant, client } => {
                clients.push((place, tenant.clone(), (Origin::Itself, client.name.clone())));
            }
            _ => {}
        }
    }
    (tenants, clients)
}

fn put_client(
    snapshot: &mut Snapshot,
    domain: usize,
    tenant: &str,
    (origin, client): (Origin, ClientSettings),
    now_ns: u64,
) -> usize {
    let Some(entry) = snapshot.tenant(domain, tenant).cloned() else { return 0 };
    let name = client.name.clone();
    if snapshot.put_client(&entry.tenant, origin, client, now_ns) {
        return 0;
    }
    warn_of_key(tenant, &name);
    1
}

/// Tells the operator of a key that is good for nobody.
fn warn_of_key(tenant: &str, client: &str) {
    tracing::warn!(
        code = KEY_USELESS.code,
        tenant,
        client,
        "a key of this client is taken from nobody"
    );
}
