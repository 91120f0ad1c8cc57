//! The data store: what the log says, as relational tables, and the trail of one sale through them.
//!
//! A reader without a consumer group takes the records of every topic but the journal and the aggregator's state, makes rows of
//! them ([`mod@fold`]), and hands rows and positions to a [`store::Store`] together. It is behind the aggregator and the sinks
//! in an event's path, and nothing waits for it: what it lacks it reads later, and what the log no longer has is a hole that it
//! records. What it deliberately leaves out: texts of events, and every member of the schema that is marked personal.

pub mod change;

pub mod migrations;

pub mod store;

pub mod sqlite;

mod owner;

pub mod fold;

pub mod metrics;

pub mod settings;

pub mod reader;

pub mod rebuild;

pub mod trail;

pub mod check;
