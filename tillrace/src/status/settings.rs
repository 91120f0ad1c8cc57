//! What guards the status listener.

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_ingest::{AddressRules, TlsSettings};
use tillrace_log::setting::Inspection;

/// What guards the status listener, of which `status` is the address.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StatusListener {
    /// TLS; without it the listener speaks plain HTTP.
    pub(crate) tls: Option<TlsSettings>,
    /// Addresses that may ask.
    pub(crate) addresses: AddressRules,
}

impl StatusListener {
    /// Notes what the types cannot say.
    pub(crate) fn inspect(&self, found: &mut Inspection) {
        if let Some(tls) = &self.tls {
            found.within("tls", |found| tls.inspect(found));
        }
        found.within("addresses", |found| self.addresses.inspect(found));
    }
}
