//! Clients: who sends for a tenant, by its keys, and what it may.
//!
//! A client of the configuration is one of a tenant's `keys`; a client of the policy set has two keys at a time, so that one can be
//! exchanged for the other while tills send. What runs for a client (its buckets, its share of memory, the names it registered) belongs
//! to its name and survives a change of its rules.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_core::text::Timestamp;
use tillrace_log::setting::Inspection;

use super::settings::{digest_of, inspect_hash, inspect_stores};
use super::{ALL_STORES, KeySettings, Tenant};
use crate::address::AddressRules;
use crate::rate_limits::{RateLimits, RateSettings};
use crate::tls::CertificateBinding;

/// Most keys that a client has at a time: the one in use, and the one that replaces it.
pub const MOST_KEYS: usize = 2;

/// A client, as the policy set has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Ids of the stores it may send for; `*` stands for all.
    pub stores: Vec<String>,
    /// Its keys, at most two.
    pub keys: Vec<ClientKey>,
    /// Who answers for it, for people.
    #[serde(default)]
    pub owner: Option<String>,
    /// Rates of this client, in place of the tenant's for each key.
    #[serde(default)]
    pub limit: Option<RateSettings>,
    /// Addresses it is taken from, within those of the tenant.
    #[serde(default)]
    pub addresses: AddressRules,
    /// The client certificate without which it is not taken, where `ingest.tls.client_ca` verifies it.
    #[serde(default)]
    pub client_certificate: Option<CertificateBinding>,
}

/// One key of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientKey {
    /// `sha256:` and the SHA-256 of the key in hexadecimal digits.
    pub hash: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// Until when it is taken (RFC 3339); without it, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl ClientSettings {
    /// Notes what the types cannot say.
    pub fn inspect(&self, found: &mut Inspection) {
        inspect_stores(&self.stores, found);
        found.require(
            self.keys.len() <= MOST_KEYS,
            "keys",
            "are more than two",
            "revoke the oldest: a client has the key in use and the one that replaces it",
        );
        found.each("keys", &self.keys, |found, key| key.inspect(found));
        let limit = self.limit.unwrap_or_default();
        found.within("limit", |found| limit.inspect(found));
        found.within("addresses", |found| self.addresses.inspect(found));
        if let Some(binding) = &self.client_certificate {
            found.within("client_certificate", |found| binding.inspect(found));
        }
    }
}

impl ClientKey {
    fn inspect(&self, found: &mut Inspection) {
        inspect_hash(&self.hash, found);
        let times =
            [("created_at", Some(&self.created_at)), ("expires_at", self.expires_at.as_ref())];
        for (name, time) in times {
            found.require(
                time.is_none_or(|time| millis(time).is_some()),
                name,
                "is no time",
                "write it as RFC 3339 has it, such as 2027-01-31T00:00:00Z",
            );
        }
    }

    fn expires_ms(&self) -> Option<i64> {
        // What cannot be read was refused; were it not, the key would be no good.
        self.expires_at.as_ref().map(|time| millis(time).unwrap_or(i64::MIN))
    }
}

fn millis(time: &str) -> Option<i64> {
    Timestamp::parse(time.as_bytes()).map(Timestamp::millis)
}

/// A client at work.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    /// Its index among the clients that its tenant has had since the start.
    pub(crate) slot: usize,
    stores: AllowedStores,
    pub(super) limits: RateLimits,
    pub(super) addresses: AddressRules,
    pub(super) binding: Option<CertificateBinding>,
}

/// Stores that a client may send for.
#[derive(Debug)]
enum AllowedStores {
    All,
    These(HashSet<String>),
}

/// A key by which a client is known.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) tenant: Arc<Tenant>,
    pub(super) client: Arc<Client>,
    expires_ms: Option<i64>,
    /// It was revoked, or its client has other rules now.
    is_ended: AtomicBool,
}

/// The rules of a client, from wherever it is set.
pub(super) struct ClientRules<'a> {
    pub(super) stores: &'a [String],
    pub(super) limit: Option<RateSettings>,
    pub(super) addresses: &'a AddressRules,
    pub(super) binding: Option<&'a CertificateBinding>,
    /// Digests of its keys, and until when each is taken.
    pub(super) keys: Vec<([u8; 32], Option<i64>)>,
}

impl<'a> From<&'a KeySettings> for ClientRules<'a> {
    fn from(key: &'a KeySettings) -> Self {
        Self {
            stores: &key.stores,
            limit: key.limit,
            addresses: &key.addresses,
            binding: key.client_certificate.as_ref(),
            keys: digest_of(&key.hash).map(|digest| (digest, None)).into_iter().collect(),
        }
    }
}

impl<'a> From<&'a ClientSettings> for ClientRules<'a> {
    fn from(client: &'a ClientSettings) -> Self {
        let key = |key: &ClientKey| Some((digest_of(&key.hash)?, key.expires_ms()));
        Self {
            stores: &client.stores,
            limit: client.limit,
            addresses: &client.addresses,
            binding: client.client_certificate.as_ref(),
            keys: client.keys.iter().filter_map(key).collect(),
        }
    }
}

impl ClientRules<'_> {
    /// Returns how many stores it may send for; `None` for all.
    pub(super) fn allowed_stores(&self) -> Option<u32> {
        let is_for_all = self.stores.iter().any(|store| store == ALL_STORES);
        (!is_for_all).then(|| u32::try_from(self.stores.len()).unwrap_or(u32::MAX))
    }
}

impl Client {
    /// Makes a client. One that takes the place of another goes on with its buckets.
    pub(super) fn new(
        name: &str,
        slot: usize,
        rules: &ClientRules<'_>,
        rates: &RateSettings,
        before: Option<&Self>,
    ) -> Self {
        let stores = match rules.allowed_stores() {
            None => AllowedStores::All,
            Some(_) => AllowedStores::These(rules.stores.iter().cloned().collect()),
        };
        Self {
            name: name.to_owned(),
            slot,
            stores,
            limits: match before {
                Some(before) => before.limits.with_rates(rates, 1),
                None => RateLimits::new(rates, 1),
            },
            addresses: rules.addresses.clone(),
            binding: rules.binding.cloned(),
        }
    }

    /// Tells whether it may send for a store.
    pub(super) fn may_send_for(&self, store: &str) -> bool {
        match &self.stores {
            AllowedStores::All => true,
            AllowedStores::These(stores) => stores.contains(store),
        }
    }
}

impl Credential {
    pub(super) fn new(tenant: Arc<Tenant>, client: Arc<Client>, expires_ms: Option<i64>) -> Self {
        Self { tenant, client, expires_ms, is_ended: AtomicBool::new(false) }
    }

    /// Ends it for requests that have it in hand, too. Relaxed ordering is enough: the flag guards no other memory.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    /// Tells whether it is still taken.
    pub(super) fn is_live(&self, now_ms: i64) -> bool {
        !self.is_ended.load(Ordering::Relaxed)
            && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}
