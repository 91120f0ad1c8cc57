//! The analytics connector: Parquet files on a local disk or in an S3 bucket.
//!
//! Two shapes of row: the lines of transactions, and deltas of stock. Every row carries the topic,
//! partition and offset it came from; decimals are decimals, times are UTC, dates are dates.
//!
//! Files are exactly-once by name. A file is called after its generation of the log, topic,
//! partition and the offset where the file before it ended, and is published only if there is no
//! file of that name; its footer says where it ends itself. So the files of a partition form one
//! chain, whoever writes: a writer that loses a name reads where the chain ends now and drops the
//! rows that are in it. A writer never publishes rows below the group's committed offset, and
//! stops when the chain ends before what was delivered: then somebody removed files.
//!
//! A place belongs to one sink of one log: a file in it says whose it is, and any other is refused.
//!
//! Deliberately absent: rewriting and merging of files, table formats, partitioned folders.

mod body;
mod chain;
mod connector;
mod deltas;
mod generation;
mod lines;
mod owner;
mod place;
mod recount;
mod settings;

pub use connector::ParquetFiles;
pub use owner::OwnerError;
pub use place::{PlaceError, probe, probe_folder};
pub use recount::{RecountError, recount};
pub use settings::{ParquetSettings, S3Settings};

#[cfg(test)]
mod tests;
