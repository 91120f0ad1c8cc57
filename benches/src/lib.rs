//! What the benches share: a fleet's events, sales of many shapes, what reads them, logs that cost nothing or count, and
//! the processor time of a process.

// The allocator of the executable, by taking the place of `malloc`: what is measured here is what runs there.
use tikv_jemallocator as _;

pub mod cpu;
pub mod day;
pub mod decoders;
pub mod fleet;
pub mod null_log;
pub mod rivals;
pub mod sales;
pub mod tick_log;
pub mod watched_log;
