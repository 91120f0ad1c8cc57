//! How large records get: every kind that any role writes fits the log by construction.

/// Bytes of key and value that a record of any kind has at most.
pub const LARGEST_RECORD_BYTES: usize = 512 * 1024;
