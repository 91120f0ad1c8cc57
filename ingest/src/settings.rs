//! The gateway's settings, with their defaults and what must hold for them.
//!
//! Tenants have settings of their own ([`crate::tenant::TenantSettings`]). Limits that are part of
//! the contract with senders (256 KiB an event, 1,000 exceptions) are constants, not settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_log::setting::{DurationText, Inspection, SettingErrors, SizeText};

use crate::address::{AddressRules, ClientAddressHeader, Network};
use crate::proxy_protocol::ProxyProtocol;
use crate::tls::TlsSettings;

/// Memory that one body may need: a zstd window, its decoder, the longest event, and a chunk in flight.
const MAX_PERMIT_BYTES: u64 = 10 * 1024 * 1024;
/// Largest share of one sender, percent, so that the next finds room.
const MAX_SHARE_PERCENT: u8 = 90;
/// Networks of proxies: they are looked through one by one, for each entry of a header.
const MAX_PROXIES: usize = 64;
/// Largest window a zstd body may ask the decoder for (RFC 9659, section 3).
pub(crate) const ZSTD_WINDOW_LOG: u32 = 23;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// As the log promises at full strength; topic settings weaker than that fail `/readyz`.
    #[default]
    Brokers,
    /// For development: weaker settings are shown by `/readyz`, and let pass.
    Development,
}

/// Settings of the gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS; without it the listener speaks plain HTTP, as behind a load balancer that ends TLS.
    pub tls: Option<TlsSettings>,
    /// Addresses that connections and requests are taken from.
    pub addresses: AddressRules,
    /// Networks of the proxies in front, which may say for whom they speak. What others say of it is not read.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they name the client of a request.
    pub client_address_header: ClientAddressHeader,
    /// Whether they name the client of a connection by the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// Name of this process in envelopes and rejected records; made up at start when absent.
    pub name: Option<String>,
    /// What `/readyz` holds the log's settings to.
    pub durability: Durability,
    /// Connections served at a time. More get an answer at once: health checks theirs, all else a
    /// 503 with `Retry-After`.
    pub max_connections: usize,
    /// The part of `max_connections` that one client address may have, percent; of IPv6 the first
    /// 64 bits count. A trusted proxy is not held to it; the client that its PROXY header names is.
    pub address_share_percent: u8,
    /// Longest wait for the head of a request, an idle keep-alive connection's included.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub header_timeout: Duration,
    /// Longest wait for a client to take any part of its reply.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub write_timeout: Duration,
    /// Longest silence within a request body.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub silence_timeout: Duration,
    /// Longest time for a request body, once for each MiB begun.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub body_timeout: Duration,
    /// Text of all requests that may be in the gateway at a time. Memory in use is about two and a
    /// half times this: text, envelope and what the decoder needs. Each domain has an even part of it.
    #[schemars(with = "SizeText")]
    pub in_flight: ByteSize,
    /// The part of `in_flight` that one tenant may use while no other uses any, percent; each that does leaves less to all,
    /// and room for the next.
    pub tenant_share_percent: u8,
    /// The part of what its tenant may use that one key may, likewise.
    pub key_share_percent: u8,
    /// Longest wait of a request for its part of `in_flight`, before anything of its body is read.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub admission_wait: Duration,
    /// Longest wait for room in the log's queue.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub queue_wait: Duration,
    /// Longest wait for the log to make an event durable.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub publish_timeout: Duration,
    /// How long `/readyz` says `draining` before the gateway stops accepting, so that load balancers
    /// see it; longer than the interval of their health checks.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub drain_delay: Duration,
    /// Longest wait for requests in progress when the gateway drains; those left are cut. With
    /// `drain_delay` it should leave some of what the orchestrator grants (30s on Kubernetes).
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub drain_timeout: Duration,
    /// Events older than this on arrival are a flood, which is turned away first when it gets tight.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub flood_after: Duration,
    /// Recent durable events remembered to answer `duplicate`; 40 bytes each. Each domain has an even part of them.
    pub recent_events: usize,
    /// A compressed body may grow to this many times its length (past its first MiB).
    pub max_expansion: u32,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            addresses: AddressRules::default(),
            trusted_proxies: Vec::new(),
            client_address_header: ClientAddressHeader::default(),
            proxy_protocol: ProxyProtocol::default(),
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

impl GatewaySettings {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names every key that cannot be used.
    pub fn validate(&self) -> Result<(), SettingErrors> {
        Inspection::of("ingest", |found| self.inspect(found))
    }

    /// Returns the settings of each of several domains: what a gateway holds of all is divided evenly, so that none can use
    /// what is another's.
    #[must_use]
    pub fn part_of(&self, domains: usize) -> Self {
        let parts = domains.max(1);
        let in_flight = self.in_flight.as_u64() / u64::try_from(parts).unwrap_or(u64::MAX);
        Self {
            in_flight: ByteSize(in_flight),
            recent_events: self.recent_events / parts,
            ..self.clone()
        }
    }

    /// Reports invalid settings.
    pub fn inspect(&self, found: &mut Inspection) {
        // The rest is for the next sender.
        found.range("tenant_share_percent", self.tenant_share_percent, 1..=MAX_SHARE_PERCENT);
        found.range("key_share_percent", self.key_share_percent, 1..=MAX_SHARE_PERCENT);
        let of_tenant = self.in_flight.as_u64() / 100 * u64::from(self.tenant_share_percent);
        found.require(
            of_tenant / 100 * u64::from(self.key_share_percent) >= MAX_PERMIT_BYTES,
            "in_flight",
            "leaves one key of one tenant less than the 10MiB that one zstd body may need",
            "raise it, tenant_share_percent or key_share_percent; each domain has an even part of it",
        );
        found.range("max_connections", self.max_connections, 1..);
        found.range("address_share_percent", self.address_share_percent, 1..=100);
        found.range("max_expansion", self.max_expansion, 1..);
        for (key, wait) in [
            ("header_timeout", self.header_timeout),
            ("write_timeout", self.write_timeout),
            ("silence_timeout", self.silence_timeout),
            ("body_timeout", self.body_timeout),
            ("publish_timeout", self.publish_timeout),
        ] {
            found.range(key, wait, Duration::from_millis(1)..);
        }
        self.inspect_layers(found);
    }

    fn inspect_layers(&self, found: &mut Inspection) {
        if let Some(tls) = &self.tls {
            found.within("tls", |found| tls.inspect(found));
        }
        found.within("addresses", |found| self.addresses.inspect(found));
        found.require(
            self.trusted_proxies.len() <= MAX_PROXIES,
            "trusted_proxies",
            "are too many networks",
            format!("write at most {MAX_PROXIES}, joined where they are neighbours"),
        );
        for (key, is_set) in [
            ("client_address_header", self.client_address_header != ClientAddressHeader::None),
            ("proxy_protocol", self.proxy_protocol != ProxyProtocol::None),
        ] {
            found.require(
                !is_set || !self.trusted_proxies.is_empty(),
                key,
                "is set, and nobody is trusted to send it",
                "list the networks of the proxies in trusted_proxies",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut GatewaySettings)) -> Result<(), String> {
        let mut settings = GatewaySettings::default();
        change(&mut settings);
        settings.validate().map_err(|errors| errors.all()[0].path.clone())
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        assert_eq!(GatewaySettings::default().validate(), Ok(()));
        assert_eq!(with(|s| s.in_flight = ByteSize::mib(41)), Ok(()));
        assert_eq!(with(|s| s.in_flight = ByteSize::mib(39)), Err("ingest.in_flight".to_owned()));
        assert_eq!(with(|s| s.key_share_percent = 1), Err("ingest.in_flight".to_owned()));
        assert_eq!(with(|s| s.key_share_percent = 91), Err("ingest.key_share_percent".to_owned()));
        assert_eq!(
            with(|s| s.tenant_share_percent = 0),
            Err("ingest.tenant_share_percent".to_owned())
        );
        assert_eq!(
            with(|s| s.tenant_share_percent = 91),
            Err("ingest.tenant_share_percent".to_owned())
        );
        assert_eq!(with(|s| s.max_connections = 0), Err("ingest.max_connections".to_owned()));
        assert_eq!(
            with(|s| s.address_share_percent = 0),
            Err("ingest.address_share_percent".to_owned())
        );
        assert_eq!(
            with(|s| s.address_share_percent = 101),
            Err("ingest.address_share_percent".to_owned())
        );
        assert_eq!(
            with(|s| s.write_timeout = Duration::ZERO),
            Err("ingest.write_timeout".to_owned())
        );
        assert_eq!(with(|s| s.max_expansion = 0), Err("ingest.max_expansion".to_owned()));
        let tls = || TlsSettings::new("a.pem", "a.key");
        assert_eq!(with(|s| s.tls = Some(tls())), Ok(()));
        let requiring = TlsSettings { require_client_certificate: true, ..tls() };
        let expected = Err("ingest.tls.require_client_certificate".to_owned());
        assert_eq!(with(|s| s.tls = Some(requiring)), expected);
        let narrow = TlsSettings { max_handshakes: 1, ..tls() };
        let expected = Err("ingest.tls.max_handshakes".to_owned());
        assert_eq!(with(|s| s.tls = Some(narrow)), expected);
        assert_eq!(
            with(|s| s.client_address_header = ClientAddressHeader::Forwarded),
            Err("ingest.client_address_header".to_owned())
        );
        assert_eq!(
            with(|s| s.proxy_protocol = ProxyProtocol::Required),
            Err("ingest.proxy_protocol".to_owned())
        );
        assert_eq!(
            with(|s| s.body_timeout = Duration::ZERO),
            Err("ingest.body_timeout".to_owned())
        );
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
