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

mod due;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tillrace_core::topics::Topics;
use tillrace_log::{Log, LogError, LogView, Partition, Topic};
use tokio::time::Instant;

pub use self::due::{Due, due};
use self::due::{READ_WAIT, read_letter, refuse_files};
pub use self::error::RedriveError;
use crate::audit::{self, Chain, Outcome};
use crate::connector::{Answer, Batch, CallError, Connector, Verdict};
use crate::dead;
use crate::delivery::connect;
use crate::engine::{Journal, Pacer, wall_clock};
use crate::failure::{ErrorChain, FailureCode};
use crate::filter::Filter;
use crate::record::{Record, Source, Unreadable};
use crate::settings::{Retry, SinkSettings};

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

#[cfg(test)]
mod tests;
