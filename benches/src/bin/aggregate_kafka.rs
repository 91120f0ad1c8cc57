//! What the aggregator costs on a real Kafka: drains `pos.events` to its present end, then says so.
//!
//!     aggregate_kafka BROKERS NAMESPACE PARTITIONS [--without-transactions]
//!
//! Prints one line of JSON: `events` behind the first third, which only warms up; `cpu_s` of this process
//! for them (all threads, user and system), up to the commit of the last; `outputs` handed to the log, and
//! `wall_s`, both from the start. Without `pos.transactions` those rows are dropped before they are sent, so
//! that the windows stand alone, as they do in an engine that has no ledger; making them is then still part
//! of the cost. The aggregator itself has no such setting. The namespace's group must not have consumed
//! anything before, or only the rest is measured.

#![expect(clippy::print_stdout, reason = "the measurement is what it is for")]

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use tillrace_benches::watched_log::drain;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::topics::Topics;
use tillrace_log::kafka::{Durability, KafkaLog, KafkaSettings};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (brokers, namespace, partitions, drops) = match arguments.as_slice() {
        [brokers, namespace, partitions] => (brokers, namespace, partitions, false),
        [brokers, namespace, partitions, flag] if flag == "--without-transactions" => {
            (brokers, namespace, partitions, true)
        }
        _ => bail!("usage: aggregate_kafka BROKERS NAMESPACE PARTITIONS [--without-transactions]"),
    };
    let partitions = partitions.parse().context("read the number of partitions")?;
    let topics = Topics::new(namespace);
    let kafka = KafkaLog::connect(KafkaSettings {
        durability: Durability::Development,
        ..KafkaSettings::new(brokers, partitions)
    })?;
    let without = drops.then(|| topics.transactions.clone());
    let began = Instant::now();
    let seen = drain(kafka, &topics, &AggregateSettings::default(), without)?;
    let [Some(warm), Some(done)] = seen.marks.each_ref().map(|mark| mark.get()) else {
        bail!("there was nothing to aggregate");
    };
    let measured = serde_json::json!({
        "events": done.events - warm.events,
        "outputs": seen.rows.load(Ordering::Relaxed),
        "cpu_s": done.cpu_s - warm.cpu_s,
        "wall_s": began.elapsed().as_secs_f64(),
    });
    println!("{measured}");
    Ok(())
}
