//! A black-box load generator and verifier: it knows HTTP and topics, nothing of the engine.
//!
//! A [`source`] generates events and knows the expected outcome of each: a simulated [`fleet`] or a
//! [`replay`] of real data. [`traffic`] duplicates and reorders them, the [`client`] sends them on the
//! open-loop [`schedule`] and keeps the [acknowledgements](acks) and the [`timeline`] of the run,
//! [`topics`] reads the log back, [`verify`] compares, and [`report`] presents the results. [`knee`]
//! searches for the highest sustainable rate.

pub mod calendar;
mod json;
pub mod kinds;

pub mod schedule;

pub mod source;

pub mod fleet;
pub mod replay;

pub mod traffic;

pub mod acks;

pub mod timeline;

pub mod client;

pub mod knee;

pub mod topics;

pub mod verify;

pub mod figures;
pub mod progress;
pub mod report;
pub mod text;

pub mod page;

#[cfg(test)]
mod mock_gateway;
