//! The delivery engine on a real Kafka: a partition taken away while calls are under way.
#![expect(clippy::unwrap_used, reason = "what fails to unwrap has failed the test")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Atomic};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytesize::ByteSize;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tillrace_core::envelope::{Admission, Envelope, Scope, SourceVerdict, VerdictKind};
use tillrace_core::topics::{self, Topics};
use tillrace_core::verify::{SinkUnderTest, verify};
use tillrace_log::health::Health;
use tillrace_log::kafka::{Durability, KafkaLog, KafkaSettings};
use tillrace_log::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Polled, Position,
    Producer, ProducerRecord, Reader, Topic, TopicSpec, TransactionalConsumer, Weaknesses,
    WritableLog,
};
use tillrace_sinks::Delivery;
use tillrace_sinks::connector::{
    Connector, DeliveryBatch, DeliveryFuture, DeliveryReply, Ordering, RecordOutcome,
};
use tillrace_sinks::engine::SinkSpec;
use tillrace_sinks::filter::Filter;
use tillrace_sinks::record::{Record, RecordError, SourceTopic};
use tillrace_sinks::settings::{self, FlowSettings};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_mins(2);
const PARTITIONS: Partition = 4;
const STORES: u64 = 16;
const BEFORE: u64 = 30;
const AFTER: u64 = 10;

/// What the group said to members and what they committed, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Assigned(Partition),
    Revoked(Partition),
    Committed(Partition, Offset),
}

type Events = Arc<Mutex<Vec<(&'static str, Event)>>>;

/// A log whose memberships are watched.
struct Watched {
    log: Arc<KafkaLog>,
    member: &'static str,
    events: Events,
}

struct WatchedMember {
    consumer: Box<dyn Consumer>,
    member: &'static str,
    events: Events,
}

impl WatchedMember {
    fn note(&self, events: impl Iterator<Item = Event>) {
        self.events.lock().extend(events.map(|event| (self.member, event)));
    }
}

impl Consumer for WatchedMember {
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Polled, LogError> {
        let polled = self.consumer.poll(max_records, wait)?;
        match &polled {
            Polled::Assigned(partitions) => {
                self.note(partitions.iter().copied().map(Event::Assigned));
            }
            Polled::Revoked(partitions) => {
                self.note(partitions.iter().copied().map(Event::Revoked));
            }
            Polled::Records(_) | Polled::Idle => {}
        }
        Ok(polled)
    }

    fn committed(&mut self, partition: Partition) -> Result<Option<Committed>, LogError> {
        self.consumer.committed(partition)
    }

    fn start(&mut self, partition: Partition, offset: Offset) -> Result<(), LogError> {
        self.consumer.start(partition, offset)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<(), LogError> {
        self.consumer.commit(positions)?;
        let event =
            |position: &Position| Event::Committed(position.partition, position.committed.offset);
        self.note(positions.iter().map(event));
        Ok(())
    }
}

impl LogView for Watched {
    fn identity(&self) -> Result<String, LogError> {
        self.log.identity()
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(topic, partition, from)
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.log.committed(group, topic, partition)
    }
}

impl WritableLog for Watched {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        self.log.producer()
    }
}

impl Log for Watched {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        self.log.ensure_topics(topics)
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        let consumer = self.log.consumer(group, topic)?;
        let events = Arc::clone(&self.events);
        Ok(Box::new(WatchedMember { consumer, member: self.member, events }))
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        self.log.transactional_consumer(group, topic)
    }
}

/// What the backend took, and whether it answers.
#[derive(Default)]
struct Backend {
    /// By key, in the order of arrival: who sent it, and its offset.
    taken: Mutex<BTreeMap<String, Vec<(&'static str, Offset)>>>,
    silent: AtomicBool,
    unanswered: AtomicUsize,
    abandoned: AtomicUsize,
}

impl Backend {
    fn distinct(&self) -> usize {
        let taken = self.taken.lock();
        taken.values().map(|all| all.iter().map(|one| one.1).collect::<BTreeSet<_>>().len()).sum()
    }
}

/// One member's way to the backend.
struct Calling {
    member: &'static str,
    backend: Arc<Backend>,
}

impl fmt::Debug for Calling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.member)
    }
}

/// Counts a call that nobody waits for any more.
struct Underway<'a>(&'a Backend, bool);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.abandoned.fetch_add(1, Atomic::Relaxed);
        }
    }
}

impl Connector for Calling {
    fn ordering(&self) -> Ordering {
        Ordering::Key
    }

    fn default_batch(&self) -> settings::BatchSettings {
        let linger = Duration::from_millis(1);
        settings::BatchSettings { max_records: 10, max_bytes: ByteSize::mib(1), linger }
    }

    fn accepts(&self, _: &Record) -> Result<bool, RecordError> {
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let mut underway = Underway(&self.backend, false);
            for record in &batch.records {
                let key = String::from_utf8(record.key.to_vec()).unwrap();
                let mut taken = self.backend.taken.lock();
                taken.entry(key).or_default().push((self.member, record.offset));
            }
            if self.backend.silent.load(Atomic::Relaxed) {
                self.backend.unanswered.fetch_add(1, Atomic::Relaxed);
                while self.backend.silent.load(Atomic::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            underway.1 = true;
            Ok(DeliveryReply {
                status: Some(200),
                outcomes: vec![RecordOutcome::Delivered; batch.records.len()],
            })
        })
    }
}

struct Stage {
    log: Arc<KafkaLog>,
    topics: Topics,
    settings: KafkaSettings,
    events: Events,
    backend: Arc<Backend>,
}

impl Stage {
    fn open(servers: &str) -> Self {
        let settings = KafkaSettings {
            replication: 1,
            durability: Durability::Development,
            ..KafkaSettings::new(servers, PARTITIONS)
        };
        let log = KafkaLog::connect(settings.clone()).unwrap();
        let topics = Topics::new(&format!("sinks-{}", &Uuid::new_v4().to_string()[..8]));
        log.ensure_topics(&topics.specs(&["erp"], 1)).unwrap();
        Self { log, topics, settings, events: Events::default(), backend: Arc::default() }
    }

    /// Appends sales of every store, numbered so; returns how many.
    fn sell(&self, sequences: std::ops::Range<u64>) -> usize {
        let row = |store: u64, sequence| {
            let store = store.to_string();
            ProducerRecord {
                topic: self.topics.transactions.clone(),
                partition: topics::partition_of("acme", &store, PARTITIONS),
                key: topics::key(&["acme", &store]).into(),
                value: Some(sale(&store, sequence).into()),
            }
        };
        let stores = |sequence| (0..STORES).map(move |store| row(store, sequence));
        let rows: Vec<ProducerRecord> = sequences.flat_map(stores).collect();
        let count = rows.len();
        let (tell, told) = sync_channel(1);
        let producer = self.log.producer().unwrap();
        producer.send(rows, Box::new(move |outcomes| tell.send(outcomes).unwrap())).unwrap();
        assert!(told.recv().unwrap().iter().all(Result::is_ok));
        count
    }

    /// Starts a member with a client of its own.
    fn start(&self, member: &'static str, commit_every: Duration) -> Delivery {
        let log = KafkaLog::connect(self.settings.clone()).unwrap();
        let log: Arc<dyn Log> = Arc::new(Watched { log, member, events: Arc::clone(&self.events) });
        let spec = SinkSpec {
            name: "erp".into(),
            source: SourceTopic::Transactions,
            filter: Filter::default(),
            flow: FlowSettings { commit_every, ..FlowSettings::default() },
            connector: Arc::new(Calling { member, backend: Arc::clone(&self.backend) }),
        };
        Delivery::start_sinks(
            vec![spec],
            &log,
            &self.topics,
            &mut Registry::default(),
            &Health::default(),
        )
        .unwrap()
    }

    /// Number of offsets that the audit says were delivered, each as often as it says so.
    fn audited(&self) -> u64 {
        let mut audited = 0;
        for partition in 0..PARTITIONS {
            let bounds = self.log.bounds(&self.topics.audit, partition).unwrap();
            let mut reader = self.log.reader(&self.topics.audit, partition, bounds.start).unwrap();
            while reader.position() < bounds.stable_end {
                for entry in reader.read(1_000, Duration::from_secs(1)).unwrap() {
                    let record: Value = serde_json::from_slice(&entry.value.unwrap()).unwrap();
                    let ranges = record["offsets"].as_array().unwrap().iter();
                    audited += ranges
                        .map(|range| range[1].as_u64().unwrap() - range[0].as_u64().unwrap())
                        .sum::<u64>();
                }
            }
        }
        audited
    }

    /// Tells whether the group has committed up to the end of the partition.
    fn is_done(&self, partition: Partition) -> bool {
        let (group, topic) = (self.topics.sink_group("erp"), &self.topics.transactions);
        let committed = self.log.committed(&group, topic, partition).unwrap();
        let end = self.log.bounds(topic, partition).unwrap().end;
        committed == Some(Committed { offset: end, metadata: format!("1;{end}") })
    }

    /// Partitions that a member has now.
    fn owned(&self, member: &'static str) -> BTreeSet<Partition> {
        let mut owned = BTreeSet::new();
        for (_, event) in self.events.lock().iter().filter(|(whose, _)| *whose == member) {
            match event {
                Event::Assigned(partition) => owned.insert(*partition),
                Event::Revoked(partition) => owned.remove(partition),
                Event::Committed(..) => false,
            };
        }
        owned
    }
}

fn sale(store: &str, sequence: u64) -> Vec<u8> {
    let envelope = Envelope {
        id: sequence.to_string().into(),
        source: format!("/{}", topics::key(&["acme", store, "1"])).into(),
        event_type: "tillrace.pos.sale".into(),
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
        data: b"{}",
        ..Envelope::default()
    };
    let mut value = Vec::new();
    envelope.write(&mut value);
    value
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ended_well(delivery: Delivery) {
    for (sink, health) in delivery.drain().await {
        assert!(health.is_healthy(), "{sink}: {health}");
    }
}

/// No member commits what it does not have, and no partition's committed offset ever goes back.
fn assert_committed_by_owners_only(events: &[(&'static str, Event)]) {
    let mut owned: BTreeSet<(&str, Partition)> = BTreeSet::new();
    let mut committed = BTreeMap::new();
    for (member, event) in events {
        match event {
            Event::Assigned(partition) => assert!(owned.insert((member, *partition))),
            Event::Revoked(partition) => assert!(owned.remove(&(member, *partition))),
            Event::Committed(partition, offset) => {
                assert!(owned.contains(&(member, *partition)), "{member} lost {partition} before");
                let before = committed.insert(*partition, *offset).unwrap_or(0);
                assert!(before <= *offset, "partition {partition}: {before}, then {offset}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_taken_away_with_calls_under_way_is_delivered_whole_and_in_order_by_the_next() {
    let Some(servers) = kafka_cluster::shared("a sink's partitions moving to a second member")
    else {
        return;
    };
    let stage = Stage::open(servers);
    let backend = &stage.backend;
    let before = stage.sell(0..BEFORE);
    // The first member audits what it delivers, and its next commit is never due.
    let first = stage.start("first", Duration::from_hours(1));
    until("the first has delivered and audited", || stage.audited() == before as u64).await;
    assert_eq!(stage.owned("first").len(), PARTITIONS as usize);
    backend.silent.store(true, Atomic::Relaxed);
    let after = stage.sell(BEFORE..BEFORE + AFTER);
    until("calls are under way", || backend.unanswered.load(Atomic::Relaxed) >= 4).await;

    let second = stage.start("second", Duration::from_millis(20));
    until("both have a share", || {
        !stage.owned("second").is_empty()
            && stage.owned("first").len() + stage.owned("second").len() == PARTITIONS as usize
    })
    .await;
    let moved = stage.owned("second");
    until("what was under way is given up", || backend.abandoned.load(Atomic::Relaxed) >= 4).await;
    backend.silent.store(false, Atomic::Relaxed);
    until("what moved is delivered and committed", || {
        moved.iter().all(|&partition| stage.is_done(partition))
    })
    .await;
    let all = before + after;
    until("all is delivered and audited", || {
        backend.distinct() == all && stage.audited() == (before + all) as u64
    })
    .await;
    ended_well(first).await;
    until("all is committed, without a hole", || (0..PARTITIONS).all(|one| stage.is_done(one)))
        .await;
    ended_well(second).await;

    assert_committed_by_owners_only(&stage.events.lock());
    for (key, taken) in &*backend.taken.lock() {
        let mut seen = BTreeSet::new();
        let firsts: Vec<Offset> =
            taken.iter().map(|one| one.1).filter(|&offset| seen.insert(offset)).collect();
        assert_eq!(firsts.len() as u64, BEFORE + AFTER, "{key}");
        assert!(firsts.is_sorted(), "{key}: {firsts:?}");
        let at = taken.iter().position(|one| one.0 == "second").unwrap_or(taken.len());
        assert!(taken[at..].iter().all(|one| one.0 == "second"), "{key}: {taken:?}");
        assert!(taken[at..].iter().map(|one| one.1).is_sorted(), "{key}: {taken:?}");
    }
    let sink = SinkUnderTest {
        name: "erp".into(),
        topic: stage.topics.transactions.clone(),
        group: stage.topics.sink_group("erp"),
        is_configured: true,
    };
    let report = verify(&*stage.log, &stage.topics, &[sink], 0, &mut |_| {}).unwrap();
    let check = report.checks.iter().find(|check| check.name == "(d) sink erp").unwrap();
    assert!(check.holds(), "{check}");
    let counts = &report.sinks[0];
    let expected = (all as u64, all as u64, before as u64);
    assert_eq!((counts.records, counts.delivered, counts.redelivered), expected);
}
