//! Upkeep: what nobody will ask for any more goes from the log.
//!
//! Commits and revocations stay for good. A document goes when it was superseded longer ago than the horizon; the set of that revision
//! can then not be had again, and the newest is as whole as before. Documents of an apply that lost, or that no commit followed for a
//! day, go as well, but first the apply is voided by a record of its own: a writer that slept and commits after all changes nothing.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tillrace_log::{LogError, ProducerRecord, Topic, WritableLog, publish};
use uuid::Uuid;

use crate::chain::{Chain, Seen};
use crate::follower::{Follower, PARTITION};
use crate::record::{Abandoned, Read, read};
use crate::resource::ResourceId;
use crate::writer::row;

const DAY_MS: i64 = 86_400_000;

/// How long what is no more in force is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Milliseconds for which a document that was superseded is kept.
    pub superseded_ms: i64,
    /// Milliseconds after which an apply that no commit followed is abandoned.
    pub uncommitted_ms: i64,
}

impl Default for Horizon {
    /// Two years, and a day.
    fn default() -> Self {
        Self { superseded_ms: 730 * DAY_MS, uncommitted_ms: DAY_MS }
    }
}

/// What an upkeep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Applies that it voided.
    pub abandoned: usize,
    /// Documents that it removed.
    pub removed: usize,
}

/// The documents on the log and when each stopped to matter.
#[derive(Default)]
struct Documents {
    chain: Chain,
    /// Of each apply, until it is known what became of it: when its first document was appended, and all of them.
    open: HashMap<Uuid, (i64, Vec<(ResourceId, Bytes)>)>,
    /// The keys of documents of the newest set, and of removals, which end with what they removed.
    current: HashMap<ResourceId, Bytes>,
    /// Keys of superseded documents in the order of the log's commits, and since when they are.
    superseded: Vec<(Bytes, i64)>,
    /// Applies that are void: their documents may go.
    void: HashSet<Uuid>,
    gone: HashSet<Bytes>,
}

impl Documents {
    fn feed(&mut self, record: &tillrace_log::ConsumerRecord) {
        let Some(value) = &record.value else {
            self.gone.insert(record.key.clone());
            return;
        };
        let known = read(&record.key, value);
        if let Some(Read::Change(apply, change)) = &known {
            let (_, documents) =
                self.open.entry(*apply).or_insert((record.appended_ms, Vec::new()));
            documents.push((change.id().clone(), record.key.clone()));
        }
        let commit = if let Some(Read::Commit(commit)) = known { Some(commit) } else { None };
        match (self.chain.feed(record), commit) {
            (Seen::Applied(_) | Seen::Followed(_), Some(commit)) => {
                self.commit(commit.apply, commit.whole, record.appended_ms);
            }
            (Seen::Abandoned(apply, false), _) => {
                self.void.insert(apply);
            }
            _ => {}
        }
    }

    fn commit(&mut self, apply: Uuid, whole: bool, at_ms: i64) {
        if whole {
            self.superseded.extend(self.current.drain().map(|(_, key)| (key, at_ms)));
        }
        let (_, documents) = self.open.remove(&apply).unwrap_or_default();
        for (id, key) in documents {
            let is_removed = self.chain.is_without(&id);
            if let Some(before) = self.current.remove(&id) {
                self.superseded.push((before, at_ms));
            }
            if is_removed {
                self.superseded.push((key, at_ms));
            } else {
                self.current.insert(id, key);
            }
        }
    }

    /// Returns the applies that are to be voided.
    fn to_abandon(&self, before_ms: i64) -> Vec<Uuid> {
        let open = self
            .open
            .iter()
            .filter(|(apply, (since_ms, _))| !self.void.contains(*apply) && *since_ms < before_ms);
        let mut applies: Vec<Uuid> = open.map(|(apply, _)| *apply).collect();
        applies.sort();
        applies
    }

    /// Returns the keys of documents that may go, in an order in which no prefix of them brings back what was removed.
    fn to_remove(&self, before_ms: i64) -> Vec<Bytes> {
        let superseded = self.superseded.iter().filter(|(_, at_ms)| *at_ms < before_ms);
        let superseded = superseded.map(|(key, _)| key.clone());
        let void = self.open.iter().filter(|(apply, _)| self.void.contains(*apply));
        let void =
            void.flat_map(|(_, (_, documents))| documents.iter().map(|(_, key)| key.clone()));
        superseded.chain(void).filter(|key| !self.gone.contains(key)).collect()
    }
}

/// Voids what nobody will commit any more, and removes documents that are past the horizon. It may be done by several at once, and
/// again after it was cut short.
///
/// # Errors
/// When the log cannot be read or does not take it; what was done is done.
pub fn tidy(
    log: &dyn WritableLog,
    topic: &Topic,
    now_ms: i64,
    horizon: Horizon,
) -> Result<Upkeep, LogError> {
    let mut documents = Documents::default();
    let mut follower = Follower::open(log, topic)?;
    follower.records_to_end(log, |record| documents.feed(record))?;
    if documents.chain.broken().is_some() {
        // Who cannot follow the set does not know what matters in it.
        return Ok(Upkeep::default());
    }
    let producer = log.producer()?;
    let abandoned = documents.to_abandon(now_ms.saturating_sub(horizon.uncommitted_ms));
    if !abandoned.is_empty() {
        let rows = abandoned.iter().map(|apply| {
            let (key, value) = Abandoned::encode(*apply, now_ms);
            row(topic, key, value)
        });
        publish(&*producer, rows.collect())?;
        // A commit may have come first: what was not void when its turn came stays.
        follower.records_to_end(log, |record| documents.feed(record))?;
    }
    let keys = documents.to_remove(now_ms.saturating_sub(horizon.superseded_ms));
    let tombstone = |key: &Bytes| ProducerRecord {
        topic: topic.clone(),
        partition: PARTITION,
        key: key.clone(),
        value: None,
    };
    publish(&*producer, keys.iter().map(tombstone).collect())?;
    Ok(Upkeep { abandoned: abandoned.len(), removed: keys.len() })
}

#[cfg(test)]
mod tests;
