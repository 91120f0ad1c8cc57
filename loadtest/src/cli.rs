//! The command line: what it takes, and what it makes of it.

mod fleet;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory as _, Parser, ValueEnum};
use tillrace_loadtest::replay::DataSet;

use self::fleet::FleetArgs;

/// Plays the traffic of a point-of-sale fleet against a gateway, and proves what became of it.
///
/// Events are made up (a fleet of stores with terminals), or replayed from real data. They are sent
/// on an open-loop schedule: latency counts from the moment a batch was due, whether or not the
/// gateway was ready for it. While the gateway is away, each connection retries as a terminal would.
///
/// With --verify the topics are read back and compared with what was acknowledged: every event
/// counted once, byte for byte, deltas summing to what was sold, returned and moved.
///
/// Exit code: 0 passed; 1 an event was not treated as it must be, or no rate held; 2 it could not be
/// tried; 3 every event was treated as it must be, but less than 95% of the asked rate was reached.
#[derive(Debug, Parser)]
#[command(name = "tillrace-loadtest", version, max_term_width = 100, after_long_help = EXAMPLES)]
#[command(group = ArgGroup::new("topics").args(["kafka", "tap"]))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
    #[command(flatten)]
    pub(crate) schedule: ScheduleArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    #[command(flatten)]
    pub(crate) replay: ReplayArgs,
    #[command(flatten)]
    pub(crate) knee: KneeArgs,
    #[command(flatten)]
    pub(crate) verify: VerifyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl Cli {
    /// Reads the command line; ends the process where it does not hold.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        if let Some(fault) = cli.fault() {
            Self::command().error(ErrorKind::ArgumentConflict, fault).exit();
        }
        cli
    }

    /// Says which options do not go together, where that depends on their values.
    fn fault(&self) -> Option<&'static str> {
        let Self { schedule, fleet, knee, replay, output, .. } = self;
        let black_friday = schedule.profile == ProfileName::BlackFriday;
        let faults = [
            (
                black_friday && schedule.rate == 0.0,
                "--profile black-friday varies a --rate above 0",
            ),
            (
                black_friday && schedule.limit.is_some(),
                "--profile black-friday ends by --duration, not by --limit",
            ),
            (
                black_friday && !replay.replay.is_empty(),
                "--profile black-friday cuts off stores of a fleet, not of a --replay",
            ),
            (
                black_friday && fleet.offline > 0.0,
                "--profile black-friday has its own --outage; leave --offline out",
            ),
            (
                !black_friday && schedule.outage.is_some(),
                "--outage belongs to --profile black-friday",
            ),
            (knee.find_knee && schedule.rate == 0.0, "--find-knee begins with a --rate above 0"),
            (
                [&output.json, &output.html]
                    .into_iter()
                    .flatten()
                    .filter(|path| is_stdout(path))
                    .count()
                    > 1,
                "--json and --html cannot both go to standard output",
            ),
        ];
        faults.into_iter().find(|(applies, _)| *applies).map(|(_, fault)| fault)
    }
}

const EXAMPLES: &str = "\
Examples:
  A minute of 5,000 events/s from 500 stores, with everything that goes wrong in a fleet:
    tillrace-loadtest --key $KEY --stores 500 --rate 5000 --duration 1m \\
      --duplicates 5% --disorder 5% --bad 1% --gaps 10 --offline 10%
  The same against Kafka, verified:
    tillrace-loadtest --key $KEY --verify --kafka 127.0.0.1:9092
  Real baskets and returns as fast as they go, verified on the local log:
    loadtest/datasets/install
    tillrace-loadtest --key $KEY --replay completejourney,tpcds --rate 0 --batch 500 \\
      --duplicates 5% --disorder 5% --verify --tap 'tillrace tap --data DIR'
  Black Friday in five minutes, a fifth of the stores cut off in the middle, with a page to look at:
    tillrace-loadtest --key $KEY --profile black-friday --rate 4000 --duration 5m --html day.html
  The highest rate at which p99 stays below 20 ms:
    tillrace-loadtest --key $KEY --find-knee --p99-limit 20ms --html knee.html --json knee.json
  A release of the tills that no version knows, readmitted by a mapping while the roles run:
    tillrace-loadtest --key $KEY --parked 2% --verify --kafka 127.0.0.1:9092 \\
      --readmit 'tillrace parked readmit --kafka 127.0.0.1:9092'
  One event to look at:
    tillrace-loadtest --print --limit 20 | head -1";

/// Where to send.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct GatewayArgs {
    /// The gateway; plain HTTP only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) target: String,

    /// API key
    #[arg(
        long,
        env = "TILLRACE_DEV_KEY",
        hide_env_values = true,
        required_unless_present_any = ["print", "print_mapping"]
    )]
    pub(crate) key: Option<String>,

    /// Connections, each with one request under way; a terminal always uses the same one
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) connections: usize,

    /// Events in a request, 1 to 1,000; 1 posts single events
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) batch: usize,

    /// Speak HTTP/2 with prior knowledge: streams of one connection instead of connections
    #[arg(long)]
    pub(crate) http2: bool,

    /// How long a request may take before it is sent again
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,

    /// How long a batch is retried before the run ends as failed
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) give_up: Duration,
}

/// When to send what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Schedule and network")]
pub(crate) struct ScheduleArgs {
    /// Events a second, evenly spaced; 0 sends as fast as they are taken. A profile varies it, and
    /// --find-knee begins with it
    #[arg(long, value_name = "N", default_value_t = 1_000.0, value_parser = rate)]
    pub(crate) rate: f64,

    /// How the rate changes over the duration
    #[arg(long, value_name = "PROFILE", default_value = "constant", conflicts_with = "find_knee")]
    pub(crate) profile: ProfileName,

    /// Share of the stores that the outage of black-friday cuts off [default: 20%]
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "profile")]
    pub(crate) outage: Option<f64>,

    /// Stop after this time and close what is open [default for a fleet without --limit: 30s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Stop after so many events, copies not counted
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Share of events sent a second time, later
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    pub(crate) duplicates: f64,

    /// Share of events held back and sent after later ones
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    pub(crate) disorder: f64,

    /// By how many events a copy or late event may come later
    #[arg(long, value_name = "EVENTS", default_value_t = 2_000)]
    pub(crate) reach: u64,

    /// The same seed makes the same fleet, the same copies and the same disorder
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Epoch that all events carry; '' for none [default: a new one each run of a fleet, none for a
    /// replay, which so can be repeated and counts once]
    #[arg(long, value_name = "ID")]
    pub(crate) epoch: Option<String>,
}

/// A profile's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// The rate stays as it is
    Constant,
    /// A third of the rate, a ramp to all of it, two and a half times as much when the doors open, a
    /// plateau, an outage that cuts off some stores, the flood of what they held, and the evening
    BlackFriday,
}

/// Real data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Replay")]
pub(crate) struct ReplayArgs {
    /// Replay recorded data instead of a fleet: one set, or several in the order given
    #[arg(long, value_name = "SET", value_delimiter = ',')]
    pub(crate) replay: Vec<Set>,

    /// Where loadtest/datasets/install has put them
    #[arg(long, value_name = "DIR", default_value = "target/datasets", requires = "replay")]
    pub(crate) datasets: PathBuf,
}

/// A data set's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// 155,848 baskets of a grocer
    #[value(name = "completejourney")]
    CompleteJourney,
    /// 287,867 returns of TPC-DS at scale 1
    Tpcds,
}

impl From<Set> for DataSet {
    fn from(set: Set) -> Self {
        match set {
            Set::CompleteJourney => Self::CompleteJourney,
            Set::Tpcds => Self::Tpcds,
        }
    }
}

/// Looking for the highest rate that holds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Knee")]
pub(crate) struct KneeArgs {
    /// Raise the rate step by step until it does not hold: p99 passes its limit, less is acknowledged
    /// than is due, or something fails. Print the steps and the highest rate that held
    #[arg(long, conflicts_with_all = ["duration", "limit", "epoch", "replay", "gaps", "offline", "verify", "print"])]
    pub(crate) find_knee: bool,

    /// What the 99th percentile of the latency, from when an event was due, must not pass
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = span, requires = "find_knee")]
    pub(crate) p99_limit: Duration,

    /// How long each rate is measured
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span, requires = "find_knee")]
    pub(crate) step: Duration,

    /// How long each rate is sent before it is measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration, requires = "find_knee")]
    pub(crate) warm_up: Duration,
}

/// Reading the topics back.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verification")]
pub(crate) struct VerifyArgs {
    /// Read the topics back and check conservation; needs --kafka or --tap
    #[arg(long, requires = "topics", conflicts_with = "print")]
    pub(crate) verify: bool,

    /// Read the topics from these brokers
    #[arg(long, value_name = "BROKERS", requires = "verify")]
    pub(crate) kafka: Option<String>,

    /// A property of librdkafka for reading, such as `security.protocol=SASL_SSL`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = property, requires = "kafka", conflicts_with = "tap")]
    pub(crate) kafka_property: Vec<(String, String)>,

    /// Read the topics from what a command prints: 'tillrace tap --data DIR', to which
    /// 'TOPIC --from start --until-end --json' is added
    #[arg(long, value_name = "COMMAND", requires = "verify")]
    pub(crate) tap: Option<String>,

    /// When all that was sent is verified, run this command, to which '--all --yes --mapping FILE' is added, and verify that every
    /// parked event that the mapping mends counts: 'tillrace parked readmit --kafka BROKERS'
    #[arg(long, value_name = "COMMAND", requires = "verify", conflicts_with = "replay")]
    pub(crate) readmit: Option<String>,

    /// Prefix of the topics' names
    #[arg(long, value_name = "PREFIX", default_value = "", requires = "verify")]
    pub(crate) namespace: String,

    /// Where in the topics to begin [default: now for a fleet, start for a replay]
    #[arg(long, value_name = "POSITION", requires = "verify")]
    pub(crate) verify_from: Option<VerifyFrom>,

    /// Stop waiting for what is missing when nothing more has come for so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration, requires = "verify")]
    pub(crate) settle: Duration,
}

/// Where verification begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyFrom {
    /// At the topics' ends before the run: what earlier runs left does not count
    Now,
    /// At the topics' start: the same events sent by earlier runs count with these
    Start,
}

/// What to show.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the report as JSON, too; `-` is standard output, and what else is printed goes to standard
    /// error
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the report as an HTML page with plots, too; `-` as for --json
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Show no progress
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Print the events, one a line, instead of sending them
    #[arg(long, conflicts_with_all = ["target", "json", "html", "http2", "connections", "batch", "timeout", "give_up"])]
    pub(crate) print: bool,

    /// Print the mapping that mends the events of --parked, instead of sending anything
    #[arg(long, conflicts_with_all = ["print", "verify"])]
    pub(crate) print_mapping: bool,
}

/// Says whether a file's name stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a share: `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map_err(|error| error.to_string())? / whole;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must lie between 0% and 100%".to_owned())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if rate == 0.0 || (0.001..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("must be 0 or between 0.001 and 1e9".to_owned())
    }
}

/// Reads a time that is not zero.
fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(span) }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
