//! The gateway: protocols and policies in front of the log.
//!
//! The modules are listed in the order that a request meets them. `tillrace-core` defines events and
//! their rules; this crate has the protocols, the callers and their limits. An event is acknowledged
//! when the log reports it, or its refusal, as durable; never before.

mod clock;
mod domain;
mod health;
mod metrics;
mod settings;

mod address;
pub mod proxy_protocol;
mod tls;

mod connection_limiter;
mod gateway;
mod layers;
mod listen;

mod head;
mod route;

mod admitted_request;
mod authentication;

pub mod token;

mod rate_limits;

mod identity;
mod tenant;

mod memory_budget;

mod body;
mod media;

pub mod split;

mod batch;
mod single;

mod admission;
mod dedup_cache;
mod loyalty;

mod ack;
mod log_health;
mod log_watch;
mod publish;

mod batch_result;
mod problem;
mod reply;
mod retry_after;

pub use address::{AddressRules, ClientAddressHeader, Network, NetworkError};
pub use connection_limiter::RESERVED_CONNECTIONS;
pub use domain::ServedDomain;
pub use gateway::{CONNECTIONS_CUT, DrainError, Gateway, GatewayError};
pub use health::{GatewayHealth, TOO_MANY_NAMES, WEAK_SETTINGS};
pub use identity::api_key::{self, hash_key};
pub use identity::{ClientKey, ClientSettings, Expiry, KeySettings, MAX_CLIENT_KEYS, Scope};
pub use layers::{ConnectionLayers, Session, Transport};
pub use listen::{ACCEPT_FAILING, BoundedStream, ListenError, Listener};
pub use log_watch::{LOG_DOWN, LOG_STALLED};
pub use problem::{Problem, Reason, Remedy};
pub use rate_limits::RateSettings;
pub use settings::{Durability, GatewaySettings};
pub use tenant::{
    ClientStatus, DirectoryChange, InvalidEvents, KEY_USELESS, KeyStatus, LimitSettings,
    TenantSettings, Tenants, inspect as inspect_tenants,
};
pub use tls::{
    CERTIFICATE_EXPIRING, CERTIFICATE_KEPT, CERTIFICATE_LOADED, CertificateBinding, Fingerprint,
    FingerprintError, TlsError, TlsFile, TlsSettings, TlsVersion,
};

#[cfg(test)]
mod tests;
