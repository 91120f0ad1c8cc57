//! What can be asked about topics.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::LogSource;

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// Print the commands that give roles and people what they need on a Kafka cluster with access control.
    ///
    /// They are for `kafka-acls.sh` of Apache Kafka, to be read and run by an administrator of the cluster; nothing is
    /// changed here. Topics and groups are named literally, so that nothing of another domain is given.
    Acl(AclArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AclArgs {
    /// Who the roles are on the cluster. The default is the user of `sasl.username`, or `User:tillrace`.
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Only what this one needs, where each has a user of its own. May be given several times; the default is all.
    #[arg(long, value_enum)]
    pub(crate) role: Vec<Actor>,
    /// Also what the domain's data team needs, which only reads what came of the events.
    #[arg(long, value_name = "PRINCIPAL")]
    pub(crate) data_team: Option<String>,
    /// The consumer group of the data team. The default is `data-team` in the domain's namespace.
    #[arg(long, value_name = "GROUP", requires = "data_team")]
    pub(crate) data_team_group: Option<String>,
    /// A file of properties with which `kafka-acls.sh` connects, to be named in the commands.
    #[arg(long, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogSource,
}

/// Who does something on a cluster: a role, or a person with the commands for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Actor {
    /// The gateway.
    Ingest,
    /// The aggregator.
    Aggregate,
    /// The sinks.
    Deliver,
    /// `tap`, `verify`, `release`, `parked`, `refused` and `redrive`.
    Operator,
}

impl Actor {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::Ingest, Self::Aggregate, Self::Deliver, Self::Operator];

    /// Returns its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Aggregate => "aggregate",
            Self::Deliver => "deliver",
            Self::Operator => "operator",
        }
    }
}
