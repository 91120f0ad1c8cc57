//! The analytics connector: Parquet files on a local disk or in an S3 bucket.
//!
//! Two shapes of row: the lines of transactions, and deltas of stock. Every row carries the topic,
//! partition and offset it came from; decimals are decimals, times are UTC, dates are dates.
//!
//! File names make files exactly-once. A name holds the generation of the log, the partition and the
//! offset where the previous file ended; a file is published only if no file has its name, and its
//! footer says where it ends itself. So the files of a partition form one sequence, whoever writes:
//! a writer that loses a name reads where the sequence ends now and drops the rows that are in it.
//! A writer never publishes rows below the group's committed offset, and stops when the sequence
//! ends before what was delivered, because somebody removed files.
//!
//! A location belongs to one sink of one log: an owner file in it names both, and other sinks are
//! refused.
//!
//! Deliberately absent: rewriting and merging of files, table formats, partitioned folders.

mod body;
mod columns;
mod config;
mod connector;
mod deltas;
mod file_sequence;
mod file_store;
mod generation;
mod lines;
mod owner;
mod recount;
mod settings;

pub use connector::ParquetFiles;
pub use file_store::{FileStoreError, probe_folder};
pub use owner::OwnerError;
pub use recount::RecountError;
pub use settings::{ParquetSettings, S3Settings};

#[cfg(test)]
mod tests;
