//! The report of a run, for people and for programs.

mod print;
mod rate_check;
mod verdict;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::{Outcome, UnexpectedOutcome};
use crate::timeline::{PhaseTotals, TimelineSpan};
use crate::verify::{MissingRange, Verification};

pub use self::print::Details;
use self::rate_check::RateCheck;
pub use self::verdict::Verdict;

/// The report; its JSON has these members at the top level. What only verification can know is
/// `null` where there was none.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The verdict on the run.
    pub verdict: Verdict,
    /// Events sent, copies left out.
    pub sent: u64,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Copies of events sent on purpose.
    pub duplicates: u64,
    /// Events parked, by code.
    pub parked: BTreeMap<String, u64>,
    /// Events refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// Acknowledged events that are not where they must be.
    pub lost: Option<u64>,
    /// Events counted again.
    pub double_counted: Option<u64>,
    /// Records delivered, by sink.
    pub delivered: BTreeMap<String, u64>,
    /// Records in the dead letter, by sink.
    pub dead: BTreeMap<String, u64>,
    /// Numbers that the terminal ledger reports as missing.
    pub missing_ranges: Option<Vec<MissingRange>>,
    /// Median latency from the intended time of sending.
    pub p50_us: u64,
    /// 90th percentile of it.
    pub p90_us: u64,
    /// 99th percentile of it.
    pub p99_us: u64,
    /// 99.9th percentile of it.
    pub p999_us: u64,
    /// 99.99th percentile of it.
    pub p9999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Events a second that the schedule asked for on average, copies left out; `null` where there was no schedule.
    pub asked_events_per_s: Option<f64>,
    /// Events a second that were reached.
    pub reached_events_per_s: f64,
    /// When the last event was due, seconds from the start; `null` where there was no schedule.
    pub due_within_s: Option<f64>,
    /// The run lagged behind its schedule by more than a twentieth.
    pub is_rate_missed: bool,
    /// Events settled a second, copies included.
    pub events_per_s: f64,
    /// From the first event to the last reply.
    pub elapsed_s: f64,
    /// Events sent after later ones on purpose.
    pub late: u64,
    /// Events that the gateway answered as duplicates.
    pub answered_duplicate: u64,
    /// Events with another outcome than planned.
    pub unexpected: u64,
    /// The first of them.
    pub unexpected_examples: Vec<UnexpectedOutcome>,
    /// Events with an unknown outcome, because the run ended early.
    pub unsettled: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
    /// Those by the status that the gateway answered; `none` where it did not.
    pub retries_by_status: BTreeMap<String, u64>,
    /// Why the run ended early.
    pub aborted: Option<String>,
    /// Events sent that their terminals had held while they were cut off, copies included.
    pub held: u64,
    /// CPU time of the load test for the run; `null` if the system does not tell.
    pub sender_cpu_s: Option<f64>,
    /// Totals of each phase of the schedule.
    pub phases: Vec<PhaseReport>,
    /// Rates and latencies over time.
    pub timeline: Vec<TimelineSpan>,
    /// Latencies at percentiles that come ever closer to 100.
    pub latency_by_percentile: Vec<Percentile>,
    /// Everything verification found.
    pub verification: Option<Verification>,
}

/// Totals of a phase of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub phase: &'static str,
    /// When it began, seconds from the start of the run.
    pub from_s: f64,
    /// When the next one did, or the run was over.
    pub until_s: f64,
    /// Events due in it and settled.
    pub events: u64,
    /// Events acknowledged in it, whenever they were due.
    pub acknowledged: u64,
    /// Those due in it which their terminals had held while they were cut off.
    pub held: u64,
    /// Median latency of those due in it.
    pub p50_us: u64,
    /// 99th percentile of it.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// A point of the latency distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentile {
    /// Per cent of all settled events.
    pub percentile: f64,
    /// They took no longer than this.
    pub latency_us: u64,
}

impl Report {
    /// Reports on a run and its verification.
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub fn new(outcome: &Outcome, verification: Option<Verification>) -> Self {
        let latencies = outcome.timeline.latency_us();
        let latency = |quantile| latencies.value_at_quantile(quantile);
        let elapsed_s = outcome.elapsed.as_secs_f64();
        let pace = RateCheck::of(&outcome.schedule, outcome.timeline.last_due(), outcome.elapsed);
        let per_s = |events: u64| if elapsed_s > 0.0 { events as f64 / elapsed_s } else { 0.0 };
        let report = Self {
            verdict: Verdict::Passed,
            asked_events_per_s: pace.map(|pace| pace.asked_per_s),
            reached_events_per_s: pace
                .map_or_else(|| per_s(outcome.sent), |pace| pace.reached_per_s),
            due_within_s: pace.map(|pace| pace.due_within_s),
            is_rate_missed: pace.is_some_and(|pace| pace.is_missed),
            sent: outcome.sent,
            acknowledged: outcome.acks.len(),
            duplicates: outcome.copies,
            parked: outcome.parked.clone(),
            refused: outcome.refused.clone(),
            lost: verification.as_ref().map(|found| found.lost),
            double_counted: verification.as_ref().map(|found| found.double_counted),
            delivered: verification.as_ref().map(|v| v.delivered.clone()).unwrap_or_default(),
            dead: verification.as_ref().map(|v| v.dead.clone()).unwrap_or_default(),
            missing_ranges: verification.as_ref().map(|found| found.missing_ranges.clone()),
            p50_us: latency(0.5),
            p90_us: latency(0.9),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            p9999_us: latency(0.9999),
            max_us: latencies.max(),
            events_per_s: per_s(latencies.len()),
            elapsed_s,
            late: outcome.late,
            answered_duplicate: outcome.answered_duplicate,
            unexpected: outcome.surprise_count,
            unexpected_examples: outcome.surprises.clone(),
            unsettled: outcome.unsettled.len() as u64,
            requests: outcome.requests,
            retries: outcome.retries,
            retries_by_status: outcome.retries_by_status.clone(),
            aborted: outcome.aborted.as_ref().map(ToString::to_string),
            held: outcome.timeline.phases().iter().map(|totals| totals.held).sum(),
            sender_cpu_s: outcome.sender_cpu.map(|cpu| cpu.as_secs_f64()),
            phases: phases(outcome.timeline.phases(), elapsed_s),
            timeline: outcome.timeline.spans(outcome.elapsed, &outcome.schedule),
            latency_by_percentile: percentiles(&latencies),
            verification,
        };
        Self { verdict: report.judge(), ..report }
    }

    fn judge(&self) -> Verdict {
        match (self.holds(), self.is_rate_missed) {
            (false, _) => Verdict::Failed,
            (true, true) => Verdict::RateMissed,
            (true, false) => Verdict::Passed,
        }
    }

    /// Tells whether every event had its planned outcome, at any rate: nothing unexpected, nothing open, and
    /// conservation holds if it was verified.
    pub fn holds(&self) -> bool {
        self.unexpected == 0
            && self.unsettled == 0
            && self.aborted.is_none()
            && self.verification.as_ref().is_none_or(Verification::holds)
    }
}

fn phases(phases: &[PhaseTotals], elapsed_s: f64) -> Vec<PhaseReport> {
    let phases = phases.iter().map(|totals| PhaseReport {
        phase: totals.phase.name,
        from_s: totals.phase.from.as_secs_f64(),
        until_s: totals.phase.until.as_secs_f64().min(elapsed_s),
        events: totals.latency_us.len(),
        acknowledged: totals.acknowledged,
        held: totals.held,
        p50_us: totals.latency_us.value_at_quantile(0.5),
        p99_us: totals.latency_us.value_at_quantile(0.99),
        max_us: totals.latency_us.max(),
    });
    phases.filter(|phase| phase.from_s < phase.until_s).collect()
}

/// Reads the distribution at 1 - 10^-x for x in steps of a twentieth, up to the last event.
#[expect(clippy::cast_precision_loss, reason = "2^53 events are more than a run")]
fn percentiles(latency_us: &Histogram<u64>) -> Vec<Percentile> {
    let last = (latency_us.len() as f64).log10();
    let steps = (0_u32..).map(|step| f64::from(step) / 20.0).take_while(|step| *step <= last);
    let quantiles = steps.map(|step| 1.0 - 10_f64.powf(-step));
    let of = |quantile| latency_us.value_at_quantile(quantile);
    quantiles.map(|q| Percentile { percentile: q * 100.0, latency_us: of(q) }).collect()
}

#[cfg(test)]
mod tests;
