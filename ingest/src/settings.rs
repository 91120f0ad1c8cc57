//! The gateway's settings, with their defaults and what must hold for them.
//!
//! Tenants have settings of their own ([`crate::tenant::TenantSettings`]). Limits that are part of
//! the contract with senders (256 KiB an event, 1,000 exceptions) are constants, not settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// What one body may need to be read to its end: a zstd window, its decoder, the longest event, and a chunk on its way.
const LONGEST_LEASE_BYTES: u64 = 10 * 1024 * 1024;
/// Most that one sender may hold, percent, if the next is to find room.
const MOST_SHARE_PERCENT: u8 = 90;
/// Largest window a zstd body may ask the decoder for (RFC 9659, section 3).
pub(crate) const ZSTD_WINDOW_LOG: u32 = 23;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// As the log promises at full strength; topic settings weaker than that fail `/readyz`.
    #[default]
    Brokers,
    /// For development: weaker settings are shown by `/readyz`, and let pass.
    Development,
}

/// Settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Name of this process in envelopes and rejected records; made up at start when absent.
    pub name: Option<String>,
    /// What `/readyz` holds the log's settings to.
    pub durability: Durability,
    /// Connections served at a time. More get an answer at once: health checks theirs, all else a
    /// 503 with `Retry-After`.
    pub max_connections: usize,
    /// The part of `max_connections` that one client address may have, percent; of IPv6 the first
    /// 64 bits count. Behind a load balancer all connections have its few addresses.
    pub address_share_percent: u8,
    /// Longest wait for the head of a request, an idle keep-alive connection's included.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Longest wait for a client to take any part of its reply.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Longest silence within a request body.
    #[serde(with = "humantime_serde")]
    pub silence_timeout: Duration,
    /// Longest time for a request body, once for each MiB begun.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Text of all requests that may be in the gateway at a time. Memory in use is about two and a
    /// half times this: text, envelope and what the decoder needs.
    pub in_flight: ByteSize,
    /// The part of `in_flight` that one tenant may use while no other uses any, percent; each that does leaves less to all,
    /// and room for the next.
    pub tenant_share_percent: u8,
    /// The part of what its tenant may use that one key may, likewise.
    pub key_share_percent: u8,
    /// Longest wait of a request for its part of `in_flight`, before anything of its body is read.
    #[serde(with = "humantime_serde")]
    pub admission_wait: Duration,
    /// Longest wait for room in the log's queue.
    #[serde(with = "humantime_serde")]
    pub queue_wait: Duration,
    /// Longest wait for the log to make an event durable.
    #[serde(with = "humantime_serde")]
    pub publish_timeout: Duration,
    /// How long `/readyz` says `draining` before the gateway stops accepting, so that load balancers
    /// see it; longer than the interval of their health checks.
    #[serde(with = "humantime_serde")]
    pub drain_delay: Duration,
    /// Longest wait for requests in progress when the gateway drains; those left are cut. With
    /// `drain_delay` it should leave some of what the orchestrator grants (30s on Kubernetes).
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Events older than this on arrival are a flood, which is turned away first when it gets tight.
    #[serde(with = "humantime_serde")]
    pub flood_after: Duration,
    /// Recent durable events remembered to answer `duplicate`; 40 bytes each.
    pub recent_events: usize,
    /// A compressed body may grow to this many times its length (past its first MiB).
    pub max_expansion: u32,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            name: None,
            durability: Durability::default(),
            max_connections: 10_000,
            address_share_percent: 50,
            header_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_secs(30),
            silence_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_mins(1),
            in_flight: ByteSize::mib(256),
            tenant_share_percent: 50,
            key_share_percent: 50,
            admission_wait: Duration::from_secs(2),
            queue_wait: Duration::from_secs(2),
            publish_timeout: Duration::from_secs(30),
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(15),
            flood_after: Duration::from_mins(10),
            recent_events: 1_000_000,
            max_expansion: 200,
        }
    }
}

/// A setting that cannot be used, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {remedy}")]
pub struct SettingsError {
    /// Key of the setting, as it stands in the configuration.
    pub key: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl GatewaySettings {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let wrong = |key, remedy| Err(SettingsError { key, remedy });
        let shares = [
            ("tenant_share_percent", self.tenant_share_percent),
            ("key_share_percent", self.key_share_percent),
        ];
        for (key, percent) in shares {
            if percent == 0 || percent > MOST_SHARE_PERCENT {
                return wrong(key, "set it between 1 and 90, so that the next sender finds room");
            }
        }
        let of_tenant = self.in_flight.as_u64() / 100 * u64::from(self.tenant_share_percent);
        if of_tenant / 100 * u64::from(self.key_share_percent) < LONGEST_LEASE_BYTES {
            return wrong(
                "in_flight",
                "raise it, tenant_share_percent or key_share_percent until one key's part of one \
                 tenant's part is at least 10 MiB, which one zstd body may need",
            );
        }
        if self.max_connections == 0 {
            return wrong("max_connections", "set it to at least 1");
        }
        if self.address_share_percent == 0 || self.address_share_percent > 100 {
            return wrong("address_share_percent", "set it between 1 and 100");
        }
        if self.max_expansion == 0 {
            return wrong("max_expansion", "set it to at least 1");
        }
        let waits = [
            ("header_timeout", self.header_timeout),
            ("write_timeout", self.write_timeout),
            ("silence_timeout", self.silence_timeout),
            ("body_timeout", self.body_timeout),
            ("publish_timeout", self.publish_timeout),
        ];
        match waits.into_iter().find(|(_, wait)| wait.is_zero()) {
            Some((key, _)) => wrong(key, "set it above zero, for instance 30s"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut GatewaySettings)) -> Result<(), &'static str> {
        let mut settings = GatewaySettings::default();
        change(&mut settings);
        settings.validate().map_err(|error| error.key)
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        assert_eq!(GatewaySettings::default().validate(), Ok(()));
        assert_eq!(with(|s| s.in_flight = ByteSize::mib(41)), Ok(()));
        assert_eq!(with(|s| s.in_flight = ByteSize::mib(39)), Err("in_flight"));
        assert_eq!(with(|s| s.key_share_percent = 1), Err("in_flight"));
        assert_eq!(with(|s| s.key_share_percent = 91), Err("key_share_percent"));
        assert_eq!(with(|s| s.tenant_share_percent = 0), Err("tenant_share_percent"));
        assert_eq!(with(|s| s.tenant_share_percent = 91), Err("tenant_share_percent"));
        assert_eq!(with(|s| s.max_connections = 0), Err("max_connections"));
        assert_eq!(with(|s| s.address_share_percent = 0), Err("address_share_percent"));
        assert_eq!(with(|s| s.address_share_percent = 101), Err("address_share_percent"));
        assert_eq!(with(|s| s.write_timeout = Duration::ZERO), Err("write_timeout"));
        assert_eq!(with(|s| s.max_expansion = 0), Err("max_expansion"));
        assert_eq!(with(|s| s.body_timeout = Duration::ZERO), Err("body_timeout"));
    }

    #[test]
    fn settings_are_read_with_units_and_unknown_ones_refused() {
        let settings: GatewaySettings = serde_json::from_str(
            r#"{"in_flight":"64MiB","flood_after":"2m","durability":"development"}"#,
        )
        .unwrap();
        assert_eq!(settings.in_flight, ByteSize::mib(64));
        assert_eq!(settings.flood_after, Duration::from_mins(2));
        assert_eq!(settings.durability, Durability::Development);
        assert!(serde_json::from_str::<GatewaySettings>(r#"{"lisen":"x"}"#).is_err());
    }
}
