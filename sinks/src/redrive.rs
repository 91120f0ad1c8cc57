//! Redrive: sends dead letters again at an operator's command, once their cause is fixed.
//!
//! The log is the only record of what was redriven: a letter is due until the audit says that its
//! record was delivered. So an interrupted run is simply repeated, and a letter is never moved or
//! deleted. Each success is an audit record marked `redriven`; `verify` then counts the record as
//! delivered.
//!
//! A run makes one call at a time, each with one record, at the sink's rate limit, in the order of a
//! partition's letters. A letter that must wait blocks later letters of its key. The order of a key
//! holds among redriven records, but not with records that the sink delivered meanwhile.
//!
//! Deliberately absent: a consumer group. The sink itself may run meanwhile.

mod due;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tillrace_core::topics::Topics;
use tillrace_log::{LogError, LogView, Partition, Topic, WritableLog};
use tokio::time::Instant;

pub use self::due::{DueLetter, due};
use self::due::{READ_WAIT, read_letter, refuse_files};
pub use self::error::RedriveError;
use crate::audit::{AuditEntry, AuditOutcome, HashChain};
use crate::connector::{CallError, Connector, DeliveryBatch, DeliveryReply, RecordOutcome};
use crate::dead_letter;
use crate::delivery::connect;
use crate::engine::{AuditWriter, RateLimiter, wall_clock};
use crate::failure::{ErrorChain, FailureCode};
use crate::filter::Filter;
use crate::flow::RetrySettings;
use crate::record::{Record, RecordError, SourceTopic};
use crate::settings::SinkSettings;

/// The outcome of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterOutcome {
    /// The backend has it.
    Delivered,
    /// It remains a dead letter, for this reason.
    Failed(String),
    /// It was not tried, because an earlier letter of its key has to wait.
    Blocked,
}

/// Totals of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedriveTotals {
    /// Delivered.
    pub delivered: u64,
    /// Remaining dead letters, those not tried included.
    pub left: u64,
}

/// Sends letters again, and calls `report` for each.
///
/// # Errors
/// When the connector cannot be created, the backend stays unavailable, or the log fails.
pub async fn redrive(
    log: Arc<dyn WritableLog>,
    topics: &Topics,
    sink: &SinkSettings,
    due: &[DueLetter],
    report: &mut (dyn FnMut(&DueLetter, &LetterOutcome) + Send),
) -> Result<RedriveTotals, RedriveError> {
    refuse_files(sink)?;
    let mut run = RedriveRun::new(&log, topics, sink).await?;
    let mut total = RedriveTotals::default();
    let mut held: BTreeSet<(Partition, &str)> = BTreeSet::new();
    for letter in due {
        let key = (letter.partition, letter.key.as_str());
        let outcome = if held.contains(&key) {
            LetterOutcome::Blocked
        } else {
            let (outcome, waits) = run.send(&*log, letter).await?;
            if waits {
                held.insert(key);
            }
            outcome
        };
        match outcome {
            LetterOutcome::Delivered => total.delivered += 1,
            LetterOutcome::Failed(_) | LetterOutcome::Blocked => total.left += 1,
        }
        report(letter, &outcome);
    }
    Ok(total)
}

/// The state of a run.
struct RedriveRun {
    source: Topic,
    dead: Topic,
    kind: SourceTopic,
    filter: Filter,
    connector: Arc<dyn Connector>,
    audit_writer: AuditWriter,
    chains: BTreeMap<Partition, HashChain>,
    rate_limiter: RateLimiter,
    retry: RetrySettings,
}

impl RedriveRun {
    async fn new(
        log: &Arc<dyn WritableLog>,
        topics: &Topics,
        sink: &SinkSettings,
    ) -> Result<Self, RedriveError> {
        let source = sink.to.config().source().topic(topics).clone();
        let dead = topics.dead(&sink.name);
        let audit = topics.audit.clone();
        Ok(Self {
            connector: connect(sink, Arc::<dyn WritableLog>::clone(log), topics).await?,
            audit_writer: AuditWriter::new(
                &sink.name,
                source.clone(),
                dead.clone(),
                audit,
                log.producer()?,
            ),
            source,
            dead,
            kind: sink.to.config().source(),
            filter: sink.filter.clone(),
            chains: BTreeMap::new(),
            rate_limiter: RateLimiter::new(sink.flow.rate),
            retry: sink.flow.retry,
        })
    }

    /// Sends a letter; returns its outcome, and whether later letters of its key must wait.
    async fn send(
        &mut self,
        view: &dyn LogView,
        due: &DueLetter,
    ) -> Result<(LetterOutcome, bool), RedriveError> {
        let partition = due.partition;
        let Some(record) = self.record(view, due)? else {
            let left = "the letter holds only a part of it, and its topic no longer has the whole";
            return Ok((LetterOutcome::Failed(left.to_owned()), false));
        };
        match self.accepts(&record) {
            Ok(true) => {}
            Ok(false) => return Ok((LetterOutcome::Failed("not for this sink".to_owned()), false)),
            Err(error) => {
                return Ok((
                    LetterOutcome::Failed(format!("unreadable: {}", ErrorChain(&error))),
                    false,
                ));
            }
        }
        let batch = DeliveryBatch { partition, delivered_to: 0, records: vec![record] };
        let (started, begun) = (wall_clock(), Instant::now());
        let mut wait = self.retry.initial;
        let mut attempts = 0;
        let (answer, outcome) = loop {
            tokio::time::sleep_until(self.rate_limiter.next_call(Instant::now())).await;
            self.rate_limiter.called(Instant::now());
            attempts += 1;
            let last = attempts >= self.retry.attempts();
            let after = match single_outcome(self.connector.deliver(&batch).await) {
                Ok((answer, RecordOutcome::Retry { after, .. })) if !last => {
                    drop(answer);
                    after
                }
                Ok(answered) => break answered,
                Err(error) if last => return Err(RedriveError::Backend(error)),
                Err(CallError::Unavailable { after, .. } | CallError::Throttled { after }) => after,
                Err(error) => return Err(RedriveError::Backend(error)),
            };
            self.rate_limiter.pause(Instant::now(), after.unwrap_or(wait));
            wait = (wait * 2).min(self.retry.longest);
        };
        match outcome {
            RecordOutcome::Delivered => {}
            RecordOutcome::Rejected { code, detail } => {
                return Ok((LetterOutcome::Failed(format!("{code}: {detail}")), false));
            }
            RecordOutcome::Unreadable { detail } => {
                return Ok((LetterOutcome::Failed(format!("unreadable: {detail}")), false));
            }
            RecordOutcome::Retry { code, .. } => return Ok((LetterOutcome::Failed(code), true)),
            RecordOutcome::DependencyMissing => {
                return Ok((LetterOutcome::Failed("dependency_missing".to_owned()), true));
            }
        }
        let entry = AuditEntry {
            outcome: AuditOutcome::Delivered,
            status: answer.status,
            attempts,
            started,
            elapsed: begun.elapsed(),
            offsets: vec![(due.offset, None)],
        };
        let audit_writer = &self.audit_writer;
        let chain = self.chains.entry(partition).or_insert_with(|| audit_writer.chain().redriven());
        let rows = audit_writer.rows(chain, partition, &[], &[entry])?;
        audit_writer.publish(rows).await?;
        Ok((LetterOutcome::Delivered, false))
    }

    fn accepts(&self, record: &Record) -> Result<bool, RecordError> {
        Ok(self.filter.passes(&self.kind.header(record)?) && self.connector.accepts(record)?)
    }

    /// Reads the record of a letter, from its own topic if the letter does not hold all of it.
    fn record(&self, view: &dyn LogView, due: &DueLetter) -> Result<Option<Record>, RedriveError> {
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
        due: &DueLetter,
        digest: &str,
    ) -> Result<Option<Record>, RedriveError> {
        let mut reader = match view.reader(&self.source, due.partition, due.offset) {
            Err(LogError::OutOfRange { .. }) => return Ok(None),
            reader => reader?,
        };
        let entry = reader.read(1, READ_WAIT)?.into_iter().next();
        let record = entry.map(Record::from_entry).filter(|record| {
            record.offset == due.offset && dead_letter::digest(&record.value) == digest
        });
        Ok(record)
    }
}

/// Returns the outcome of the one record of a call; a refused call is a rejected record.
fn single_outcome(
    result: Result<DeliveryReply, CallError>,
) -> Result<(DeliveryReply, RecordOutcome), CallError> {
    match result {
        Ok(mut answer) if answer.outcomes.len() == 1 => {
            let outcome = answer.outcomes.remove(0);
            Ok((answer, outcome))
        }
        Ok(DeliveryReply { status, .. }) => {
            let code = FailureCode::ShortAnswer;
            Err(CallError::Unavailable { code, status, after: None, source: None })
        }
        Err(CallError::Busy { status, after }) => {
            let answer = DeliveryReply { status: Some(status), outcomes: Vec::new() };
            Ok((answer, RecordOutcome::Retry { code: format!("status_{status}"), after }))
        }
        Err(CallError::Refused { status, detail }) => {
            let answer = DeliveryReply { status: Some(status), outcomes: Vec::new() };
            Ok((answer, RecordOutcome::Rejected { code: format!("status_{status}"), detail }))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
