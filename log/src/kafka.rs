//! The Kafka log: the implementation for production and for everything beyond one machine.
//!
//! Kafka is the distributed engine: replication, partitioning, group membership, transactions. The
//! files stand in the order in which a record meets them: `producer` (with `courier` and `room`), `member` and
//! `transaction` (with `rebalance` and `entry`), `reader`; `view` asks the cluster, `topics` makes and compares
//! (with `promise`), `client` configures librdkafka, `diagnostics` pass on what it says, `fault` says what its errors
//! mean.
//!
//! “Durable” here means replicated: acknowledged by all in-sync replicas, two of three at least. It
//! does not mean that any of them has synced its disk.
//!
//! Deliberately absent: retries of what librdkafka gave up on, and any choice of a position
//! (`auto.offset.reset=error`): roles name where they start.

mod answer;
mod client;
mod courier;
mod diagnostics;
mod entry;
mod fault;
mod lines;
mod member;
mod producer;
mod promise;
mod queue;
mod reader;
mod rebalance;
mod repeats;
mod room;
mod settings;
mod topics;
mod transaction;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::fault::KafkaFault;
pub use self::lines::LINES;
use self::member::Member;
use self::producer::KafkaProducer;
use self::reader::KafkaReader;
pub use self::settings::{
    Compression, Durability, KafkaSettings, PARTITIONS, PROMISED_REPLICATION,
};
use self::transaction::TransactionalMember;
use self::view::View;
use super::{
    Bounds, Committed, Consumer, Log, LogError, LogView, Offset, Partition, Producer, Reader,
    Topic, TopicSpec, TransactionalConsumer, Weaknesses,
};

/// A Kafka cluster as a log.
pub struct KafkaLog {
    view: Arc<View>,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KafkaLog").field("settings", &self.view.settings).finish()
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
        let view = Arc::new(View::connect(Arc::new(settings))?);
        Ok(Arc::new(Self { view }))
    }
}

impl LogView for KafkaLog {
    fn identity(&self) -> Result<String, LogError> {
        Ok(format!("kafka/{}", self.view.cluster_id()?))
    }

    fn partitions(&self) -> Partition {
        self.view.settings.partitions
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.view.bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(KafkaReader::open(&self.view, topic, partition, from)?))
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.view.committed(group, topic, partition)
    }
}

impl Log for KafkaLog {
    fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        topics::ensure(&self.view, topics)
    }

    fn compare_topics(&self, topics: &[TopicSpec]) -> Result<Weaknesses, LogError> {
        topics::compare(&self.view, topics)
    }

    fn unwritable(&self, topic: &Topic) -> Result<Vec<Partition>, LogError> {
        self.view.unwritable(topic)
    }

    fn producer(&self) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(KafkaProducer::open(Arc::clone(&self.view.settings))?))
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(Member::join(&self.view, group, topic)?))
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn TransactionalConsumer>, LogError> {
        Ok(Box::new(TransactionalMember::join(&self.view, group, topic)?))
    }
}
