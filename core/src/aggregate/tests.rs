//! The aggregator as a whole, on the log in memory.

mod faults;
mod largest;
mod restoring;
mod sizes;
mod unreadable;
mod verdicts;
