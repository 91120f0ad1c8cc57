//! What the benches share: a fleet's events, a log that costs nothing, and the processor time of a process.

pub mod cpu;
pub mod fleet;
pub mod null_log;
pub mod tick_log;
