//! The directory of clients: which key is whose, changed while requests are answered.
//!
//! A key is found by its SHA-256, because only hashes are stored; the timing of looking up a hash, which the caller cannot choose,
//! leaks nothing. The map is cut into parts by the first byte of the hash. A part is replaced as a whole, so a lookup takes no lock and
//! allocates nothing, and a change copies one part in 256 for each key that it touches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::client::{Client, ClientRules, Credential};
use super::{ClientSettings, Tenant};

const PARTS: usize = 256;

type Part = HashMap<[u8; 32], Arc<Credential>>;

/// Which key is whose.
#[derive(Debug)]
pub(super) struct Directory {
    parts: Box<[ArcSwap<Part>]>,
    /// One change at a time.
    changes: Mutex<Known>,
}

/// What is known of all clients, for the next change.
#[derive(Debug, Default)]
struct Known {
    /// By the serial of the tenant, the origin and the name; also those that were removed, which may come again.
    clients: HashMap<(u64, Origin, String), KnownClient>,
    /// By the serial of the tenant: how many clients it has had.
    slots: HashMap<u64, usize>,
}

#[derive(Debug)]
struct KnownClient {
    client: Arc<Client>,
    keys: Vec<[u8; 32]>,
}

/// Where a client is set. Names of one origin do not meet those of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Configuration,
    Policy,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| ArcSwap::default()).collect(), changes: Mutex::default() }
    }

    /// Returns the credential of a key, by its hash.
    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Arc<Credential>> {
        self.part(digest)?.load().get(digest).cloned()
    }

    fn part(&self, digest: &[u8; 32]) -> Option<&ArcSwap<Part>> {
        self.parts.get(usize::from(digest[0]))
    }

    /// Gives a client its rules and keys, or takes them away. Returns the digests of keys that another client has already, and which
    /// are good for neither.
    pub(super) fn set(
        &self,
        tenant: &Arc<Tenant>,
        origin: Origin,
        name: &str,
        rules: Option<&ClientRules<'_>>,
    ) -> Vec<[u8; 32]> {
        let known = &mut *self.changes.lock();
        let place = (tenant.serial, origin, name.to_owned());
        let before = known.clients.remove(&place);
        for digest in before.iter().flat_map(|before| &before.keys) {
            self.take_away(digest);
        }
        let Some(rules) = rules else {
            // Its slot is kept for when it comes again.
            if let Some(before) = before {
                known.clients.insert(place, KnownClient { keys: Vec::new(), ..before });
            }
            return Vec::new();
        };
        let slot = before.as_ref().map_or_else(
            || {
                let next = known.slots.entry(tenant.serial).or_default();
                std::mem::replace(next, *next + 1)
            },
            |before| before.client.slot,
        );
        tenant.names.set_client(slot, rules.allowed_stores());
        let rates = rules.limit.unwrap_or(tenant.settings.limits.key);
        let of_before = before.as_ref().map(|before| &*before.client);
        let client = Arc::new(Client::new(name, slot, rules, &rates, of_before));
        let mut shared = Vec::new();
        let mut keys = HashSet::new();
        for (digest, expires_ms) in &rules.keys {
            if keys.contains(digest) {
                continue;
            }
            let credential = Credential::new(Arc::clone(tenant), Arc::clone(&client), *expires_ms);
            if self.give(*digest, credential) {
                keys.insert(*digest);
            } else {
                shared.push(*digest);
            }
        }
        known.clients.insert(place, KnownClient { client, keys: keys.into_iter().collect() });
        shared
    }

    /// Adds a key; where it is there already, it is removed and false returned.
    fn give(&self, digest: [u8; 32], credential: Credential) -> bool {
        let Some(part) = self.part(&digest) else { return false };
        if self.find(&digest).is_some() {
            self.take_away(&digest);
            return false;
        }
        let mut changed = Part::clone(&part.load());
        changed.insert(digest, Arc::new(credential));
        part.store(Arc::new(changed));
        true
    }

    fn take_away(&self, digest: &[u8; 32]) {
        let Some(part) = self.part(digest) else { return };
        let mut changed = Part::clone(&part.load());
        if let Some(credential) = changed.remove(digest) {
            part.store(Arc::new(changed));
            credential.end();
        }
    }
}

/// A change of the policy set for a gateway at work.
#[derive(Debug, Clone)]
pub struct ClientChange<'a> {
    /// Id of the tenant.
    pub tenant: &'a str,
    /// Name of the client.
    pub name: &'a str,
    /// Its rules; `None` where it is removed.
    pub settings: Option<&'a ClientSettings>,
}
