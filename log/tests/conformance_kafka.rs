//! The conformance suite on a real Kafka.

mod kafka_cluster;

use std::sync::Arc;

use tillrace_log::conformance::{self, Subject};
use tillrace_log::kafka::{Durability, KafkaLog, KafkaSettings};
use tillrace_log::{Log, LogError, Partition};

/// One broker; every scenario has topics and groups of its own.
struct Broker(&'static str);

impl Subject for Broker {
    fn open(&self, _name: &str, partitions: Partition) -> Result<Arc<dyn Log>, LogError> {
        Ok(KafkaLog::connect(KafkaSettings {
            replication: 1,
            durability: Durability::Development,
            ..KafkaSettings::new(self.0, partitions)
        })?)
    }
}

#[test]
fn the_kafka_log_conforms() {
    let Some(servers) = kafka_cluster::shared("the conformance suite on Kafka") else { return };
    for scenario in conformance::scenarios() {
        conformance::run(&Broker(servers), &scenario);
    }
}
