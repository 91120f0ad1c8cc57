//! The fixture of this crate's tests: a Local log in a temporary folder, with helpers to write and read it.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tillrace_core::envelope::{Admission, Envelope, Scope, SourceVerdict, VerdictKind};
use tillrace_core::topics::{self, Topics};
use tillrace_log::health::Health;
use tillrace_log::local::{LocalLog, LocalSettings};
use tillrace_log::{ConsumerRecord, Log, Offset, Partition, ProducerRecord, Topic};

use bytes::Bytes;
use tillrace_core::verify::{SinkUnderTest, verify};

use crate::delivery::{Delivery, StartError};
use crate::engine::SinkSpec;

/// How long a condition may take to come true before a test gives up.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) topics: Topics,
    pub(crate) health: Health,
    sequence: std::sync::atomic::AtomicU64,
}

impl Fixture {
    pub(crate) fn new(partitions: Partition, sinks: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log =
            LocalLog::open(LocalSettings::new(folder.path().join("log"), partitions)).unwrap();
        let topics = Topics::new("");
        log.ensure_topics(&topics.specs(sinks, 1)).unwrap();
        Self { folder, log, topics, health: Health::default(), sequence: 0.into() }
    }

    pub(crate) fn append(
        &self,
        topic: &Topic,
        partition: Partition,
        key: &str,
        value: &[u8],
    ) -> Offset {
        self.write(topic, partition, key, Some(value.to_vec().into()))
    }

    /// Appends a record without a value.
    pub(crate) fn remove(&self, topic: &Topic, partition: Partition, key: &str) -> Offset {
        self.write(topic, partition, key, None)
    }

    fn write(
        &self,
        topic: &Topic,
        partition: Partition,
        key: &str,
        value: Option<Bytes>,
    ) -> Offset {
        let producer = self.log.producer().unwrap();
        let (tell, told) = sync_channel(1);
        let row =
            ProducerRecord { topic: topic.clone(), partition, key: key.to_owned().into(), value };
        producer.send(vec![row], Box::new(move |done| tell.send(done).unwrap())).unwrap();
        told.recv().unwrap().remove(0).unwrap()
    }

    /// Appends a transaction of a store to partition 0 and returns its offset.
    pub(crate) fn transaction(&self, store: &str, kind: &str, data: &str) -> Offset {
        let sequence = self.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let value = envelope(store, kind, sequence, data);
        let key = topics::key(&["acme", store]);
        self.append(&self.topics.transactions, 0, &key, &value)
    }

    /// Appends plain sales of a store and returns their offsets.
    pub(crate) fn sales(&self, store: &str, count: usize) -> Vec<Offset> {
        (0..count).map(|_| self.transaction(store, "sale", r#"{"kind":"sale"}"#)).collect()
    }

    pub(crate) fn entries(&self, topic: &Topic) -> Vec<ConsumerRecord> {
        let mut entries = Vec::new();
        for partition in 0..self.log.partitions() {
            let bounds = self.log.bounds(topic, partition).unwrap();
            let mut reader = self.log.reader(topic, partition, bounds.start).unwrap();
            while reader.position() < bounds.stable_end {
                entries.extend(reader.read(10_000, Duration::from_secs(1)).unwrap());
            }
        }
        entries
    }

    pub(crate) fn json(&self, topic: &Topic) -> Vec<Value> {
        let entries = self.entries(topic);
        entries
            .iter()
            .map(|entry| serde_json::from_slice(entry.value.as_ref().unwrap()).unwrap())
            .collect()
    }

    pub(crate) fn audit(&self) -> Vec<Value> {
        self.json(&self.topics.audit)
    }

    pub(crate) fn dead(&self, sink: &str) -> Vec<Value> {
        self.json(&self.topics.dead(sink))
    }

    pub(crate) fn committed(&self, sink: &str, topic: &Topic) -> Offset {
        let group = self.topics.sink_group(sink);
        self.log.committed(&group, topic, 0).unwrap().map_or(0, |committed| committed.offset)
    }

    /// Check (d) of `verify` holds for a sink.
    pub(crate) fn assert_verified(&self, sink: &str, topic: &Topic) {
        let group = self.topics.sink_group(sink);
        let under_test = SinkUnderTest {
            name: sink.to_owned(),
            topic: topic.clone(),
            group,
            is_configured: true,
        };
        let report = verify(&*self.log, &self.topics, &[under_test], 0, &mut |_| {}).unwrap();
        let check = report.checks.iter().find(|check| check.name.starts_with("(d)")).unwrap();
        assert!(check.holds(), "{check:?}");
    }

    /// Offsets of partition 0 that audit records of an outcome name, in the order they were written.
    pub(crate) fn audited(&self, outcome: &str) -> Vec<Offset> {
        let records = self.audit().into_iter().filter(|record| record["outcome"] == outcome);
        records
            .flat_map(|record| record["offsets"].as_array().unwrap().clone())
            .flat_map(|range| range[0].as_u64().unwrap()..range[1].as_u64().unwrap())
            .collect()
    }

    pub(crate) fn start_sinks(
        &self,
        specs: Vec<SinkSpec>,
        registry: &mut Registry,
    ) -> Result<Delivery, StartError> {
        Delivery::start_sinks(specs, &self.log, &self.topics, registry, &self.health)
    }

    /// The conditions that stand, each as `code subject`.
    pub(crate) fn standing(&self) -> Vec<String> {
        let standing =
            self.health.active_conditions().into_iter().map(|standing| standing.condition);
        standing.map(|found| format!("{} {}", found.code, found.subject)).collect()
    }

    /// Starts sinks; a group that a sink before is about to leave is waited for.
    pub(crate) async fn start(&self, spec: &SinkSpec) -> Delivery {
        let mut delivery = None;
        until("the sink starts", || {
            let specs = vec![spec.clone()];
            let started = self.start_sinks(specs, &mut Registry::default());
            delivery = started.ok();
            delivery.is_some()
        })
        .await;
        delivery.unwrap()
    }
}

/// Writes the envelope of a transaction of tenant `acme`, terminal `1`.
pub(crate) fn envelope(store: &str, kind: &str, sequence: u64, data: &str) -> Vec<u8> {
    let envelope = Envelope {
        id: sequence.to_string().into(),
        source: format!("/{}", topics::key(&["acme", store, "1"])).into(),
        event_type: format!("tillrace.pos.{kind}").into(),
        time: Some("2026-11-27T08:15:30+01:00".into()),
        tenant: "acme".into(),
        store: store.into(),
        terminal: Some("1".into()),
        sequence: Some(sequence),
        event_id: Some(format!("e-{sequence}").into()),
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
            offset: sequence,
        }),
        data: data.as_bytes(),
        ..Envelope::default()
    };
    let mut value = Vec::new();
    envelope.write(&mut value);
    value
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + TEST_TIMEOUT;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Validates a record against its schema in `docs/schemas`.
pub(crate) fn assert_valid(schema: &str, record: &[u8]) {
    let path = format!("{}/../docs/schemas/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let record: Value = serde_json::from_slice(record).unwrap();
    let options = jsonschema::options().should_validate_formats(true);
    if let Err(error) = options.build(&schema).unwrap().validate(&record) {
        panic!("{} of {record}: {error}", error.instance_path());
    }
}
