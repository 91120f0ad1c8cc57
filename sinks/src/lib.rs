//! Delivery: what stands on the log reaches ERP, CRM and analytics, in order and unhurried.
//!
//! The modules stand in the order a record meets them. [`Delivery`] starts the sinks; each has an
//! [`engine`] of its own, which reads a topic, keeps order per key, paces, retries, gives up, writes
//! audit and dead letters, and commits. [`redrive`] sends dead letters again when an operator says
//! so. A [`connector`] turns a batch into one call; there are three kinds: [`erp`], [`crm`] and
//! [`parquet`].
//!
//! Delivery is at least once, and exactly once in effect: every call carries identities that are
//! the same after any restart, and files are named so that no second one can take their place.
//!
//! Deliberately absent: knowledge of ingest (the two meet at a topic), plug-ins (a connector is a
//! module here), and any store beside the log.

pub mod settings;

mod delivery;

pub mod record;

pub mod filter;

pub mod failure;

mod blocking;

pub mod connector;

pub mod engine;

mod audit;

mod dead;

pub mod redrive;

mod probe;

pub mod http;

pub mod erp;

pub mod crm;

pub mod parquet;

pub mod simulate;

#[cfg(test)]
mod fixture;

pub use delivery::{Delivery, Health, StartError};
pub use probe::{ProbeError, probe};
pub use settings::SinkSettings;
