//! A black-box load generator and verifier: it knows HTTP and topics, nothing of the engine.
//!
//! A [`source`] writes events and knows what should come of each: a made-up [`fleet`] or a
//! [`replay`] of real data. [`traffic`] repeats and disorders them, the [`client`] sends them on an
//! open-loop schedule and keeps what was [acknowledged](acks), [`topics`] reads back what stands in
//! the log, [`verify`] compares, and [`report`] says how it went.

pub mod calendar;
mod json;

pub mod source;

pub mod fleet;
pub mod replay;

pub mod traffic;

pub mod acks;

pub mod client;

pub mod topics;

pub mod verify;

pub mod report;

#[cfg(test)]
mod backbone;
