//! What a command line asks for and cannot have; clap refuses what it can tell by itself.

use tillrace_log::Partition;
use tillrace_log::explain;

/// Why a command line cannot be followed. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(
        "--listen is the gateway's address, and this role has none; --status is where it answers /readyz and /metrics"
    )]
    NoGateway,
    #[error("there is no terminal to ask on: add --yes, or --dry-run")]
    NoTerminal,
    #[error("there is no sample {name}; there are {known}")]
    NoSample { name: String, known: String },
    #[error("there is no sink {name}; configured are {known}")]
    NoSink { name: String, known: String },
    #[error("there is no domain {name}; configured are {known}")]
    NoDomain { name: String, known: String },
    #[error("there are several domains, {known}: name one with --domain")]
    WhichDomain { known: String },
    #[error("the log of domain {name} is local, and has no access control lists")]
    NoAccessLists { name: String },
    #[error("{place}: there are {count} partitions, numbered from 0")]
    NoPartition { place: String, count: Partition },
    #[error("{option}: use {most} bytes at most")]
    TooLong { option: &'static str, most: usize },
}

explain!(UsageError {
    NoGateway: "usage_no_gateway",
        "`--listen` was given to a role that has no gateway.",
        "Leave it out, or give `--status` instead.";
    NoTerminal: "usage_no_terminal",
        "The command asks before it does what cannot be undone, and there is no terminal to ask on.",
        "Add --dry-run to see what would be done, and --yes to do it unasked.";
    NoSample: "usage_no_sample",
        "There is no sample of that name.",
        "Use a name that the text lists; docs/samples has them.";
    NoSink: "usage_no_sink",
        "The configuration has no sink of that name.",
        "Use a name that the text lists, and name the configuration with --config.";
    NoDomain: "usage_no_domain",
        "The configuration has no domain of that name. A file without `domains` is one, named `default`.",
        "Use a name that the text lists, and name the configuration with --config.";
    WhichDomain: "usage_which_domain",
        "The configuration has several domains, and the command works on one.",
        "Name the domain with --domain.";
    NoAccessLists: "usage_no_access_lists",
        "Access control lists are of Apache Kafka; a local log is a folder that only its owner can read.",
        "Name a domain on Kafka. Who may read a local log is decided by the owner of its folder.";
    NoPartition: "usage_no_partition",
        "The log has fewer partitions.",
        "Use a number below the count in the text.";
    TooLong: "usage_too_long",
        "A value becomes part of a record, and records have a largest size.",
        "Write it shorter.";
});
