//! The Tillrace executable: command line, configuration and wiring, nothing else.

mod books;
mod check;
mod cli;
mod client;
mod config;
mod confirm;
mod control;
mod demo;
mod descriptors;
mod errors;
mod lines;
mod output;
mod parked;
mod policy;
mod redrive;
mod register;
mod release;
mod roles;
mod sample;
mod session;
mod status;
mod tap;
mod telemetry;
mod terminal;
mod topics;
mod up;
mod usage;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use rustix::fs::Mode;
use rustix::process::umask;
use tikv_jemallocator::Jemalloc;

use crate::cli::{BooksAction, Cli, Command, ConfigForm, TopicsAction};
use crate::roles::Roles;

/// Under load much is freed in another thread than it was made in, and by the batch: jemalloc keeps that cheap, and gives
/// idle memory back. It serves librdkafka and zstd too.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Longest wait, at the end, for calls on threads that block.
const ABANDON_AFTER: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<ExitCode> {
    keep_files_private();
    run().map_err(|error| {
        let known = errors::explanation(&error);
        let (text, code, remedy) = (format!("{error:#}"), known.code, known.remedy);
        anyhow::Error::msg(format!("{text}\n\nRemedy ({code}, docs/errors.md): {remedy}"))
    })
}

fn run() -> anyhow::Result<ExitCode> {
    match parse().command {
        Command::Up(source) => running(up::run(&source, Roles::ALL, false)),
        Command::Ingest(source) => running(up::run(&source, Roles::INGEST, false)),
        Command::Aggregate { source, adopt_checkpoints } => {
            running(up::run(&source, Roles::AGGREGATE, adopt_checkpoints))
        }
        Command::Deliver(source) => running(up::run(&source, Roles::DELIVER, false)),
        Command::Books(args) => match &args.action {
            None => running(up::run(&args.source, Roles::BOOKS, false)),
            Some(BooksAction::Rebuild { allow_holes, log }) => {
                books::run_rebuild(log, *allow_holes)
            }
            Some(BooksAction::Check { log }) => books::run_check(log),
        },
        Command::Trail(args) => books::run_trail(&args),
        Command::Demo(args) => running(demo::run(args)),
        Command::Check(args) => running(check::run(&args)),
        Command::Config { form } => describe(form),
        Command::Sample { name } => sample::run(&name),
        Command::Tap(args) => tap::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Release(args) => release::run(&args),
        Command::Parked { action } => parked::run(&action),
        Command::Refused { action } => parked::run_refused(&action),
        Command::Register { action } => register::run(&action),
        Command::Policy { action } => policy::run(&action),
        Command::Client { action } => client::run(action),
        Command::Redrive(args) => running(redrive::run(args)),
        Command::Topics { action: TopicsAction::Acl(args) } => topics::acl(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tillrace", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Reads the command line, or says what is wrong with it and ends the process. That an unknown option could be meant as a file
/// or a name, as the parser's tip has it, is no help here: none begins with a dash.
fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|mut error| {
        if error.kind() == ErrorKind::UnknownArgument
            && let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested)
        {
            tips.retain(|tip| !tip.to_string().contains("as a value"));
            if !tips.is_empty() {
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
            }
        }
        error.exit()
    })
}

/// Whatever this process makes is its owner's only: the log, keys and files of sinks. A stricter mask stays.
fn keep_files_private() {
    let others = Mode::RWXG | Mode::RWXO;
    let inherited = umask(others);
    umask(inherited | others);
}

fn describe(form: ConfigForm) -> anyhow::Result<ExitCode> {
    let text = match form {
        ConfigForm::Reference => config::reference::reference()?,
        ConfigForm::Schema => format!("{:#}\n", config::schema::schema()?),
    };
    io::stdout().lock().write_all(text.as_bytes()).context("print the configuration")?;
    Ok(ExitCode::SUCCESS)
}

fn running(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // What had to end is drained. A question to brokers that are away has no answer to wait for.
    runtime.shutdown_timeout(ABANDON_AFTER);
    outcome
}
