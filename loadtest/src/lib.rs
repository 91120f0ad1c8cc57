//! A black-box load generator and verifier: it knows HTTP and topics, nothing of the engine.
//!
//! A [`source`] writes events and knows what should come of each: a made-up [`fleet`] or a
//! [`replay`] of real data. [`traffic`] repeats and disorders them, the [`client`] sends them when
//! the open-loop [`schedule`] has them due and keeps what was [acknowledged](acks) and the run's
//! [`course`], [`topics`] reads back what stands in the log, [`verify`] compares, and [`report`] says
//! how it went. [`knee`] looks for the highest rate that holds.

pub mod calendar;
mod json;

pub mod schedule;

pub mod source;

pub mod fleet;
pub mod replay;

pub mod traffic;

pub mod acks;

pub mod course;

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
mod backbone;
