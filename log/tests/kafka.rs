//! What only Kafka has: rebalances, other members, dead owners, dead brokers.
#![expect(clippy::unwrap_used, reason = "what fails to unwrap has failed the test")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod kafka_cluster;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::bounded;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tillrace_log::kafka::{Durability, KafkaLog, KafkaSettings};
use tillrace_log::{
    Bounds, Cleanup, Committed, Consumer, ConsumerRecord, Full, Log, LogError, LogView, Offset,
    Partition, Polled, Position, ProducerRecord, Topic, TopicSpec, TransactionalConsumer,
    Weaknesses, WritableLog as _,
};
use uuid::Uuid;

use self::kafka_cluster::proxy::Proxy;

const PATIENCE: Duration = Duration::from_mins(2);
const STEP: Duration = Duration::from_millis(100);
const PARTITIONS: Partition = 4;
/// Rows of each partition that are folded while brokers die.
const FOLDED: u64 = 400;
/// Rows of a transaction while brokers die: few, so that many are cut short.
const FEW: usize = 5;
/// Rows of a transaction once all brokers stay.
const MANY: usize = 200;

/// A log with topics `in` and `out` that no other test uses.
struct Stage {
    log: Arc<KafkaLog>,
    name: String,
}

impl Stage {
    fn open(settings: KafkaSettings) -> Self {
        let name = format!("kafka-{}", &Uuid::new_v4().to_string()[..8]);
        let log = KafkaLog::connect(settings).unwrap();
        let stage = Self { log, name };
        stage.log.ensure_topics(&[stage.spec("in"), stage.spec("out")]).unwrap();
        stage
    }

    fn topic(&self, end: &str) -> Topic {
        Topic::new(&format!("{}.{end}", self.name))
    }

    fn spec(&self, end: &str) -> TopicSpec {
        let cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
        TopicSpec { topic: self.topic(end), cleanup }
    }

    fn row(&self, end: &str, partition: Partition, value: &str) -> ProducerRecord {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        ProducerRecord { topic: self.topic(end), partition, key: Bytes::from_static(b"k"), value }
    }

    /// Writes rows that must be taken.
    fn write(&self, rows: Vec<ProducerRecord>) {
        let (told, heard) = bounded(1);
        let tell = move |outcomes: Vec<Result<Offset, LogError>>| told.send(outcomes).unwrap();
        let producer = self.log.producer().unwrap();
        producer.send(rows, Box::new(tell)).unwrap();
        let outcomes = heard.recv_timeout(PATIENCE).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }

    fn read(&self, end: &str, partition: Partition) -> Vec<ConsumerRecord> {
        let topic = self.topic(end);
        let bounds = decided(&*self.log, &topic, partition);
        let mut reader = self.log.reader(&topic, partition, bounds.start).unwrap();
        let mut entries = Vec::new();
        wait_for("the reader's end", || {
            entries.extend(reader.read(1_000, STEP).unwrap());
            (reader.position() >= bounds.stable_end).then_some(())
        });
        entries
    }
}

fn development(servers: &str) -> KafkaSettings {
    KafkaSettings {
        replication: 1,
        durability: Durability::Development,
        ..KafkaSettings::new(servers, PARTITIONS)
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
    }
}

/// Bounds once every transaction that has written is decided.
fn decided(view: &dyn LogView, topic: &Topic, partition: Partition) -> Bounds {
    let end = view.bounds(topic, partition).unwrap().end;
    wait_for("a decision", || {
        Some(view.bounds(topic, partition).unwrap()).filter(|bounds| bounds.stable_end >= end)
    })
}

fn text(entry: &ConsumerRecord) -> String {
    String::from_utf8(entry.value.as_deref().unwrap().to_vec()).unwrap()
}

fn place(partition: Partition, offset: Offset) -> Position {
    Position { partition, committed: Committed { offset, metadata: String::new() } }
}

/// Polls until something is assigned, and starts it where the group is.
fn take_over<C: Consumer + ?Sized>(member: &mut C) -> Vec<Partition> {
    let mine = wait_for("an assignment", || match member.poll(0, STEP).unwrap() {
        Polled::Assigned(partitions) => Some(partitions),
        _ => None,
    });
    start(member, &mine);
    mine
}

fn start<C: Consumer + ?Sized>(member: &mut C, partitions: &[Partition]) {
    for &partition in partitions {
        let place = member.committed(partition).unwrap();
        member.start(partition, place.map_or(0, |place| place.offset)).unwrap();
    }
}

fn next_records<C: Consumer + ?Sized>(member: &mut C) -> Vec<ConsumerRecord> {
    wait_for("records", || match member.poll(1_000, STEP).unwrap() {
        Polled::Records(entries) => Some(entries),
        Polled::Idle => None,
        other => panic!("{other:?}"),
    })
}

#[test]
fn partitions_are_handed_over_between_two_members() {
    let Some(servers) = kafka_cluster::shared("a rebalance between two members") else { return };
    let stage = Stage::open(development(servers));
    let (topic, group) = (stage.topic("in"), stage.name.as_str());
    stage.write((0..PARTITIONS).map(|partition| stage.row("in", partition, "one")).collect());
    let mut first = stage.log.consumer(group, &topic).unwrap();
    assert_eq!(take_over(&mut *first), [0, 1, 2, 3]);
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(next_records(&mut *first));
    }
    let places: Vec<_> =
        seen.iter().map(|entry| place(entry.partition, entry.offset + 1)).collect();
    first.commit(&places).unwrap();

    let mut second = stage.log.consumer(group, &topic).unwrap();
    let (mut ones, mut twos, mut revoked) = (None, None, None);
    wait_for("both to have their share", || {
        match first.poll(0, STEP).unwrap() {
            Polled::Revoked(partitions) => revoked = Some(partitions),
            Polled::Assigned(partitions) => ones = Some(partitions),
            _ => {}
        }
        if let Polled::Assigned(partitions) = second.poll(0, STEP).unwrap() {
            twos = Some(partitions);
        }
        (ones.is_some() && twos.is_some()).then_some(())
    });
    assert_eq!(revoked, Some(vec![0, 1, 2, 3]), "everything is given up first");
    let (ones, twos) = (ones.unwrap(), twos.unwrap());
    let mut all = [ones.clone(), twos.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3], "each partition has one owner");

    let gone = first.commit(&[place(twos[0], 9)]).unwrap_err();
    assert!(matches!(gone, LogError::Refused { .. }), "{gone}");
    start(&mut *first, &ones);
    start(&mut *second, &twos);
    stage.write((0..PARTITIONS).map(|partition| stage.row("in", partition, "two")).collect());
    for (member, mine) in [(&mut first, &ones), (&mut second, &twos)] {
        let mut news = Vec::new();
        while news.len() < mine.len() {
            news.extend(next_records(&mut **member));
        }
        assert!(news.iter().all(|entry| text(entry) == "two" && mine.contains(&entry.partition)));
    }
}

#[test]
fn a_stalled_owner_that_comes_back_commits_nothing() {
    let Some(servers) = kafka_cluster::shared("a stalled owner") else { return };
    let stall = Duration::from_secs(6);
    let stage = Stage::open(KafkaSettings {
        session_timeout: stall,
        max_poll_interval: stall,
        ..development(servers)
    });
    let (topic, group) = (stage.topic("in"), stage.name.as_str());
    stage.write(vec![stage.row("in", 0, "sale")]);
    let mut stalled = stage.log.transactional_consumer(group, &topic).unwrap();
    take_over(&mut *stalled);
    let folded = next_records(&mut *stalled);
    assert_eq!(folded.len(), 1);

    // It stops polling, so the group gives everything to its successor, which counts the sale.
    let mut successor = stage.log.transactional_consumer(group, &topic).unwrap();
    assert_eq!(take_over(&mut *successor).len(), 4);
    let again = next_records(&mut *successor);
    assert_eq!(again[0].offset, folded[0].offset);
    let next = folded[0].offset + 1;
    successor
        .commit_transaction(vec![stage.row("out", 0, "by the successor")], &[place(0, next)])
        .unwrap();

    let late = stalled.commit_transaction(vec![stage.row("out", 0, "too late")], &[place(0, next)]);
    let error = late.unwrap_err();
    assert!(matches!(error, LogError::Aborted { .. }), "{error}");
    let revoked = wait_for("the revocation", || match stalled.poll(0, STEP).unwrap() {
        Polled::Revoked(partitions) => Some(partitions),
        Polled::Idle => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(revoked, [0, 1, 2, 3]);
    let out: Vec<_> = stage.read("out", 0).iter().map(text).collect();
    assert_eq!(out, ["by the successor"]);
}

/// An open transaction under this id, as a process leaves it that died in a flush.
fn leave_open(servers: &str, id: &str, topic: &Topic, timeout_ms: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("transactional.id", id);
    let producer: BaseProducer = config.set("transaction.timeout.ms", timeout_ms).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<[u8], [u8]>::to(topic.as_str()).partition(0).payload(b"half");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn an_open_transaction_holds_the_stable_end_back() {
    let Some(servers) = kafka_cluster::shared("the stable end") else { return };
    let stage = Stage::open(development(servers));
    let topic = stage.topic("out");
    stage.write(vec![stage.row("out", 0, "before")]);
    leave_open(servers, &format!("{}.owner", stage.name), &topic, "5000");
    stage.write(vec![stage.row("out", 0, "after")]);
    let open = stage.log.bounds(&topic, 0).unwrap();
    assert_eq!(open, Bounds { start: 0, stable_end: 1, end: 3 });
    let mut reader = stage.log.reader(&topic, 0, 0).unwrap();
    let mut entries = Vec::new();
    wait_for("the reader to reach the stable end", || {
        entries.extend(reader.read(10, STEP).unwrap());
        (reader.position() == open.stable_end).then_some(())
    });
    // The brokers abort it; the same reader then passes what was aborted, and its marker.
    let closed = decided(&*stage.log, &topic, 0);
    assert!(closed.stable_end >= 4, "the marker has a place too: {closed:?}");
    wait_for("the reader to reach the new stable end", || {
        entries.extend(reader.read(10, STEP).unwrap());
        (reader.position() >= closed.stable_end).then_some(())
    });
    assert_eq!(entries.iter().map(text).collect::<Vec<_>>(), ["before", "after"]);
}

#[test]
fn a_restarted_instance_aborts_at_once_what_it_left_open() {
    let Some(servers) = kafka_cluster::shared("a restarted instance") else { return };
    let stage =
        Stage::open(KafkaSettings { instance: Some("till-7".to_owned()), ..development(servers) });
    let topic = stage.topic("out");
    // Ten minutes: only the restart can end it while this test has patience.
    let id = format!("{}.{}.till-7", stage.name, stage.topic("in"));
    leave_open(servers, &id, &topic, "600000");
    assert_eq!(stage.log.bounds(&topic, 0).unwrap(), Bounds { start: 0, stable_end: 0, end: 1 });
    let mut restarted = stage.log.transactional_consumer(&stage.name, &stage.topic("in")).unwrap();
    decided(&*stage.log, &topic, 0);
    assert_eq!(take_over(&mut *restarted).len(), 4);
    restarted.commit_transaction(vec![stage.row("out", 0, "whole")], &[place(0, 0)]).unwrap();
    assert_eq!(stage.read("out", 0).iter().map(text).collect::<Vec<_>>(), ["whole"]);
}

#[test]
fn a_position_below_the_start_is_an_error_with_the_range() {
    let Some(servers) = kafka_cluster::shared("a lost position") else { return };
    let stage = Stage::open(development(servers));
    let topic = stage.topic("in");
    stage.write((0..10).map(|number| stage.row("in", 0, &number.to_string())).collect());
    let mut consumer = stage.log.consumer(&stage.name, &topic).unwrap();
    wait_for("an assignment", || {
        matches!(consumer.poll(0, STEP).unwrap(), Polled::Assigned(_)).then_some(())
    });
    delete_before(servers, &topic, 4);
    let lost = |error: &LogError| {
        assert!(
            matches!(error, LogError::OutOfRange { offset: 2, start: 4, end: 10, .. }),
            "{error}"
        );
    };
    lost(&stage.log.reader(&topic, 0, 2).err().unwrap());
    lost(&consumer.start(0, 2).unwrap_err());
    consumer.start(0, 4).unwrap();
    assert_eq!(next_records(&mut *consumer)[0].offset, 4);
}

/// Makes Kafka forget, as retention does.
fn delete_before(servers: &str, topic: &Topic, offset: i64) {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::client::DefaultClientContext;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic.as_str(), 0, rdkafka::Offset::Offset(offset)).unwrap();
    finish(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

/// Waits for one of rdkafka's futures, which make progress by themselves.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    wait_for("an answer", || match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            std::thread::yield_now();
            None
        }
    })
}

#[test]
fn each_weaker_setting_is_told() {
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    let Some(servers) = kafka_cluster::shared("settings of topics") else { return };
    let stage = Stage::open(development(servers));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let name = stage.topic("theirs");
    let theirs = NewTopic::new(name.as_str(), 4, TopicReplication::Fixed(1))
        .set("max.message.bytes", "1000")
        .set("retention.ms", "3600000");
    let made = finish(admin.create_topics(&[theirs], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(name.to_string())]);
    let expected = [
        "has 1 replicas; 3 are promised",
        "has min.insync.replicas 1; 2 or more is promised",
        "has max.message.bytes 1000; 1048576 or more is promised",
        "has message.timestamp.type CreateTime; LogAppendTime is promised",
        "has retention.ms 3600000; 86400000 or more is promised",
    ];
    let told = stage.log.ensure_topics(&[stage.spec("theirs")]).unwrap();
    assert_eq!(told.found, expected.map(|sentence| format!("topic {name} {sentence}")));
    assert_eq!(told.unknown, Vec::<String>::new());

    let wider = KafkaSettings { partitions: PARTITIONS + 1, ..development(servers) };
    let other = KafkaLog::connect(wider).unwrap();
    let error = other.ensure_topics(&[stage.spec("new"), stage.spec("in")]).unwrap_err();
    assert!(matches!(error, LogError::PartitionCount { found: 4, expected: 5, .. }), "{error}");
    let made = stage.log.bounds(&stage.topic("new"), 0).unwrap_err();
    assert!(
        matches!(made, LogError::UnknownTopic { .. }),
        "nothing is made that is in the way: {made}"
    );
    let error = stage.log.ensure_topics(&[stage.spec("no/such name")]).unwrap_err();
    assert!(!error.is_retryable(), "{error}");
}

#[test]
fn a_topic_made_after_rows_were_sent_to_it_in_vain_takes_rows() {
    let Some(servers) = kafka_cluster::shared("a topic made late") else { return };
    let stage = Stage::open(development(servers));
    let producer = stage.log.producer().unwrap();
    let send = || {
        let (told, heard) = bounded(1);
        let tell = move |outcomes: Vec<Result<Offset, LogError>>| told.send(outcomes).unwrap();
        producer.send(vec![stage.row("late", 0, "v")], Box::new(tell)).unwrap();
        heard.recv_timeout(PATIENCE).unwrap().remove(0)
    };
    let error = send().unwrap_err();
    assert!(matches!(error, LogError::UnknownTopic { .. }), "{error}");
    stage.log.ensure_topics(&[stage.spec("late")]).unwrap();
    // The client looks again every second.
    assert_eq!(wait_for("the topic to be known", || send().ok()), 0);
}

#[test]
fn a_healthy_topic_takes_rows_everywhere_and_one_that_is_not_there_nowhere() {
    let Some(servers) = kafka_cluster::shared("which partitions take rows") else { return };
    let stage = Stage::open(development(servers));
    assert!(stage.log.unwritable(&stage.topic("in")).unwrap().is_empty());
    let error = stage.log.unwritable(&stage.topic("none")).unwrap_err();
    assert!(matches!(error, LogError::UnknownTopic { .. }), "{error}");
}

#[test]
fn a_deleted_topic_is_called_by_its_name_and_not_fenced() {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::client::DefaultClientContext;
    let Some(servers) = kafka_cluster::shared("a deleted topic") else { return };
    let stage = Stage::open(development(servers));
    let topic = stage.topic("in");
    stage.write(vec![stage.row("in", 0, "v")]);
    let mut member = stage.log.transactional_consumer(&stage.name, &topic).unwrap();
    take_over(&mut *member);
    member.commit_transaction(vec![stage.row("out", 0, "v")], &[place(0, 0)]).unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let out = stage.topic("out");
    finish(admin.delete_topics(&[out.as_str()], &AdminOptions::new())).unwrap();
    let error = wait_for("an error", || {
        member.commit_transaction(vec![stage.row("out", 0, "v")], &[place(0, 1)]).err()
    });
    assert!(matches!(&error, LogError::UnknownTopic { topic } if *topic == out), "{error}");
}

/// What was acknowledged: partition, offset and the number that was written there.
type Acknowledged = Arc<Mutex<Vec<(Partition, Offset, u64)>>>;

/// Writes numbers one by one until told to stop; failures are left out.
fn write_until(stage: &Stage, stop: &AtomicBool, acknowledged: &Acknowledged) {
    let producer = stage.log.producer().unwrap();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let partition = Partition::try_from(number % u64::from(PARTITIONS)).unwrap();
        let (heard, written) = (Arc::clone(acknowledged), number);
        let done = move |outcomes: Vec<Result<Offset, LogError>>| {
            let offsets = outcomes.into_iter().flatten();
            heard.lock().extend(offsets.map(|offset| (partition, offset, written)));
        };
        let rows = vec![stage.row("in", partition, &number.to_string())];
        match producer.send(rows, Box::new(done)) {
            Ok(()) => number += 1,
            Err(Full { .. }) => producer.flush(PATIENCE).unwrap(),
        }
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn a_broker_that_is_away_fails_no_start_and_is_asked_again() {
    let proxies = [Proxy::start(), Proxy::start(), Proxy::start()];
    let Some(cluster) =
        kafka_cluster::Cluster::start_each_proxied("a start without a broker", &proxies.each_ref())
    else {
        return;
    };
    let settings = KafkaSettings {
        request_timeout: Duration::from_secs(2),
        ..KafkaSettings::new(cluster.servers.clone(), PARTITIONS)
    };
    let stage = Stage::open(settings);
    let specs = [stage.spec("in"), stage.spec("more")];
    // The cluster lists the broker all the time; only this process does not reach it.
    proxies[2].set_black_hole(true);
    let told = wait_for("an answer of the others", || match stage.log.ensure_topics(&specs) {
        Ok(told) => Some(told),
        Err(error) => {
            assert!(error.is_retryable(), "whoever was asked first may be the one: {error}");
            None
        }
    });
    assert_eq!(told.found, Vec::<String>::new());
    assert_eq!(told.unknown.len(), 1, "{told:?}");
    assert!(told.unknown[0].starts_with("broker 3 did not say"), "{told:?}");

    proxies[2].set_black_hole(false);
    wait_for("all brokers to answer", || {
        let told = stage.log.compare_topics(&specs).ok()?;
        (told == Weaknesses::default()).then_some(())
    });
}

/// One cluster of three; each broker in turn is killed and started again, while one thread writes
/// and another folds.
#[test]
fn nothing_is_lost_or_doubled_when_brokers_are_killed() {
    let Some(cluster) = kafka_cluster::Cluster::start("kill -9 of brokers", 3) else { return };
    let settings = || KafkaSettings {
        queue_rows: 1_000,
        ..KafkaSettings::new(cluster.servers.clone(), PARTITIONS)
    };
    let (written, folded) = (Stage::open(settings()), Stage::open(settings()));
    let weaker = written.log.ensure_topics(&[written.spec("in")]).unwrap();
    assert_eq!(weaker, Weaknesses::default(), "what we make is as promised");
    for partition in 0..PARTITIONS {
        let rows = (0..FOLDED).map(|number| folded.row("in", partition, &number.to_string()));
        folded.write(rows.collect());
    }
    let (stop, acknowledged) = (AtomicBool::new(false), Acknowledged::default());
    std::thread::scope(|scope| {
        let stops = Stops(&stop);
        scope.spawn(|| write_until(&written, &stop, &acknowledged));
        let folding = scope.spawn(|| fold(&folded, &stop));
        let more_than = |before: usize| {
            let count = acknowledged.lock().len();
            (count > before + 1_000).then_some(count)
        };
        let mut count = wait_for("acknowledgements", || more_than(0));
        for broker in 1..=3 {
            cluster.kill(broker);
            count = wait_for("acknowledgements while a broker is dead", || more_than(count));
            cluster.restart();
            count = wait_for("acknowledgements after its return", || more_than(count));
        }
        drop(stops);
        folding.join().unwrap();
    });
    check_written(&written, &acknowledged.lock());
    check_folded(&folded);
}

/// Stops the threads at its end, so that a test that has failed ends too.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every acknowledged row stands where the acknowledgement said.
fn check_written(stage: &Stage, acknowledged: &[(Partition, Offset, u64)]) {
    let mut written: BTreeMap<(Partition, Offset), u64> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for entry in stage.read("in", partition) {
            written.insert((partition, entry.offset), text(&entry).parse().unwrap());
        }
    }
    for (partition, offset, number) in acknowledged {
        assert_eq!(written.get(&(*partition, *offset)), Some(number), "{partition}@{offset}");
    }
}

/// Every row that was folded came out once, in order.
fn check_folded(stage: &Stage) {
    let expected: Vec<_> = (0..FOLDED).map(|number| number.to_string()).collect();
    for partition in 0..PARTITIONS {
        let out: Vec<_> = stage.read("out", partition).iter().map(text).collect();
        assert_eq!(out, expected, "partition {partition}");
    }
}

/// Copies `in` to `out`, restoring after every abort and beginning anew after everything else, as
/// a role does. Patience begins when no more brokers die.
fn fold(stage: &Stage, quiet: &AtomicBool) {
    while !quiet.load(Ordering::Relaxed) {
        if fold_on(stage, quiet).is_ok() {
            return;
        }
    }
    wait_for("everything to be folded", || fold_on(stage, quiet).ok());
}

fn fold_on(stage: &Stage, quiet: &AtomicBool) -> Result<(), LogError> {
    let (topic, group) = (stage.topic("in"), stage.name.as_str());
    let mut member = stage.log.transactional_consumer(group, &topic)?;
    let mut next: BTreeMap<Partition, Offset> = BTreeMap::new();
    // Offsets on `in` have no gaps here, so the sum of the places is the count of what was folded.
    while next.values().sum::<Offset>() < u64::from(PARTITIONS) * FOLDED {
        let rows = if quiet.load(Ordering::Relaxed) { MANY } else { FEW };
        match member.poll(rows, STEP)? {
            Polled::Assigned(partitions) => restore(&mut *member, &partitions, &mut next)?,
            Polled::Revoked(_) => next.clear(),
            Polled::Idle => {}
            Polled::Records(entries) => {
                let before = next.clone();
                next.extend(entries.iter().map(|entry| (entry.partition, entry.offset + 1)));
                let rows =
                    entries.iter().map(|entry| stage.row("out", entry.partition, &text(entry)));
                let places: Vec<_> =
                    next.iter().map(|(part, offset)| place(*part, *offset)).collect();
                match member.commit_transaction(rows.collect(), &places) {
                    Ok(()) => {}
                    Err(LogError::Aborted { .. }) => {
                        let mine: Vec<_> = before.into_keys().collect();
                        next.clear();
                        restore(&mut *member, &mine, &mut next)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

fn restore(
    member: &mut dyn TransactionalConsumer,
    partitions: &[Partition],
    next: &mut BTreeMap<Partition, Offset>,
) -> Result<(), LogError> {
    for &partition in partitions {
        let offset = member.committed(partition)?.map_or(0, |place| place.offset);
        member.start(partition, offset)?;
        next.insert(partition, offset);
    }
    Ok(())
}
