//! `tillrace-faults`: breaks a running Tillrace on purpose, and judges what is left.
//!
//! Black-box as the load test is: it knows HTTP, topics, processes and files. A [`scenario`] is one kind of fault. For
//! each, the [`runner`] sets a [`stage`]: processes, an honest [`fleet`] that sends throughout and remembers what was
//! acknowledged, [back ends](backend) with books of their own, [proxies](proxy) in between, and a [`watch`] on what the
//! processes say of themselves. The fault comes at random instants of a printed seed, is healed, and the [`judge`]
//! compares: the journal, transactions, stock, ledgers, every back end, every file, and `tillrace verify`.
//!
//! It needs no root: a [disk] fails and a clock jumps through [libraries](shim) put between the
//! program and the C library.

mod backend;
mod cli;
mod cluster;
mod console;
mod disk;
mod fleet;
mod judge;
mod overlay;
mod plan;
mod probe;
mod process;
mod proxy;
mod report;
mod rng;
mod runner;
mod scenario;
mod scenarios;
mod shim;
mod site;
mod stage;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match runner::run(&cli::Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            console::say(format_args!("the harness itself failed: {error:#}"));
            ExitCode::from(2)
        }
    }
}
