//! Aggregating: verdict, ledger, day, windows and outputs of events in one partition.
//!
//! `aggregate/tillrace/basket` is the whole member at work on a log that does nothing: decode, judge,
//! fold and make the records of a flush. The rival does the least that any aggregator must, with what
//! the standard library offers: decode the same event, and add its lines up in a map whose keys are
//! strings.

#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prometheus_client::registry::Registry;
use tillrace_core::aggregate::{AggregateMetrics, AggregateSettings, run};
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::log::{
    Bounds, Committed, Consumer, Entry, Log, LogError, LogView, Offset, Partition, Polled,
    Position, Producer, Reader, Row, Topic, TopicSpec, TransactionalConsumer,
};
use tillrace_core::stock::effect;
use tillrace_core::topics::{Topics, key};

const EVENTS: u64 = 10_000;
const STORES: u64 = 50;
const TERMINALS: u64 = 8;
const POLLED: usize = 1_000;

/// A morning's baskets of five lines: 50 stores of 8 terminals, 2,000 articles.
fn journal(topics: &Topics) -> Arc<Vec<Entry>> {
    let entry = |number: u64| {
        let (store, terminal) = (number % STORES, number / STORES % TERMINALS);
        let sequence = number / (STORES * TERMINALS) + 1;
        let data = basket(number, store, terminal, sequence);
        let store = format!("{store:04}");
        let envelope = Envelope {
            id: sequence.to_string().into(),
            source: format!("/demo/{store}/{terminal}").into(),
            event_type: "tillrace.pos.sale".into(),
            time: Some("2026-11-27T08:15:30+01:00".into()),
            tenant: "demo".into(),
            store: store.as_str().into(),
            terminal: Some(terminal.to_string().into()),
            epoch: None,
            sequence: Some(sequence),
            event_id: Some(format!("e-{number}").into()),
            business_date: Some("2026-11-27".into()),
            received_time: "2026-11-27T07:15:31.002Z".into(),
            content_hash: Some(u128::from(number) << 90),
            scope: Scope::Terminal,
            policy_revision: "1".into(),
            flags: None,
            admission: Admission::Live,
            gateway: "gw-1".into(),
            traceparent: None,
            settled: None,
            data: data.as_bytes(),
        };
        let mut value = Vec::new();
        envelope.write(&mut value);
        Entry {
            topic: topics.events.clone(),
            partition: 0,
            offset: number,
            appended_ms: 1_795_763_731_000,
            key: key(&["demo", &store]).into(),
            value: Some(value.into()),
        }
    };
    Arc::new((0..EVENTS).map(entry).collect())
}

fn basket(number: u64, store: u64, terminal: u64, sequence: u64) -> String {
    let line = |line: u64| {
        let sku = (number * 7 + line * line * 31) % 2_000;
        format!(
            r#"{{"line":{line},"type":"sale","sku":"{sku:08}","quantity":"1","unit_price":"2.49","amount":"2.49"}}"#
        )
    };
    let lines: Vec<String> = (1..=5).map(line).collect();
    let minute = number / 400 % 60;
    format!(
        r#"{{"store":"{store:04}","terminal":"{terminal}","sequence":{sequence},"event_id":"e-{number}","kind":"sale","occurred_at":"2026-11-27T08:{minute:02}:30+01:00","business_date":"2026-11-27","currency":"EUR","lines":[{}],"tenders":[{{"type":"card","amount":"12.45"}}]}}"#,
        lines.join(",")
    )
}

/// A log that offers the journal once and takes every commit at no cost.
struct NullLog {
    journal: Arc<Vec<Entry>>,
    stop: Arc<AtomicBool>,
}

struct NullConsumer {
    journal: Arc<Vec<Entry>>,
    stop: Arc<AtomicBool>,
    assigned: bool,
    started: bool,
    next: usize,
}

struct NullReader;

impl LogView for NullLog {
    fn partitions(&self) -> Partition {
        1
    }

    fn bounds(&self, _topic: &Topic, _partition: Partition) -> Result<Bounds, LogError> {
        Ok(Bounds { start: 0, stable_end: 0, end: 0 })
    }

    fn reader(
        &self,
        _topic: &Topic,
        _partition: Partition,
        _from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(NullReader))
    }

    fn committed(
        &self,
        _group: &str,
        _topic: &Topic,
        _partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        Ok(None)
    }
}

impl Reader for NullReader {
    fn read(&mut self, _max_records: usize, _wait: Duration) -> Result<Vec<Entry>, LogError> {
        Ok(Vec::new())
    }

    fn position(&self) -> Offset {
        0
    }
}

impl Log for NullLog {
    fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }

    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Err(LogError::TimedOut { action: "make a producer that no bench needs" })
    }

    fn consumer(&self, _group: &str, _topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Err(LogError::TimedOut { action: "make a consumer that no bench needs" })
    }

    fn transactional_consumer(
        &self,
        _group: &str,
        _topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        Ok(Box::new(NullConsumer {
            journal: Arc::clone(&self.journal),
            stop: Arc::clone(&self.stop),
            assigned: false,
            started: false,
            next: 0,
        }))
    }
}

impl Consumer for NullConsumer {
    fn poll(&mut self, _max_records: usize, _wait: Duration) -> Result<Polled, LogError> {
        if !self.assigned {
            self.assigned = true;
            return Ok(Polled::Assigned(vec![0]));
        }
        let to = (self.next + POLLED).min(self.journal.len());
        if !self.started || self.next == to {
            self.stop.store(self.started, Ordering::Relaxed);
            return Ok(Polled::Idle);
        }
        let entries = self.journal[self.next..to].to_vec();
        self.next = to;
        Ok(Polled::Records(entries))
    }

    fn committed(&mut self, _partition: Partition) -> Result<Option<Committed>, LogError> {
        Ok(None)
    }

    fn start(&mut self, _partition: Partition, _offset: Offset) -> Result<(), LogError> {
        self.started = true;
        Ok(())
    }

    fn commit(&mut self, _positions: &[Position]) -> Result<(), LogError> {
        Ok(())
    }
}

impl TransactionalConsumer for NullConsumer {
    fn commit_with(&mut self, rows: Vec<Row>, _positions: &[Position]) -> Result<(), LogError> {
        black_box(rows);
        Ok(())
    }
}

fn ours(journal: &Arc<Vec<Entry>>, topics: &Topics) {
    let stop = Arc::new(AtomicBool::new(false));
    let log = NullLog { journal: Arc::clone(journal), stop: Arc::clone(&stop) };
    let metrics = AggregateMetrics::register(&mut Registry::default());
    let settings = AggregateSettings::default();
    run(Arc::new(log), topics, &settings, &stop, &metrics).expect("a log without faults");
}

type Sums = HashMap<(String, String, String, i64), (i64, u64)>;

fn naive(journal: &[Entry]) -> (Sums, usize) {
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
    let journal = journal(&topics);
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    group.bench_function("tillrace/basket", |bencher| {
        bencher.iter_batched(|| (), |()| ours(&journal, &topics), BatchSize::PerIteration);
    });
    group.bench_function("std-map-of-strings/basket", |bencher| {
        bencher.iter_batched(|| (), |()| naive(&journal), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, aggregate);
criterion_main!(benches);
