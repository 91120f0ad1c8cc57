//! Rebalances: what the group tells a consumer, and how it is answered.
//!
//! librdkafka calls this inside a poll of the member's own thread, so a rebalance is never handled
//! while a flush is under way.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset as NativeOffset, TopicPartitionList};

use super::diagnostics::ClientLines;
use super::lines;
use crate::Partition;

/// How long the callback waits for the group's offsets. They stay unknown for longer while a dead
/// owner's transaction is open.
const OFFSETS_WAIT: Duration = Duration::from_secs(2);

/// A rebalance, as the group's callback saw it.
pub(super) enum Rebalance {
    /// Partitions came, with the metadata of the generation that brought them.
    Assigned(Vec<Partition>, Option<ConsumerGroupMetadata>),
    /// All partitions went.
    Revoked(Vec<Partition>),
}

/// What librdkafka calls inside a poll.
#[derive(Default)]
pub(super) struct RebalanceContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    lines: ClientLines,
}

impl RebalanceContext {
    /// Takes the oldest rebalance that the member has not heard of.
    pub(super) fn next(&self) -> Option<Rebalance> {
        self.rebalances.lock().pop_front()
    }
}

impl ClientContext for RebalanceContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.lines.line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.lines.error(&error, reason);
    }
}

impl ConsumerContext for RebalanceContext {
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
            let outcome = set_committed_offsets(consumer, list)
                .and_then(|()| consumer.assign(list))
                .and_then(|()| consumer.pause(list));
            (Rebalance::Assigned(partitions, metadata), outcome)
        } else {
            (Rebalance::Revoked(partitions), consumer.unassign())
        };
        if let Err(error) = outcome {
            // The partitions then fail to start, which is what the role hears of.
            tracing::error!(code = lines::REBALANCE_FAILED.code, %error, "answer a rebalance");
        }
        self.rebalances.lock().push_back(rebalance);
    }
}

/// Sets where the fetcher stands until the role starts a partition: the group's offset, or the
/// beginning where there is none.
///
/// Never the end. A logical offset has to be asked for, and librdkafka 2.12 asks again half a second
/// after an answer that a seek or a pause overtook (`rd_kafka_toppar_handle_Offset`): the late answer
/// moves the fetcher, and past the end of that moment nothing before it would ever be read. From
/// the beginning it only reads again what the consumer then drops.
fn set_committed_offsets(
    consumer: &BaseConsumer<RebalanceContext>,
    list: &mut TopicPartitionList,
) -> Result<(), KafkaError> {
    list.set_all_offsets(NativeOffset::Beginning)?;
    let mut asked = TopicPartitionList::with_capacity(list.count());
    for one in list.elements() {
        asked.add_partition(one.topic(), one.partition());
    }
    // Without an answer the beginning stands; the role asks again, and longer, before it starts.
    let Ok(offsets) = consumer.committed_offsets(asked, OFFSETS_WAIT) else { return Ok(()) };
    for one in offsets.elements() {
        if let (Ok(()), offset @ NativeOffset::Offset(_)) = (one.error(), one.offset()) {
            list.set_partition_offset(one.topic(), one.partition(), offset)?;
        }
    }
    Ok(())
}
