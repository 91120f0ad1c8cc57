//! Who may call, as settings say it: clients, their API keys, and their rights.
//!
//! Nothing here knows of requests or of running state: [`crate::tenant`] finds the client of a request, and keeps its buckets,
//! names and budgets. API keys have a shape of their own ([`api_key`]), and are stored as hashes only.

pub mod api_key;

mod client_settings;
mod expiry;
mod rights;
mod scope;
mod source;

pub(crate) use self::client_settings::KeyDigest;
pub use self::client_settings::{ClientKey, ClientSettings, KeySettings, MAX_CLIENT_KEYS};
pub use self::expiry::Expiry;
pub(crate) use self::rights::Rights;
pub use self::scope::Scope;
