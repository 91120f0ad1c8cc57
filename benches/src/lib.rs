//! What the benches share: a fleet's events, logs that cost nothing or count, and the processor time of a process.

pub mod cpu;
pub mod fleet;
pub mod null_log;
pub mod tick_log;
pub mod watched_log;
