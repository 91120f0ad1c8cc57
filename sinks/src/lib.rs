//! Delivery of the log's records to ERP, CRM and analytics, in order.
//!
//! The modules are listed in the order that a record meets them. [`Delivery`] starts the sinks; each has
//! an [`engine`] of its own, which reads a topic, keeps order per key, limits the rate of calls, retries,
//! writes audit records and dead letters, and commits. [`redrive`] sends dead letters again at an
//! operator's command. A [`connector`] turns a batch into one call; each kind
//! is a folder of [`connectors`].
//!
//! Delivery is at least once, and exactly once in effect: every call carries identities that are
//! the same after any restart, and a file is published only if no file has its name.
//!
//! Deliberately absent: knowledge of ingest (the two meet at a topic), plug-ins (a connector is a
//! module here), and any store beside the log.

mod start;

mod flow;

pub mod settings;

mod delivery;

pub mod record;

mod omit;

pub mod filter;

pub mod failure;

mod blocking;

pub mod connector;

pub mod connector_config;

pub mod engine;

mod audit;

mod dead_letter;

pub mod redrive;

mod probe;

pub mod http;

pub mod connectors;

pub mod simulate;

#[cfg(test)]
mod fixture;

pub use connectors::{crm, erp, parquet, webhook};
pub use delivery::{Delivery, StartError};
pub use engine::SinkHealth;
pub use probe::{ProbeError, probe};
pub use settings::SinkSettings;
