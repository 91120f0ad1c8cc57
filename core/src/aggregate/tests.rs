//! The aggregator as a whole, on the log in memory.

mod faults;
mod largest;
mod parked;
mod registers;
mod restoring;
mod schemas;
mod sizes;
mod store_day;
mod ticks;
mod unreadable;
mod verdicts;
