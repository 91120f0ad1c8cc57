//! The topics: their names, their keys, and which partition a store belongs to.

use tillrace_log::{Cleanup, Partition, Topic, TopicSpec};

use crate::text::percent_encode;

const DAY_MS: u64 = 86_400_000;

/// The topics of one namespace.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the topic of that name")]
pub struct Topics {
    pub events: Topic,
    pub transactions: Topic,
    pub conflicts: Topic,
    pub rejected: Topic,
    pub parked: Topic,
    pub deltas: Topic,
    pub counts: Topic,
    pub days: Topic,
    pub registers: Topic,
    pub ledger: Topic,
    pub policy: Topic,
    pub state: Topic,
    pub audit: Topic,
    namespace: String,
}

impl Topics {
    /// Names the topics of a namespace, which precedes each name with a dot; an empty one adds nothing.
    pub fn new(namespace: &str) -> Self {
        let topic = |name: &str| Topic::new(&prefixed(namespace, name));
        Self {
            events: topic("pos.events.v1"),
            transactions: topic("pos.transactions.v1"),
            conflicts: topic("pos.conflicts.v1"),
            rejected: topic("pos.rejected.v1"),
            parked: topic("pos.parked.v1"),
            deltas: topic("inventory.deltas.v1"),
            counts: topic("stock.counts.v1"),
            days: topic("store.days.v1"),
            registers: topic("store.registers.v1"),
            ledger: topic("terminal.ledger.v1"),
            policy: topic("policy.v1"),
            state: topic("state.v1"),
            audit: topic("pos.audit.v1"),
            namespace: namespace.to_owned(),
        }
    }

    /// Names a topic of this namespace by what stands after the prefix.
    pub fn named(&self, name: &str) -> Topic {
        Topic::new(&prefixed(&self.namespace, name))
    }

    /// Names the dead-letter topic of a sink.
    pub fn dead(&self, sink: &str) -> Topic {
        self.named(&format!("{sink}.dead.v1"))
    }

    /// Names the consumer group of a sink.
    pub fn sink_group(&self, sink: &str) -> String {
        self.group(&format!("deliver.{sink}"))
    }

    /// Names a consumer group, or the transactional id of a role.
    pub fn group(&self, role: &str) -> String {
        prefixed(&self.namespace, &format!("tillrace.{role}"))
    }

    /// Lists the topics with their settings, dead letters of `sinks` included.
    pub fn specs(&self, sinks: &[&str], retention_days: u64) -> Vec<TopicSpec> {
        let delete = Cleanup::Delete { retention_ms: retention_days * DAY_MS };
        let kept = [
            &self.events,
            &self.transactions,
            &self.conflicts,
            &self.rejected,
            &self.deltas,
            &self.counts,
            &self.audit,
        ];
        // Nothing of the policy set is overwritten: each of its keys is written once.
        let compacted =
            [&self.parked, &self.days, &self.registers, &self.ledger, &self.policy, &self.state];
        kept.into_iter()
            .map(|topic| TopicSpec { topic: topic.clone(), cleanup: delete })
            .chain(
                compacted
                    .into_iter()
                    .map(|topic| TopicSpec { topic: topic.clone(), cleanup: Cleanup::Compact }),
            )
            .chain(sinks.iter().map(|sink| TopicSpec { topic: self.dead(sink), cleanup: delete }))
            .collect()
    }
}

fn prefixed(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// Joins ids into a record key: each percent-encoded, `/` between them.
pub fn key(ids: &[&str]) -> String {
    let mut key = String::with_capacity(ids.iter().map(|id| id.len() + 1).sum());
    push_key(ids, &mut key);
    key
}

/// Appends a record key to a text.
pub fn push_key(ids: &[&str], text: &mut String) {
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            text.push('/');
        }
        percent_encode(id, text);
    }
}

/// Returns the partition of a store on every topic.
pub fn partition_of(tenant: &str, store: &str, partitions: Partition) -> Partition {
    partition_of_key(&key(&[tenant, store]), partitions)
}

/// Returns the partition of a store by its key, `tenant/store`.
///
/// Murmur2, as in the default partitioner of Kafka's Java client
/// (`org.apache.kafka.common.utils.Utils.murmur2`, sign bit cleared, modulo the count).
pub fn partition_of_key(key: &str, partitions: Partition) -> Partition {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, &byte| (tail << 8) | u32::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_that_of_the_java_client() {
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash.cast_unsigned(), "{text}");
        }
    }

    #[test]
    fn a_namespace_precedes_every_name() {
        let topics = Topics::new("eu");
        assert_eq!(topics.events.as_str(), "eu.pos.events.v1");
        assert_eq!(topics.dead("erp").as_str(), "eu.erp.dead.v1");
        assert_eq!(Topics::new("").group("aggregate"), "tillrace.aggregate");
    }
}
