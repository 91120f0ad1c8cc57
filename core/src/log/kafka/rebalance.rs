//! What the group tells a member, and how it is answered.
//!
//! librdkafka calls this inside a poll of the member's own thread, so a rebalance is never handled
//! while a flush is under way.

use std::collections::VecDeque;

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset as NativeOffset, TopicPartitionList};

use super::client::{report_error, report_line};
use crate::log::Partition;

/// A rebalance, as the group's callback saw it.
pub(super) enum Rebalance {
    /// Partitions came, with the metadata of the generation that brought them.
    Assigned(Vec<Partition>, Option<ConsumerGroupMetadata>),
    /// All partitions went.
    Revoked(Vec<Partition>),
}

/// What librdkafka calls inside a poll.
#[derive(Default)]
pub(super) struct Group {
    rebalances: Mutex<VecDeque<Rebalance>>,
}

impl Group {
    /// Takes the oldest rebalance that the member has not heard of.
    pub(super) fn next(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        report_line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report_error(&error, reason);
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let number = |partition| Partition::try_from(partition).unwrap_or_default();
        let partitions = list.elements().iter().map(|one| number(one.partition())).collect();
        let (rebalance, outcome) = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        {
            // Group metadata is of this very generation: a later one cannot begin before this
            // callback has answered. What fences a flush is taken here and nowhere else.
            let metadata = consumer.group_metadata();
            // An offset that needs no question: the answer to one about the end may come after the
            // seek that starts a partition, move the fetcher past records, and they are never read.
            // What is fetched from here before that lies below the start and is dropped.
            let outcome = list
                .set_all_offsets(NativeOffset::Offset(0))
                .and_then(|()| consumer.assign(list))
                .and_then(|()| consumer.pause(list));
            (Rebalance::Assigned(partitions, metadata), outcome)
        } else {
            (Rebalance::Revoked(partitions), consumer.unassign())
        };
        if let Err(error) = outcome {
            // The partitions then fail to start, which is what the role hears of.
            tracing::error!(%error, "answer a rebalance");
        }
        self.rebalances.lock().push_back(rebalance);
    }
}
