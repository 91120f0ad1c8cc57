//! Settings of the webhook connector.

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::{Inspection, Secret};

use super::signature::SigningKey;
use crate::http::BackendSettings;
use crate::record::SourceTopic;

/// The receiver and the secrets that sign.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The topic: transactions, or deltas.
    pub source: SourceTopic,
    /// URL, token, timeout.
    pub backend: BackendSettings,
    /// The secret that signs, as `env:NAME` or `file:PATH`: `whsec_` and 24 to 64 bytes in base64.
    pub secret: Secret,
    /// The secret before it, which signs too until every receiver knows the new one.
    #[serde(default)]
    pub previous_secret: Option<Secret>,
}

impl WebhookSettings {
    pub(super) fn all_secrets(&mut self) -> Vec<(String, &mut Secret)> {
        let mut secrets = self.backend.secrets();
        secrets.push(("secret".to_owned(), &mut self.secret));
        let previous = self.previous_secret.iter_mut();
        secrets.extend(previous.map(|secret| ("previous_secret".to_owned(), secret)));
        secrets
    }

    /// Reports invalid settings.
    pub(super) fn inspect_settings(&self, found: &mut Inspection) {
        found.within("backend", |found| self.backend.inspect(found));
        let named =
            [("secret", Some(&self.secret)), ("previous_secret", self.previous_secret.as_ref())];
        for (key, secret) in named {
            let Some(secret) = secret else { continue };
            found.secret(key, secret);
            // A name that is not resolved yet says nothing about the secret.
            if !secret.is_unresolved() && secret.fault().is_none() {
                found.require(
                    SigningKey::parse(secret.expose()).is_some(),
                    key,
                    "is not `whsec_` and 24 to 64 bytes in base64",
                    "make one: echo whsec_$(openssl rand -base64 32)",
                );
            }
        }
    }
}
