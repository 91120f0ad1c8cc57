//! Addresses: networks as they are configured, lists of them, and which address a request comes from.
//!
//! Whether a peer may speak for others is decided here; what happens to who is not let in is decided where each list is held
//! against the address ([`crate::layers`] has the order).

mod forwarded;
mod network;
mod proxies;
mod rules;

pub use network::{Network, NetworkError};
pub use proxies::ClientAddressHeader;
pub(crate) use proxies::TrustedProxies;
pub(crate) use rules::AddressList;
pub use rules::AddressRules;
