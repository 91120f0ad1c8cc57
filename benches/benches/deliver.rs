//! The delivery engine's own cost per record: reading, filtering, key queues, calls, audit, commits, on a
//! Local log, with a connector that does nothing. Beside it a loop that reads, calls and commits
//! one poll after the other: no order per key, no audit, nothing to retry.
//!
//! Every record is a sale of some 900 bytes. The Local log syncs each audit write and commit: set
//! `TMPDIR` to a disk worth measuring.
#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tillrace_core::envelope::{Admission, Envelope, Scope, SourceVerdict, VerdictKind};
use tillrace_core::topics::{self, Topics};
use tillrace_log::health::Health;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{Committed, Log, Polled, Position, ProducerRecord, WritableLog};
use tillrace_sinks::Delivery;
use tillrace_sinks::connector::{self, Connector, DeliveryFuture, DeliveryReply, RecordOutcome};
use tillrace_sinks::engine::SinkSpec;
use tillrace_sinks::filter::Filter;
use tillrace_sinks::record::{Record, RecordError, SourceTopic};
use tillrace_sinks::settings::{BatchSettings, FlowSettings};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const RECORDS: u64 = 50_000;
const STORES: u64 = 200;
const POLL_WAIT: Duration = Duration::from_millis(50);

/// Takes everything, and says when it has all.
#[derive(Debug)]
struct Null {
    max_records: usize,
    taken: AtomicU64,
    complete: Notify,
}

impl Connector for Null {
    fn ordering(&self) -> connector::Ordering {
        connector::Ordering::Key
    }

    fn default_batch(&self) -> BatchSettings {
        BatchSettings {
            max_records: self.max_records,
            max_bytes: bytesize::ByteSize::mib(1),
            linger: Duration::from_millis(1),
        }
    }

    fn accepts(&self, _: &Record) -> Result<bool, RecordError> {
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a connector::DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let count = batch.records.len();
            let taken = self.taken.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            if taken >= RECORDS {
                self.complete.notify_one();
            }
            Ok(DeliveryReply { status: None, outcomes: vec![RecordOutcome::Delivered; count] })
        })
    }
}

struct Backlog {
    log: Arc<dyn Log>,
    topics: Topics,
    names: AtomicU64,
    _folder: TempDir,
}

impl Backlog {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = LocalLog::open(LocalSettings::new(folder.path(), 4)).expect("the log opens");
        let topics = Topics::new("");
        log.ensure_topics(&topics.specs(&[], 1)).expect("topics");
        let producer = log.producer().expect("a producer");
        for from in (0..RECORDS).step_by(1_000) {
            let rows = (from..from + 1_000).map(|number| row(&topics, number)).collect();
            producer.send(rows, Box::new(drop)).expect("there is room");
            producer.flush(Duration::from_secs(30)).expect("durable");
        }
        Self { log, topics, names: AtomicU64::new(0), _folder: folder }
    }

    /// Names a sink that no run before had: it starts at the beginning.
    fn fresh_sink(&self) -> String {
        let name = format!("null-{}", self.names.fetch_add(1, Ordering::Relaxed));
        let specs = self.topics.specs(&[&name], 1);
        self.log.ensure_topics(&specs).expect("its dead letters");
        name
    }

    async fn deliver(&self, max_records: usize) -> Duration {
        let null =
            Arc::new(Null { max_records, taken: AtomicU64::new(0), complete: Notify::new() });
        let spec = SinkSpec {
            name: self.fresh_sink(),
            source: SourceTopic::Transactions,
            filter: Filter::default(),
            flow: FlowSettings::default(),
            connector: Arc::clone(&null) as Arc<dyn Connector>,
        };
        let mut registry = Registry::default();
        let began = Instant::now();
        let health = Health::default();
        let delivery =
            Delivery::start_sinks(vec![spec], &self.log, &self.topics, &mut registry, &health)
                .expect("the sink starts");
        null.complete.notified().await;
        // All is audited and committed when this returns.
        let ends = delivery.drain().await;
        assert!(ends.iter().all(|(_, health)| health.is_healthy()), "{ends:?}");
        began.elapsed()
    }

    fn read_and_commit(&self) -> Duration {
        let group = self.fresh_sink();
        let began = Instant::now();
        let mut consumer =
            self.log.consumer(&group, &self.topics.transactions).expect("a consumer");
        let mut taken = 0;
        while taken < RECORDS {
            match consumer.poll(2_000, POLL_WAIT).expect("a poll") {
                Polled::Assigned(partitions) => {
                    for partition in partitions {
                        consumer.start(partition, 0).expect("a start");
                    }
                }
                Polled::Records(entries) => {
                    taken += entries.len() as u64;
                    let Some(last) = entries.last() else { continue };
                    let committed = Committed { offset: last.offset + 1, metadata: String::new() };
                    let position = Position { partition: last.partition, committed };
                    consumer.commit(&[position]).expect("a commit");
                }
                Polled::Revoked(_) | Polled::Idle => {}
            }
        }
        began.elapsed()
    }
}

fn row(topics: &Topics, number: u64) -> ProducerRecord {
    let store = (number % STORES).to_string();
    let data = format!(r#"{{"kind":"sale","note":"{}"}}"#, "x".repeat(400));
    let envelope = Envelope {
        id: number.to_string().into(),
        source: format!("/acme/{store}/1").into(),
        event_type: "tillrace.pos.sale".into(),
        time: Some("2026-11-27T08:15:30+01:00".into()),
        tenant: "acme".into(),
        store: store.as_str().into(),
        terminal: Some("1".into()),
        sequence: Some(number),
        event_id: Some(number.to_string().into()),
        business_date: Some("2026-11-27".into()),
        received_time: "2026-11-27T07:15:31.002Z".into(),
        content_hash: Some(1),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Live,
        gateway: "gw-1".into(),
        source_verdict: Some(SourceVerdict {
            verdict: VerdictKind::First,
            partition: 0,
            offset: number,
        }),
        data: data.as_bytes(),
        ..Envelope::default()
    };
    let mut value = Vec::with_capacity(1_024);
    envelope.write(&mut value);
    ProducerRecord {
        topic: topics.transactions.clone(),
        partition: topics::partition_of("acme", &store, 4),
        key: topics::key(&["acme", &store]).into(),
        value: Some(Bytes::from(value)),
    }
}

fn deliver(criterion: &mut Criterion) {
    let backlog = Backlog::new();
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("deliver");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    for (shape, max_records) in [("batches_of_200", 200), ("one_a_call", 1)] {
        group.bench_function(format!("engine/{shape}"), |bencher| {
            bencher.iter_custom(|times| {
                (0..times).map(|_| runtime.block_on(backlog.deliver(max_records))).sum()
            });
        });
    }
    group.bench_function("read_loop/polls_of_2000", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| backlog.read_and_commit()).sum());
    });
    group.finish();
}

criterion_group!(benches, deliver);
criterion_main!(benches);
