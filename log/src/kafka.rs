//! The Kafka log: the implementation for production and for everything beyond one machine.
//!
//! Kafka is the distributed engine: replication, partitioning, group membership, transactions. The
//! files stand in the order in which a record meets them: `producer` (with `batch_producer` and `queue_budget`),
//! `consumer` and `transaction` (with `rebalance`, `queue` and `record`), `reader`; `metadata` asks the cluster, `topics`
//! creates and compares topics (with `topic_requirements`), `client` configures librdkafka, `diagnostics` pass on its log
//! lines, `error` says what its errors mean.
//!
//! “Durable” here means replicated: acknowledged by all in-sync replicas, two of three at least. It
//! does not mean that any of them has synced its disk.
//!
//! Deliberately absent: retries of what librdkafka gave up on, and any choice of a position
//! (`auto.offset.reset=error`): roles name where they start.

mod batch_producer;
mod client;
mod consumer;
mod diagnostics;
mod error;
mod lines;
mod metadata;
mod producer;
mod properties;
mod queue;
mod queue_budget;
mod reader;
mod rebalance;
mod record;
mod repeats;
mod settings;
mod topic_requirements;
mod topics;
mod transaction;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::client::{READER_GROUP, TransactionalIds};
use self::consumer::KafkaConsumer;
pub use self::error::KafkaFault;
pub use self::lines::LINES;
use self::metadata::ClusterMetadata;
use self::producer::KafkaProducer;
use self::reader::KafkaReader;
pub use self::settings::{
    Compression, Durability, KafkaSettings, PARTITIONS, PROMISED_REPLICATION,
};
use self::transaction::KafkaTransactionalConsumer;
use super::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Producer, Reader,
    Topic, TopicSpec, TransactionalConsumer, Weaknesses, WritableLog,
};

/// A Kafka cluster as a log.
pub struct KafkaLog {
    cluster: Arc<ClusterMetadata>,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KafkaLog").field("settings", &self.cluster.settings).finish()
    }
}

impl KafkaLog {
    /// Connects to a cluster and waits for its first answer.
    ///
    /// # Errors
    /// [`LogError::Refused`] when a setting is wrong or librdkafka refuses a property;
    /// [`LogError::Unavailable`] or [`LogError::TimedOut`] when no broker answers within
    /// `request_timeout`.
    pub fn connect(settings: KafkaSettings) -> Result<Arc<Self>, LogError> {
        settings
            .validate()
            .map_err(|errors| KafkaFault::from(errors).refusing("configure the Kafka log"))?;
        let cluster = Arc::new(ClusterMetadata::connect(Arc::new(settings))?);
        Ok(Arc::new(Self { cluster }))
    }
}

impl LogView for KafkaLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok(format!("kafka/{}", self.cluster.cluster_id()?))
    }

    fn partitions(&self) -> Partition {
        self.cluster.settings.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.cluster.bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(KafkaReader::open(&self.cluster, topic, partition, from)?))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.cluster.committed(group, topic, partition)
    }
}

impl WritableLog for KafkaLog {
    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(KafkaProducer::open(Arc::clone(&self.cluster.settings))?))
    }
}

impl Log for KafkaLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        topics::ensure(&self.cluster, topics)
    }

    fn compare_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        topics::compare(&self.cluster, topics)
    }

    fn unwritable(&self, topic: &Topic) -> Result<Vec<Partition>, LogError> {
        self.cluster.unwritable(topic)
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(KafkaConsumer::join(&self.cluster, group, topic)?))
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        Ok(Box::new(KafkaTransactionalConsumer::join(&self.cluster, group, topic)?))
    }
}
