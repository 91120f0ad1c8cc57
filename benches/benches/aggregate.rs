//! Aggregating: verdict, ledger, day, windows and outputs of events in one partition.
//!
//! `aggregate/tillrace/basket` is the whole member at work on a log that does nothing: decode, judge,
//! fold and make the records of a flush. The rival does the least that any aggregator must, with what
//! the standard library offers: decode the same event, and add its lines up in a map whose keys are
//! strings.
//!
//! `aggregate/tillrace/day` folds the events of `docs/samples/day`, every kind there is, for a hundred stores.

#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]

use std::collections::HashMap;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tillrace_benches::day;
use tillrace_benches::fleet::Fleet;
use tillrace_benches::null_log::{Feed, drain};
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::Envelope;
use tillrace_core::stock::effect;
use tillrace_core::topics::Topics;
use tillrace_log::ConsumerRecord;

const EVENTS: u64 = 10_000;
const POLLED: usize = 1_000;

fn ours(feed: Feed, topics: &Topics) {
    let written = drain(feed, topics, &AggregateSettings::default()).expect("no faults");
    assert!(written.rows > EVENTS, "every event goes out, and what follows from it");
}

type Sums = HashMap<(String, String, String, i64), (i64, u64)>;

fn naive(journal: &[ConsumerRecord]) -> (Sums, usize) {
    let mut decoder = Decoder::new();
    let mut sums = Sums::new();
    let mut known: HashMap<(String, String, u64), Bytes> = HashMap::new();
    for entry in journal {
        let value = entry.value.as_ref().expect("a value");
        let envelope = Envelope::parse(value).expect("an envelope");
        let event = decoder.decode(envelope.data).expect("an event");
        let number = event.sequence.unwrap_or(0);
        let identity = (event.store.to_owned(), event.terminal.to_owned(), number);
        if known.insert(identity, value.clone()).is_some() {
            continue;
        }
        let window = event.occurred_at.micros.div_euclid(60_000_000);
        for line in &event.lines {
            let names = (event.store.to_owned(), line.sku.to_owned(), line.unit.to_owned(), window);
            let sum = sums.entry(names).or_default();
            sum.0 += effect(event.kind, line).stock;
            sum.1 += 1;
        }
    }
    (sums, known.len())
}

fn aggregate(criterion: &mut Criterion) {
    let topics = Topics::new("");
    let fleet = Fleet::of_shape("m");
    let journal: Vec<ConsumerRecord> =
        (0..EVENTS).map(|number| fleet.entry(&topics, number)).collect();
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function("tillrace/basket", |bencher| {
        let feed = || -> Feed {
            let polls: Vec<_> = journal.chunks(POLLED).map(<[ConsumerRecord]>::to_vec).collect();
            Box::new(polls.into_iter())
        };
        bencher.iter_batched(feed, |feed| ours(feed, &topics), BatchSize::PerIteration);
    });
    let stores = 100;
    let day = day::journal(&topics, stores);
    group.throughput(Throughput::Elements(day.len() as u64));
    group.bench_function("tillrace/day", |bencher| {
        let feed = || -> Feed {
            let polls: Vec<_> = day.chunks(POLLED).map(<[ConsumerRecord]>::to_vec).collect();
            Box::new(polls.into_iter())
        };
        bencher.iter_batched(
            feed,
            |feed| drain(feed, &topics, &AggregateSettings::default()).expect("no faults"),
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("std-map-of-strings/basket", |bencher| {
        bencher.iter_batched(|| (), |()| naive(&journal), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, aggregate);
criterion_main!(benches);
