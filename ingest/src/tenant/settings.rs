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

use crate::address::AddressRules;
use crate::identity::{ClientKey, ClientSettings, KeySettings};
use crate::rate_limits::RateSettings;

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
    /// Its API keys, each of them a client of its own that may send events.
    pub keys: Vec<KeySettings>,
    /// Its clients: with two keys each, which may expire, with scopes and terminals.
    #[serde(default)]
    pub clients: Vec<ClientSettings>,
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
        let mut names: HashSet<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        found.each("clients", &self.clients, |found, client| {
            client.inspect(found);
            found.require(
                names.insert(&client.name),
                "name",
                "is that of another client, or of a key",
                "give each its own: limits and counts belong to the name",
            );
        });
    }

    /// Returns every secret, with its path within the tenant.
    pub fn secrets(&mut self) -> Vec<(String, &mut Secret)> {
        self.loyalty_secret.iter_mut().map(|secret| ("loyalty_secret".to_owned(), secret)).collect()
    }

    /// Tells whether each of its keys comes under a rate, whatever the store. A rate of bytes alone counts: events have bytes.
    fn is_limited(&self) -> bool {
        let is_limited =
            |limit: Option<RateSettings>| limit.unwrap_or(self.limits.key).limits_anything();
        let limits = self.keys.iter().map(|key| key.limit);
        let mut limits = limits.chain(self.clients.iter().map(|client| client.limit));
        self.limits.tenant.limits_anything() || limits.all(is_limited)
    }

    /// Returns how its terminals number their events.
    pub(crate) fn scope(&self) -> Scope {
        Scope::parse(&self.sequence_scope).unwrap_or_default()
    }

    /// Takes its keys and clients out, as clients; keys of one name become clients of their own.
    pub(super) fn take_clients(&mut self) -> Vec<ClientSettings> {
        let mut taken: HashSet<String> =
            self.clients.iter().map(|client| client.name.clone()).collect();
        let mut clients = Vec::with_capacity(self.keys.len() + self.clients.len());
        for key in self.keys.drain(..) {
            let mut name = key.name.clone();
            let mut copy = 1;
            while !taken.insert(name.clone()) {
                copy += 1;
                name = format!("{} ({copy})", key.name);
            }
            clients.push(key.client(name));
        }
        clients.append(&mut self.clients);
        clients
    }

    /// Returns eight hexadecimal digits that change when any setting does, but for its clients and secrets.
    pub(crate) fn fingerprint(&self) -> String {
        let tenant = Self { keys: Vec::new(), clients: Vec::new(), ..self.clone() };
        let digest = Sha256::digest(format!("{tenant:?}"));
        let [a, b, c, d, ..] = digest.0;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
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
            let is_own = key.digest().is_none_or(|digest| hashes.insert(digest));
            found.require(is_own, "hash", "is configured twice", "issue another key");
        });
        found.each("clients", &tenant.clients, |found, client| {
            let own: HashSet<_> = client.keys.iter().filter_map(ClientKey::digest).collect();
            let are_own = own.into_iter().all(|digest| hashes.insert(digest));
            found.require(are_own, "keys", "are another client's too", "issue another key");
        });
    });
}
