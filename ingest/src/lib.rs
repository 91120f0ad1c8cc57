//! The gateway: protocols and policies in front of the log.
//!
//! The modules stand in the order a request meets them. What an event *is*, and what may be in it,
//! is decided in `tillrace-core`; here stand the wire, the callers and their limits. An event is
//! acknowledged when the log says that it is durable, or when its refusal is; never before.

mod clock;
mod health;
mod metrics;
mod settings;

mod gateway;
mod listen;

mod head;
mod route;

mod meter;
mod tenant;

mod credit;

mod body;
mod media;

pub mod split;

mod batch;
mod single;

mod intake;
mod loyalty;
mod recent;

mod log_health;
mod log_watch;
mod publish;
mod settle;

mod pace;
mod problem;
mod reply;
mod tally;

pub use gateway::{CONNECTIONS_CUT, DrainError, Gateway, GatewayError};
pub use health::{Health, TOO_MANY_NAMES, WEAK_SETTINGS};
pub use listen::{ACCEPT_FAILING, BoundedStream, ListenError, Listener, RESERVED_CONNECTIONS};
pub use log_watch::{LOG_DOWN, LOG_STALLED};
pub use meter::RateSettings;
pub use problem::{Problem, Reason, Remedy};
pub use settings::{Durability, GatewaySettings};
pub use tenant::{
    KeySettings, LimitSettings, TenantSettings, Tenants, hash_key, inspect as inspect_tenants,
};

#[cfg(test)]
mod tests;
