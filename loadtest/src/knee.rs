//! Searches for the knee: the highest rate that the gateway sustains.
//!
//! A rate holds if nothing failed, as much was acknowledged as was due, and the 99th percentile of
//! the latency, from when each event was due, kept its limit. Rates are doubled until one breaks (or
//! halved until one holds), then the interval between is bisected. The search only chooses the next
//! rate and judges measurements; the caller sends and measures.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use crate::client::Outcome;
use crate::figures;
use crate::schedule::Profile;

/// From step to step the rate grows, or falls, by this factor until the knee lies in between.
const GROWTH: f64 = 2.0;

/// The knee is found when the lowest rate that broke is so close to the highest that held.
const CLOSE_ENOUGH: f64 = 1.05;

/// Share of what was due that must be acknowledged in the same time.
const HELD_SHARE: f64 = 0.98;

/// Lowest and highest rate that is tried.
const RATES: (f64, f64) = (1.0, 1e7);

/// The measurement of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepMeasurement {
    /// Events a second that were due.
    pub rate: f64,
    /// Events a second that were acknowledged.
    pub acknowledged_per_s: f64,
    /// Median latency from when each event was due, microseconds.
    pub p50_us: u64,
    /// 99th percentile of it.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Retries, events with another outcome than planned, and events with an unknown outcome.
    pub errors: u64,
}

/// Why a rate did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakReason {
    /// Something failed or had to be sent again.
    Errors,
    /// Less was acknowledged than was due.
    Behind,
    /// The 99th percentile of the latency passed its limit.
    Late,
}

/// A step and its result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// What was measured.
    #[serde(flatten)]
    pub measured: StepMeasurement,
    /// Why the rate did not hold; `None` where it did.
    pub broke: Option<BreakReason>,
}

/// The result of a search; its JSON has these members at the top level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KneeReport {
    /// The highest rate that held; `null` where none did.
    pub knee_events_per_s: Option<f64>,
    /// What the 99th percentile of the latency must not pass.
    pub p99_limit_us: u64,
    /// How long each rate was measured, after it had warmed up.
    pub measured_s: f64,
    /// The steps in the order they were taken.
    pub steps: Vec<Step>,
}

/// A search for the knee.
#[derive(Debug, Clone)]
pub struct KneeSearch {
    p99_limit: Duration,
    rate: f64,
    /// The rate broke once: it is tried again, as one hiccup of the machine is no knee.
    is_suspect: bool,
    held: Option<f64>,
    broken: Option<f64>,
    steps: Vec<Step>,
}

impl StepMeasurement {
    /// Measures the measured phase of a run on [`Profile::Step`].
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub fn of(rate: f64, outcome: &Outcome) -> Self {
        let errors = outcome.surprise_count
            + outcome.retries
            + outcome.unsettled.len() as u64
            + u64::from(outcome.aborted.is_some());
        let phases = outcome.timeline.phases();
        let none = Self { rate, acknowledged_per_s: 0.0, p50_us: 0, p99_us: 0, max_us: 0, errors };
        let Some(totals) = phases.iter().find(|totals| totals.phase.name == Profile::MEASURED)
        else {
            return none;
        };
        let length_s = totals.phase.until.saturating_sub(totals.phase.from).as_secs_f64();
        Self {
            acknowledged_per_s: totals.acknowledged as f64 / length_s,
            p50_us: totals.latency_us.value_at_quantile(0.5),
            p99_us: totals.latency_us.value_at_quantile(0.99),
            max_us: totals.latency_us.max(),
            ..none
        }
    }
}

impl KneeSearch {
    /// Begins a search at a rate.
    pub fn new(first_rate: f64, p99_limit: Duration) -> Self {
        let rate = first_rate.clamp(RATES.0, RATES.1);
        Self { p99_limit, rate, is_suspect: false, held: None, broken: None, steps: Vec::new() }
    }

    /// Returns the rate to measure next; `None` when the knee is found, or lies beyond what can be
    /// tried.
    pub fn next_rate(&self) -> Option<f64> {
        let found = match (self.held, self.broken) {
            (Some(held), Some(broken)) => broken / held <= CLOSE_ENOUGH,
            (Some(held), None) => held >= RATES.1,
            (None, Some(broken)) => broken <= RATES.0,
            (None, None) => false,
        };
        (!found).then_some(self.rate)
    }

    /// Adds the measurement at the requested rate; returns its step.
    pub fn note(&mut self, measured: StepMeasurement) -> Step {
        let step = Step { measured, broke: self.judge(&measured) };
        self.steps.push(step);
        self.is_suspect = step.broke.is_some() && !self.is_suspect;
        if self.is_suspect {
            return step;
        }
        match step.broke {
            None => self.held = Some(self.rate),
            Some(_) => self.broken = Some(self.rate),
        }
        let next = match (self.held, self.broken) {
            (Some(held), Some(broken)) => (held * broken).sqrt(),
            (Some(held), None) => held * GROWTH,
            (None, Some(broken)) => broken / GROWTH,
            (None, None) => self.rate,
        };
        self.rate = next.clamp(RATES.0, RATES.1);
        step
    }

    /// Returns the highest rate that held.
    pub fn knee(&self) -> Option<f64> {
        self.held
    }

    /// Lists the steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Reports the result; `measured` is the measured duration of each step.
    pub fn report(&self, measured: Duration) -> KneeReport {
        KneeReport {
            knee_events_per_s: self.held,
            p99_limit_us: u64::try_from(self.p99_limit.as_micros()).unwrap_or(u64::MAX),
            measured_s: measured.as_secs_f64(),
            steps: self.steps.clone(),
        }
    }

    fn judge(&self, measured: &StepMeasurement) -> Option<BreakReason> {
        if measured.errors > 0 {
            Some(BreakReason::Errors)
        } else if measured.acknowledged_per_s < HELD_SHARE * measured.rate {
            Some(BreakReason::Behind)
        } else if Duration::from_micros(measured.p99_us) > self.p99_limit {
            Some(BreakReason::Late)
        } else {
            None
        }
    }
}

impl Display for BreakReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Errors => "errors",
            Self::Behind => "fell behind",
            Self::Late => "p99 too high",
        })
    }
}

/// A row of the table under [`KneeReport`]'s verdict.
impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let StepMeasurement { rate, acknowledged_per_s, p50_us, p99_us, max_us, errors } =
            self.measured;
        let [due, acknowledged] = [rate, acknowledged_per_s].map(figures::rate);
        let [p50, p99, longest] = [p50_us, p99_us, max_us].map(figures::latency_us);
        let outcome = self.broke.map_or("held".to_owned(), |broke| broke.to_string());
        write_row(f, [&due, &acknowledged, &p50, &p99, &longest, &figures::count(errors)], &outcome)
    }
}

fn write_row(f: &mut Formatter<'_>, figures: [&str; 6], outcome: &str) -> std::fmt::Result {
    let [due, acknowledged, p50, p99, longest, errors] = figures;
    write!(f, "{due:>7} {acknowledged:>7} {p50:>7} {p99:>7} {longest:>7} {errors:>6}  {outcome}")
}

impl KneeReport {
    /// Says in one line whether a rate held, and which is the highest.
    pub fn verdict_line(&self) -> String {
        let limit = figures::latency_us(self.p99_limit_us);
        match self.knee_events_per_s.map(figures::rate) {
            Some(knee) => format!("PASSED: the knee is at {knee} events/s, p99 limit {limit}"),
            None => format!("FAILED: no rate held, p99 limit {limit}"),
        }
    }
}

/// The verdict, then a table of the steps within 60 columns.
impl Display for KneeReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n", self.verdict_line())?;
        write_row(f, ["due/s", "ack'd/s", "p50", "p99", "longest", "errors"], "outcome")?;
        for step in &self.steps {
            write!(f, "\n{step}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "the values are exact")]

    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    /// A server with one queue: latency grows as 1 / (1 - load), and past its capacity it falls
    /// behind.
    fn served(rate: f64, capacity: f64, base_us: f64) -> StepMeasurement {
        let load = rate / capacity;
        let p99_us = if load < 1.0 { base_us / (1.0 - load) } else { 1e9 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
        let p99_us = p99_us as u64;
        StepMeasurement {
            rate,
            acknowledged_per_s: rate.min(capacity),
            p50_us: p99_us / 4,
            p99_us,
            max_us: p99_us * 2,
            errors: 0,
        }
    }

    fn search(first_rate: f64, mut measure: impl FnMut(f64) -> StepMeasurement) -> KneeSearch {
        let mut search = KneeSearch::new(first_rate, LIMIT);
        while let Some(rate) = search.next_rate() {
            search.note(measure(rate));
            assert!(search.steps().len() < 200, "the search ends");
        }
        search
    }

    proptest! {
        #[test]
        fn the_knee_of_a_curve_is_found_from_anywhere(
            first in 1.0_f64..1e6,
            capacity in 10.0_f64..1e6,
            base_us in 100.0_f64..40_000.0,
        ) {
            let found = search(first, |rate| served(rate, capacity, base_us));
            let knee = capacity * (1.0 - base_us / 50_000.0);
            match found.knee() {
                // A microsecond is the grain of a latency.
                Some(rate) => {
                    prop_assert!(rate <= knee * 1.001 && rate >= knee / CLOSE_ENOUGH * 0.999);
                }
                None => prop_assert!(knee < RATES.0 * 1.001, "{knee}"),
            }
        }

        #[test]
        fn one_hiccup_at_a_rate_changes_nothing(first in 1.0_f64..1e5, capacity in 10.0_f64..1e5) {
            let mut last = 0.0;
            let found = search(first, |rate| {
                let hiccup = rate.to_bits() != f64::to_bits(last);
                last = rate;
                StepMeasurement { errors: u64::from(hiccup), ..served(rate, capacity, 100.0) }
            });
            let calm = search(first, |rate| served(rate, capacity, 100.0));
            prop_assert_eq!(found.knee(), calm.knee());
        }
    }

    #[test]
    fn rates_double_and_then_close_in() {
        let found = search(1_000.0, |rate| served(rate, 5_000.0, 100.0));
        let rates: Vec<f64> = found.steps().iter().map(|step| step.measured.rate.round()).collect();
        let expected =
            [1_000.0, 2_000.0, 4_000.0, 8_000.0, 8_000.0, 5_657.0, 5_657.0, 4_757.0, 5_187.0];
        assert_eq!(rates[..9], expected);
        assert_eq!(found.knee().map(f64::round), Some(4_967.0));
    }

    #[test]
    fn each_reason_to_break_is_named() {
        let search = KneeSearch::new(100.0, LIMIT);
        let good = served(100.0, 1e6, 100.0);
        assert_eq!(search.judge(&good), None);
        assert_eq!(
            search.judge(&StepMeasurement { p99_us: 50_000, ..good }),
            None,
            "a limit is kept"
        );
        assert_eq!(
            search.judge(&StepMeasurement { p99_us: 50_001, ..good }),
            Some(BreakReason::Late)
        );
        let behind = StepMeasurement { acknowledged_per_s: 97.9, p99_us: 50_001, ..good };
        assert_eq!(search.judge(&behind), Some(BreakReason::Behind));
        assert_eq!(
            search.judge(&StepMeasurement { errors: 1, ..behind }),
            Some(BreakReason::Errors)
        );
    }

    #[test]
    fn what_nothing_breaks_and_what_nothing_holds_ends_the_search() {
        assert_eq!(search(1e6, |rate| served(rate, 1e12, 1.0)).knee(), Some(1e7));
        let broken = search(100.0, |rate| StepMeasurement { errors: 1, ..served(rate, 1e9, 1.0) });
        assert_eq!(broken.knee(), None);
        assert_eq!(broken.steps().last().unwrap().measured.rate, 1.0);
    }

    #[test]
    fn a_report_begins_with_the_knee_and_fits_sixty_columns() {
        let found = search(1_000.0, |rate| served(rate, 5_000.0, 100.0));
        let text = found.report(Duration::from_secs(5)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "PASSED: the knee is at 4,967 events/s, p99 limit 50 ms");
        assert_eq!(lines[3], "  1,000   1,000   31 µs  125 µs  250 µs      0  held");
        assert!(lines[6].ends_with("fell behind"), "{text}");
        let wide = StepMeasurement { errors: 123_456, ..served(123_456.0, 1e6, 999_000.0) };
        let mut search = KneeSearch::new(1.0, LIMIT);
        let late = StepMeasurement { errors: 0, ..wide };
        search.note(late);
        search.note(wide);
        let wide = search.report(Duration::from_secs(5)).to_string();
        assert!(wide.starts_with("FAILED: no rate held, p99 limit 50 ms\n"), "{wide}");
        for line in text.lines().chain(wide.lines()) {
            assert!(line.chars().count() <= crate::text::WIDTH, "{line}");
        }
    }
}
