//! A client's settings: its keys and its rights.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_core::text::check_id;
use tillrace_log::setting::Inspection;

use super::api_key::hash_key;
use super::expiry::Expiry;
use super::scope::Scope;
use super::source::source_of;
use crate::address::AddressRules;
use crate::rate_limits::RateSettings;
use crate::tls::CertificateBinding;

/// Keys of a client that are good at the same time: the old one and the new one, while the client is changed over.
pub const MAX_CLIENT_KEYS: usize = 2;

const ALL_STORES: &str = "*";

/// The SHA-256 of a key.
pub(crate) type KeyDigest = [u8; 32];

/// One client: a till, a store's server or another system, with keys and rights of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Its name, which no other client of the tenant has, 1 to 64 bytes. Its limits and counts belong to the name, whatever its
    /// keys become. In a set of documents it is that of the document.
    #[serde(default)]
    pub name: String,
    /// Who answers for it, for people.
    #[serde(default)]
    pub owner: Option<String>,
    /// Its API keys, two at most, so that one can be replaced by the other without a pause.
    pub keys: Vec<ClientKey>,
    /// What it may do.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<Scope>,
    /// Ids of the stores it may send for; `*` stands for all.
    pub stores: Vec<String>,
    /// Terminals it may send for, as `STORE/TERMINAL`, with `%2F` and `%25` for a slash and a percent sign within an id; without
    /// any, all of its stores.
    #[serde(default)]
    pub terminals: Vec<String>,
    /// Its rates, in place of the tenant's for each key.
    #[serde(default)]
    pub limit: Option<RateSettings>,
    /// Addresses it is taken from, within those of the tenant.
    #[serde(default)]
    pub addresses: AddressRules,
    /// The client certificate without which its keys are not taken, where `ingest.tls.client_ca` verifies it.
    #[serde(default)]
    pub client_certificate: Option<CertificateBinding>,
}

/// One API key of a client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientKey {
    /// `sha256:` and the SHA-256 of the key in hexadecimal digits.
    pub hash: String,
    /// When it was made, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Expiry>,
    /// From when on it is taken no more, such as `2027-01-31T00:00:00Z`; absent, it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Expiry>,
}

/// One API key, which is a client of its own that may send events.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// A name for people; the key itself is not stored.
    pub name: String,
    /// `sha256:` and the SHA-256 of the key in hexadecimal digits.
    pub hash: String,
    /// Ids of the stores it may send for; `*` stands for all.
    pub stores: Vec<String>,
    /// Rates of this key, in place of the tenant's for each key.
    #[serde(default)]
    pub limit: Option<RateSettings>,
    /// Addresses it is taken from, within those of the tenant.
    #[serde(default)]
    pub addresses: AddressRules,
    /// The client certificate without which it is not taken, where `ingest.tls.client_ca` verifies it.
    #[serde(default)]
    pub client_certificate: Option<CertificateBinding>,
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::EventsWrite]
}

impl ClientSettings {
    /// Notes what the types cannot say.
    pub fn inspect(&self, found: &mut Inspection) {
        found.require(
            check_id(&self.name).is_ok(),
            "name",
            "is no name",
            "give it 1 to 64 bytes without control characters",
        );
        found.require(
            self.keys.len() <= MAX_CLIENT_KEYS,
            "keys",
            "are more than two",
            "revoke the ones that are out of use",
        );
        let mut digests = HashSet::new();
        found.each("keys", &self.keys, |found, key| {
            inspect_hash(&key.hash, found);
            let is_own = key.digest().is_none_or(|digest| digests.insert(digest));
            found.require(is_own, "hash", "is configured twice", "issue another key");
        });
        found.require(
            !self.scopes.is_empty(),
            "scopes",
            "are none",
            "list one, or remove the client",
        );
        inspect_stores(&self.stores, found);
        let (is_source, holds) = (
            self.terminals.iter().all(|terminal| source_of(terminal).is_some()),
            |store: &String| self.is_for_all_stores() || self.stores.contains(store),
        );
        found.require(
            is_source,
            "terminals",
            "name one that cannot be",
            "write each as STORE/TERMINAL, with %2F for a slash within an id",
        );
        found.require(
            self.terminals
                .iter()
                .filter_map(|named| source_of(named))
                .all(|(store, _)| holds(&store)),
            "terminals",
            "name a terminal of a store that is not among its stores",
            "add the store to stores, or remove the terminal",
        );
        inspect_senders(self.limit, &self.addresses, self.client_certificate.as_ref(), found);
    }

    /// Tells whether it may send for any store.
    pub(super) fn is_for_all_stores(&self) -> bool {
        self.stores.iter().any(|store| store == ALL_STORES)
    }
}

impl ClientKey {
    /// Returns the key's SHA-256.
    pub(crate) fn digest(&self) -> Option<KeyDigest> {
        digest_of(&self.hash)
    }
}

impl KeySettings {
    /// Notes what the types cannot say.
    pub(crate) fn inspect(&self, found: &mut Inspection) {
        inspect_hash(&self.hash, found);
        inspect_stores(&self.stores, found);
        inspect_senders(self.limit, &self.addresses, self.client_certificate.as_ref(), found);
    }

    /// Returns the key's SHA-256.
    pub(crate) fn digest(&self) -> Option<KeyDigest> {
        digest_of(&self.hash)
    }

    /// Returns the client that it is, under a name of its own.
    pub(crate) fn client(&self, name: String) -> ClientSettings {
        ClientSettings {
            name,
            owner: None,
            keys: vec![ClientKey { hash: self.hash.clone(), created_at: None, expires_at: None }],
            scopes: default_scopes(),
            stores: self.stores.clone(),
            terminals: Vec::new(),
            limit: self.limit,
            addresses: self.addresses.clone(),
            client_certificate: self.client_certificate.clone(),
        }
    }
}

fn inspect_hash(hash: &str, found: &mut Inspection) {
    found.require(
        digest_of(hash).is_some(),
        "hash",
        "is no hash of a key",
        "write sha256: and the 64 hexadecimal digits of the key's SHA-256",
    );
    found.require(hash != hash_key(""), "hash", "is the hash of an empty key", "issue a real one");
}

fn inspect_stores(stores: &[String], found: &mut Inspection) {
    let is_store = |store: &String| store == ALL_STORES || check_id(store).is_ok();
    found.require(
        !stores.is_empty() && stores.iter().all(is_store),
        "stores",
        "names no store, or one that cannot be",
        "list store ids, or * for all stores",
    );
}

fn inspect_senders(
    limit: Option<RateSettings>,
    addresses: &AddressRules,
    binding: Option<&CertificateBinding>,
    found: &mut Inspection,
) {
    let limit = limit.unwrap_or_default();
    found.within("limit", |found| limit.inspect(found));
    found.within("addresses", |found| addresses.inspect(found));
    if let Some(binding) = binding {
        found.within("client_certificate", |found| binding.inspect(found));
    }
}

fn digest_of(hash: &str) -> Option<KeyDigest> {
    let digits = hash.strip_prefix("sha256:")?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_client_that_cannot_be_used_is_named() {
        let faults = |more: Value| -> Vec<String> {
            let mut client =
                json!({"name": "c", "keys": [{"hash": hash_key("k")}], "stores": ["7"]});
            client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut found = Inspection::default();
            serde_json::from_value::<ClientSettings>(client).unwrap().inspect(&mut found);
            found.errors().iter().map(|error| error.path.clone()).collect()
        };
        let key = |key| json!({"hash": hash_key(key), "expires_at": "2027-01-31T00:00:00Z"});
        assert_eq!(faults(json!({"keys": [key("k"), key("l")], "terminals": ["7/1"]})), [""; 0]);
        for (more, path) in [
            (json!({"name": ""}), "name"),
            (json!({"keys": [key("k"), key("l"), key("m")]}), "keys"),
            (json!({"keys": [key("k"), key("k")]}), "keys[1].hash"),
            (json!({"keys": [{"hash": "sha256:00"}]}), "keys[0].hash"),
            (json!({"keys": [{"hash": hash_key("")}]}), "keys[0].hash"),
            (json!({"scopes": []}), "scopes"),
            (json!({"stores": []}), "stores"),
            (json!({"terminals": ["1"]}), "terminals"),
            (json!({"terminals": ["8/1"]}), "terminals"),
            (json!({"limit": {"events_burst": 1}}), "limit.events_burst"),
        ] {
            assert_eq!(faults(more), [path]);
        }
        assert_eq!(faults(json!({"stores": ["*"], "terminals": ["8/1"]})), [""; 0]);
    }
}
