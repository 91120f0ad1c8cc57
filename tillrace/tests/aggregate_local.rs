//! The aggregator on the Local log: real files, restarts between and in the middle, and the recount
//! by `verify`. What it writes is held against the published schemas.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tillrace_core::aggregate::{AggregateMetrics, AggregateSettings, run};
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::text::Timestamp;
use tillrace_core::topics::{Topics, key, partition_of};
use tillrace_core::verify::verify;
use tillrace_log::health::Health;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{Log, LogView, ProducerRecord, Topic, WritableLog};

const PARTITIONS: u32 = 4;
const STORES: u64 = 12;

/// The event of one number of one store's terminal: mostly sales, some of everything else.
fn event(store: u64, sequence: u64, occurred_ms: i64, altered: bool) -> Value {
    let occurred = Timestamp::from_millis(occurred_ms).to_string();
    let mut event = json!({
        "store": format!("s/{store}"), "terminal": "t1", "sequence": sequence,
        "event_id": format!("e-{store}-{sequence}"), "kind": "sale", "currency": "EUR",
        "occurred_at": occurred, "business_date": occurred[..10],
        "lines": [
            {"line": 1, "type": "sale", "sku": format!("sku {}", sequence % 9), "quantity": "2",
             "amount": "9.98", "taxes": [{"code": "A", "amount": "1.59", "inclusive": true}]},
            {"line": 2, "type": "return", "sku": "sku 1", "quantity": "0.250", "unit": "KGM",
             "amount": "1.00"},
        ],
        "tenders": [{"type": "cash", "amount": "8.98"}],
    });
    match sequence % 13 {
        3 => {
            event["kind"] = "inventory_count".into();
            event["lines"] = json!([{"line": 1, "type": "count", "sku": "a\"b", "quantity": "7"}]);
            event["tenders"] = json!([]);
        }
        5 => {
            event["kind"] = "no_sale".into();
            event["lines"] = json!([]);
            event["tenders"] = json!([]);
        }
        7 => event["business_date"] = "2031-01-01".into(),
        _ => {}
    }
    if altered {
        event["operator_id"] = "another".into();
    }
    event
}

fn row(topics: &Topics, event: &Value, refused: bool) -> ProducerRecord {
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    let data = serde_json::to_vec(event).unwrap();
    let hash = Decoder::new().decode(&data).expect("events follow the schema").hash;
    let kind = if refused { "refused".to_owned() } else { text("kind") };
    let store = text("store");
    let sequence = event["sequence"].as_u64().unwrap();
    let envelope = Envelope {
        id: sequence.to_string().into(),
        source: format!("/{}", key(&["demo", &store, "t1"])).into(),
        event_type: format!("tillrace.pos.{kind}").into(),
        time: Some(text("occurred_at").into()),
        tenant: "demo".into(),
        store: store.as_str().into(),
        terminal: Some("t1".into()),
        sequence: Some(sequence),
        event_id: Some(text("event_id").into()),
        business_date: Some(text("business_date").into()),
        received_time: text("occurred_at").into(),
        content_hash: Some(hash),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Live,
        gateway: "test".into(),
        data: if refused { br#"{"code":"invalid_money","pointer":""}"# } else { &data },
        ..Envelope::default()
    };
    let mut value = Vec::new();
    envelope.write(&mut value);
    ProducerRecord {
        topic: topics.events.clone(),
        partition: partition_of("demo", &store, PARTITIONS),
        key: key(&["demo", &store]).into(),
        value: Some(value.into()),
    }
}

/// Rows of a span of numbers of every store: with repeats, conflicts, refusals and gaps.
fn rows(topics: &Topics, numbers: std::ops::Range<u64>) -> Vec<ProducerRecord> {
    let now_ms =
        i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut rows = Vec::new();
    for sequence in numbers {
        for store in 0..STORES {
            let age_ms = i64::try_from(sequence * 97 % 86_400).unwrap() * 1_000;
            let event = |altered| event(store, sequence, now_ms - age_ms, altered);
            match sequence % 17 {
                11 => {}
                12 => rows.push(row(topics, &event(false), true)),
                2 => rows.extend([false, true].map(|altered| row(topics, &event(altered), false))),
                4 => rows.extend([false; 2].map(|altered| row(topics, &event(altered), false))),
                _ => rows.push(row(topics, &event(false), false)),
            }
        }
    }
    rows
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(log: &Arc<LocalLog>, topics: &Topics) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let log: Arc<dyn Log> = Arc::<LocalLog>::clone(log);
        let (topics, flag) = (topics.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let settings = AggregateSettings {
                flush_interval: Duration::from_millis(20),
                flush_records: 400,
                ..AggregateSettings::default()
            };
            let metrics = AggregateMetrics::register(&mut Registry::default());
            run(log, &topics, &settings, &flag, &metrics, &Health::default()).unwrap();
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn open(dir: &Path, topics: &Topics) -> Arc<LocalLog> {
    open_with(LocalSettings::new(dir, PARTITIONS), topics)
}

fn open_with(settings: LocalSettings, topics: &Topics) -> Arc<LocalLog> {
    let log = LocalLog::open(settings).unwrap();
    log.ensure_topics(&topics.specs(&[], 7)).unwrap();
    log
}

fn send(log: &LocalLog, rows: Vec<ProducerRecord>) {
    let producer = log.producer().unwrap();
    let (told, heard) = std::sync::mpsc::sync_channel(1);
    let done = Box::new(move |outcomes: Vec<Result<u64, _>>| {
        told.send(outcomes.into_iter().all(|outcome| outcome.is_ok())).unwrap();
    });
    producer.send(rows, done).unwrap();
    assert!(heard.recv_timeout(Duration::from_mins(1)).unwrap());
}

fn wait_until_consumed(log: &LocalLog, topics: &Topics) {
    let group = topics.group("aggregate");
    let deadline = Instant::now() + Duration::from_mins(2);
    for partition in 0..PARTITIONS {
        let end = log.bounds(&topics.events, partition).unwrap().stable_end;
        loop {
            let committed = log.committed(&group, &topics.events, partition).unwrap();
            if committed.is_some_and(|committed| committed.offset >= end) {
                break;
            }
            assert!(Instant::now() < deadline, "partition {partition} is not consumed");
            std::thread::yield_now();
        }
    }
}

fn read(log: &LocalLog, topic: &Topic) -> Vec<Value> {
    let mut values = Vec::new();
    for partition in 0..PARTITIONS {
        let bounds = log.bounds(topic, partition).unwrap();
        let mut reader = log.reader(topic, partition, bounds.start).unwrap();
        while reader.position() < bounds.stable_end {
            let entries = reader.read(1_000, Duration::from_secs(5)).unwrap();
            values.extend(
                entries
                    .iter()
                    .map(|entry| serde_json::from_slice(entry.value.as_deref().unwrap()).unwrap()),
            );
        }
    }
    values
}

fn holds(log: &LocalLog, topics: &Topics) {
    let report = verify(log, topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

#[test]
fn restarts_on_real_files_keep_every_total() {
    let (dir, topics) = (TempDir::new().unwrap(), Topics::new(""));
    {
        let log = open(dir.path(), &topics);
        send(&log, rows(&topics, 0..30));
        let running = Running::start(&log, &topics);
        wait_until_consumed(&log, &topics);
        send(&log, rows(&topics, 20..60));
        // Stopped wherever it is.
        running.stop();
    }
    {
        let log = open(dir.path(), &topics);
        let running = Running::start(&log, &topics);
        send(&log, rows(&topics, 60..90));
        wait_until_consumed(&log, &topics);
        running.stop();
        holds(&log, &topics);
    }
    let log = open(dir.path(), &topics);
    let running = Running::start(&log, &topics);
    wait_until_consumed(&log, &topics);
    running.stop();
    let sources: Vec<(u64, u64)> = read(&log, &topics.transactions)
        .iter()
        .map(|copy| {
            (copy["sourcepartition"].as_u64().unwrap(), copy["sourceoffset"].as_u64().unwrap())
        })
        .collect();
    let distinct: BTreeSet<_> = sources.iter().collect();
    assert_eq!(distinct.len(), sources.len(), "a first went out twice");
    // Of 90 numbers 5 have no event, 5 only a refusal, 7 lie ahead: 13k+7 less those of the former.
    let firsts = (0..90_u64)
        .filter(|number| !matches!(number % 17, 11 | 12) && number % 13 != 7)
        .count() as u64;
    assert_eq!(sources.len() as u64, firsts * STORES);
    holds(&log, &topics);
    follow_their_schemas(&log, &topics);
}

/// The recount is told that nothing is old enough to be gone: all that it misses is what the journal has lost too.
#[test]
fn what_a_bound_in_bytes_leaves_is_a_log_that_holds() {
    let (dir, topics) = (TempDir::new().unwrap(), Topics::new(""));
    let mut settings = LocalSettings::new(dir.path(), PARTITIONS);
    settings.tuning.segment_bytes = ByteSize::kib(64);
    settings.tuning.retention_bytes = Some(ByteSize::kib(512));
    settings.tuning.upkeep_every = Duration::from_millis(20);
    settings.keep_by_age = vec![topics.conflicts.clone()];
    let log = open_with(settings.clone(), &topics);
    let running = Running::start(&log, &topics);
    let start = |topic: &Topic, partition| log.bounds(topic, partition).unwrap().start;
    let cut = || {
        let bounded = [&topics.events, &topics.transactions, &topics.deltas];
        let used = (0..STORES).map(|store| partition_of("demo", &format!("s/{store}"), PARTITIONS));
        used.into_iter().all(|one| bounded.iter().all(|topic| start(topic, one) > 0))
    };
    let mut next = 0;
    while !cut() {
        assert!(next < 20_000, "the bound lets nothing go");
        send(&log, rows(&topics, next..next + 30));
        next += 30;
    }
    wait_until_consumed(&log, &topics);
    running.stop();
    assert!((0..PARTITIONS).all(|partition| start(&topics.conflicts, partition) == 0));
    drop(log);
    // Nothing is forgotten while it is recounted.
    settings.tuning.upkeep_every = Duration::from_hours(1);
    holds(&open_with(settings, &topics), &topics);
}

fn follow_their_schemas(log: &LocalLog, topics: &Topics) {
    for (topic, schema) in [
        (&topics.deltas, "delta"),
        (&topics.counts, "count"),
        (&topics.conflicts, "conflict"),
        (&topics.ledger, "ledger"),
        (&topics.days, "store-day"),
    ] {
        let validator = validator(schema);
        let records = read(log, topic);
        assert!(!records.is_empty(), "{topic} is empty");
        for record in records {
            if let Err(error) = validator.validate(&record) {
                panic!("{topic}: {error} at {}: {record}", error.instance_path());
            }
            let mut more = record;
            more["surplus"] = json!(1);
            assert!(!validator.is_valid(&more), "{schema} allows what it does not name");
        }
    }
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../docs/schemas/{name}.v1.schema.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "{name}");
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}
