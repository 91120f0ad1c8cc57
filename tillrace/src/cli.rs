//! The command line: what can be asked of the executable, and nothing of how it is done.

mod books;
mod client;
mod demo;
mod order;
mod parked;
mod policy;
mod register;
mod topics;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tillrace_log::{Offset, Partition};

pub(crate) use self::books::{BooksAction, BooksArgs, Output, TrailArgs};
pub(crate) use self::client::{
    ChangeArgs, ClientAction, ClientCreateArgs, ClientListArgs, ClientName, ClientRevokeArgs,
    ClientRotateArgs,
};
pub(crate) use self::demo::DemoArgs;
pub(crate) use self::order::OrderArgs;
pub(crate) use self::parked::{
    DismissArgs, DismissRefusedArgs, ParkedAction, ParkedFilter, ParkedListArgs, ParkedShowArgs,
    ReadmitArgs, RefusedAction,
};
pub(crate) use self::policy::{OutputForm, PolicyAction, PolicyFolder, PolicyLook, PolicyOrder};
pub(crate) use self::register::{RegisterAction, RegisterApplyArgs, RegisterShowArgs};
pub(crate) use self::topics::{AclArgs, Actor, TopicsAction};

/// A governed, high-throughput backbone for point-of-sale events.
///
/// Terminals post sales, returns and stock changes over HTTP. An event is acknowledged when it is durable, counted once
/// however often it is sent, folded into inventory deltas, and delivered to ERP, CRM and analytics.
///
/// Try `tillrace demo` first: it needs nothing.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all roles in one process: ingest, aggregate, deliver, and the data store.
    ///
    /// Without `--config` it makes a development tenant `demo`, prints its API key (or takes it from `TILLRACE_DEV_KEY`)
    /// and writes Parquet files below the data folder.
    Up(Source),
    /// Run only the gateway: HTTP in, durable in the log, then acknowledged.
    Ingest(Source),
    /// Run only the aggregator: verdicts, transactions, inventory deltas, ledgers.
    Aggregate {
        #[command(flatten)]
        source: Source,
        /// Take group offsets that Kafka lost from the aggregator's own checkpoints. For one start, after such a loss.
        #[arg(long)]
        adopt_checkpoints: bool,
    },
    /// Run only the sinks: ERP, CRM, analytics.
    Deliver(Source),
    /// Run only the data store: the log's topics as tables of a SQLite file, for reports. Or make it anew, or check it.
    ///
    /// `up` keeps one too, unless `books.enabled` is false. One process reads all partitions. `docs/DATA_STORE.md` is the page for it.
    Books(BooksArgs),
    /// Say what became of one sale: admitted, judged, delivered. Asks the data store.
    Trail(TrailArgs),
    /// Play a Black Friday morning against everything, in one process, and prove that nothing was lost.
    Demo(DemoArgs),
    /// Read the configuration and say all that is wrong with it: each key, its line and the remedy.
    Check(CheckArgs),
    /// Print what can be set, made from the code: as a page or as a JSON Schema.
    Config {
        /// What to print.
        #[command(subcommand)]
        form: ConfigForm,
    },
    /// Print a sample event of this minute, to be sent.
    Sample {
        /// Which: the name of a file of docs/samples, such as `sale` or `return`.
        #[arg(default_value = "sale")]
        name: String,
    },
    /// Follow a topic, one record a line.
    Tap(TapArgs),
    /// Recount the log independently: verdicts, stock, sinks, ledgers. Exit code 0 means that all holds.
    Verify(VerifyArgs),
    /// Count an event after all that was kept aside as a conflict or in quarantine.
    ///
    /// Name records of `pos.conflicts.v1` by their places, as `tillrace tap pos.conflicts.v1 --from start` prints them. An
    /// order is written to the journal, where it stays as the record of who released what and why; the aggregator follows
    /// it once: the event goes out on `pos.transactions.v1` under an id of its own, counts in stock and store-day, and never
    /// in the terminal's ledger. Exit code 0 means that all came out.
    ///
    /// Run it beside the roles. Where none runs, the aggregator follows when it is started next.
    Release(ReleaseArgs),
    /// Look at parked events, which broke a rule and count nowhere so far; let them in, or settle what was no sale.
    ///
    /// `list` and `show` only look. `readmit` writes events to the journal again, as they are or mended by a mapping, under
    /// their own identity; `dismiss` says that an event was no trade. Run it beside the roles. docs/PARKED.md is the page for it.
    Parked {
        /// What to do.
        #[command(subcommand)]
        action: ParkedAction,
    },
    /// Settle refused events of which an operator knows that they were no trade.
    Refused {
        /// What to do.
        #[command(subcommand)]
        action: RefusedAction,
    },
    /// Say which terminals a store has, when it is open, and in which zone and currency it trades.
    ///
    /// A store-day then names who is silent, and is complete only when every expected terminal has spoken and closed. `check`
    /// reads a file and says all that is wrong with it; `apply` writes it to the journal, where the aggregator follows it;
    /// `show` prints what is in force. Run it beside the roles. docs/REGISTER.md is the page for it.
    Register {
        /// What to do.
        #[command(subcommand)]
        action: RegisterAction,
    },
    /// Keep what the business decides, who may send and how much, as documents with a history.
    ///
    /// `check` reads a folder of documents; `diff` says what applying it would change; `apply` does it while tills send, all of
    /// it or nothing; `history`, `show` and `export` look; `rollback` and `restore` go back. docs/POLICY.md is the page for it.
    Policy {
        /// What to do.
        #[command(subcommand)]
        action: PolicyAction,
    },
    /// Send the dead letters of a sink again, after what made them dead was put right.
    ///
    /// Those go that were not delivered since, one at a time, at the sink's pace, in the order of each key; one that has to
    /// wait holds back the later ones of its key. They reach the backend after what was delivered meanwhile, under the
    /// identities they always had. Each success is an audit record that says `redriven`; letters stay where they are. Exit
    /// code 0 means that none is left.
    ///
    /// Run it beside the roles.
    Redrive(RedriveArgs),
    /// Make, exchange, end and list the clients of a tenant and their API keys, while tills send.
    ///
    /// Clients are in the policy set of the domain, on its log, with who changed what, when and why; keys of the configuration
    /// stand beside them. A gateway knows a new key, or takes a revoked one no more, within a second.
    Client {
        /// What to do.
        #[command(subcommand)]
        action: ClientAction,
    },
    /// What an administrator of a Kafka cluster has to know of a domain's topics.
    Topics {
        /// What to do.
        #[command(subcommand)]
        action: TopicsAction,
    },
    /// Print a completion script for a shell, to be sourced by it.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where configuration and log are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogSource {
    /// Configuration file (YAML). Environment variables of the form `TILLRACE__SECTION__KEY` override it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use Apache Kafka at these bootstrap servers instead of the local log.
    #[arg(long, value_name = "BROKERS")]
    pub(crate) kafka: Option<String>,
    /// Folder for the local log and the files that sinks write.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The domain, where the configuration has several. A role runs all of them without it; any other command needs it.
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Option<String>,
}

/// The same, and where a process listens.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Source {
    #[command(flatten)]
    pub(crate) log: LogSource,
    /// Address the gateway listens on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address where the process answers /healthz, /readyz and /metrics: 127.0.0.1:8081, of `aggregate` 8082, of `deliver` 8083, of `books` 8084.
    #[arg(long, value_name = "ADDR")]
    pub(crate) status: Option<SocketAddr>,
}

impl std::convert::From<&LogSource> for Source {
    fn from(log: &LogSource) -> Self {
        Self { log: log.clone(), listen: None, status: None }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Also try to reach the log, the back ends and the locations of files. Nothing is written.
    #[arg(long)]
    pub(crate) probe: bool,
    /// Exit with 1 for warnings too.
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum ConfigForm {
    /// Every key with type, default, bounds and meaning, as Markdown.
    Reference,
    /// The same as JSON Schema, for editors and checks.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Topic without its namespace, such as `inventory.deltas.v1`.
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) log: LogSource,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = From::End)]
    pub(crate) from: From,
    /// Only this partition.
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<u32>,
    /// Stop at what was the end when the command began, instead of following.
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Print each record whole, as one JSON object: topic, partition, offset, `appended_ms`, key, value.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// The oldest record kept.
    Start,
    /// What comes from now on.
    End,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) log: LogSource,
    /// Write the report to this file as JSON too; `-` is standard output, the text then goes to standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Whether something is done, or only shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Consent {
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Places on `pos.conflicts.v1`, such as `3/17`.
    #[arg(required = true, value_name = "PARTITION/OFFSET")]
    pub(crate) records: Vec<Place>,
    /// Why; stands in the order.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    /// Name of the sink, as the configuration has it.
    pub(crate) sink: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

/// A record's place on a topic, written `partition/offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = || {
            let (partition, offset) = text.split_once('/')?;
            Some(Self { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        };
        place().ok_or("write partition/offset, as `tillrace tap` prints it: 3/17")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_serves_nothing_takes_no_address() {
        for command in ["tap pos.events.v1", "verify", "release 0/1", "redrive erp"] {
            for option in ["--listen", "--status"] {
                let words = format!("tillrace {command} {option} 127.0.0.1:1");
                let error = Cli::try_parse_from(words.split_whitespace()).unwrap_err();
                assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{words}");
            }
        }
    }
}
