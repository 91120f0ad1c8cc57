//! Calls to a receiver of webhooks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytesize::ByteSize;
use reqwest::header::{HeaderMap, HeaderValue};

use super::body::{self, Message};
use super::settings::WebhookSettings;
use super::signature::SigningKey;
use crate::connector::{
    CallError, Connector, DeliveryBatch, DeliveryFuture, DeliveryReply, Ordering, RecordOutcome,
};
use crate::flow::BatchSettings;
use crate::http::{Backend, BackendError, HttpReply};
use crate::record::{Record, RecordError, SourceTopic};

/// Posts signed webhooks.
#[derive(Debug)]
pub struct Webhook {
    backend: Backend,
    keys: Vec<SigningKey>,
    source: SourceTopic,
    topic: String,
}

impl Webhook {
    /// Makes the connector; `topic` is the name that the source has in this log.
    ///
    /// # Errors
    /// When the settings allow no HTTP client, or a secret cannot sign.
    pub fn new(settings: &WebhookSettings, topic: &str) -> Result<Self, BackendError> {
        let secrets = [Some(&settings.secret), settings.previous_secret.as_ref()];
        let keys = secrets
            .into_iter()
            .flatten()
            .map(|secret| {
                let resolved = (!secret.is_unresolved()).then(|| secret.expose());
                resolved.and_then(SigningKey::parse).ok_or(BackendError::SigningSecret)
            })
            .collect::<Result<_, _>>()?;
        let backend = Backend::new(&settings.backend)?;
        Ok(Self { backend, keys, source: settings.source, topic: topic.to_owned() })
    }

    async fn post(&self, Message { id, json }: Message) -> Result<HttpReply, CallError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs();
        let signatures: Vec<String> =
            self.keys.iter().map(|key| key.sign(&id, timestamp, &json)).collect();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        for (name, value) in
            [("webhook-id", id.clone()), ("webhook-signature", signatures.join(" "))]
        {
            // Digits and base64 fit a header.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        self.backend.post_with(json, &id, headers).await
    }
}

impl Connector for Webhook {
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    fn default_batch(&self) -> BatchSettings {
        BatchSettings { max_records: 1, max_bytes: ByteSize::mib(1), linger: Duration::ZERO }
    }

    fn max_records(&self) -> Option<usize> {
        Some(1)
    }

    fn accepts(&self, _record: &Record) -> Result<bool, RecordError> {
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let mut answer = DeliveryReply { status: None, outcomes: Vec::new() };
            for record in &batch.records {
                let outcome = match body::message(record, self.source, &self.topic, batch.partition)
                {
                    Ok(message) => {
                        let reply = self.post(message).await?;
                        answer.status = Some(reply.status);
                        // A page of HTML comes from a proxy or a login, not from a receiver: that is an outage.
                        reply.outcome()?
                    }
                    Err(error) => RecordOutcome::unreadable(&error),
                };
                answer.outcomes.push(outcome);
            }
            Ok(answer)
        })
    }
}
