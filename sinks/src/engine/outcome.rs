//! The outcome of a call: which records are settled, retried, or become dead letters.

use std::mem;
use std::time::Duration;

use tillrace_core::text::Timestamp;
use tillrace_log::Partition;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::call::CompletedCall;
use super::conditions::plain_code;
use super::partition::{PartitionStage, SettledRecord};
use super::progress::SettleKind;
use super::retry_policy::{KeyFailure, RetryDecision};
use super::{Engine, JobOutput, PendingSettlement, SinkError, WriteBuffer};
use crate::audit::{AuditEntry, AuditOutcome};
use crate::connector::{CallError, DeliveryReply, RecordOutcome};
use crate::dead_letter::{DeadLetterCause, DeadLetterReason};
use crate::failure::{ErrorChain, FailureCode};
use crate::record::Record;

/// The status of a body that is too large.
const TOO_LARGE: u16 = 413;

/// The outcome of a call for its records.
enum CallOutcome {
    /// Each record has an outcome of its own.
    Each(Vec<RecordOutcome>),
    /// The call failed as a whole: all records must be retried.
    RetryAll { code: &'static str, after: Option<Duration> },
    /// The backend refused the batch: each half is sent again by itself, until one record is refused alone.
    Split,
    /// The backend did not try: as if the call had not been made.
    NotTried,
}

/// The settled records of a call.
#[derive(Default)]
struct CallResult {
    delivered: Vec<Record>,
    dead: Vec<(Record, DeadLetterCause)>,
    /// Most attempts any of its records has had.
    attempts: u32,
}

impl Engine {
    /// Handles a completed call.
    pub(super) fn called(&mut self, called: CompletedCall) -> Result<(), SinkError> {
        let now = Instant::now();
        self.metrics.called(&called.result, called.elapsed);
        let status = match &called.result {
            Ok(answer) => answer.status,
            Err(CallError::Unavailable { status, .. }) => *status,
            Err(CallError::Refused { status, .. } | CallError::Busy { status, .. }) => {
                Some(*status)
            }
            Err(CallError::Throttled { .. } | CallError::Stop { .. }) => None,
        };
        let CompletedCall { partition, epoch, shares, records, started, elapsed, result } = called;
        // The call itself has left the calls under way.
        self.adapt(&result, elapsed, self.calls.len() + 1, now);
        if let Err(CallError::Refused { status: TOO_LARGE, .. }) = &result {
            self.shrink_batches(&records);
        }
        let current =
            self.partitions.get(&partition).is_some_and(|assigned| assigned.epoch == epoch);
        let Some(call_outcome) = self.classify(partition, result, records.len(), current, now)
        else {
            return Ok(());
        };
        if !current {
            return Ok(());
        }
        if matches!(call_outcome, CallOutcome::Split) {
            if let Some(assigned) = self.partitions.get_mut(&partition) {
                assigned.key_queues.split(shares, records, now);
            }
            return Ok(());
        }
        let mut call_result = CallResult::default();
        let mut records = records.into_iter();
        let mut outcomes = match &call_outcome {
            CallOutcome::Each(outcomes) => outcomes.iter(),
            CallOutcome::RetryAll { .. } | CallOutcome::Split | CallOutcome::NotTried => [].iter(),
        };
        for share in shares {
            let own: Vec<Record> = records.by_ref().take(share.records).collect();
            let own_outcomes: Vec<&RecordOutcome> = outcomes.by_ref().take(share.records).collect();
            self.settle_share(
                partition,
                &share.key,
                own,
                &own_outcomes,
                &call_outcome,
                &mut call_result,
                now,
            );
        }
        self.settle(partition, call_result, status, started, elapsed)
    }

    /// Classifies the result of a call, and updates breaker and rate limiter.
    fn classify(
        &mut self,
        partition: Partition,
        result: Result<DeliveryReply, CallError>,
        records: usize,
        current: bool,
        now: Instant,
    ) -> Option<CallOutcome> {
        let error = match result {
            Ok(answer) if answer.outcomes.len() == records => {
                self.backend_answered();
                self.backend_served(now);
                return Some(CallOutcome::Each(answer.outcomes));
            }
            Ok(answer) => CallError::Unavailable {
                code: FailureCode::ShortAnswer,
                status: answer.status,
                after: None,
                source: None,
            },
            Err(error) => error,
        };
        let cause = ErrorChain(&error).to_string();
        self.stalls.failed(&error);
        tracing::debug!(sink = self.spec.name, partition, error = cause, "call failed");
        match error {
            CallError::Unavailable { code, after, .. } => {
                if self.breaker.failed(now) {
                    self.concurrency.reset();
                    self.conditions.breaker_opened(code, &cause);
                }
                if let Some(after) = after {
                    self.rate_limiter.pause(now, after);
                }
                Some(CallOutcome::RetryAll { code: code.as_str(), after: None })
            }
            CallError::Throttled { after } => {
                self.backend_answered();
                self.rate_limiter.pause(now, after.unwrap_or(self.spec.flow.retry.initial));
                Some(CallOutcome::NotTried)
            }
            CallError::Busy { status, after } => {
                self.backend_answered();
                self.backend_served(now);
                if records == 1 {
                    let code = format!("status_{status}");
                    return Some(CallOutcome::Each(vec![RecordOutcome::Retry { code, after }]));
                }
                Some(CallOutcome::Split)
            }
            CallError::Refused { status, detail } => {
                self.backend_answered();
                if records == 1 {
                    let code = format!("status_{status}");
                    self.backend_served(now);
                    return Some(CallOutcome::Each(vec![RecordOutcome::Rejected { code, detail }]));
                }
                self.backend_served(now);
                Some(CallOutcome::Split)
            }
            CallError::Stop { code, source } => {
                self.backend_answered();
                if current {
                    let error = SinkError::Connector { partition, code, source };
                    self.halt(partition, PartitionStage::Halted, error);
                }
                None
            }
        }
    }

    fn backend_answered(&mut self) {
        if self.breaker.succeeded() {
            self.conditions.breaker_closed();
        }
    }

    fn backend_served(&mut self, now: Instant) {
        self.served_at = Some(now);
        self.stalls.served(now, !self.calls.is_empty());
    }

    /// Settles one key's share of a call, and returns the key to its queue.
    #[expect(
        clippy::too_many_arguments,
        reason = "one share of one call, destructured by the caller"
    )]
    fn settle_share(
        &mut self,
        partition: Partition,
        key: &bytes::Bytes,
        records: Vec<Record>,
        outcomes: &[&RecordOutcome],
        call_outcome: &CallOutcome,
        call_result: &mut CallResult,
        now: Instant,
    ) {
        let Some(assigned) = self.partitions.get_mut(&partition) else { return };
        let before = assigned.key_queues.retry_state(key).cloned();
        let attempts = before.as_ref().map_or(0, |retry_state| retry_state.failures) + 1;
        call_result.attempts = call_result.attempts.max(attempts);
        let (mut again, error, (about_record, after)) = match call_outcome {
            CallOutcome::NotTried | CallOutcome::Split => {
                assigned.key_queues.return_key(key, records, before, now);
                return;
            }
            CallOutcome::RetryAll { code, after } => (records, (*code).to_owned(), (false, *after)),
            CallOutcome::Each(_) => {
                let (again, error, after) = sort_records(records, outcomes, attempts, call_result);
                (again, error, (true, after))
            }
        };
        if again.is_empty() {
            assigned.key_queues.return_key(key, again, None, now);
            return;
        }
        let failure = KeyFailure {
            at: now,
            code: plain_code(&error),
            about_record,
            backend_served_at: self.served_at,
            after,
        };
        let mut retry_state = None;
        let reason = match self.retry_policy.decide(before.as_ref(), failure, &mut self.random) {
            RetryDecision::Wait(wait) => {
                retry_state = Some(wait);
                None
            }
            RetryDecision::DeadLetterFirst => {
                Some((DeadLetterReason::Exhausted, again.split_off(1)))
            }
            RetryDecision::Park => {
                again.extend(assigned.key_queues.drain_key(key));
                Some((DeadLetterReason::Parked, Vec::new()))
            }
        };
        if let Some((reason, rest)) = reason {
            let cause = DeadLetterCause { reason, error, attempts };
            let given_up = mem::replace(&mut again, rest);
            call_result.dead.extend(given_up.into_iter().map(|record| (record, cause.clone())));
        }
        assigned.key_queues.return_key(key, again, retry_state, now);
    }

    fn settle(
        &mut self,
        partition: Partition,
        call_result: CallResult,
        status: Option<u16>,
        started: Timestamp,
        elapsed: Duration,
    ) -> Result<(), SinkError> {
        let CallResult { delivered, dead, attempts } = call_result;
        if delivered.is_empty() && dead.is_empty() {
            return Ok(());
        }
        let mut leaving = Vec::with_capacity(delivered.len() + dead.len());
        let mut by_outcome: Vec<(AuditOutcome, Vec<_>)> = Vec::new();
        let mut note = |outcome, record: &Record, code: Option<String>, kind| {
            leaving.push(SettledRecord { offset: record.offset, bytes: record.bytes(), kind });
            match by_outcome.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, offsets)) => offsets.push((record.offset, code)),
                None => by_outcome.push((outcome, vec![(record.offset, code)])),
            }
        };
        for record in &delivered {
            note(AuditOutcome::Delivered, record, None, SettleKind::Delivered);
        }
        for (record, cause) in &dead {
            let outcome = if cause.reason == DeadLetterReason::Parked {
                AuditOutcome::Parked
            } else {
                AuditOutcome::Dead
            };
            let code = cause.error.split(':').next().unwrap_or_default().to_owned();
            note(outcome, record, Some(code), SettleKind::Aside);
        }
        let entries: Vec<AuditEntry> = by_outcome
            .into_iter()
            .map(|(outcome, mut offsets)| {
                offsets.sort_unstable();
                AuditEntry { outcome, status, attempts, started, elapsed, offsets }
            })
            .collect();
        self.write_audit(partition, &dead, &entries, leaving)
    }

    /// Publishes dead letters and audit records; their records are settled when these are durable.
    pub(super) fn write_audit(
        &mut self,
        partition: Partition,
        dead: &[(Record, DeadLetterCause)],
        entries: &[AuditEntry],
        leaving: Vec<SettledRecord>,
    ) -> Result<(), SinkError> {
        let Some(assigned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        for (_, cause) in dead {
            self.metrics.dead_letter(cause.reason);
        }
        self.conditions.dead_letters(partition, dead, Instant::now());
        for entry in entries {
            self.metrics.settled(entry.outcome, entry.offsets.len());
        }
        let rows = self.audit_writer.rows(&mut assigned.chain, partition, dead, entries)?;
        self.write_buffer.rows.extend(rows);
        self.write_buffer.settlements.push(PendingSettlement {
            partition,
            epoch: assigned.epoch,
            leaving,
        });
        self.write_next();
        Ok(())
    }

    /// Publishes the write buffer, unless a write is under way: the next write takes all of it.
    pub(super) fn write_next(&mut self) {
        if self.writing_since.is_some() || self.write_buffer.settlements.is_empty() {
            return;
        }
        self.writing_since = Some(Instant::now());
        let WriteBuffer { rows, settlements } = mem::take(&mut self.write_buffer);
        let publishing = self.audit_writer.publish(rows);
        let writing = async move { JobOutput::Write { settlements, outcome: publishing.await } };
        self.jobs.spawn(writing.in_current_span());
    }
}

/// Sorts records by their outcomes; returns those to retry, the reason, and the longest requested wait.
fn sort_records(
    records: Vec<Record>,
    outcomes: &[&RecordOutcome],
    attempts: u32,
    call_result: &mut CallResult,
) -> (Vec<Record>, String, Option<Duration>) {
    let mut again = Vec::new();
    let (mut error, mut longest) = (String::new(), None);
    for (record, outcome) in records.into_iter().zip(outcomes) {
        match outcome {
            RecordOutcome::Delivered => call_result.delivered.push(record),
            RecordOutcome::Rejected { code, detail } => {
                let error = format!("{code}: {detail}");
                let cause = DeadLetterCause { reason: DeadLetterReason::Rejected, error, attempts };
                call_result.dead.push((record, cause));
            }
            RecordOutcome::Unreadable { detail } => {
                let error = format!("unreadable: {detail}");
                let cause =
                    DeadLetterCause { reason: DeadLetterReason::Unreadable, error, attempts };
                call_result.dead.push((record, cause));
            }
            RecordOutcome::Retry { code, after } => {
                if again.is_empty() {
                    error.clone_from(code);
                }
                longest = longest.max(*after);
                again.push(record);
            }
            RecordOutcome::DependencyMissing => {
                if again.is_empty() {
                    "dependency_missing".clone_into(&mut error);
                }
                again.push(record);
            }
        }
    }
    (again, error, longest)
}
