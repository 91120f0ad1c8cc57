//! What a run came to, for people and for programs.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::{Outcome, Surprise};
use crate::course::{PhaseTally, Span};
use crate::verify::{MissingRange, Verification};

/// Rows that a list in the printed report shows.
const SHOWN: usize = 5;

/// The report; its JSON has these members at the top level. What only verification can know is
/// `null` where there was none.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Events sent, copies left out.
    pub sent: u64,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Copies of events sent on purpose.
    pub duplicates: u64,
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
    /// Events settled a second, copies included.
    pub events_per_s: f64,
    /// From the first event to the last reply.
    pub elapsed_s: f64,
    /// Events sent after later ones on purpose.
    pub late: u64,
    /// Events that the gateway said it had before.
    pub answered_duplicate: u64,
    /// Events not treated as planned.
    pub unexpected: u64,
    /// The first of them.
    pub unexpected_examples: Vec<Surprise>,
    /// Events whose fate is unknown, as the run ended early.
    pub unsettled: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
    /// Why the run ended early.
    pub aborted: Option<String>,
    /// Events sent that their terminals had held while they were cut off, copies included.
    pub held: u64,
    /// CPU time that the load test itself took for the run; `null` where the system does not say.
    pub sender_cpu_s: Option<f64>,
    /// What came of each phase of the schedule.
    pub phases: Vec<PhaseReport>,
    /// Rates and latencies over time.
    pub timeline: Vec<Span>,
    /// Latencies at percentiles that come ever closer to 100.
    pub latency_by_percentile: Vec<Percentile>,
    /// Everything verification found.
    pub verification: Option<Verification>,
}

/// What came of a phase of the schedule.
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
    /// Writes down a run and what verification found of it.
    pub fn new(outcome: &Outcome, verification: Option<Verification>) -> Self {
        let latencies = outcome.course.latency_us();
        let latency = |quantile| latencies.value_at_quantile(quantile);
        let elapsed_s = outcome.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let settled = latencies.len() as f64;
        Self {
            sent: outcome.sent,
            acknowledged: outcome.acks.len(),
            duplicates: outcome.copies,
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
            events_per_s: if elapsed_s > 0.0 { settled / elapsed_s } else { 0.0 },
            elapsed_s,
            late: outcome.late,
            answered_duplicate: outcome.answered_duplicate,
            unexpected: outcome.surprise_count,
            unexpected_examples: outcome.surprises.clone(),
            unsettled: outcome.unsettled.len() as u64,
            requests: outcome.requests,
            retries: outcome.retries,
            aborted: outcome.aborted.as_ref().map(ToString::to_string),
            held: outcome.course.phases().iter().map(|tally| tally.held).sum(),
            sender_cpu_s: outcome.sender_cpu.map(|cpu| cpu.as_secs_f64()),
            phases: phases(outcome.course.phases(), elapsed_s),
            timeline: outcome.course.spans(outcome.elapsed, &outcome.schedule),
            latency_by_percentile: percentiles(&latencies),
            verification,
        }
    }

    /// Says whether all went as planned: nothing unexpected, nothing open, and conservation holding
    /// where it was verified.
    pub fn holds(&self) -> bool {
        self.unexpected == 0
            && self.unsettled == 0
            && self.aborted.is_none()
            && self.verification.as_ref().is_none_or(Verification::holds)
    }
}

fn phases(tallies: &[PhaseTally], elapsed_s: f64) -> Vec<PhaseReport> {
    let phases = tallies.iter().map(|tally| PhaseReport {
        phase: tally.phase.name,
        from_s: tally.phase.from.as_secs_f64(),
        until_s: tally.phase.until.as_secs_f64().min(elapsed_s),
        events: tally.latency_us.len(),
        acknowledged: tally.acknowledged,
        held: tally.held,
        p50_us: tally.latency_us.value_at_quantile(0.5),
        p99_us: tally.latency_us.value_at_quantile(0.99),
        max_us: tally.latency_us.max(),
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

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let row = |f: &mut std::fmt::Formatter<'_>, name: &str, value: u64| {
            writeln!(f, "  {name:<34} {value:>12}")
        };
        writeln!(f, "Sent")?;
        row(f, "events", self.sent)?;
        row(f, "copies of them", self.duplicates)?;
        row(f, "of them after later ones", self.late)?;
        row(f, "acknowledged", self.acknowledged)?;
        row(f, "refused", refused)?;
        for (code, count) in &self.refused {
            row(f, &format!("  {code}"), *count)?;
        }
        row(f, "not treated as planned", self.unexpected)?;
        for surprise in self.unexpected_examples.iter().take(SHOWN) {
            writeln!(f, "    {surprise}")?;
        }
        if let Some(reason) = &self.aborted {
            writeln!(f, "  ended early: {reason}")?;
            row(f, "of unknown fate", self.unsettled)?;
        }
        self.write_speed(f)?;
        match &self.verification {
            Some(verification) => verification.fmt(f)?,
            None => writeln!(f, "Conservation was not verified.")?,
        }
        writeln!(
            f,
            "{}",
            if self.holds() { "All as it should be." } else { "NOT as it should be." }
        )
    }
}

impl Report {
    fn write_speed(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Speed")?;
        for (name, value) in [("requests", self.requests), ("retries", self.retries)] {
            writeln!(f, "  {name:<34} {value:>12}")?;
        }
        writeln!(f, "  {:<34} {:>12.0}", "events a second", self.events_per_s)?;
        writeln!(f, "  {:<34} {:>12.1}", "seconds", self.elapsed_s)?;
        if let Some(cpu_s) = self.sender_cpu_s {
            writeln!(f, "  {:<34} {cpu_s:>12.1}", "CPU seconds of the load test")?;
        }
        for (percentile, latency_us) in [
            ("p50", self.p50_us),
            ("p90", self.p90_us),
            ("p99", self.p99_us),
            ("p99.9", self.p999_us),
            ("p99.99", self.p9999_us),
            ("longest", self.max_us),
        ] {
            let name = format!("latency {percentile}, microseconds");
            writeln!(f, "  {name:<34} {latency_us:>12}")?;
        }
        if self.phases.len() < 2 {
            return Ok(());
        }
        writeln!(
            f,
            "  {:<12} {:>9} {:>10} {:>8} {:>9} {:>9} {:>9}",
            "Phases", "from s", "events", "held", "p50 us", "p99 us", "max us"
        )?;
        for phase in &self.phases {
            let PhaseReport { phase, from_s, events, held, p50_us, p99_us, max_us, .. } = phase;
            writeln!(
                f,
                "  {phase:<12} {from_s:>9.1} {events:>10} {held:>8} {p50_us:>9} {p99_us:>9} {max_us:>9}"
            )?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = |f: &mut std::fmt::Formatter<'_>, name: &str, value: u64, good: bool| {
            let mark = if good { "" } else { "  <-" };
            writeln!(f, "  {name:<34} {value:>12}{mark}")
        };
        writeln!(f, "Conservation")?;
        row(f, "acknowledged", self.acknowledged, true)?;
        row(f, "counted", self.counted, self.counted == self.acknowledged)?;
        for (name, faults) in [
            ("lost", self.lost),
            ("double-counted", self.double_counted),
            ("altered", self.altered),
            ("counted, never acknowledged", self.strangers),
            ("set aside, not counted", self.not_counted),
            ("unreadable records", self.unreadable),
        ] {
            row(f, name, faults, faults == 0)?;
        }
        for example in self.lost_examples.iter().take(SHOWN) {
            writeln!(f, "    lost: {example}")?;
        }
        for (reason, count) in &self.set_aside {
            row(f, &format!("  set aside: {reason}"), *count, true)?;
        }
        row(f, "stock sums (store, SKU, unit)", self.stock_keys, true)?;
        row(f, "of them wrong", self.stock_differing, self.stock_differing == 0)?;
        for example in self.stock_examples.iter().take(SHOWN) {
            writeln!(f, "    {example}")?;
        }
        row(f, "missing ranges reported", self.missing_ranges.len() as u64, true)?;
        for range in self.missing_ranges.iter().take(SHOWN) {
            writeln!(f, "    {range}")?;
        }
        let wrong = self.wrong_ranges.len() as u64;
        row(f, "of them or of those planted wrong", wrong, wrong == 0)?;
        for range in self.wrong_ranges.iter().take(SHOWN) {
            writeln!(f, "    wrong: {range}")?;
        }
        for (sink, count) in &self.delivered {
            row(f, &format!("delivered to {sink}"), *count, true)?;
        }
        for (sink, count) in &self.dead {
            row(f, &format!("dead letters of {sink}"), *count, true)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Surprise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, terminal, sequence, expected, code } = self;
        let expected = expected.unwrap_or("acceptance");
        let code = code.as_deref().unwrap_or("acceptance");
        write!(f, "{store}/{terminal}/{sequence}: expected {expected}, got {code}")
    }
}

impl std::fmt::Display for MissingRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { store, terminal, from, to } = self;
        write!(f, "store {store}, terminal {terminal}: {from}–{to} missing")
    }
}
