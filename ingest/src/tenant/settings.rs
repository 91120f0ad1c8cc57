//! A tenant's settings.

use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tillrace_core::card::CardRules;
use tillrace_core::check::Rules;
use tillrace_core::envelope::Scope;
use tillrace_core::text::check_id;

use super::{ALL_STORES, hash_key};
use crate::meter::RateSettings;
use crate::settings::SettingsError;

/// Settings of one tenant.
#[derive(Debug, Clone, Deserialize)]
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
    /// What becomes of events whose sums do not agree.
    #[serde(default)]
    pub rules: Rules,
    /// How far a terminal's clock may be ahead of the gateway's before its events are flagged.
    #[serde(default = "default_clock_skew", with = "humantime_serde")]
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
    /// Secret under which loyalty ids are hashed before anything stores them; absent keeps them.
    #[serde(default)]
    pub loyalty_secret: Option<LoyaltySecret>,
    /// Its API keys.
    pub keys: Vec<KeySettings>,
}

/// A secret that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct LoyaltySecret(String);

impl LoyaltySecret {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for LoyaltySecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LoyaltySecret")
    }
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

/// Rates of a tenant, of each of its stores, and of each of its keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
}

/// Why tenants cannot be used as they are configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantsError {
    /// A setting of a tenant.
    #[error("tenant {tenant}: {source}")]
    Setting {
        /// Its id.
        tenant: String,
        /// Which setting, and the remedy.
        source: SettingsError,
    },
    /// A key's setting.
    #[error("tenant {tenant}, key {key}: {source}")]
    Key {
        /// The tenant's id.
        tenant: String,
        /// The key's name.
        key: String,
        /// Which setting, and the remedy.
        source: SettingsError,
    },
    /// Two tenants have one id.
    #[error("tenant {tenant} is configured twice; remove one")]
    TenantTwice {
        /// The id.
        tenant: String,
    },
    /// One key is configured twice.
    #[error("tenant {tenant}, key {key}: the same key is configured elsewhere; issue another")]
    KeyTwice {
        /// The tenant's id.
        tenant: String,
        /// The key's name.
        key: String,
    },
}

impl TenantSettings {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`TenantsError`] for the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), TenantsError> {
        let wrong = |source| TenantsError::Setting { tenant: self.id.clone(), source };
        if check_id(&self.id).is_err() {
            let remedy = "give it 1 to 64 bytes without control characters";
            return Err(wrong(SettingsError { key: "id", remedy }));
        }
        if Scope::parse(&self.sequence_scope).is_none() {
            let remedy = "write terminal, business_date or wrapping:MODULUS";
            return Err(wrong(SettingsError { key: "sequence_scope", remedy }));
        }
        if self.loyalty_secret.as_ref().is_some_and(|secret| secret.0.len() < 16) {
            let remedy = "give it at least 16 bytes, or remove it to keep loyalty ids as they are";
            return Err(wrong(SettingsError { key: "loyalty_secret", remedy }));
        }
        for rates in [self.limits.tenant, self.limits.store, self.limits.key] {
            rates.validate().map_err(wrong)?;
        }
        self.keys.iter().try_for_each(|key| {
            key.validate().map_err(|source| TenantsError::Key {
                tenant: self.id.clone(),
                key: key.name.clone(),
                source,
            })
        })
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
    fn validate(&self) -> Result<(), SettingsError> {
        if self.digest().is_none() {
            let remedy = "write sha256: and the 64 hexadecimal digits of the key's SHA-256";
            return Err(SettingsError { key: "hash", remedy });
        }
        if self.hash == hash_key("") {
            let remedy = "this is the hash of an empty key; issue a real one";
            return Err(SettingsError { key: "hash", remedy });
        }
        let is_store = |store: &String| store == ALL_STORES || check_id(store).is_ok();
        if self.stores.is_empty() || !self.stores.iter().all(is_store) {
            let remedy = "list store ids, or * for all stores";
            return Err(SettingsError { key: "stores", remedy });
        }
        self.limit.map_or(Ok(()), |limit| limit.validate())
    }

    /// Returns the key's SHA-256.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        let digits = self.hash.strip_prefix("sha256:")?.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    }
}
