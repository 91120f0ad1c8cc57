//! The migrations: a list of SQL, applied in order, each once and in one transaction, with the checksum of its text.
//!
//! A store whose list begins as ours does is brought forward. One that has other text, or more, was made by another version, and
//! is left alone.

use sha2::{Digest as _, Sha256};

/// One step of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its place in the list, from 1.
    pub number: i64,
    /// What it does.
    pub sql: &'static str,
}

/// All steps, in order. A published step is never changed; a new one is added.
pub const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("migrations/0001.sql") },
    Migration { number: 2, sql: include_str!("migrations/0002.sql") },
];

impl Migration {
    /// Returns the lower-case SHA-256 of its text.
    pub fn checksum(&self) -> String {
        use std::fmt::Write as _;
        Sha256::digest(self.sql.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _always_written = write!(text, "{byte:02x}");
            text
        })
    }
}
