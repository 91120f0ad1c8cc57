//! The aggregator as a whole, on the log in memory.

mod faults;
mod restoring;
mod sizes;
mod verdicts;
