//! Reads a real Kafka as an outsider does: what was committed, once, from a position to the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tillrace_loadtest::topics::kafka::KafkaReader;
use tillrace_loadtest::topics::{Positions, TopicReader as _};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Writes one transaction of a record for each value, to partition 0 and 1 in turn.
fn write(producer: &BaseProducer, topic: &str, values: &[&str], commit: bool) {
    producer.begin_transaction().unwrap();
    for (number, value) in values.iter().enumerate() {
        let partition = i32::try_from(number % 2).unwrap();
        producer.send(BaseRecord::to(topic).partition(partition).key("k").payload(*value)).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    if commit {
        producer.commit_transaction(TIMEOUT).unwrap();
    } else {
        producer.abort_transaction(TIMEOUT).unwrap();
    }
}

fn read(reader: &mut KafkaReader, topic: &str, positions: &mut Positions) -> Vec<String> {
    let mut values = Vec::new();
    reader
        .read(topic, positions, &mut |record| {
            assert_eq!(record.key, b"k");
            values.push(String::from_utf8(record.value.to_vec()).unwrap());
        })
        .unwrap();
    values.sort();
    values
}

#[test]
fn only_what_is_committed_is_read_and_only_once() {
    let Some(brokers) = kafka_cluster::shared("reading topics for verification") else { return };
    let topic = format!("loadtest.reader.{}", std::process::id());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    let producer: BaseProducer = config.set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();

    let mut reader = KafkaReader::new(brokers, &[]).unwrap();
    let mut positions = Positions::new();
    assert_eq!(read(&mut reader, &topic, &mut positions), Vec::<String>::new());
    write(&producer, &topic, &["a", "b", "c"], true);
    write(&producer, &topic, &["never", "seen"], false);
    assert_eq!(read(&mut reader, &topic, &mut positions), ["a", "b", "c"]);
    assert_eq!(read(&mut reader, &topic, &mut positions), Vec::<String>::new());

    let mut end = Positions::new();
    reader.skip(&topic, &mut end).unwrap();
    write(&producer, &topic, &["d", "e"], true);
    assert_eq!(read(&mut reader, &topic, &mut positions), ["d", "e"]);
    assert_eq!(read(&mut reader, &topic, &mut end), ["d", "e"], "an end is a place to begin");
    assert_eq!(read(&mut reader, "no.such.topic", &mut Positions::new()), Vec::<String>::new());
}
