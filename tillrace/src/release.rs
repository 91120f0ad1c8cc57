//! `tillrace release`: an event kept aside is counted after all, by an operator's order.
//!
//! The order is a control record on the journal, beside the events of its store: it stays there as
//! the record of who released what, when and why. The aggregator follows it, once.

mod error;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tillrace_core::envelope::TYPE_RELEASE;
use tillrace_core::topics::{self, Topics};
use tillrace_log::{
    ConsumerRecord, LogView, Offset, Partition, ProducerRecord, Topic, WritableLog,
};

pub(crate) use self::error::ReleaseError;
use crate::cli::{Place, ReleaseArgs};
use crate::config::Settings;
use crate::confirm::confirm;
use crate::control;
use crate::roles;
use crate::terminal::printable;
use crate::usage::UsageError;

const READ_WAIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What an operator is shown of a record of `pos.conflicts`, and what an order is made of.
#[derive(Debug, Deserialize)]
struct Kept {
    reason: String,
    detail: String,
    partition: Partition,
    offset: Offset,
    tenant: String,
    store: String,
    terminal: String,
    sequence: Option<u64>,
    eventid: String,
}

/// Why a record stands on `pos.conflicts`.
#[derive(Deserialize)]
struct Why {
    reason: String,
    detail: String,
}

/// The data of an order.
#[derive(Serialize)]
struct Order<'a> {
    partition: Partition,
    offset: Offset,
    operator: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// An order on the journal, and where to look for what comes of it.
struct Ordered {
    kept: Kept,
    order: Offset,
    /// Stable end of `pos.transactions` before the order was written.
    outputs_from: Offset,
}

/// Says what would be released, asks, writes the orders, and waits until they are followed.
pub(crate) fn run(args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    control::hold(&args.order.operator, args.reason.as_deref())?;
    let domain = Settings::load_domain(&args.order.log)?;
    let topics = domain.topics();
    if args.order.consent.dry_run {
        let view = roles::open_view(&domain)?;
        read_all(view.as_ref(), &topics, &args.records)?;
        say("nothing was written")?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = roles::open_to_write(&domain)?;
    let kept = read_all(log.as_ref(), &topics, &args.records)?;
    let question = format!("Release {}? They will count in stock and store-days.", kept.len());
    if !confirm(&question, args.order.consent.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    let ordered = write(log.as_ref(), &topics, kept, args)?;
    if !roles::may_be_at_work(&domain) {
        say("ordered; the aggregator follows when it is started next")?;
        return Ok(ExitCode::SUCCESS);
    }
    let until = Instant::now() + args.order.wait.into();
    let mut all = true;
    for ordered in &ordered {
        all &= is_followed(log.as_ref(), &topics, ordered, until)?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the records that the operator names, and prints each.
fn read_all(view: &dyn LogView, topics: &Topics, places: &[Place]) -> anyhow::Result<Vec<Kept>> {
    let mut all = Vec::with_capacity(places.len());
    for place in places {
        let kept = read(view, topics, *place)?;
        let Kept { reason, detail, partition, offset, tenant, store, terminal, .. } = &kept;
        let number = kept.sequence.map_or_else(|| "none".to_owned(), |number| number.to_string());
        say(&format!(
            "{place}  {reason} ({detail}): tenant {tenant}, store {store}, terminal {terminal}, \
             number {number}, event {}, at {partition}/{offset} of the journal",
            kept.eventid
        ))?;
        all.push(kept);
    }
    Ok(all)
}

fn read(view: &dyn LogView, topics: &Topics, place: Place) -> anyhow::Result<Kept> {
    let Place { partition, offset } = place;
    let count = view.partitions();
    if partition >= count {
        return Err(UsageError::NoPartition { place: place.to_string(), count }.into());
    }
    let topic = &topics.conflicts;
    let entry = entry_at(view, topic, partition, offset)?
        .ok_or_else(|| ReleaseError::NotKept { topic: topic.clone(), place })?;
    let value = entry.value.as_deref().unwrap_or_default();
    let unreadable = |source| ReleaseError::Unreadable { topic: topic.clone(), place, source };
    let Why { reason, detail } = serde_json::from_slice(value).map_err(unreadable)?;
    if reason == "unreadable" || detail == "time_implausible" {
        return Err(ReleaseError::NeverCounts { place, reason, detail }.into());
    }
    let kept: Kept = serde_json::from_slice(value).map_err(unreadable)?;
    let journal =
        view.bounds(&topics.events, kept.partition).context("read the journal's bounds")?;
    if kept.offset < journal.start {
        return Err(ReleaseError::NoLongerHeld { place }.into());
    }
    Ok(kept)
}

fn entry_at(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    offset: Offset,
) -> anyhow::Result<Option<ConsumerRecord>> {
    let bounds = view.bounds(topic, partition).context("read the topic's bounds")?;
    if !(bounds.start..bounds.stable_end).contains(&offset) {
        return Ok(None);
    }
    let mut reader = view.reader(topic, partition, offset).context("open the topic")?;
    let entries = reader.read(1, READ_WAIT).context("read the record")?;
    Ok(entries.into_iter().next().filter(|entry| entry.offset == offset))
}

/// Writes one order for each record and returns when all are durable.
fn write(
    log: &dyn WritableLog,
    topics: &Topics,
    kept: Vec<Kept>,
    args: &ReleaseArgs,
) -> anyhow::Result<Vec<Ordered>> {
    let mut rows = Vec::with_capacity(kept.len());
    let mut outputs_from = Vec::with_capacity(kept.len());
    for kept in &kept {
        outputs_from.push(log.bounds(&topics.transactions, kept.partition)?.stable_end);
        rows.push(ProducerRecord {
            topic: topics.events.clone(),
            partition: kept.partition,
            key: topics::key(&[&kept.tenant, &kept.store]).into(),
            value: Some(order(kept, &args.order.operator, args.reason.as_deref())?.into()),
        });
    }
    let producer = log.producer().context("open a producer")?;
    let orders = control::publish(producer.as_ref(), rows)?;
    kept.into_iter()
        .zip(orders.into_iter().zip(outputs_from))
        .map(|(kept, (order, outputs_from))| {
            let Kept { partition, offset, .. } = kept;
            say(&format!("ordered at {partition}/{order} of the journal: {partition}/{offset}"))?;
            Ok(Ordered { kept, order, outputs_from })
        })
        .collect()
}

fn order(kept: &Kept, operator: &str, reason: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let Kept { partition, offset, tenant, store, .. } = kept;
    let order = Order { partition: *partition, offset: *offset, operator, reason };
    control::record(TYPE_RELEASE, "tillrace-release", [tenant, store], &order)
}

/// Waits until the aggregator is past an order, and says what came of it.
fn is_followed(
    view: &dyn LogView,
    topics: &Topics,
    ordered: &Ordered,
    until: Instant,
) -> anyhow::Result<bool> {
    let Ordered { kept, order, outputs_from } = ordered;
    let Kept { partition, offset, .. } = *kept;
    let group = topics.group("aggregate");
    loop {
        let committed = view.committed(&group, &topics.events, partition)?;
        if committed.is_some_and(|place| place.offset > *order) {
            break;
        }
        if Instant::now() >= until {
            say(&format!("{partition}/{offset}: ordered; the aggregator has not come to it yet"))?;
            return Ok(false);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let came_out = came_out(view, &topics.transactions, partition, offset, *outputs_from)?;
    let outcome = if came_out {
        "released; it counts in stock and store-day"
    } else {
        "not released: it was released before, or is no longer what was kept aside"
    };
    say(&format!("{partition}/{offset}: {outcome}"))?;
    Ok(came_out)
}

#[derive(Deserialize)]
struct Released {
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    sourceoffset: Option<Offset>,
}

/// Looks for the released event on `pos.transactions`.
fn came_out(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    source: Offset,
    from: Offset,
) -> anyhow::Result<bool> {
    // The outputs were committed with the place that was seen; the readers' end may follow later.
    let end = view.bounds(topic, partition)?.end;
    let mut reader = view.reader(topic, partition, from)?;
    let until = Instant::now() + READ_WAIT;
    while reader.position() < end && Instant::now() < until {
        for entry in reader.read(1_000, LOOK_AGAIN)? {
            let value = entry.value.as_deref().unwrap_or_default();
            let released: Released = serde_json::from_slice(value).context("read a transaction")?;
            if released.verdict == "released" && released.sourceoffset == Some(source) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{}", printable(line)).context("print")
}
