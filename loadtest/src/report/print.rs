//! The report for people on a terminal: the verdict first, then the figures, within 60 columns.

use std::fmt::{self, Display, Formatter};

use super::{MissingRange, PhaseReport, Report, UnexpectedOutcome, Verification};
use crate::client::NO_ANSWER;
use crate::figures::{count, latency_us, moment, rate, time};
use crate::text::{paragraph, row};

/// Rows that a list shows.
const SHOWN: usize = 5;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict_line())?;
        for reason in self.reasons() {
            paragraph(f, 2, reason)?;
        }
        write!(f, "\n{}", self.details())
    }
}

/// The figures of a report, without its verdict.
#[derive(Debug, Clone, Copy)]
pub struct Details<'a>(&'a Report);

impl Report {
    /// Shows the figures alone, for whoever has a verdict of their own.
    pub fn details(&self) -> Details<'_> {
        Details(self)
    }

    fn write_speed(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Speed")?;
        if let Some(asked) = self.asked_events_per_s {
            row(f, "events a second, asked", rate(asked), false)?;
            row(f, "reached", rate(self.reached_events_per_s), self.is_rate_missed)?;
        }
        row(f, "settled a second, copies included", rate(self.events_per_s), false)?;
        row(f, "time", time(self.elapsed_s), false)?;
        if let Some(cpu_s) = self.sender_cpu_s {
            row(f, "CPU time of the load test", time(cpu_s), false)?;
        }
        for (percentile, latency) in [
            ("p50", self.p50_us),
            ("p90", self.p90_us),
            ("p99", self.p99_us),
            ("p99.9", self.p999_us),
            ("p99.99", self.p9999_us),
            ("longest", self.max_us),
        ] {
            row(f, format_args!("latency {percentile}"), latency_us(latency), false)?;
        }
        Ok(())
    }

    fn write_sent(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Sent")?;
        row(f, "events", count(self.sent), false)?;
        row(f, "copies of them", count(self.duplicates), false)?;
        row(f, "of them after later ones", count(self.late), false)?;
        row(f, "acknowledged", count(self.acknowledged), false)?;
        row(f, "parked", count(self.parked.values().sum()), false)?;
        for (code, number) in &self.parked {
            row(f, format_args!("  {code}"), count(*number), false)?;
        }
        row(f, "refused", count(self.refused.values().sum()), false)?;
        for (code, number) in &self.refused {
            row(f, format_args!("  {code}"), count(*number), false)?;
        }
        row(f, "not treated as planned", count(self.unexpected), self.unexpected > 0)?;
        for surprise in self.unexpected_examples.iter().take(SHOWN) {
            paragraph(f, 4, surprise)?;
        }
        row(f, "of unknown fate", count(self.unsettled), self.unsettled > 0)?;
        row(f, "requests", count(self.requests), false)?;
        row(f, "requests sent again", count(self.retries), false)?;
        for (status, number) in &self.retries_by_status {
            let answer = if status == NO_ANSWER { "no answer" } else { status };
            row(f, format_args!("  {answer}"), count(*number), false)?;
        }
        Ok(())
    }

    fn write_phases(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let line = |f: &mut Formatter<'_>, name: &str, figures: [&str; 6]| {
            let [from, events, held, p50, p99, longest] = figures;
            writeln!(
                f,
                "  {name:<8} {from:>7} {events:>9} {held:>7} {p50:>7} {p99:>7} {longest:>7}"
            )
        };
        writeln!(f, "Phases")?;
        line(f, "", ["from", "events", "held", "p50", "p99", "longest"])?;
        for phase in &self.phases {
            let PhaseReport { phase, from_s, events, held, p50_us, p99_us, max_us, .. } = phase;
            let [p50, p99, longest] = [p50_us, p99_us, max_us].map(|us| latency_us(*us));
            let (from, events, held) = (moment(from_s.round()), count(*events), count(*held));
            line(f, phase, [&from, &events, &held, &p50, &p99, &longest])?;
        }
        Ok(())
    }
}

impl Display for Details<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        report.write_speed(f)?;
        if report.phases.len() > 1 {
            report.write_phases(f)?;
        }
        report.write_sent(f)?;
        report.verification.as_ref().map_or(Ok(()), |verification| verification.fmt(f))
    }
}

impl Display for Verification {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Conservation")?;
        row(f, "acknowledged", count(self.acknowledged), false)?;
        row(f, "counted", count(self.counted), self.counted != self.acknowledged)?;
        for (name, faults) in [
            ("lost", self.lost),
            ("in the journal, without a verdict", self.without_verdict),
            ("double-counted", self.double_counted),
            ("altered", self.altered),
            ("counted, never acknowledged", self.strangers),
            ("set aside, not counted", self.not_counted),
            ("unreadable records", self.unreadable),
            ("parked, neither kept nor counted", self.parked_lost),
            ("parked and counted as well", self.parked_twice),
            ("readmitted, not counted", self.not_readmitted),
        ] {
            row(f, name, count(faults), faults > 0)?;
        }
        for example in self.lost_examples.iter().take(SHOWN) {
            paragraph(f, 4, format_args!("missing: {example}"))?;
        }
        for (reason, number) in &self.set_aside {
            row(f, format_args!("  set aside: {reason}"), count(*number), false)?;
        }
        row(f, "parked", count(self.parked), false)?;
        row(f, "  of them waiting", count(self.parked_waiting), false)?;
        row(f, "  readmitted and counted", count(self.readmitted), false)?;
        self.write_sums(f)?;
        self.write_books(f)?;
        for (sink, number) in &self.delivered {
            row(f, format_args!("delivered to {sink}"), count(*number), false)?;
        }
        for (sink, number) in &self.dead {
            row(f, format_args!("dead letters of {sink}"), count(*number), false)?;
        }
        Ok(())
    }
}

impl Verification {
    /// Shows what the counted events add up to, and whether the store-days say the same.
    fn write_books(&self, f: &mut Formatter<'_>) -> fmt::Result {
        row(f, "store-days", count(self.days), false)?;
        row(f, "of them wrong", count(self.days_differing), self.days_differing > 0)?;
        for example in self.day_examples.iter().take(SHOWN) {
            paragraph(f, 4, example)?;
        }
        for (currency, sums) in &self.books {
            for (name, title) in [
                ("sales", "sales"),
                ("liabilities_issued", "liabilities issued"),
                ("liabilities_redeemed", "liabilities redeemed"),
            ] {
                if let Some(sum) = sums.get(name) {
                    row(f, format_args!("{title}, {currency}"), sum, false)?;
                }
            }
        }
        Ok(())
    }

    fn write_sums(&self, f: &mut Formatter<'_>) -> fmt::Result {
        row(f, "stock sums (store, SKU, unit)", count(self.stock_keys), false)?;
        row(f, "of them wrong", count(self.stock_differing), self.stock_differing > 0)?;
        for example in self.stock_examples.iter().take(SHOWN) {
            paragraph(f, 4, example)?;
        }
        row(f, "missing ranges reported", count(self.missing_ranges.len() as u64), false)?;
        for range in self.missing_ranges.iter().take(SHOWN) {
            paragraph(f, 4, range)?;
        }
        let wrong = self.wrong_ranges.len() as u64;
        row(f, "of them or of those planted wrong", count(wrong), wrong > 0)?;
        for range in self.wrong_ranges.iter().take(SHOWN) {
            paragraph(f, 4, format_args!("wrong: {range}"))?;
        }
        Ok(())
    }
}

impl Display for UnexpectedOutcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { store, terminal, sequence, expected, code } = self;
        let expected = expected.as_deref().unwrap_or("acceptance");
        let code = code.as_deref().unwrap_or("acceptance");
        write!(f, "{store}/{terminal}/{sequence}: expected {expected}, got {code}")
    }
}

impl Display for MissingRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { store, terminal, from, to } = self;
        write!(f, "store {store}, terminal {terminal}: {from}–{to} missing")
    }
}
