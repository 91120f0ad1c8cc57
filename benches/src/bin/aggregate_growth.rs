//! What an event costs the aggregator as its work grows: keys, terminals, and a backlog.
//!
//! Runs the aggregator on a log that costs nothing, once in a process of its own for each row, and
//! prints the tables as Markdown. CPU time is that of the aggregator's thread alone; another thread
//! makes the events. In the feed `once` a key rarely comes again within a flush, so that nearly every
//! line of every event becomes a delta; in `hot` all events fall into one window.
//!
//!     cargo run --profile dist -p tillrace-benches --bin aggregate_growth

#![expect(clippy::print_stdout, reason = "the tables are what it is for")]

use std::process::Command;
use std::sync::mpsc::sync_channel;

use anyhow::{Context as _, Result, bail};
use tillrace_benches::fleet::Fleet;
use tillrace_benches::null_log::drain;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::topics::Topics;
use tillrace_log::ConsumerRecord;

const POLLED: u64 = 1_000;
/// Polls that may wait for the aggregator.
const AHEAD: usize = 8;
const RUNS: usize = 3;

/// One row of a table.
#[derive(Debug, Clone, Copy)]
struct Work {
    fleet: Fleet,
    events: u64,
}

/// What it took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu_ns: f64,
    rows: f64,
    commits: f64,
    peak_kib: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            keys()?;
            terminals()?;
            backlog()
        }
        [which, numbers @ ..] if which == "one" => {
            let cost = measure(Work::read(numbers)?)?;
            let Cost { cpu_ns, rows, commits, peak_kib } = cost;
            println!("{cpu_ns} {rows} {commits} {peak_kib}");
            Ok(())
        }
        _ => bail!("give no arguments, or `one` stores terminals skus lines events/minute events"),
    }
}

/// From a thousand keys to ten million.
fn keys() -> Result<()> {
    let work = |skus, events_per_minute| Work {
        fleet: Fleet { stores: 100, terminals: 1, skus, lines: 5, events_per_minute },
        events: 300_000,
    };
    println!(
        "| feed, 100 terminals | (store, SKU) keys | CPU µs/event | to 1,000 keys | rows/event | peak MiB |"
    );
    println!("|---|---|---|---|---|---|");
    for (feed, events_per_minute) in [("once", 10), ("hot", u64::MAX)] {
        let mut first = None;
        for skus in [10, 1_000, 100_000] {
            let cost = median(work(skus, events_per_minute))?;
            let base = *first.get_or_insert(cost.cpu_ns);
            println!(
                "| {feed} | {} | {:.2} | {:.2} | {:.2} | {:.0} |",
                skus * 100,
                cost.cpu_ns / 1_000.0,
                cost.cpu_ns / base,
                cost.rows,
                cost.peak_kib / 1_024.0,
            );
        }
    }
    println!();
    Ok(())
}

/// From a hundred terminals to a hundred thousand.
fn terminals() -> Result<()> {
    println!(
        "| terminals | stores | CPU µs/event | to 100 terminals | rows/event | peak MiB | KiB/terminal |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut first: Option<Cost> = None;
    for stores in [10, 100, 1_000, 10_000] {
        let fleet = Fleet { stores, terminals: 10, skus: 1_000, lines: 5, events_per_minute: 10 };
        let cost = median(Work { fleet, events: 300_000.max(stores * 100) })?;
        let base = *first.get_or_insert(cost);
        let more = exact(stores.saturating_sub(10) * 10);
        let each = if more > 0.0 { (cost.peak_kib - base.peak_kib) / more } else { 0.0 };
        println!(
            "| {} | {stores} | {:.2} | {:.2} | {:.2} | {:.0} | {each:.1} |",
            stores * 10,
            cost.cpu_ns / 1_000.0,
            cost.cpu_ns / base.cpu_ns,
            cost.rows,
            cost.peak_kib / 1_024.0,
        );
    }
    println!();
    Ok(())
}

/// A backlog drained, and ten times as much.
fn backlog() -> Result<()> {
    println!(
        "| backlog over a day of windows, events | CPU µs/event | rows/event | commits | peak MiB |"
    );
    println!("|---|---|---|---|---|");
    for events in [1_000_000, 10_000_000] {
        let fleet = Fleet {
            stores: 1_000,
            terminals: 10,
            skus: 5_000,
            lines: 5,
            events_per_minute: events / 1_440 + 1,
        };
        let Cost { cpu_ns, rows, commits, peak_kib } = apart(Work { fleet, events })?;
        let (micros, peak) = (cpu_ns / 1_000.0, peak_kib / 1_024.0);
        println!("| {events} | {micros:.2} | {rows:.2} | {commits} | {peak:.0} |");
    }
    Ok(())
}

impl Work {
    fn read(numbers: &[String]) -> Result<Self> {
        let numbers: Result<Vec<u64>, _> = numbers.iter().map(|number| number.parse()).collect();
        let [stores, terminals, skus, lines, events_per_minute, events] = numbers?[..] else {
            bail!("six numbers are needed");
        };
        let fleet = Fleet { stores, terminals, skus, lines, events_per_minute };
        Ok(Self { fleet, events })
    }

    fn written(self) -> [String; 6] {
        let Fleet { stores, terminals, skus, lines, events_per_minute } = self.fleet;
        [stores, terminals, skus, lines, events_per_minute, self.events].map(|n| n.to_string())
    }
}

/// The median of a few runs, by CPU time.
fn median(work: Work) -> Result<Cost> {
    let mut costs = (0..RUNS).map(|_| apart(work)).collect::<Result<Vec<_>>>()?;
    costs.sort_by(|one, other| one.cpu_ns.total_cmp(&other.cpu_ns));
    costs.get(RUNS / 2).copied().context("runs")
}

/// Measures in a process of its own, whose peak of memory is its alone.
fn apart(work: Work) -> Result<Cost> {
    let program = std::env::current_exe().context("find this program")?;
    let output = Command::new(program).arg("one").args(work.written()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    let [cpu_ns, rows, commits, peak_kib] = numbers?[..] else {
        bail!("a run failed: {}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(Cost { cpu_ns, rows, commits, peak_kib })
}

fn measure(work: Work) -> Result<Cost> {
    let topics = Topics::new("");
    let (offered, taken) = sync_channel::<Vec<ConsumerRecord>>(AHEAD);
    let maker = std::thread::spawn({
        let topics = topics.clone();
        move || {
            for first in (0..work.events).step_by(usize::try_from(POLLED).unwrap_or(usize::MAX)) {
                let numbers = first..work.events.min(first + POLLED);
                let entries = numbers.map(|number| work.fleet.entry(&topics, number)).collect();
                if offered.send(entries).is_err() {
                    return;
                }
            }
        }
    });
    let before = thread_cpu_ns()?;
    let written = drain(Box::new(taken.into_iter()), &topics, &AggregateSettings::default())?;
    let cpu_ns = exact(thread_cpu_ns()? - before);
    if maker.join().is_err() {
        bail!("the maker of events failed");
    }
    let events = exact(work.events);
    Ok(Cost {
        cpu_ns: cpu_ns / events,
        rows: exact(written.rows) / events,
        commits: exact(written.commits),
        peak_kib: exact(peak_kib()?),
    })
}

/// CPU time of this thread so far, by the scheduler's count.
fn thread_cpu_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("read schedstat")?;
    let first = text.split_whitespace().next().context("schedstat is empty")?;
    Ok(first.parse()?)
}

/// Most memory this process ever had resident.
fn peak_kib() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("read the status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn exact(count: u64) -> f64 {
    count as f64
}
