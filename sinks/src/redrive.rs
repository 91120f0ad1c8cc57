//! Dead letters sent again, by an operator's order, after what made them dead was put right.
//!
//! There is no list of what was redriven beside the log: a letter is due until the audit says that
//! its record was delivered. So a run that breaks off is simply run again, and a letter is never
//! moved or deleted. Each success is an audit record that says `redriven`; `verify` then counts the
//! record as delivered.
//!
//! One call at a time, each of one record, at the sink's own pace, in the order of the letters of
//! a partition. What has to wait holds back the later letters of its key. Redriven records come
//! after what the sink delivered meanwhile: the order of a key is kept among them, not with those.
//!
//! Deliberately absent: a consumer group. The sink itself may run meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tillrace_core::log::{Entry, Log, LogError, LogView, Offset, Partition, Topic};
use tillrace_core::topics::Topics;
use tokio::time::Instant;

use crate::audit::{self, Chain, Outcome};
use crate::connector::{Answer, Batch, CallError, Connector, Ordering, Verdict};
use crate::dead::{self, Letter};
use crate::delivery::{StartError, connect};
use crate::engine::{Journal, JournalError, Pacer, wall_clock};
use crate::failure::{ErrorChain, FailureCode};
use crate::filter::Filter;
use crate::record::{Record, Source, Unreadable};
use crate::settings::{Retry, SinkSettings};

const RECORDS_A_READ: usize = 500;
/// Longest wait for a read of what is known to be there.
const READ_WAIT: Duration = Duration::from_secs(30);

/// Why letters cannot be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// Files go on without their dead letters.
    #[error(
        "sink {sink} writes files, which went on without its dead letters: no row can hold them"
    )]
    Files {
        /// The sink.
        sink: String,
    },
    /// The log failed.
    #[error("read dead letters and audit")]
    Log(#[from] LogError),
    /// A letter that this version cannot read.
    #[error("{topic}/{partition}: offset {offset} is no dead letter")]
    Unreadable {
        /// Topic of dead letters.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// Offset of the letter.
        offset: Offset,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The connector cannot be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The backend failed as often as it may. What was delivered before is in the audit.
    #[error("the backend cannot be used now; run it again when it can")]
    Backend(#[source] CallError),
    /// The audit cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A letter that is due: where it stands, what it stands for, and why it is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
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
    /// What the backend said.
    pub error: String,
}

/// What became of a letter that was sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The backend has it.
    Delivered,
    /// It stays dead, for this reason.
    Left(String),
    /// It was not tried: an earlier letter of its key has to wait.
    Behind,
}

/// How many letters there were of each fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Delivered.
    pub delivered: u64,
    /// Left among the dead letters, those not tried included.
    pub left: u64,
}

/// Lists the letters of a sink that are due, in the order in which they would be sent.
///
/// # Errors
/// When the sink writes files, the log fails, or a letter cannot be read.
pub fn due(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
) -> Result<Vec<Due>, RedriveError> {
    let mut due = Vec::new();
    for partition in 0..view.partitions() {
        let mut letters = dead_in(view, topics, sink, partition)?;
        if !letters.is_empty() {
            forget_delivered(view, topics, sink, partition, &mut letters)?;
        }
        let mut letters: Vec<Due> = letters.into_values().collect();
        letters.sort_by_key(|letter| letter.letter);
        due.extend(letters);
    }
    Ok(due)
}

/// Sends letters again and tells `heard` of each.
///
/// # Errors
/// When the connector cannot be made, the backend stays unavailable, or the log fails.
pub async fn redrive(
    log: &Arc<dyn Log>,
    topics: &Topics,
    sink: &SinkSettings,
    due: &[Due],
    heard: &mut (dyn FnMut(&Due, &Fate) + Send),
) -> Result<Redriven, RedriveError> {
    refuse_files(sink)?;
    let mut sending = Sending::new(log, topics, sink).await?;
    let mut total = Redriven::default();
    let mut held: BTreeSet<(Partition, &str)> = BTreeSet::new();
    for letter in due {
        let key = (letter.partition, letter.key.as_str());
        let fate = if held.contains(&key) {
            Fate::Behind
        } else {
            let (fate, waits) = sending.send(&**log, letter).await?;
            if waits {
                held.insert(key);
            }
            fate
        };
        match fate {
            Fate::Delivered => total.delivered += 1,
            Fate::Left(_) | Fate::Behind => total.left += 1,
        }
        heard(letter, &fate);
    }
    Ok(total)
}

fn refuse_files(sink: &SinkSettings) -> Result<(), RedriveError> {
    if sink.to.ordering() == Ordering::Partition {
        return Err(RedriveError::Files { sink: sink.name.clone() });
    }
    Ok(())
}

/// What a run needs, from the first letter to the last.
struct Sending {
    source: Topic,
    dead: Topic,
    kind: Source,
    filter: Filter,
    connector: Arc<dyn Connector>,
    journal: Journal,
    chains: BTreeMap<Partition, Chain>,
    pacer: Pacer,
    retry: Retry,
}

impl Sending {
    async fn new(
        log: &Arc<dyn Log>,
        topics: &Topics,
        sink: &SinkSettings,
    ) -> Result<Self, RedriveError> {
        let source = sink.to.source().topic(topics).clone();
        let dead = topics.dead(&sink.name);
        let audit = topics.audit.clone();
        Ok(Self {
            connector: connect(sink, log, topics).await?,
            journal: Journal::new(&sink.name, source.clone(), dead.clone(), audit, log.producer()?),
            source,
            dead,
            kind: sink.to.source(),
            filter: sink.filter.clone(),
            chains: BTreeMap::new(),
            pacer: Pacer::new(sink.flow.rate),
            retry: sink.flow.retry,
        })
    }

    /// Sends a letter; returns its fate, and whether the later ones of its key must wait for it.
    async fn send(&mut self, view: &dyn LogView, due: &Due) -> Result<(Fate, bool), RedriveError> {
        let partition = due.partition;
        let Some(record) = self.record(view, due)? else {
            let left = "the letter holds only a part of it, and its topic no longer has the whole";
            return Ok((Fate::Left(left.to_owned()), false));
        };
        match self.concerns(&record) {
            Ok(true) => {}
            Ok(false) => return Ok((Fate::Left("not for this sink".to_owned()), false)),
            Err(error) => {
                return Ok((Fate::Left(format!("unreadable: {}", ErrorChain(&error))), false));
            }
        }
        let batch = Batch { partition, delivered_to: 0, records: vec![record] };
        let (started, begun) = (wall_clock(), Instant::now());
        let mut wait = self.retry.initial;
        let mut attempts = 0;
        let (answer, verdict) = loop {
            tokio::time::sleep_until(self.pacer.next_call(Instant::now())).await;
            self.pacer.called(Instant::now());
            attempts += 1;
            let last = attempts >= self.retry.attempts();
            let after = match judge(self.connector.deliver(&batch).await) {
                Ok((answer, Verdict::Retry { after, .. })) if !last => {
                    drop(answer);
                    after
                }
                Ok(answered) => break answered,
                Err(error) if last => return Err(RedriveError::Backend(error)),
                Err(CallError::Unavailable { after, .. } | CallError::Throttled { after }) => after,
                Err(error) => return Err(RedriveError::Backend(error)),
            };
            self.pacer.hold(Instant::now(), after.unwrap_or(wait));
            wait = (wait * 2).min(self.retry.longest);
        };
        match verdict {
            Verdict::Delivered => {}
            Verdict::Rejected { code, detail } => {
                return Ok((Fate::Left(format!("{code}: {detail}")), false));
            }
            Verdict::Unreadable { detail } => {
                return Ok((Fate::Left(format!("unreadable: {detail}")), false));
            }
            Verdict::Retry { code, .. } => return Ok((Fate::Left(code), true)),
            Verdict::DependencyMissing => {
                return Ok((Fate::Left("dependency_missing".to_owned()), true));
            }
        }
        let entry = audit::Entry {
            outcome: Outcome::Delivered,
            status: answer.status,
            attempts,
            started,
            elapsed: begun.elapsed(),
            offsets: vec![(due.offset, None)],
        };
        let journal = &self.journal;
        let chain = self.chains.entry(partition).or_insert_with(|| journal.chain().redriven());
        let rows = journal.rows(chain, partition, &[], &[entry])?;
        journal.publish(rows).await?;
        Ok((Fate::Delivered, false))
    }

    fn concerns(&self, record: &Record) -> Result<bool, Unreadable> {
        Ok(self.filter.passes(&self.kind.head(record)?) && self.connector.concerns(record)?)
    }

    /// Reads the record that a letter stands for; from its own topic if the letter is not all of it.
    fn record(&self, view: &dyn LogView, due: &Due) -> Result<Option<Record>, RedriveError> {
        let mut reader = view.reader(&self.dead, due.partition, due.letter)?;
        let entry = reader.read(1, READ_WAIT)?.into_iter().next();
        let entry = entry
            .filter(|entry| entry.offset == due.letter)
            .ok_or(LogError::TimedOut { action: "read a dead letter again" })?;
        let letter = read_letter(&entry)?;
        if let Some(digest) = &letter.value_sha256 {
            return self.original(view, due, digest);
        }
        let value = Bytes::copy_from_slice(letter.value.get().as_bytes());
        let key = letter.key.as_bytes().to_vec();
        Ok(Some(Record::new(letter.offset, entry.appended_ms, key, value)))
    }

    fn original(
        &self,
        view: &dyn LogView,
        due: &Due,
        digest: &str,
    ) -> Result<Option<Record>, RedriveError> {
        let mut reader = match view.reader(&self.source, due.partition, due.offset) {
            Err(LogError::OutOfRange { .. }) => return Ok(None),
            reader => reader?,
        };
        let entry = reader.read(1, READ_WAIT)?.into_iter().next();
        let record = entry
            .map(Record::from_entry)
            .filter(|record| record.offset == due.offset && dead::digest(&record.value) == digest);
        Ok(record)
    }
}

/// Takes the verdict on the one record of a call; a refusal of the whole is one of it.
fn judge(result: Result<Answer, CallError>) -> Result<(Answer, Verdict), CallError> {
    match result {
        Ok(mut answer) if answer.verdicts.len() == 1 => {
            let verdict = answer.verdicts.remove(0);
            Ok((answer, verdict))
        }
        Ok(Answer { status, .. }) => {
            let code = FailureCode::ShortAnswer;
            Err(CallError::Unavailable { code, status, after: None, source: None })
        }
        Err(CallError::Refused { status, detail }) => {
            let answer = Answer { status: Some(status), verdicts: Vec::new() };
            Ok((answer, Verdict::Rejected { code: format!("status_{status}"), detail }))
        }
        Err(error) => Err(error),
    }
}

fn read_letter(entry: &Entry) -> Result<Letter<'_>, RedriveError> {
    serde_json::from_slice(entry.value.as_deref().unwrap_or_default()).map_err(|source| {
        let (topic, partition) = (entry.topic.clone(), entry.partition);
        RedriveError::Unreadable { topic, partition, offset: entry.offset, source }
    })
}

/// Lists the letters of a partition by the offset of their record; of two the later stands.
fn dead_in(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
    partition: Partition,
) -> Result<BTreeMap<Offset, Due>, RedriveError> {
    refuse_files(sink)?;
    let mut letters = BTreeMap::new();
    scan(view, &topics.dead(&sink.name), partition, &mut |entry| {
        let letter = read_letter(entry)?;
        let due = Due {
            partition,
            letter: entry.offset,
            offset: letter.offset,
            key: letter.key.into_owned(),
            reason: letter.reason.into_owned(),
            error: letter.error.into_owned(),
        };
        letters.insert(due.offset, due);
        Ok(())
    })?;
    Ok(letters)
}

/// What is read of an audit record.
#[derive(Deserialize)]
struct Audited<'a> {
    #[serde(borrow)]
    sink: &'a str,
    topic: &'a str,
    outcome: &'a str,
    offsets: Vec<(Offset, Offset)>,
}

/// Takes out what the audit says was delivered after all.
fn forget_delivered(
    view: &dyn LogView,
    topics: &Topics,
    sink: &SinkSettings,
    partition: Partition,
    letters: &mut BTreeMap<Offset, Due>,
) -> Result<(), RedriveError> {
    let source = sink.to.source().topic(topics);
    scan(view, &topics.audit, partition, &mut |entry| {
        let value = entry.value.as_deref().unwrap_or_default();
        // What cannot be read says nothing of a delivery; finding it is the work of `verify`.
        let Ok(record) = serde_json::from_slice::<Audited<'_>>(value) else { return Ok(()) };
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

/// Reads all records of a partition that are there now.
fn scan(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    take: &mut dyn FnMut(&Entry) -> Result<(), RedriveError>,
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

#[cfg(test)]
mod tests;
