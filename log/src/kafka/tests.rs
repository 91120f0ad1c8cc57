//! Settings, the producer's bound, and fencing, which needs a look inside a member.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytesize::ByteSize;
use crossbeam::channel::bounded;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::client::{
    Isolation, TransactionalIds, asking, asking_for, create, joining, producing, reading,
    transacting, transactional_id,
};
use super::diagnostics::Diagnostics;
use super::properties::reserved;
use super::*;
use crate::{Cleanup, ConsumerRecord, Full, Polled, Position, ProducerRecord};

#[path = "../../tests/kafka_cluster/mod.rs"]
mod kafka_cluster;

const PATIENCE: Duration = Duration::from_mins(1);

fn settings() -> KafkaSettings {
    KafkaSettings::new("127.0.0.1:1", 2)
}

#[test]
fn the_defaults_are_valid_once_the_brokers_are_named() {
    assert!(settings().validate().is_ok());
    let errors = KafkaSettings::default().validate().expect_err("no brokers");
    let paths: Vec<_> = errors.all().iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["log.partitions", "log.kafka.brokers"]);
}

#[test]
fn a_wrong_setting_is_named() {
    let second = Duration::from_secs(1);
    let cases: Vec<(&str, KafkaSettings)> = vec![
        ("partitions", KafkaSettings { partitions: 0, ..settings() }),
        ("replication", KafkaSettings { replication: 0, ..settings() }),
        ("replication", KafkaSettings { replication: 1, ..settings() }),
        ("instance", KafkaSettings { instance: Some("a b".to_owned()), ..settings() }),
        ("queue_rows", KafkaSettings { queue_rows: 999, ..settings() }),
        ("queue_bytes", KafkaSettings { queue_bytes: ByteSize::mib(1), ..settings() }),
        ("fetch_ahead", KafkaSettings { fetch_ahead: ByteSize::kib(1), ..settings() }),
        ("linger", KafkaSettings { linger: 2 * second, ..settings() }),
        ("request_timeout", KafkaSettings { request_timeout: Duration::ZERO, ..settings() }),
        ("delivery_timeout", KafkaSettings { delivery_timeout: Duration::ZERO, ..settings() }),
        ("session_timeout", KafkaSettings { session_timeout: Duration::ZERO, ..settings() }),
        ("max_poll_interval", KafkaSettings { max_poll_interval: second, ..settings() }),
        (
            "transaction_timeout",
            KafkaSettings { transaction_timeout: second * 1_000, ..settings() },
        ),
    ];
    for (expected, settings) in cases {
        let errors = settings.validate().expect_err(expected);
        let path = &errors.all()[0].path;
        let key = path.strip_prefix("log.kafka.").or(path.strip_prefix("log."));
        assert_eq!(key, Some(expected));
    }
    let development = Durability::Development;
    let one = KafkaSettings { replication: 1, durability: development, ..settings() };
    assert!(one.validate().is_ok(), "development may have one replica");
}

#[test]
fn every_setting_reaches_librdkafka() {
    let set = KafkaSettings {
        instance: Some("till-7".to_owned()),
        compression: Compression::Zstd,
        linger: Duration::from_millis(11),
        queue_rows: 1_200,
        queue_bytes: ByteSize::mib(3),
        delivery_timeout: Duration::from_secs(13),
        session_timeout: Duration::from_secs(17),
        max_poll_interval: Duration::from_secs(19),
        transaction_timeout: Duration::from_secs(14),
        fetch_ahead: ByteSize::mib(5),
        properties: [("socket.keepalive.enable".to_owned(), "true".into())].into(),
        ..settings()
    };
    let topic = Topic::new("t");
    let has = |config: &ClientConfig, pairs: &[(&str, &str)]| {
        config.create_native_config().expect("librdkafka takes it");
        for (key, value) in pairs {
            assert_eq!(config.get(key), Some(*value), "{key}");
        }
    };
    has(
        &producing(&set),
        &[
            ("bootstrap.servers", "127.0.0.1:1"),
            ("compression.codec", "zstd"),
            ("linger.ms", "11"),
            ("queue.buffering.max.messages", "2400"),
            ("queue.buffering.max.kbytes", "6144"),
            ("message.timeout.ms", "13000"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("socket.keepalive.enable", "true"),
        ],
    );
    has(
        &joining(&set, "g", &topic),
        &[
            ("group.id", "g"),
            ("group.instance.id", "g.t.till-7"),
            ("session.timeout.ms", "17000"),
            ("max.poll.interval.ms", "19000"),
            ("queued.max.messages.kbytes", "5120"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("partition.assignment.strategy", "range"),
        ],
    );
    has(
        &transacting(&set, &transactional_id(&set, "g", &topic)),
        &[
            ("transactional.id", "g.t.till-7"),
            ("transaction.timeout.ms", "14000"),
            ("linger.ms", "5"),
            ("enable.sparse.connections", "false"),
        ],
    );
    has(&reading(&set), &[("isolation.level", "read_committed"), ("enable.partition.eof", "true")]);
    has(&asking(&set, Isolation::Uncommitted), &[("isolation.level", "read_uncommitted")]);
    let nameless = settings();
    assert_eq!(joining(&nameless, "g", &topic).get("group.instance.id"), None);
    let id = || transactional_id(&nameless, "g", &topic);
    assert_ne!(id(), id());
}

#[test]
fn transactional_ids_are_told_as_they_are() {
    let topic = Topic::new("t");
    let nameless = settings();
    let TransactionalIds::BeginningWith(beginning) = TransactionalIds::of(&nameless, "g", &topic)
    else {
        panic!("no instance");
    };
    assert_eq!(beginning, "g.");
    assert!(transactional_id(&nameless, "g", &topic).starts_with(&beginning));
    let named = KafkaSettings { instance: Some("a1".to_owned()), ..nameless };
    let one = transactional_id(&named, "g", &topic);
    assert_eq!(TransactionalIds::of(&named, "g", &topic), TransactionalIds::One(one));
}

#[test]
fn properties_that_promises_rest_on_are_refused() {
    for key in ["acks", "enable.idempotence", "isolation.level", "group.id", "transactional.id"] {
        let properties = [(key.to_owned(), "0".into())].into();
        let errors = KafkaSettings { properties, ..settings() }.validate().expect_err(key);
        assert_eq!(
            errors.to_string(),
            format!(
                "log.kafka.properties.{key}: is set by Tillrace and cannot be overridden; remove it"
            )
        );
    }
    // Whatever a client is given beyond the user's properties is ours, and so reserved.
    let instance = Some("i".to_owned());
    let set = KafkaSettings { instance, compression: Compression::None, ..settings() };
    let member = joining(&set, "g", &Topic::new("t"));
    let others = [producing(&set), transacting(&set, "t"), reading(&set), asking_for(&set, "g")];
    for config in others.iter().chain([&member]) {
        for key in config.config_map().keys() {
            assert!(reserved(key), "{key} is set by us and can be overridden");
        }
    }
}

#[test]
fn a_refused_property_does_not_show_its_value() {
    let properties = [("sasl.pasword".to_owned(), "hunter2".into())].into();
    let set = KafkaSettings { properties, ..settings() };
    let error = KafkaLog::connect(set.clone()).expect_err("there is no such property");
    let shown = format!("{error} {error:?} {set:?}");
    assert!(shown.contains("sasl.pasword"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
}

#[test]
fn security_and_codecs_are_compiled_in() {
    let native = ClientConfig::new().create_native_config().expect("a configuration");
    let features = native.get("builtin.features").expect("the features");
    let features: Vec<_> = features.trim_end_matches('\0').split(',').collect();
    for feature in ["ssl", "sasl_plain", "sasl_scram", "zstd", "lz4", "gzip", "snappy"] {
        assert!(features.contains(&feature), "{feature} of {features:?}");
    }
}

#[test]
fn nobody_there_is_retryable() {
    let set = KafkaSettings { request_timeout: Duration::from_secs(1), ..settings() };
    let error = KafkaLog::connect(set).expect_err("nobody listens on port 1");
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_question_to_a_broker_that_leaves_the_cluster_may_be_asked_again() {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    let left = KafkaError::MetadataFetch(RDKafkaErrorCode::DestroyBroker);
    assert!(error::passes(&left), "{left}");
    assert!(error::failure("ask", left).is_retryable());
}

#[test]
fn an_administrative_question_that_timed_out_may_be_asked_again() {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};
    let timed_out = KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut);
    assert!(error::passes(&timed_out), "{timed_out}");
    let error = error::failure("describe the topics' settings", timed_out);
    assert!(matches!(error, LogError::TimedOut { .. }), "{error:?}");
    let refused = KafkaError::AdminOp(RDKafkaErrorCode::ClusterAuthorizationFailed);
    assert!(!error::failure("describe the topics' settings", refused).may_pass());
}

fn rows(count: usize, bytes: usize) -> Vec<ProducerRecord> {
    let row = ProducerRecord {
        topic: Topic::new("t"),
        partition: 0,
        key: Bytes::new(),
        value: Some(vec![0; bytes].into()),
    };
    vec![row; count]
}

#[test]
fn a_full_queue_takes_nothing_and_failure_is_final() {
    let set = KafkaSettings {
        queue_rows: 10,
        queue_bytes: ByteSize::mib(2),
        delivery_timeout: Duration::from_secs(1),
        ..settings()
    };
    let producer = KafkaProducer::open(Arc::new(set)).expect("a producer needs no broker");
    let (told, heard) = bounded(8);
    let tell = move |outcomes: Vec<Result<Offset, LogError>>| told.send(outcomes).expect("heard");
    producer.send(rows(6, 10), Box::new(tell.clone())).expect("six of ten rows");
    let Full { rows: back, .. } =
        producer.send(rows(5, 10), Box::new(drop)).expect_err("five more are too many");
    assert_eq!(back.len(), 5, "everything comes back");
    let full = producer.send(rows(2, 1 << 20), Box::new(drop));
    full.expect_err("two times 1 MiB and 60 bytes are too many");
    producer.send(rows(4, 10), Box::new(tell.clone())).expect("four more fit");
    for count in [6, 4] {
        let outcomes = heard.recv_timeout(PATIENCE).expect("outcomes come");
        assert_eq!(outcomes.len(), count);
        for outcome in outcomes {
            let error = outcome.expect_err("nobody acknowledged it");
            assert!(error.is_retryable(), "{error}");
        }
    }
    producer.flush(PATIENCE).expect("everything is answered");
    producer.send(rows(10, 10), Box::new(tell)).expect("there is room again");
    drop(producer);
    assert_eq!(heard.recv().expect("dropping answers").len(), 10);
}

#[test]
fn what_no_queue_can_take_fails_for_good() {
    let set = KafkaSettings { queue_rows: 10, ..settings() };
    let producer = KafkaProducer::open(Arc::new(set)).expect("a producer needs no broker");
    let (told, heard) = bounded(2);
    for count in [11, 0] {
        let told = told.clone();
        let caller = std::thread::current().id();
        let tell = move |outcomes| {
            assert_ne!(std::thread::current().id(), caller, "answers come from another thread");
            told.send(outcomes).expect("heard");
        };
        producer.send(rows(count, 1), Box::new(tell)).expect("it is answered, not given back");
        let outcomes: Vec<Result<Offset, LogError>> =
            heard.recv_timeout(PATIENCE).expect("answers");
        assert_eq!(outcomes.len(), count);
        let finally = |outcome: &Result<_, LogError>| {
            outcome.as_ref().is_err_and(|error| !error.is_retryable())
        };
        assert!(outcomes.iter().all(finally), "{outcomes:?}");
    }
    producer.flush(PATIENCE).expect("everything is answered");
}

#[test]
fn a_dead_producer_is_replaced() {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("t", 1, 1).expect("a topic");
    let set = KafkaSettings { brokers: mock.bootstrap_servers(), ..settings() };
    let producer = KafkaProducer::open(Arc::new(set)).expect("a producer");
    let send = || {
        let (told, heard) = bounded(1);
        let tell = move |outcomes: Vec<Result<Offset, LogError>>| {
            told.send(outcomes.into_iter().next()).expect("heard");
        };
        producer.send(rows(1, 1), Box::new(tell)).expect("room");
        heard.recv_timeout(PATIENCE).expect("an outcome").expect("one row")
    };
    assert!(matches!(send(), Ok(0)));
    // What a cluster says that has lost acknowledged rows: fatal for an idempotent producer.
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    mock.request_errors(RDKafkaApiKey::Produce, &[lost]);
    let error = send().expect_err("the row's fate is unknown");
    assert!(error.is_retryable(), "{error}");
    assert!(send().is_ok(), "the next one is taken by a fresh producer");
}

/// librdkafka says once that it fetches a partition no more, here behind records of both.
#[test]
fn partitions_that_librdkafka_stopped_go_on_where_they_stood() {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("t", 2, 1).expect("a topic");
    let set = Arc::new(KafkaSettings { brokers: mock.bootstrap_servers(), ..settings() });
    let topic = Topic::new("t");
    let producer = KafkaProducer::open(Arc::clone(&set)).expect("a producer");
    let write = |value: &str| {
        let both = [0, 1].map(|partition| row(&topic, partition, value)).to_vec();
        producer.send(both, Box::new(drop)).expect("room");
        producer.flush(PATIENCE).expect("written");
    };
    let cluster = Arc::new(ClusterMetadata::connect(set).expect("the broker answers"));
    let mut member = KafkaConsumer::join(&cluster, "g", &topic).expect("joins");
    let until = Instant::now() + PATIENCE;
    let mut offsets: [Vec<Offset>; 2] = Default::default();
    let mut step = |member: &mut KafkaConsumer, most| {
        assert!(Instant::now() < until, "a partition stands still: {offsets:?}");
        match member.poll(most, Duration::from_millis(50)).expect("nothing is lost") {
            Polled::Assigned(partitions) => {
                for partition in partitions {
                    let next = offsets[partition as usize].len() as Offset;
                    member.start(partition, next).expect("starts");
                }
            }
            Polled::Records(entries) => {
                for entry in entries {
                    offsets[entry.partition as usize].push(entry.offset);
                }
            }
            Polled::Revoked(_) | Polled::Idle => {}
        }
        offsets.iter().map(Vec::len).min()
    };
    write("first");
    while step(&mut member, 1) != Some(1) {}
    write("second");
    let fetched = Duration::from_secs(1);
    std::thread::sleep(fetched);
    let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    mock.request_errors(RDKafkaApiKey::Fetch, &[gone]);
    std::thread::sleep(fetched);
    write("third");
    while step(&mut member, 100) != Some(3) {}
    assert_eq!(offsets, [[0, 1, 2], [0, 1, 2]]);
}

/// Two clusters stand for two replicas: one is asked for bounds, records come from the other.
#[test]
fn a_reader_jumps_over_nothing_that_a_replica_does_not_know_yet() {
    let topic = Topic::new("t");
    let [ahead, behind] = [(); 2].map(|()| MockCluster::new(1).expect("a mock cluster"));
    let write = |mock: &MockCluster<'_, _>, count| {
        let set = KafkaSettings { brokers: mock.bootstrap_servers(), ..settings() };
        let producer = KafkaProducer::open(Arc::new(set.clone())).expect("a producer");
        producer.send(vec![row(&topic, 0, "v"); count], Box::new(drop)).expect("room");
        producer.flush(PATIENCE).expect("written");
        Arc::new(set)
    };
    for mock in [&ahead, &behind] {
        mock.create_topic("t", 2, 1).expect("a topic");
    }
    let mut cluster = ClusterMetadata::connect(write(&ahead, 5)).expect("the broker answers");
    cluster.settings = write(&behind, 3);
    let mut reader = KafkaReader::open(&Arc::new(cluster), &topic, 0, 0).expect("a reader");
    let mut offsets = Vec::new();
    let until = Instant::now() + PATIENCE;
    let mut read = |wait| {
        assert!(Instant::now() < until, "the end is not reached: {offsets:?}");
        let entries = reader.read(10, wait).expect("reads");
        offsets.extend(entries.iter().map(|entry| entry.offset));
        assert_eq!(reader.position(), offsets.len() as Offset, "the end that others know");
        offsets.len()
    };
    while read(Duration::from_millis(50)) < 3 {}
    assert_eq!(read(Duration::from_secs(1)), 3);
    write(&behind, 2);
    while read(Duration::from_millis(50)) < 5 {}
}

#[test]
fn a_reader_that_librdkafka_stopped_goes_on_where_it_stood() {
    let topic = Topic::new("t");
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("t", 2, 1).expect("a topic");
    let set = Arc::new(KafkaSettings { brokers: mock.bootstrap_servers(), ..settings() });
    let producer = KafkaProducer::open(Arc::clone(&set)).expect("a producer");
    let cluster = Arc::new(ClusterMetadata::connect(set).expect("the broker answers"));
    let mut reader = KafkaReader::open(&cluster, &topic, 0, 0).expect("a reader");
    let until = Instant::now() + PATIENCE;
    for number in 0..3 {
        let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
        mock.request_errors(RDKafkaApiKey::Fetch, &[gone]);
        producer.send(vec![row(&topic, 0, "v")], Box::new(drop)).expect("room");
        while reader.position() == number {
            assert!(Instant::now() < until, "it stands still at {number}");
            let entries = reader.read(10, Duration::from_millis(50)).expect("nothing is lost");
            assert!(entries.iter().all(|entry| entry.offset == number), "{entries:?}");
        }
    }
}

/// What a member hears of whose producer the brokers shut out in the middle of a transaction.
fn shut_out(change: impl Fn(&mut KafkaSettings)) -> LogError {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for name in ["in", "out"] {
        mock.create_topic(name, 2, 1).expect("a topic");
    }
    let mut set = KafkaSettings { brokers: mock.bootstrap_servers(), ..settings() };
    change(&mut set);
    let cluster = Arc::new(ClusterMetadata::connect(Arc::new(set)).expect("the broker answers"));
    let mut member =
        KafkaTransactionalConsumer::join(&cluster, "g", &Topic::new("in")).expect("joins");
    let until = Instant::now() + PATIENCE;
    while !matches!(member.poll(0, Duration::from_millis(50)), Ok(Polled::Assigned(_))) {
        assert!(Instant::now() < until, "nothing is assigned");
    }
    let epoch = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    mock.request_errors(RDKafkaApiKey::EndTxn, &[epoch]);
    let rows = vec![row(&Topic::new("out"), 0, "v")];
    let error = member.commit_transaction(rows, &[position(0, 1)]).expect_err("it is shut out");
    let again = member.commit_transaction(Vec::new(), &[position(0, 1)]).expect_err("for good");
    assert_eq!(again.to_string(), error.to_string());
    error
}

/// The brokers answer both alike; only where another process can have the same name is it called fencing.
#[test]
fn a_producer_without_a_name_is_never_fenced() {
    let error = shut_out(|_| {});
    assert!(matches!(error, LogError::ClientEnded { .. }), "{error}");
    assert!(error.is_restartable() && !error.is_retryable());
    assert!(!error.to_string().contains("fenced"), "{error}");
    assert!(error.to_string().contains("transaction_timeout"), "{error}");
}

#[test]
fn a_named_producer_that_was_in_time_was_fenced_by_another_of_its_name() {
    let error = shut_out(|set| set.instance = Some("till-7".to_owned()));
    assert!(matches!(error, LogError::Fenced { .. }), "{error}");
    assert!(error.to_string().contains("log.kafka.instance"), "{error}");
}

#[test]
fn a_client_that_ended_for_an_unknown_reason_is_made_anew() {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
    let of = |code| error::ended("act", code, KafkaError::MessageConsumptionFatal(code), true);
    for code in [Code::Fatal, Code::OutOfOrderSequenceNumber] {
        assert!(matches!(of(code), LogError::ClientEnded { .. }), "{}", of(code));
    }
    assert!(matches!(of(Code::FencedInstanceId), LogError::Fenced { .. }));
    let denied = of(Code::TransactionalIdAuthorizationFailed);
    assert!(matches!(denied, LogError::Refused { .. }), "{denied}");
}

/// A log on the shared broker with topics `in` and `out` of its own.
fn open(servers: &str, name: &str, change: impl Fn(&mut KafkaSettings)) -> Arc<KafkaLog> {
    let mut set = KafkaSettings {
        replication: 1,
        durability: Durability::Development,
        ..KafkaSettings::new(servers, 2)
    };
    change(&mut set);
    let log = KafkaLog::connect(set).expect("the broker answers");
    let kept = Cleanup::Delete { retention_ms: 86_400_000 };
    let specs = ["in", "out"]
        .map(|end| TopicSpec { topic: Topic::new(&format!("{name}.{end}")), cleanup: kept });
    log.ensure_topics(&specs).expect("the topics are made");
    log
}

fn row(topic: &Topic, partition: Partition, value: &str) -> ProducerRecord {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    ProducerRecord { topic: topic.clone(), partition, key: Bytes::from_static(b"k"), value }
}

fn position(partition: Partition, offset: Offset) -> Position {
    Position { partition, committed: Committed { offset, metadata: String::new() } }
}

/// Polls two members until together they have both partitions, one each.
fn share(first: &mut dyn Consumer, second: &mut dyn Consumer) {
    let until = Instant::now() + PATIENCE;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    while one.len() != 1 || two.len() != 1 {
        assert!(Instant::now() < until, "the members do not share: {one:?} {two:?}");
        for (member, mine) in
            [(&mut *first as &mut dyn Consumer, &mut one), (&mut *second, &mut two)]
        {
            match member.poll(0, Duration::from_millis(50)).expect("polling works") {
                Polled::Assigned(partitions) => *mine = partitions,
                Polled::Revoked(_) => mine.clear(),
                Polled::Records(_) | Polled::Idle => {}
            }
        }
    }
}

fn all_written(servers: &str, topic: &Topic, partition: Partition) -> Vec<ConsumerRecord> {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let set = KafkaSettings::new(servers, 2);
    let mut config = reading(&set);
    config.set("isolation.level", "read_uncommitted");
    let consumer: BaseConsumer<Diagnostics> =
        create(&config, Diagnostics::default()).expect("a client");
    let mut list = rdkafka::TopicPartitionList::new();
    let number = client::native_partition(partition);
    list.add_partition_offset(topic.as_str(), number, rdkafka::Offset::Beginning).expect("listed");
    consumer.assign(&list).expect("assigned");
    let (mut copier, mut entries) = (record::RecordCopier::new(topic, partition), Vec::new());
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "the end is not reached");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => entries.push(copier.copy((&message).into())),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return entries,
            Some(Err(_)) | None => {}
        }
    }
}

/// A flush folded under an assignment that is over must not commit, even when its owner is a live
/// member again: the group's metadata of that very generation goes with it.
#[test]
fn a_flush_of_an_older_generation_is_refused_by_the_broker() {
    let Some(servers) = kafka_cluster::shared("fencing by the group's generation") else { return };
    let name = format!("fencing-{}", uuid::Uuid::new_v4());
    let (from, to) = (Topic::new(&format!("{name}.in")), Topic::new(&format!("{name}.out")));
    let log = open(servers, &name, |_| {});
    let mut owner = KafkaTransactionalConsumer::join(&log.cluster, &name, &from).expect("joins");
    let until = Instant::now() + PATIENCE;
    while !matches!(owner.poll(0, Duration::from_millis(50)), Ok(Polled::Assigned(_))) {
        assert!(Instant::now() < until, "nothing is assigned");
    }
    owner
        .commit_transaction(vec![row(&to, 0, "first")], &[position(0, 0), position(1, 0)])
        .expect("commits");
    let old = owner.consumer.replace_generation(None);
    let mut other = KafkaConsumer::join(&log.cluster, &name, &from).expect("joins");
    share(&mut owner, &mut other);
    let mine = *owner.consumer.partitions().first().expect("one is mine");
    let current = owner.consumer.replace_generation(old);
    let error = owner
        .commit_transaction(vec![row(&to, 0, "stale")], &[position(mine, 7)])
        .expect_err("the generation is over");
    assert!(matches!(error, LogError::Aborted { .. }), "{error}");
    owner.consumer.replace_generation(current);
    owner
        .commit_transaction(vec![row(&to, 0, "second")], &[position(mine, 1)])
        .expect("this one holds");

    let seen = |entries: &[ConsumerRecord]| -> Vec<Bytes> {
        entries.iter().filter_map(|entry| entry.value.clone()).collect()
    };
    let all = seen(&all_written(servers, &to, 0));
    assert_eq!(
        all,
        ["first", "stale", "second"],
        "a read_uncommitted client sees what was aborted"
    );
    let bounds = settled(&log, &to);
    let mut reader = log.reader(&to, 0, 0).expect("a reader");
    let mut committed = Vec::new();
    while reader.position() < bounds.end {
        committed.extend(reader.read(10, Duration::from_secs(1)).expect("reads"));
    }
    assert_eq!(seen(&committed), ["first", "second"], "a read_committed one does not");
    let kept = log.committed(&name, &from, mine).expect("asked").map(|committed| committed.offset);
    assert_eq!(kept, Some(1));
}

fn settled(log: &KafkaLog, topic: &Topic) -> Bounds {
    let until = Instant::now() + PATIENCE;
    loop {
        let bounds = log.bounds(topic, 0).expect("bounds");
        if bounds.stable_end == bounds.end {
            return bounds;
        }
        assert!(Instant::now() < until, "undecided: {bounds:?}");
    }
}
