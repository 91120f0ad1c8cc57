//! The Tillrace engine: what happens to a point-of-sale event between the wire and a sink.
//!
//! The modules stand in the order an event meets them. There is no async runtime and no HTTP
//! here; Kafka is known only inside [`log`].

pub mod text;

pub mod card;

pub mod decode;

mod hash;

pub mod event;

pub mod check;

pub mod stock;

pub mod envelope;

pub mod intern;

pub mod bucket;

pub mod explain;

pub mod health;

pub mod restart;

pub mod setting;

pub mod topics;

pub mod record_size;

pub mod log;

pub mod aggregate;

pub mod verify;
