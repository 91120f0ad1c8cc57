//! What the benches share: a fleet's events, and a log that costs nothing.

pub mod fleet;
pub mod null_log;
