//! The Tillrace engine: what happens to a point-of-sale event between the wire and a sink.
//!
//! The modules are in the order in which an event meets them. There is no async runtime, no HTTP and no C
//! code here. Of the log, this crate knows only the traits, not which log implements them.

pub mod text;

pub mod card;

pub mod decode;

mod reject_code;

mod content_hash;

pub mod event;

pub mod check;

pub mod stock;

pub mod money;

pub mod till_balance;

pub mod envelope;

pub mod intern;

pub mod token_bucket;

pub mod restart;

pub mod topics;

pub mod mapping;

pub mod register;

pub mod record_size;

pub mod log_calls;

pub mod aggregate;

pub mod verify;
