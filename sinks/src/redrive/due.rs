//! Lists due letters: those of the dead-letter topic whose records the audit does not report as delivered since.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tillrace_core::topics::Topics;
use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition, Topic};

use super::error::RedriveError;
use crate::connector::Ordering;
use crate::dead_letter::StoredDeadLetter;
use crate::settings::SinkSettings;

const RECORDS_A_READ: usize = 500;
/// Longest wait for a record that is known to exist.
pub(super) const READ_WAIT: Duration = Duration::from_secs(30);

/// A dead letter that is due: its position, its record, and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueLetter {
    /// Partition of the letter and of its record.
    pub partition: Partition,
    /// Offset of the letter.
    pub letter: Offset,
    /// Offset of the record on its topic.
    pub offset: Offset,
    /// Key of the record.
    pub key: String,
    /// `rejected`, `exhausted`, `parked`, `unreadable` or `set_aside`.
    pub reason: String,
    /// The backend's error.
    pub error: String,
    /// When it became a dead letter, if the letter says so.
    pub at: Option<String>,
}

/// Lists the due letters of a sink, in the order in which they would be sent.
///
/// # Errors
/// When the sink writes files, the log fails, or a letter cannot be read.
pub fn due(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
) -> Result<Vec<DueLetter>, RedriveError> {
    let mut due = Vec::new();
    for partition in 0..view.partitions() {
        let mut letters = letters_in(view, topics, sink, partition)?;
        if !letters.is_empty() {
            remove_delivered(view, topics, sink, partition, &mut letters)?;
        }
        let mut letters: Vec<DueLetter> = letters.into_values().collect();
        letters.sort_by_key(|letter| letter.letter);
        due.extend(letters);
    }
    Ok(due)
}

pub(super) fn refuse_files(sink: &SinkSettings) -> Result<(), RedriveError> {
    if sink.to.config().ordering() == Ordering::Partition {
        return Err(RedriveError::Files { sink: sink.name.clone() });
    }
    Ok(())
}

pub(super) fn read_letter(entry: &ConsumerRecord) -> Result<StoredDeadLetter<'_>, RedriveError> {
    serde_json::from_slice(entry.value.as_deref().unwrap_or_default()).map_err(|source| {
        let (topic, partition) = (entry.topic.clone(), entry.partition);
        RedriveError::Unreadable { topic, partition, offset: entry.offset, source }
    })
}

/// Lists the letters of a partition by the offset of their record; the later of two replaces the earlier.
fn letters_in(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
    partition: Partition,
) -> Result<BTreeMap<Offset, DueLetter>, RedriveError> {
    refuse_files(sink)?;
    let mut letters = BTreeMap::new();
    scan(view, &topics.dead(&sink.name), partition, &mut |entry| {
        let letter = read_letter(entry)?;
        let due = DueLetter {
            partition,
            letter: entry.offset,
            offset: letter.offset,
            key: letter.key.into_owned(),
            reason: letter.reason.into_owned(),
            error: letter.error.into_owned(),
            at: letter.at.map(std::borrow::Cow::into_owned),
        };
        letters.insert(due.offset, due);
        Ok(())
    })?;
    Ok(letters)
}

/// The fields of an audit record that tell deliveries.
#[derive(Deserialize)]
struct AuditedOffsets<'a> {
    #[serde(borrow)]
    sink: &'a str,
    topic: &'a str,
    outcome: &'a str,
    offsets: Vec<(Offset, Offset)>,
}

/// Removes letters whose records were delivered later, according to the audit.
fn remove_delivered(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
    partition: Partition,
    letters: &mut BTreeMap<Offset, DueLetter>,
) -> Result<(), RedriveError> {
    let source = sink.to.config().source().topic(topics);
    scan(view, &topics.audit, partition, &mut |entry| {
        let value = entry.value.as_deref().unwrap_or_default();
        // An unreadable audit record proves no delivery; `verify` reports it.
        let Ok(record) = serde_json::from_slice::<AuditedOffsets<'_>>(value) else { return Ok(()) };
        if record.sink != sink.name
            || record.topic != source.as_str()
            || record.outcome != "delivered"
        {
            return Ok(());
        }
        for (from, to) in record.offsets {
            let delivered: Vec<Offset> =
                letters.range(from..to.max(from)).map(|(&offset, _)| offset).collect();
            for offset in delivered {
                letters.remove(&offset);
            }
        }
        Ok(())
    })
}

/// Reads all records that a partition holds now.
fn scan(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    take: &mut dyn FnMut(&ConsumerRecord) -> Result<(), RedriveError>,
) -> Result<(), RedriveError> {
    let bounds = view.bounds(topic, partition)?;
    let mut reader = view.reader(topic, partition, bounds.start)?;
    while reader.position() < bounds.stable_end {
        let before = reader.position();
        let entries = reader.read(RECORDS_A_READ, READ_WAIT)?;
        if entries.is_empty() && reader.position() == before {
            return Err(LogError::TimedOut { action: "read a topic to its end" }.into());
        }
        for entry in entries.iter().filter(|entry| entry.offset < bounds.stable_end) {
            take(entry)?;
        }
    }
    Ok(())
}
