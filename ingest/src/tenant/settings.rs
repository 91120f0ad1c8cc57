//! A tenant's settings.

use std::collections::HashSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tillrace_core::card::CardRules;
use tillrace_core::check::CheckRules;
use tillrace_core::envelope::Scope;
use tillrace_core::text::check_id;
use tillrace_log::setting::{DurationText, Inspection, Secret};

use super::{ALL_STORES, hash_key};
use crate::address::AddressRules;
use crate::rate_limits::RateSettings;
use crate::tls::CertificateBinding;

/// Settings of one tenant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Id of the tenant, 1 to 64 bytes.
    pub id: String,
    /// How its terminals number their events: `terminal`, `business_date` or `wrapping:MODULUS`.
    #[serde(default = "default_scope")]
    pub sequence_scope: String,
    /// What becomes of card numbers.
    #[serde(default)]
    pub cards: CardRules,
    /// What becomes of events that break a rule and whose identity is known.
    #[serde(default)]
    pub invalid_events: InvalidEvents,
    /// What becomes of events whose sums do not agree.
    #[serde(default)]
    pub rules: CheckRules,
    /// How far a terminal's clock may be ahead of the gateway's before its events are flagged.
    #[serde(default = "default_clock_skew", with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub clock_skew: Duration,
    /// How much it may send.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Stores that one gateway gets to know.
    #[serde(default = "default_max_stores")]
    pub max_stores: u32,
    /// Terminals that one gateway gets to know.
    #[serde(default = "default_max_terminals")]
    pub max_terminals: u32,
    /// Terminals that it gets to know of one store.
    #[serde(default = "default_max_terminals_per_store")]
    pub max_terminals_per_store: u32,
    /// Secret under which loyalty ids are hashed before anything stores them, at least 16 bytes, as `env:NAME` or
    /// `file:PATH`; absent keeps them.
    #[serde(default)]
    pub loyalty_secret: Option<Secret>,
    /// Addresses its keys are taken from.
    #[serde(default)]
    pub addresses: AddressRules,
    /// Its API keys.
    pub keys: Vec<KeySettings>,
}

/// What becomes of events that break a rule and whose identity is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvalidEvents {
    /// They are kept whole on `pos.parked.v1`, answered 202, count nowhere, and are mended and readmitted.
    #[default]
    Park,
    /// They are rejected for good: the till sets them aside, and a redacted copy goes to `pos.rejected.v1`.
    Reject,
}

fn default_scope() -> String {
    Scope::default().to_string()
}

fn default_clock_skew() -> Duration {
    Duration::from_mins(15)
}

fn default_max_stores() -> u32 {
    10_000
}

fn default_max_terminals() -> u32 {
    100_000
}

fn default_max_terminals_per_store() -> u32 {
    1_000
}

/// Rates of a tenant, of each of its stores, and of each of its keys.
///
/// A rate of events limits bytes too: 4 KiB for each event, unless a rate of bytes is given. Where neither the tenant nor its key
/// has a rate, nothing follows, and the key may send as many events and bytes as the machine takes; only the memory of its
/// requests is bounded, by `ingest.in_flight` and its shares. That is right for one tenant alone. With more than one, give each a
/// rate, or it slows the others down: `tillrace check` warns of one that has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// All of the tenant together.
    pub tenant: RateSettings,
    /// Each store by itself.
    pub store: RateSettings,
    /// Each key by itself, unless the key says otherwise.
    pub key: RateSettings,
}

/// One API key.
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

impl TenantSettings {
    /// Notes what the types cannot say.
    pub fn inspect(&self, found: &mut Inspection) {
        found.require(
            check_id(&self.id).is_ok(),
            "id",
            "is no id",
            "give it 1 to 64 bytes without control characters",
        );
        found.require(
            Scope::parse(&self.sequence_scope).is_some(),
            "sequence_scope",
            "is no scope",
            "write terminal, business_date or wrapping:MODULUS",
        );
        if let Some(secret) = &self.loyalty_secret {
            found.secret("loyalty_secret", secret);
            found.require(
                secret.is_unresolved() || secret.expose().len() >= 16,
                "loyalty_secret",
                "is too short",
                "give it at least 16 bytes, or remove it to keep loyalty ids as they are",
            );
        }
        found.within("limits", |found| {
            found.within("tenant", |found| self.limits.tenant.inspect(found));
            found.within("store", |found| self.limits.store.inspect(found));
            found.within("key", |found| self.limits.key.inspect(found));
        });
        found.within("addresses", |found| self.addresses.inspect(found));
        found.each("keys", &self.keys, |found, key| key.inspect(found));
    }

    /// Returns every secret, with its path within the tenant.
    pub fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.loyalty_secret.iter_mut().map(|secret| ("loyalty_secret".to_owned(), secret)).collect()
    }

    /// Tells whether each of its keys comes under a rate, whatever the store. A rate of bytes alone counts: events have bytes.
    fn is_limited(&self) -> bool {
        let key_is_limited =
            |key: &KeySettings| key.limit.unwrap_or(self.limits.key).limits_anything();
        self.limits.tenant.limits_anything() || self.keys.iter().all(key_is_limited)
    }

    /// Returns how its terminals number their events.
    pub(crate) fn scope(&self) -> Scope {
        Scope::parse(&self.sequence_scope).unwrap_or_default()
    }

    /// Returns eight hexadecimal digits that change when any setting does (a secret apart).
    pub(crate) fn fingerprint(&self) -> String {
        let digest = Sha256::digest(format!("{self:?}"));
        let [a, b, c, d, ..] = digest.0;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

impl KeySettings {
    fn inspect(&self, found: &mut Inspection) {
        inspect_hash(&self.hash, found);
        inspect_stores(&self.stores, found);
        let limit = self.limit.unwrap_or_default();
        found.within("limit", |found| limit.inspect(found));
        found.within("addresses", |found| self.addresses.inspect(found));
        if let Some(binding) = &self.client_certificate {
            found.within("client_certificate", |found| binding.inspect(found));
        }
    }
}

/// Notes what is wrong with the stores of a client.
pub(super) fn inspect_stores(stores: &[String], found: &mut Inspection) {
    let is_store = |store: &String| store == ALL_STORES || check_id(store).is_ok();
    found.require(
        !stores.is_empty() && stores.iter().all(is_store),
        "stores",
        "names no store, or one that cannot be",
        "list store ids, or * for all stores",
    );
}

/// Notes what is wrong with the hash of a key.
pub(super) fn inspect_hash(hash: &str, found: &mut Inspection) {
    found.require(
        digest_of(hash).is_some(),
        "hash",
        "is no hash of a key",
        "write sha256: and the 64 hexadecimal digits of the key's SHA-256",
    );
    found.require(hash != hash_key(""), "hash", "is the hash of an empty key", "issue a real one");
}

/// Returns the SHA-256 of a key from what [`super::hash_key`] makes of it.
pub(super) fn digest_of(hash: &str) -> Option<[u8; 32]> {
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

/// Notes what is wrong with tenants, each by itself and together.
pub fn inspect(tenants: &[TenantSettings], found: &mut Inspection) {
    let (mut ids, mut hashes) = (HashSet::new(), HashSet::new());
    found.each("tenants", tenants, |found, tenant| {
        tenant.inspect(found);
        if tenants.len() > 1 && !tenant.is_limited() {
            found.warning(
                "limits",
                "have no rate for a key of this tenant, which may take all that the machine does from the other tenants",
                "set events_per_second below `tenant` or `key`; a limit of bytes follows from it",
            );
        }
        found.require(
            ids.insert(&tenant.id),
            "id",
            "is another tenant's too",
            "remove one of them",
        );
        found.each("keys", &tenant.keys, |found, key| {
            let is_own = digest_of(&key.hash).is_none_or(|digest| hashes.insert(digest));
            found.require(is_own, "hash", "is configured twice", "issue another key");
        });
    });
}
