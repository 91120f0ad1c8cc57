//! Records to rows: one file for each kind of topic.
//!
//! A record gives the same rows whenever it is read, so that a rebuilt store equals the one that was there. Text that is not what
//! the topic's schema says becomes a row of `unreadable`, and the reader goes on.

mod aside;
mod days;
mod deliveries;
mod ledgers;
mod stock;
mod text;
mod transactions;

use tillrace_core::decode::Decoder;
use tillrace_core::topics::Topics;
use tillrace_log::{ConsumerRecord, Topic};

use crate::change::Batch;
pub(crate) use deliveries::SPAN_OFFSETS;

/// What a topic's records are, and whether the topic is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Transactions,
    Deltas,
    Counts,
    Days,
    Ledgers,
    Registers,
    Conflicts,
    Parked,
    Rejected,
    Audit,
    DeadLetters,
}

/// A topic that the data store reads.
#[derive(Debug, Clone)]
pub struct ReadTopic {
    /// Its name.
    pub topic: Topic,
    content: Content,
}

impl ReadTopic {
    /// Tells whether the topic keeps the latest record of each key, so that a higher start lacks nothing.
    pub fn is_compacted(&self) -> bool {
        use Content::{Days, Ledgers, Parked, Registers};
        matches!(self.content, Days | Ledgers | Registers | Parked)
    }
}

/// Returns the topics that the data store reads: all but the journal, whose first events are on the transactions, and the
/// aggregator's state. `sinks` are those whose dead letters it knows.
pub fn read_topics(topics: &Topics, sinks: &[String]) -> Vec<ReadTopic> {
    let of = |topic: &Topic, content| ReadTopic { topic: topic.clone(), content };
    let mut read = vec![
        of(&topics.registers, Content::Registers),
        of(&topics.transactions, Content::Transactions),
        of(&topics.deltas, Content::Deltas),
        of(&topics.counts, Content::Counts),
        of(&topics.days, Content::Days),
        of(&topics.ledger, Content::Ledgers),
        of(&topics.conflicts, Content::Conflicts),
        of(&topics.parked, Content::Parked),
        of(&topics.rejected, Content::Rejected),
        of(&topics.audit, Content::Audit),
    ];
    read.extend(sinks.iter().map(|sink| of(&topics.dead(sink), Content::DeadLetters)));
    read
}

/// Why a record gives no rows, in words.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// It has no value, on a topic that forgets by age.
    #[error("it has no value")]
    NoValue,
    /// It is not the JSON that the topic's schema says.
    #[error("it is not of the topic's schema: {0}")]
    Json(#[from] serde_json::Error),
    /// Its envelope is not one.
    #[error("its envelope cannot be read: {0}")]
    Envelope(String),
    /// Its event is not one.
    #[error("its event cannot be read: {0}")]
    Event(String),
    /// A member is not what it should be.
    #[error("its member {0} cannot be read")]
    Member(&'static str),
}

/// Makes rows of records.
#[derive(Debug, Default)]
pub struct Fold {
    decoder: Decoder,
}

impl Fold {
    /// Adds the rows of a record to a batch. Returns whether it could be read.
    pub fn add(&mut self, topic: &ReadTopic, record: &ConsumerRecord, batch: &mut Batch) -> bool {
        let before = batch.changes.len();
        let Err(error) = self.try_add(topic.content, record, batch) else { return true };
        batch.changes.truncate(before);
        batch.replace(
            "unreadable",
            &["topic", "partition", "record_offset", "cause"],
            [
                record.topic.as_str().into(),
                record.partition.into(),
                record.offset.into(),
                error.to_string().into(),
            ],
        );
        false
    }

    fn try_add(
        &mut self,
        content: Content,
        record: &ConsumerRecord,
        batch: &mut Batch,
    ) -> Result<(), FoldError> {
        let key = String::from_utf8_lossy(&record.key);
        let Some(value) = record.value.as_deref() else {
            return forget(content, &key, batch);
        };
        match content {
            Content::Transactions => transactions::add(&mut self.decoder, record, value, batch),
            Content::Deltas => stock::add_delta(record, value, batch),
            Content::Counts => stock::add_count(record, value, batch),
            Content::Days => days::add(&key, value, batch),
            Content::Ledgers => ledgers::add(&key, value, batch),
            Content::Registers => ledgers::add_register(&key, value, batch),
            Content::Conflicts => aside::add_conflict(record, value, batch),
            Content::Parked => aside::add_parked(&key, value, batch),
            Content::Rejected => aside::add_rejected(record, value, batch),
            Content::Audit => deliveries::add(record, value, batch),
            Content::DeadLetters => deliveries::add_dead(record, value, batch),
        }
    }
}

/// Follows a tombstone.
fn forget(content: Content, key: &str, batch: &mut Batch) -> Result<(), FoldError> {
    match content {
        Content::Days => days::delete(key, batch),
        Content::Ledgers => ledgers::delete(key, batch),
        Content::Registers => ledgers::delete_register(key, batch),
        Content::Parked => batch.settle(key),
        _ => return Err(FoldError::NoValue),
    }
    Ok(())
}
