//! What is set of a listener's TLS.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tillrace_log::setting::{DurationText, Inspection};

/// TLS of a listener; without this section it speaks plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file of the certificate, with the intermediate ones behind it. The files are read again when they change.
    pub certificate: PathBuf,
    /// PEM file of its private key, without a passphrase.
    pub key: PathBuf,
    /// PEM file of the authorities whose client certificates are taken; without it none is asked for.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate of `client_ca` is turned away. Otherwise only one with a wrong certificate is.
    #[serde(default)]
    pub require_client_certificate: bool,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Longest time of a handshake, from the connection's first byte that is waited for to its end.
    #[serde(default = "default_handshake_timeout", with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub handshake_timeout: Duration,
    /// Handshakes at a time; half of them for one address. Connections past that are closed. One that is silent is not counted
    /// yet.
    #[serde(default = "default_max_handshakes")]
    pub max_handshakes: usize,
    /// How often the files are looked at for a change.
    #[serde(default = "default_reload_interval", with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub reload_interval: Duration,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

fn default_handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_max_handshakes() -> usize {
    1_024
}

fn default_reload_interval() -> Duration {
    Duration::from_secs(5)
}

impl TlsSettings {
    /// Names the files of a listener; the rest has its defaults.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            client_ca: None,
            require_client_certificate: false,
            min_version: TlsVersion::default(),
            handshake_timeout: default_handshake_timeout(),
            max_handshakes: default_max_handshakes(),
            reload_interval: default_reload_interval(),
        }
    }

    /// Notes what the types cannot say; the files are looked at by [`TlsSettings::days_left`].
    pub fn inspect(&self, found: &mut Inspection) {
        found.require(
            self.client_ca.is_some() || !self.require_client_certificate,
            "require_client_certificate",
            "is set, and no authority whose certificates could be required",
            "name the authorities in client_ca",
        );
        let times = Duration::from_millis(100)..=Duration::from_mins(10);
        found.range("handshake_timeout", self.handshake_timeout, times.clone());
        found.range("reload_interval", self.reload_interval, times);
        found.range("max_handshakes", self.max_handshakes, 2..=100_000);
    }
}
