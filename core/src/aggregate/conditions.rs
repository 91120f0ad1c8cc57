//! The conditions of the aggregator: partitions that are stopped, and records that can not be read.
//!
//! A partition whose state can not be read, or for which a record can not be written, stops, and no other. Unreadable records
//! stop nothing; their condition stays for an hour after the last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tillrace_log::explain::{Explained, Explanation};
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Offset, Partition, ProducerRecord};

use super::AggregateError;
use super::unreadable::LastUnreadable;
use crate::topics::Topics;

const COMPONENT: &str = "aggregator";
const STOPPED: &str = PARTITION_STOPPED.code;
const UNREADABLE: &str = RECORDS_UNREADABLE.code;
const NEEDS_UPGRADE: &str = RECORD_NEEDS_UPGRADE.code;
/// How long the condition stays after the last unreadable record.
const UNREADABLE_FOR: Duration = Duration::from_hours(1);

/// A partition that is stopped.
pub const PARTITION_STOPPED: Explanation = Explanation {
    code: "partition_stopped",
    meaning: "A partition of the journal could not be taken over, or a record for it could not be written. Its stores are stopped, \
              the other partitions go on; its events wait in the journal, and nothing of it is counted in part.",
    remedy: "See its cause, and do what its remedy says.",
};

/// A record of a later version.
pub const RECORD_NEEDS_UPGRADE: Explanation = Explanation {
    code: "record_needs_upgrade",
    meaning: "The journal has an event of a kind, or a control record, that this version does not know: a gateway of a later version \
              wrote it. Its partition waits at the record; nothing is skipped or counted in part, and the other partitions go on.",
    remedy: "Upgrade the aggregators to the version of the gateways; they go on at the record. Next time upgrade aggregators first.",
};

/// Records that were quarantined because they can not be read.
pub const RECORDS_UNREADABLE: Explanation = Explanation {
    code: "records_unreadable",
    meaning: "The journal holds records that can not be read as events: something other than a gateway wrote them, or a gateway of a \
              later version. Each was quarantined on pos.conflicts.v1 with the reason and its beginning, and its partition went on. \
              The condition goes an hour after the last such record.",
    remedy: "Look at them with `tillrace tap pos.conflicts.v1`. Find out what else writes to pos.events.v1, or upgrade the \
             aggregators, and have the events sent again.",
};

/// The conditions of the partitions of one member.
#[derive(Debug)]
pub(super) struct Conditions {
    health: Health,
    journal: String,
    conflicts: String,
    stopped: BTreeMap<Partition, (&'static str, String)>,
    unreadable: BTreeMap<Partition, Instant>,
}

impl Conditions {
    pub(super) fn new(health: &Health, topics: &Topics) -> Self {
        Self {
            health: health.clone(),
            journal: topics.events.to_string(),
            conflicts: topics.conflicts.to_string(),
            stopped: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// A partition can not be restored.
    pub(super) fn stopped(&mut self, partition: Partition, error: &AggregateError) {
        let remedy = error.explanation().remedy;
        self.stop(partition, STOPPED, error.to_string(), remedy.to_owned());
    }

    /// A record of a partition is longer than the log accepts.
    pub(super) fn unwritable(&mut self, partition: Partition, row: &ProducerRecord) {
        let (topic, key) = (&row.topic, String::from_utf8_lossy(&row.key));
        let cause = format!("partition {partition}: the record {key} for {topic} is too long");
        let remedy = "This is a defect of Tillrace: report it with the text. Events wait in the journal meanwhile.";
        self.stop(partition, STOPPED, cause, remedy.to_owned());
    }

    /// A record of a partition is of a type that only a later version knows.
    pub(super) fn newer_type(&mut self, partition: Partition, offset: Offset, name: &str) {
        let journal = &self.journal;
        let cause = format!(
            "{journal} {partition}/{offset}: records of type {name} are of a later version"
        );
        self.stop(partition, NEEDS_UPGRADE, cause, RECORD_NEEDS_UPGRADE.remedy_and_page());
    }

    fn stop(&mut self, partition: Partition, code: &'static str, cause: String, remedy: String) {
        let subject = subject(partition);
        self.stopped.insert(partition, (code, subject.clone()));
        self.health.raise(Condition {
            component: COMPONENT.to_owned(),
            code,
            subject,
            impact: Impact::Degraded,
            cause,
            remedy,
        });
    }

    /// Records of a partition were quarantined because they can not be read.
    pub(super) fn unreadable(
        &mut self,
        partition: Partition,
        records: u64,
        last: &LastUnreadable,
        now: Instant,
    ) {
        let LastUnreadable { offset, cause } = last;
        let (journal, conflicts) = (&self.journal, &self.conflicts);
        tracing::error!(
            code = UNREADABLE,
            topic = journal,
            partition,
            offset,
            records,
            error = %cause,
            "unreadable records quarantined"
        );
        self.unreadable.insert(partition, now);
        self.health.raise(Condition {
            component: COMPONENT.to_owned(),
            code: UNREADABLE,
            subject: subject(partition),
            impact: Impact::Degraded,
            cause: format!("{journal} {partition}/{offset}: {cause}"),
            remedy: format!(
                "Look at the quarantined records with `tillrace tap {conflicts}`, find out what writes to {journal} beside the \
                 gateways, or which gateway is of a later version, and have the events sent again."
            ),
        });
    }

    /// Clears the condition of unreadable records where there were none for a while.
    pub(super) fn expire(&mut self, now: Instant) {
        let health = &self.health;
        self.unreadable.retain(|&partition, last| {
            let stays = now.saturating_duration_since(*last) < UNREADABLE_FOR;
            if !stays {
                health.clear(COMPONENT, UNREADABLE, &subject(partition));
            }
            stays
        });
    }

    /// A partition goes on, in this member or another.
    pub(super) fn gone(&mut self, partition: Partition) {
        if let Some((code, subject)) = self.stopped.remove(&partition) {
            self.health.clear(COMPONENT, code, &subject);
        }
    }
}

/// A member that ends has no partitions any more; the next one reports anew which are stopped.
impl Drop for Conditions {
    fn drop(&mut self) {
        for (code, subject) in self.stopped.values() {
            self.health.clear(COMPONENT, code, subject);
        }
        for &partition in self.unreadable.keys() {
            self.health.clear(COMPONENT, UNREADABLE, &subject(partition));
        }
    }
}

fn subject(partition: Partition) -> String {
    format!("partition {partition}")
}
