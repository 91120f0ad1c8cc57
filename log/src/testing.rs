//! Test doubles of the log, for the tests of every crate. Compiled only under the feature `testing`.

mod memory_log;

pub use self::memory_log::{CommitOutcome, MemoryLog};
