//! What came of a call: what is settled, what is tried again, what is given up.

use std::mem;
use std::time::Duration;

use tillrace_log::Partition;
use tokio::time::Instant;

use super::call::Called;
use super::conditions::plain_code;
use super::partition::{Leaving, Stage};
use super::progress::Settled;
use super::trouble::{Failure, Remedy};
use super::{Done, Engine, SinkError, Unwritten, Written};
use crate::audit::{self, Outcome};
use crate::connector::{Answer, CallError, Verdict};
use crate::dead::{Cause, Reason};
use crate::failure::{ErrorChain, FailureCode};
use crate::record::Record;

/// What a call means for all of its records, or what it says of each.
enum Sense {
    /// Of each its own.
    Each(Vec<Verdict>),
    /// Nothing was said about records: all must be tried again.
    Again { code: &'static str, after: Option<Duration>, isolate: bool },
    /// Nothing was tried: as if the call had not been made.
    NotNow,
}

/// What is left of a call when all its shares are judged.
#[derive(Default)]
struct Settlement {
    delivered: Vec<Record>,
    dead: Vec<(Record, Cause)>,
    /// Most attempts any of its records has had.
    attempts: u32,
}

impl Engine {
    /// Takes back a call.
    pub(super) fn called(&mut self, called: Called) -> Result<(), SinkError> {
        let now = Instant::now();
        self.metrics.called(&called.result, called.elapsed);
        let status = match &called.result {
            Ok(answer) => answer.status,
            Err(CallError::Unavailable { status, .. }) => *status,
            Err(CallError::Refused { status, .. }) => Some(*status),
            Err(CallError::Throttled { .. } | CallError::Stop { .. }) => None,
        };
        let Called { partition, epoch, shares, records, started, elapsed, result } = called;
        let current =
            self.partitions.get(&partition).is_some_and(|assigned| assigned.epoch == epoch);
        let Some(sense) = self.make_sense(partition, result, records.len(), current, now) else {
            return Ok(());
        };
        if !current {
            return Ok(());
        }
        let mut settlement = Settlement::default();
        let mut records = records.into_iter();
        let mut verdicts = match &sense {
            Sense::Each(verdicts) => verdicts.iter(),
            Sense::Again { .. } | Sense::NotNow => [].iter(),
        };
        for share in shares {
            let own: Vec<Record> = records.by_ref().take(share.records).collect();
            let said: Vec<&Verdict> = verdicts.by_ref().take(share.records).collect();
            self.judge(partition, &share.lane, own, &said, &sense, &mut settlement, now);
        }
        self.settle(partition, settlement, status, started, elapsed)
    }

    /// Reads an answer for what it says about backend and records, and tells breaker and pacer.
    fn make_sense(
        &mut self,
        partition: Partition,
        result: Result<Answer, CallError>,
        records: usize,
        current: bool,
        now: Instant,
    ) -> Option<Sense> {
        let error = match result {
            Ok(answer) if answer.verdicts.len() == records => {
                self.backend_answered();
                self.backend_served(now);
                return Some(Sense::Each(answer.verdicts));
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
        tracing::debug!(sink = self.wiring.name, partition, error = cause, "call failed");
        match error {
            CallError::Unavailable { code, after, .. } => {
                if self.breaker.failed(now) {
                    self.conditions.breaker_opened(code, &cause);
                }
                if let Some(after) = after {
                    self.pacer.hold(now, after);
                }
                Some(Sense::Again { code: code.as_str(), after: None, isolate: false })
            }
            CallError::Throttled { after } => {
                self.backend_answered();
                self.pacer.hold(now, after.unwrap_or(self.wiring.flow.retry.initial));
                Some(Sense::NotNow)
            }
            CallError::Refused { status, detail } => {
                self.backend_answered();
                if records == 1 {
                    let code = format!("status_{status}");
                    self.backend_served(now);
                    return Some(Sense::Each(vec![Verdict::Rejected { code, detail }]));
                }
                Some(Sense::Again { code: "refused_batch", after: None, isolate: true })
            }
            CallError::Stop { code, source } => {
                self.backend_answered();
                if current {
                    let error = SinkError::Connector { partition, code, source };
                    self.halt(partition, Stage::Halted, error);
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
        self.well_at = Some(now);
        self.stalls.served(now, !self.calls.is_empty());
    }

    /// Judges one lane's share and gives the lane back.
    #[expect(
        clippy::too_many_arguments,
        reason = "one share of one call, taken apart by the caller"
    )]
    fn judge(
        &mut self,
        partition: Partition,
        lane: &bytes::Bytes,
        records: Vec<Record>,
        verdicts: &[&Verdict],
        sense: &Sense,
        settlement: &mut Settlement,
        now: Instant,
    ) {
        let Some(assigned) = self.partitions.get_mut(&partition) else { return };
        let before = assigned.lanes.trouble(lane).cloned();
        let attempts = before.as_ref().map_or(0, |trouble| trouble.failures) + 1;
        settlement.attempts = settlement.attempts.max(attempts);
        let (mut again, error, (about_record, after, isolate)) = match sense {
            Sense::NotNow => {
                assigned.lanes.give_back(lane, records, before, now);
                return;
            }
            Sense::Again { code, after, isolate } => {
                (records, (*code).to_owned(), (false, *after, *isolate))
            }
            Sense::Each(_) => {
                let (again, error, after) = sort_out(records, verdicts, attempts, settlement);
                (again, error, (true, after, false))
            }
        };
        if again.is_empty() {
            assigned.lanes.give_back(lane, again, None, now);
            return;
        }
        let failure = Failure {
            at: now,
            code: plain_code(&error),
            about_record,
            backend_well_at: self.well_at,
            after,
            isolate,
        };
        let mut trouble = None;
        let reason = match self.patience.judge(before.as_ref(), failure, &mut self.random) {
            Remedy::Wait(wait) => {
                trouble = Some(wait);
                None
            }
            Remedy::GiveUpFirst => Some((Reason::Exhausted, again.split_off(1))),
            Remedy::Park => {
                again.extend(assigned.lanes.empty(lane));
                Some((Reason::Parked, Vec::new()))
            }
        };
        if let Some((reason, rest)) = reason {
            let cause = Cause { reason, error, attempts };
            let given_up = mem::replace(&mut again, rest);
            settlement.dead.extend(given_up.into_iter().map(|record| (record, cause.clone())));
        }
        assigned.lanes.give_back(lane, again, trouble, now);
    }

    fn settle(
        &mut self,
        partition: Partition,
        settlement: Settlement,
        status: Option<u16>,
        started: tillrace_core::text::Timestamp,
        elapsed: Duration,
    ) -> Result<(), SinkError> {
        let Settlement { delivered, dead, attempts } = settlement;
        if delivered.is_empty() && dead.is_empty() {
            return Ok(());
        }
        let mut leaving = Vec::with_capacity(delivered.len() + dead.len());
        let mut by_outcome: Vec<(Outcome, Vec<_>)> = Vec::new();
        let mut note = |outcome, record: &Record, code: Option<String>, settled| {
            leaving.push(Leaving { offset: record.offset, bytes: record.bytes(), settled });
            match by_outcome.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, offsets)) => offsets.push((record.offset, code)),
                None => by_outcome.push((outcome, vec![(record.offset, code)])),
            }
        };
        for record in &delivered {
            note(Outcome::Delivered, record, None, Settled::Delivered);
        }
        for (record, cause) in &dead {
            let outcome =
                if cause.reason == Reason::Parked { Outcome::Parked } else { Outcome::Dead };
            let code = cause.error.split(':').next().unwrap_or_default().to_owned();
            note(outcome, record, Some(code), Settled::Aside);
        }
        let entries: Vec<audit::Entry> = by_outcome
            .into_iter()
            .map(|(outcome, mut offsets)| {
                offsets.sort_unstable();
                audit::Entry { outcome, status, attempts, started, elapsed, offsets }
            })
            .collect();
        self.write_down(partition, &dead, &entries, leaving)
    }

    /// Publishes dead letters and audit records; what they settle is settled when they are durable.
    pub(super) fn write_down(
        &mut self,
        partition: Partition,
        dead: &[(Record, Cause)],
        entries: &[audit::Entry],
        leaving: Vec<Leaving>,
    ) -> Result<(), SinkError> {
        let Some(assigned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        for (_, cause) in dead {
            self.metrics.dead_letter(cause.reason);
        }
        self.conditions.dead_letters(partition, dead, Instant::now());
        for entry in entries {
            self.metrics.settled(entry.outcome, entry.offsets.len());
        }
        let rows = self.journal.rows(&mut assigned.chain, partition, dead, entries)?;
        self.unwritten.rows.extend(rows);
        self.unwritten.settles.push(Written { partition, epoch: assigned.epoch, leaving });
        self.write_next();
        Ok(())
    }

    /// Publishes what has gathered, unless a write is under way: the next one takes it all.
    pub(super) fn write_next(&mut self) {
        if self.writing_since.is_some() || self.unwritten.settles.is_empty() {
            return;
        }
        self.writing_since = Some(Instant::now());
        let Unwritten { rows, settles } = mem::take(&mut self.unwritten);
        let publishing = self.journal.publish(rows);
        self.jobs.spawn(async move { Done::Written { settles, outcome: publishing.await } });
    }
}

/// Sorts records by their verdicts; returns those to try again, why, and the longest wait asked.
fn sort_out(
    records: Vec<Record>,
    verdicts: &[&Verdict],
    attempts: u32,
    settlement: &mut Settlement,
) -> (Vec<Record>, String, Option<Duration>) {
    let mut again = Vec::new();
    let (mut error, mut longest) = (String::new(), None);
    for (record, verdict) in records.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Delivered => settlement.delivered.push(record),
            Verdict::Rejected { code, detail } => {
                let error = format!("{code}: {detail}");
                let cause = Cause { reason: Reason::Rejected, error, attempts };
                settlement.dead.push((record, cause));
            }
            Verdict::Unreadable { detail } => {
                let error = format!("unreadable: {detail}");
                let cause = Cause { reason: Reason::Unreadable, error, attempts };
                settlement.dead.push((record, cause));
            }
            Verdict::Retry { code, after } => {
                if again.is_empty() {
                    error.clone_from(code);
                }
                longest = longest.max(*after);
                again.push(record);
            }
            Verdict::DependencyMissing => {
                if again.is_empty() {
                    "dependency_missing".clone_into(&mut error);
                }
                again.push(record);
            }
        }
    }
    (again, error, longest)
}
