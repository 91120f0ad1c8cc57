//! Required settings of a topic: those that the promises rest on.
//!
//! A setting is *weaker* when it could lose or change what was acknowledged, or lose a group's
//! offsets; one that is only different is left to the operator.

use super::settings::{KafkaSettings, PROMISED_REPLICATION};
use crate::{Cleanup, RECORD_LIMIT_BYTES, Topic, TopicSpec};

/// Minutes for which the brokers must keep the offsets of a group that is down, unless records
/// are kept for less. It is Kafka's own default.
const OFFSETS_KEPT_MINUTES: u64 = 7 * 24 * 60;
const MINUTE_MS: u64 = 60_000;

/// The required settings of one topic.
pub(super) struct TopicRequirements {
    /// Settings given to a new topic, in this order.
    settings: Vec<(&'static str, String)>,
    cleanup: Cleanup,
}

impl TopicRequirements {
    pub(super) fn new(spec: &TopicSpec, settings: &KafkaSettings) -> Self {
        let mut list = vec![
            ("min.insync.replicas", majority(settings.replication).to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("max.message.bytes", RECORD_LIMIT_BYTES.to_string()),
            // Event time lives in the payload: a fast clock is no reason for Kafka to refuse a
            // record, nor a slow one to forget it.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
        ];
        match spec.cleanup {
            Cleanup::Delete { retention_ms } => {
                list.push(("cleanup.policy", "delete".to_owned()));
                list.push(("retention.ms", retention_ms.to_string()));
                list.push(("retention.bytes", "-1".to_owned()));
            }
            // A new owner reads the whole partition: small segments and an eager cleaner keep
            // what it reads short. Compaction skips the newest segment, so that one is closed
            // every hour.
            Cleanup::Compact => {
                list.push(("cleanup.policy", "compact".to_owned()));
                list.push(("min.cleanable.dirty.ratio", "0.1".to_owned()));
                list.push(("segment.bytes", (64_u64 << 20).to_string()));
                list.push(("segment.ms", (60 * MINUTE_MS).to_string()));
                list.push(("delete.retention.ms", (24 * 60 * MINUTE_MS).to_string()));
            }
        }
        Self { settings: list, cleanup: spec.cleanup }
    }

    /// Settings of a new topic.
    pub(super) fn configured(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Adds a sentence for each setting of an existing topic that is weaker.
    pub(super) fn compare<'a>(
        &self,
        topic: &Topic,
        found: impl Fn(&str) -> Option<&'a str>,
        weaker: &mut Vec<String>,
    ) {
        let mut check = |key: &str, promise: &str, holds: &dyn Fn(&str) -> bool| {
            let value = found(key).unwrap_or("unknown");
            if !holds(value) {
                weaker.push(format!("topic {topic} has {key} {value}; {promise} is promised"));
            }
        };
        let least_in_sync = majority(PROMISED_REPLICATION);
        check("min.insync.replicas", &format!("{least_in_sync} or more"), &|value| {
            at_least(value, u64::from(least_in_sync))
        });
        check("unclean.leader.election.enable", "false", &|value| value == "false");
        check("max.message.bytes", &format!("{RECORD_LIMIT_BYTES} or more"), &|value| {
            at_least(value, RECORD_LIMIT_BYTES as u64)
        });
        check("message.timestamp.type", "LogAppendTime", &|value| value == "LogAppendTime");
        match self.cleanup {
            Cleanup::Delete { retention_ms } => {
                check("cleanup.policy", "delete", &|value| value == "delete");
                check("retention.ms", &format!("{retention_ms} or more"), &|value| {
                    value == "-1" || at_least(value, retention_ms)
                });
                check("retention.bytes", "-1", &|value| value == "-1");
            }
            Cleanup::Compact => check("cleanup.policy", "compact", &|value| value == "compact"),
        }
    }
}

/// More than half of the replicas.
fn majority(replication: u16) -> u16 {
    replication / 2 + 1
}

fn at_least(value: &str, least: u64) -> bool {
    value.parse::<u64>().is_ok_and(|value| value >= least)
}

/// Minutes for which the offsets of a group that reads these topics must be kept.
pub(super) fn offsets_kept(specs: &[TopicSpec]) -> u64 {
    let kept = |spec: &TopicSpec| match spec.cleanup {
        Cleanup::Delete { retention_ms } => retention_ms.div_ceil(MINUTE_MS),
        Cleanup::Compact => 0,
    };
    specs.iter().map(kept).max().unwrap_or(0).min(OFFSETS_KEPT_MINUTES)
}

/// Describes a broker that drops the offsets of a group too early.
pub(super) fn weaker_offsets(broker: i32, found: Option<&str>, needed: u64) -> Option<String> {
    let value = found.unwrap_or("unknown");
    (!at_least(value, needed)).then(|| {
        format!(
            "broker {broker} has offsets.retention.minutes {value}; {needed} or more is promised"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const WEEK_MS: u64 = 7 * 24 * 60 * MINUTE_MS;

    fn spec(cleanup: Cleanup) -> TopicSpec {
        TopicSpec { topic: Topic::new("t"), cleanup }
    }

    fn compared(cleanup: Cleanup, changed: &[(&'static str, &'static str)]) -> Vec<String> {
        let requirements = TopicRequirements::new(&spec(cleanup), &KafkaSettings::new("b:1", 1));
        let mut found: BTreeMap<&str, &str> = requirements.configured().collect();
        found.extend(changed.iter().copied());
        let mut weaker = Vec::new();
        requirements.compare(&Topic::new("t"), |key| found.get(key).copied(), &mut weaker);
        weaker
    }

    #[test]
    fn a_topic_made_by_us_is_as_promised() {
        assert_eq!(compared(Cleanup::Compact, &[]), Vec::<String>::new());
        assert_eq!(compared(Cleanup::Delete { retention_ms: WEEK_MS }, &[]), Vec::<String>::new());
    }

    #[test]
    fn stronger_settings_are_fine() {
        let stronger = [
            ("min.insync.replicas", "3"),
            ("retention.ms", "-1"),
            ("max.message.bytes", "9999999"),
        ];
        assert_eq!(compared(Cleanup::Delete { retention_ms: WEEK_MS }, &stronger).len(), 0);
    }

    #[test]
    fn each_weaker_setting_has_its_sentence() {
        let cleanup = Cleanup::Delete { retention_ms: WEEK_MS };
        for (key, value, sentence) in [
            (
                "min.insync.replicas",
                "1",
                "topic t has min.insync.replicas 1; 2 or more is promised",
            ),
            (
                "unclean.leader.election.enable",
                "true",
                "topic t has unclean.leader.election.enable true; false is promised",
            ),
            (
                "max.message.bytes",
                "1000000",
                "topic t has max.message.bytes 1000000; 1048576 or more is promised",
            ),
            (
                "message.timestamp.type",
                "CreateTime",
                "topic t has message.timestamp.type CreateTime; LogAppendTime is promised",
            ),
            ("cleanup.policy", "compact", "topic t has cleanup.policy compact; delete is promised"),
            (
                "retention.ms",
                "3600000",
                "topic t has retention.ms 3600000; 604800000 or more is promised",
            ),
            ("retention.bytes", "1024", "topic t has retention.bytes 1024; -1 is promised"),
        ] {
            assert_eq!(compared(cleanup, &[(key, value)]), [sentence]);
        }
        assert_eq!(
            compared(Cleanup::Compact, &[("cleanup.policy", "compact,delete")]),
            ["topic t has cleanup.policy compact,delete; compact is promised"]
        );
    }

    #[test]
    fn what_cannot_be_read_counts_as_weaker() {
        let requirements =
            TopicRequirements::new(&spec(Cleanup::Compact), &KafkaSettings::new("b:1", 1));
        let mut weaker = Vec::new();
        requirements.compare(&Topic::new("t"), |_| None, &mut weaker);
        assert_eq!(weaker.len(), 5);
    }

    #[test]
    fn offsets_are_kept_as_long_as_records_or_a_week() {
        let hour = Cleanup::Delete { retention_ms: 60 * MINUTE_MS };
        let month = Cleanup::Delete { retention_ms: 30 * 24 * 60 * MINUTE_MS };
        assert_eq!(offsets_kept(&[spec(hour), spec(Cleanup::Compact)]), 60);
        assert_eq!(offsets_kept(&[spec(hour), spec(month)]), 10_080);
        assert_eq!(weaker_offsets(1, Some("60"), 60), None);
        let sentence = weaker_offsets(2, Some("59"), 60).expect("too short");
        assert_eq!(sentence, "broker 2 has offsets.retention.minutes 59; 60 or more is promised");
        assert!(weaker_offsets(2, None, 60).is_some());
    }
}
