//! The webhook connector: each record as one signed POST, to whoever takes webhooks.
//!
//! Requests are those of Standard Webhooks (<https://www.standardwebhooks.com>, 1.0): `webhook-id` stays the same whenever a
//! record is sent, `webhook-timestamp` is the time of the attempt, and `webhook-signature` holds an HMAC-SHA256 over id,
//! timestamp and body for each secret. While secrets change, both sign, so a receiver may change whenever it wants. A receiver
//! that keeps ids for as long as records are sent again takes each record once; its libraries exist for most languages.
//!
//! Deliberately absent: batches, because a receiver answers a call and not a record.

mod body;
mod config;
mod connector;
mod settings;
mod signature;

pub use connector::Webhook;
pub use settings::WebhookSettings;

#[cfg(test)]
mod tests;
